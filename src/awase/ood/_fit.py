"""From a score and calibration images to a detector: threshold, p-values and prediction sets.

What scores learn from (`training`) and what thresholds are set on (`calibration`) must be different images,
or every promise is void: equal content on both sides is refused, naming the files.
"""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Int
from torch import Tensor

from awase.engine.leaks import refuse_overlap
from awase.errors import DataError
from awase.functional.conformal import aps_scores, lac_scores, quantile
from awase.ood._detector import SETS, Classes, Detector, probabilities
from awase.ood._names import warn_of_duplicates
from awase.ood._protocol import Known, Learner, Scorer
from awase.ood._threshold import conformal_threshold
from awase.protocols import TextEncoder
from awase.types import Evidence, Features

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Labelled images of the known classes, as the model sees them.

    Attributes:
        evidence: what the model says of them.
        labels: class of each, 0 .. k - 1.
        images: content hash to name.
    """

    evidence: Evidence
    labels: Int[Tensor, " n"]
    images: Mapping[str, str]

    @classmethod
    def of(cls, features: Features, evidence: Evidence, labels: Int[Tensor, " n"]) -> "Sample":
        """Images with what a model says of them."""
        return cls(evidence, labels, named(features))

    def __post_init__(self) -> None:
        n, k = self.evidence.similarity.shape
        if n != len(self.labels):
            raise DataError(f"{n} images came with {len(self.labels)} labels.")
        if n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < k:
            raise DataError(f"labels must lie in 0 .. {k - 1} for {k} classes.")


def named(features: Features) -> dict[str, str]:
    """Content hash to name of each image; copies count once."""
    return {hash: image.id for hash, image in zip(features.hashes, features.images, strict=True)}


def learns_from_images(method: Scorer | Learner) -> bool:
    """Whether a method has to see training images before it can score.

    Example:
        >>> from awase.registry import load
        >>> learns_from_images(load("ood", "mcm")()), learns_from_images(load("ood", "knn")())
        (False, True)
    """
    return hasattr(method, "fit") and bool(getattr(method, "needs_images", True))


def fit(
    method: Scorer | Learner,
    *,
    name: str,
    classes: Classes,
    calibration: Sample | Iterable[Sample],
    training: Sample | None = None,
    keep: float = 0.95,
    alpha: float = 0.05,
    sets: str = "lac",
    encoder: TextEncoder | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Detector:
    """A detector that keeps at least `keep` of the known images, for any number of calibration images.

    Args:
        method: a score, or one that learns first.
        name: its name in the registry, for loading it again.
        classes: the known classes as the model sees them.
        calibration: images that nothing was learned from, drawn like those that will be judged; whole, or
            block by block where all patches at once would fill the memory.
        training: images to learn from; not needed by scores that do not learn.
        keep: share of known images to keep, in (0, 1).
        alpha: share of known images whose prediction set may miss the true class, in (0, 1).
        sets: "lac" (smallest sets on average) or "aps" (steadier from class to class).
        encoder: reads texts, for scores that learn words (neglabel).
        provenance: kept with the detector; `settings` and `warnings` are added to it.
        progress: told of texts encoded and texts in all, by scores that learn words.

    Raises:
        DataError: no calibration images, shares outside (0, 1), or training images are missing.
        LeakError: an image is on both sides; the message names the files.

    Example:
        >>> from awase.ood.mcm import Mcm
        >>> classes = Classes(("cat", "dog"), ("cat", "dog"), torch.eye(2), ("{}",), 100.0, "toy")
        >>> images = torch.tensor([[1.0, 0.0]]).repeat(40, 1)
        >>> known = Sample(Evidence(images, images, torch.eye(2)), torch.zeros(40, dtype=torch.long), {})
        >>> detector = fit(Mcm(), name="mcm", classes=classes, calibration=known)
        >>> between = torch.tensor([[0.6, 0.8]])
        >>> detector.judge(Evidence(between, between, torch.eye(2))).kept.tolist()
        [False]
    """
    for share, what in ((keep, "keep"), (alpha, "alpha")):
        if not 0 < share < 1:
            raise DataError(f"{what} must lie between 0 and 1, got {share:g}; 0.95 and 0.05 are usual.")
    if sets not in SETS:
        raise DataError(f"prediction sets are {' or '.join(SETS)}, got {sets!r}.")
    strangeness = lac_scores if sets == "lac" else aps_scores
    images: dict[str, str] = {}
    scores: list[Tensor] = []
    strange: list[Tensor] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_duplicates(classes.names)
        scorer = _fitted(method, name, classes, training, encoder, progress)
        for block in (calibration,) if isinstance(calibration, Sample) else calibration:
            if training is not None:
                sides = ("training images", "calibration images")
                refuse_overlap(training.images, block.images, what=sides)
            images |= block.images
            scores.append(scorer.score(block.evidence).double().cpu())
            shares = probabilities(block.evidence, classes.logit_scale)
            strange.append(strangeness(shares, block.labels.cpu()))
        if sum(map(len, scores)) == 0:
            raise DataError("there are no calibration images; a threshold needs at least 19 to keep 95 %.")
        ascending = torch.cat(scores).sort().values
        # rounded: 1 - 0.9 is a little under 0.1, and one more image would be asked for
        threshold = conformal_threshold(ascending, alpha=round(1 - keep, 12))
        bound = quantile(torch.cat(strange), alpha=alpha)
    notes = list(dict.fromkeys(str(warning.message) for warning in said))
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return Detector(
        method=name,
        scorer=scorer,
        classes=classes,
        calibration_scores=ascending,
        keep=keep,
        threshold=threshold,
        alpha=alpha,
        sets=sets,
        set_quantile=bound,
        calibration=images,
        training={} if training is None else dict(training.images),
        provenance={**(provenance or {}), "settings": repr(method), "warnings": notes},
    )


def _fitted(
    method: Scorer | Learner,
    name: str,
    classes: Classes,
    training: Sample | None,
    encoder: TextEncoder | None,
    progress: Progress | None,
) -> Scorer:
    if not isinstance(method, Learner):
        return method
    if training is None and learns_from_images(method):
        raise DataError(
            f"{name} learns from images of the known classes: give training images, other than those the "
            "threshold is set on."
        )
    known = training or _nothing(classes)
    told = Known(known.evidence, known.labels, classes.names, encoder, template=classes.templates[0])
    if progress is not None and "progress" in inspect.signature(method.fit).parameters:
        return cast(Scorer, cast(Any, method).fit(told, progress=progress))
    return method.fit(told)


def _nothing(classes: Classes) -> Sample:
    k, d = classes.features.shape
    return Sample(
        Evidence(torch.zeros(0, k), torch.zeros(0, d), classes.features), torch.zeros(0, dtype=torch.long), {}
    )
