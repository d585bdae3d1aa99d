"""How well a score finds one class among labelled samples: average precision, AUROC, precision, recall, F1.

Exact with ties: samples of equal score are passed together, as in scikit-learn. Every function says which
class is positive by asking for it; a quantity that does not exist (one class only) is None, never NaN or 0.
The plural functions take one row of weights per bootstrap replicate and sort once for all of them; only
there a NaN marks a replicate without both classes. What is left out: choosing a threshold
(`awase.check`), intervals (`intervals.py`), and known against unknown images (`detection.py`), where a
missing side is an error.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError


@dataclass(frozen=True, slots=True)
class DetectionCounts:
    """True positives, false positives and false negatives, with the three ratios made of them."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """Share of the predicted that are positive; None when nothing was predicted."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of the positive that were predicted; None when nothing is positive."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None when nothing is positive and nothing predicted."""
        hits = 2 * self.true_positives
        return _ratio(hits, hits + self.false_positives + self.false_negatives)


def count_detections(*, predicted: Bool[Tensor, " n"], positive: Bool[Tensor, " n"]) -> DetectionCounts:
    """Counts of right and wrong predictions.

    Args:
        predicted: True where the detector fired, for example score < threshold.
        positive: True where it should have.

    Raises:
        ShapeError: the two have different lengths.

    Example:
        >>> import torch
        >>> counts = count_detections(
        ...     predicted=torch.tensor([True, True, False]), positive=torch.tensor([True, False, False])
        ... )
        >>> counts.precision, counts.recall
        (0.5, 1.0)
    """
    _require_same_length(predicted, positive)
    return DetectionCounts(
        true_positives=int((predicted & positive).sum()),
        false_positives=int((predicted & ~positive).sum()),
        false_negatives=int((~predicted & positive).sum()),
    )


def average_precision(scores: Float[Tensor, " n"], *, positive: Bool[Tensor, " n"]) -> float | None:
    """Step-wise average precision, the area under the precision-recall staircase.

        AP = sum_k (R_k - R_{k-1}) * P_k        over the distinct scores, from the highest down

    No interpolation. The value depends on which class is positive: a random score gives the prevalence,
    so print the prevalence beside it.

    Args:
        scores: any unit; higher = more likely positive. Negate a score that points the other way.
        positive: the class to be found.

    Returns:
        A number in (0, 1], None when a class is missing.

    Raises:
        DataError: a score is NaN.

    Example:
        >>> import torch
        >>> scores = torch.tensor([0.9, 0.8, 0.7])
        >>> average_precision(scores, positive=torch.tensor([True, False, True]))
        0.8333333333333333

    Relates to:
        labelled_auroc: does not depend on the prevalence.
    """
    return _single(average_precisions(scores, positive=positive, weights=_ones(scores)))


def average_precisions(
    scores: Float[Tensor, " n"], *, positive: Bool[Tensor, " n"], weights: Float[Tensor, "b n"]
) -> Float[Tensor, " b"]:
    """`average_precision` under b sets of sample weights; NaN in rows where a class has no weight.

    Integer weights give what repeating the samples would give.
    """
    order, ends = _descending(scores, positive)
    if len(order) == 0:
        return torch.full((len(weights),), math.nan, dtype=torch.float64)
    weights = weights.double()[:, order]
    hits = (weights * positive[order]).cumsum(dim=1)[:, ends]  # (b, k): at the last sample of every tie
    seen = weights.cumsum(dim=1)[:, ends]
    gained = hits.diff(dim=1, prepend=hits.new_zeros(len(hits), 1))
    total = hits[:, -1:]
    # where nothing was seen yet nothing was gained: clamp keeps 0 / 0 out of the sum
    area = (gained * hits / seen.clamp(min=torch.finfo(torch.float64).tiny)).sum(dim=1) / total[:, 0]
    return _where_both(area, total[:, 0], seen[:, -1])


def labelled_auroc(scores: Float[Tensor, " n"], *, positive: Bool[Tensor, " n"]) -> float | None:
    """Probability that a positive scores above a negative; a tie counts half (Mann-Whitney).

    Args:
        scores: higher = more likely positive.
        positive: the class to be found.

    Returns:
        A number in [0, 1], 0.5 for constant scores, None when a class is missing.

    Raises:
        DataError: a score is NaN.

    Example:
        >>> import torch
        >>> labelled_auroc(torch.tensor([0.9, 0.5, 0.5]), positive=torch.tensor([True, True, False]))
        0.75
    """
    return _single(aurocs(scores, positive=positive, weights=_ones(scores)))


def aurocs(
    scores: Float[Tensor, " n"], *, positive: Bool[Tensor, " n"], weights: Float[Tensor, "b n"]
) -> Float[Tensor, " b"]:
    """`labelled_auroc` under b sets of sample weights; NaN in rows where a class has no weight."""
    order, ends = _descending(scores, positive)
    if len(order) == 0:
        return torch.full((len(weights),), math.nan, dtype=torch.float64)
    weights = weights.double()[:, order]
    hits = (weights * positive[order]).cumsum(dim=1)[:, ends]
    misses = (weights * ~positive[order]).cumsum(dim=1)[:, ends]
    before = misses.new_zeros(len(misses), 1)
    gained, wrong = hits.diff(dim=1, prepend=before), misses.diff(dim=1, prepend=before)
    below = misses[:, -1:] - misses
    wins = (gained * (below + wrong / 2)).sum(dim=1)
    area = wins / (hits[:, -1] * misses[:, -1])
    return _where_both(area, hits[:, -1], hits[:, -1] + misses[:, -1])


def precision_recall_curve(
    scores: Float[Tensor, " n"], *, positive: Bool[Tensor, " n"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Precision and recall of "score >= threshold" at every distinct score, from the highest down.

    Returns:
        precision, recall and thresholds, float64. Recall rises to 1; all three are empty when no sample
        is positive.

    Raises:
        DataError: a score is NaN.

    Example:
        >>> import torch
        >>> scores = torch.tensor([0.9, 0.8, 0.7])
        >>> precision, recall, at = precision_recall_curve(scores, positive=torch.tensor([True, False, True]))
        >>> recall.tolist()
        [0.5, 0.5, 1.0]
    """
    order, ends = _descending(scores, positive)
    hits = positive[order].double().cumsum(dim=0)[ends]
    if len(hits) == 0 or hits[-1] == 0:
        empty = torch.zeros(0, dtype=torch.float64)
        return empty, empty.clone(), empty.clone()
    return hits / (ends + 1), hits / hits[-1], scores.double()[order][ends]


