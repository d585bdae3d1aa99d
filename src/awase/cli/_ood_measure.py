"""What tuning does to the detection of unknown images, as a measure that `awase.tune` can be handed.

Tuning does not know detection and detection does not know tuning: they meet here. Every score is fitted on
the very shots that the model was tuned on, never on test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from awase import registry
from awase.cli._settings import build
from awase.errors import AwaseError, DataError
from awase.functional.detection import auroc, fpr_at_tpr
from awase.ood._protocol import Known, Learner, Scorer
from awase.protocols import TextEncoder
from awase.tune._measures import Figures, Measure
from awase.tune._protocol import Task, Tuned
from awase.types import Features


@dataclass(frozen=True)
class NamedScore:
    """A score as it was typed, `mcm:temperature=0.1`, and the method with these settings."""

    text: str
    method: Scorer | Learner


def open_scores(texts: Sequence[str]) -> tuple[NamedScore, ...]:
    """Scores from NAME or NAME:SETTING=VALUE,SETTING=VALUE.

    Raises:
        UnknownMethodError: there is no such score.
        DataError: there is no such setting, or two scores are the same.
    """
    found = []
    for text in texts:
        name, _, settings = text.partition(":")
        method = registry.load("ood", name)
        given = [part for part in settings.split(",") if part]
        found.append(NamedScore(text, build(method, given, name=name, flag="--scores")))
    if len(set(texts)) < len(texts):
        raise DataError(f"--scores names a score twice: {', '.join(texts)}.")
    return tuple(found)


def ood_measure(
    scores: Sequence[NamedScore],
    known: Features,
    unknown: Mapping[str, Features],
    *,
    tpr: float,
    encoder: TextEncoder | None,
    mean: bool = True,
) -> Measure:
    """`auroc/SCORE/SET` and `fpr/SCORE/SET` of each score and each set of unknown images, and their means.

    A score that cannot be had (no shots to learn from, no patches, one class) is None.

    Args:
        scores: which.
        known: test images of the classes.
        unknown: images of no class, by the name of their set.
        tpr: share of the known kept, at which FPR is read; the known are the positive side.
        encoder: for scores that read words.
        mean: whether the unweighted mean over the sets is a figure too.
    """

    def measure(tuned: Tuned, task: Task) -> Figures:
        inside = tuned.evidence(known)
        outside = {name: tuned.evidence(images) for name, images in unknown.items()}
        figures: dict[str, float | None] = {}
        for score in scores:
            found: dict[str, tuple[float | None, float | None]] = {}
            try:
                scorer = _fitted(score.method, tuned, task, encoder)
                id_scores = scorer.score(inside)
                for name, evidence in outside.items():
                    ood_scores = scorer.score(evidence)
                    fpr, _ = fpr_at_tpr(id_scores=id_scores, ood_scores=ood_scores, tpr=tpr)
                    found[name] = (auroc(id_scores=id_scores, ood_scores=ood_scores), fpr)
            except AwaseError:
                found = dict.fromkeys(unknown, (None, None))
            for name, (area, fpr_value) in found.items():
                figures[f"auroc/{score.text}/{name}"] = area
                figures[f"fpr/{score.text}/{name}"] = fpr_value
            if mean and found:
                figures[f"auroc/{score.text}/mean"] = _mean([area for area, _ in found.values()])
                figures[f"fpr/{score.text}/mean"] = _mean([fpr_value for _, fpr_value in found.values()])
        return figures

    return measure


def _fitted(method: Scorer | Learner, tuned: Tuned, task: Task, encoder: TextEncoder | None) -> Scorer:
    if not isinstance(method, Learner):
        return method
    if len(task.train) == 0 and getattr(method, "needs_images", True):
        raise DataError("this score learns from images of the classes, and there are none.")
    known = Known(
        evidence=tuned.evidence(task.train),
        labels=task.train_labels,
        class_names=task.frozen.class_names,
        encoder=encoder,
        template=task.frozen.templates[0],
    )
    return method.fit(known)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(torch.tensor(there, dtype=torch.float64).mean()) if len(there) == len(values) else None
