"""A detector over a stream of images: verdicts row by row, or what is kept of them to be measured.

Memory does not grow with the number of images beyond a few numbers each.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.functional.splits import class_index
from awase.ood._detector import Detector
from awase.ood._verdict import ABSTAIN, KEEP, Verdict
from awase.types import BadRow, Evidence, Features, LabelledImage

Batch = tuple[Features, list[BadRow]]
Look = Callable[[Features], Evidence]
"""What the detector's model says of images."""


def verdicts(
    detector: Detector, rows: Iterable[LabelledImage | BadRow], batch: Batch, look: Look
) -> list[Verdict]:
    """One verdict for each row of a batch, in the order of the rows.

    Args:
        detector: what judges.
        rows: the rows that the batch was made of.
        batch: vectors of the images that could be read, and the rows that could not, both in order.
        look: what the detector's model says of the vectors.
    """
    features, failed = batch
    good = iter(_verdicts(detector, features, look))
    bad = iter(failed)
    next_bad = next(bad, None)
    found = []
    for row in rows:
        if next_bad is not None and next_bad.id == row.id:
            found.append(
                Verdict(next_bad.id, next_bad.image, error_code=next_bad.error_code, error=next_bad.error)
            )
            next_bad = next(bad, None)
        else:
            found.append(next(good))
    return found


def _verdicts(detector: Detector, features: Features, look: Look) -> Iterator[Verdict]:
    if len(features) == 0:
        return
    judged = detector.judge(look(features))
    for index, image in enumerate(features.images):
        yield Verdict(
            id=image.id,
            image=image.image.name,
            label=detector.classes.labels[int(judged.classes[index])],
            score=float(judged.scores[index]),
            p_value=float(judged.p_values[index]),
            decision=KEEP if bool(judged.kept[index]) else ABSTAIN,
            prediction_set=detector.labels(judged.sets[index]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What is kept of n judged images to measure a detector by.

    Attributes:
        scores: float64, higher = more in-distribution.
        kept: whether the detector keeps the image.
        set_sizes: number of classes in the prediction set.
        correct: whether the most similar class is the true one; None for images of unknown classes.
        covered: whether the prediction set holds the true class; None likewise.
        images: content hash to name.
    """

    scores: Float[Tensor, " n"]
    kept: Bool[Tensor, " n"]
    set_sizes: Int[Tensor, " n"]
    correct: Bool[Tensor, " n"] | None
    covered: Bool[Tensor, " n"] | None
    images: dict[str, str]

    def __len__(self) -> int:
        return len(self.scores)


def outcomes(detector: Detector, features: Iterable[Features], look: Look, *, is_known: bool) -> Outcomes:
    """Judge a stream of images and keep a few numbers of each.

    Args:
        detector: what judges.
        features: blocks of images.
        look: what the detector's model says of them.
        is_known: whether they are of the known classes, so that labels count.

    Raises:
        DataError: a known image has a label that is none of the detector's.
    """
    # the sets themselves are n x k: only their sizes are kept
    columns: dict[str, list[Tensor]] = {
        name: [] for name in ("scores", "kept", "sizes", "correct", "covered")
    }
    images: dict[str, str] = {}
    for block in features:
        if len(block) == 0:
            continue
        judged = detector.judge(look(block))
        images |= {hash: image.id for hash, image in zip(block.hashes, block.images, strict=True)}
        columns["scores"].append(judged.scores)
        columns["kept"].append(judged.kept)
        columns["sizes"].append(judged.sets.sum(dim=1))
        if is_known:
            truth = class_index(block.labels, detector.classes.labels)
            columns["correct"].append(judged.classes == truth)
            columns["covered"].append(judged.sets[torch.arange(len(truth)), truth])
    return Outcomes(
        scores=_joined(columns["scores"], torch.float64),
        kept=_joined(columns["kept"], torch.bool),
        set_sizes=_joined(columns["sizes"], torch.long),
        correct=_joined(columns["correct"], torch.bool) if is_known else None,
        covered=_joined(columns["covered"], torch.bool) if is_known else None,
        images=images,
    )


def _joined(parts: list[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat(parts) if parts else torch.zeros(0, dtype=dtype)