def _descending(
    scores: Float[Tensor, " n"], positive: Bool[Tensor, " n"]
) -> tuple[Int[Tensor, " n"], Int[Tensor, " k"]]:
    """The order from the highest score down, and in it the last place of every distinct score."""
    _require_same_length(scores, positive)
    if bool(scores.isnan().any()):
        raise DataError("scores hold a NaN; leave rows without a score out, or give them one.")
    order = scores.argsort(descending=True, stable=True)
    ranked = scores[order]
    is_last = torch.ones(len(ranked), dtype=torch.bool)
    is_last[:-1] = ranked[1:] != ranked[:-1]
    return order, is_last.nonzero()[:, 0]


def _require_same_length(first: Tensor, second: Tensor) -> None:
    if len(first) != len(second):
        raise ShapeError(f"one label a score is needed, got {len(first)} and {len(second)}.")


def _where_both(
    values: Float[Tensor, " b"], positives: Float[Tensor, " b"], total: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """The values, NaN where one class has no weight."""
    return values.where((positives > 0) & (positives < total), math.nan)


def _ones(scores: Float[Tensor, " n"]) -> Float[Tensor, "1 n"]:
    return torch.ones(1, len(scores), dtype=torch.float64)


def _single(values: Float[Tensor, " b"]) -> float | None:
    value = float(values[0])
    return None if math.isnan(value) else value


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
