"""Does a probability mean what it says? Calibration error, the reliability curve, and one number as a cure.

Expected calibration error and temperature scaling as in Guo et al. 2017 (arXiv 1706.04599), the Brier score
as in Brier 1950 (summed over classes). The error is a plug-in estimate: on n images it is above zero for a
perfectly calibrated model too, so `calibration_floor` says how much of it chance alone would show (its
sampling bias: Kumar et al. 2019, arXiv 1909.10155). Left out: debiased and kernel estimators, vector and
matrix scaling.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError

MODES = ("equal_width", "equal_mass")
_LOWEST, _HIGHEST = 1e-5, 1e3  # temperatures of cosines that are looked at: logit scales of 0.001 to 100 000


class Reliability(NamedTuple):
    """Confidence against accuracy, bin by bin; bins without images have a count of 0 and NaN in both means.

    Attributes:
        edges: limits of the bins, one more than there are; bin i holds edges[i] < confidence <= edges[i + 1].
        counts: images in each bin.
        confidence: their mean confidence.
        accuracy: share of them that are right.
    """

    edges: Float[Tensor, " e"]
    counts: Int[Tensor, " b"]
    confidence: Float[Tensor, " b"]
    accuracy: Float[Tensor, " b"]


class Temperature(NamedTuple):
    """A fitted temperature, and whether the search ended at a limit: no temperature is best."""

    value: float
    at_limit: bool


def bin_edges(
    confidence: Float[Tensor, " n"], *, n_bins: int = 15, mode: str = "equal_width"
) -> Float[Tensor, " e"]:
    """Limits of the bins: equal steps of [0, 1], or such that each holds about as many images.

    Equal confidences never part, so bins of equal mass may be fewer.

    Args:
        confidence: probability of the predicted class, in [0, 1].
        n_bins: how many.
        mode: one of `MODES`.

    Raises:
        DataError: no images, a value outside [0, 1], no bins, or an unknown mode.

    Example:
        >>> import torch
        >>> bin_edges(torch.tensor([0.1, 0.2, 0.8, 0.9]), n_bins=2, mode="equal_mass")
        tensor([0.0000, 0.2000, 1.0000], dtype=torch.float64)
    """
    _require_confidence(confidence)
    if n_bins < 1 or mode not in MODES:
        raise DataError(f"bins are 1 or more, of {' or '.join(MODES)}, got {n_bins} of {mode!r}.")
    if mode == "equal_width":
        return torch.linspace(0, 1, n_bins + 1, dtype=torch.float64)
    ordered = confidence.double().sort().values
    last = torch.arange(1, n_bins, dtype=torch.float64) * len(ordered) / n_bins
    inner = ordered[(last.ceil().long() - 1).clamp(min=0)]
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    inner = inner[(inner > 0) & (inner < 1)]
    edges: Tensor = torch.unique(torch.cat([ends[:1], inner, ends[1:]]))
    return edges


def bin_of(confidence: Float[Tensor, " n"], edges: Float[Tensor, " e"]) -> Int[Tensor, " n"]:
    """The bin of each confidence: upper limits belong to their bin, and 0 to the first.

    Example:
        >>> import torch
        >>> bin_of(torch.tensor([0.0, 0.5, 0.51]), torch.tensor([0.0, 0.5, 1.0])).tolist()
        [0, 0, 1]
    """
    # left side: a value equal to an upper limit comes before it
    place: Tensor = torch.searchsorted(edges.double().contiguous(), confidence.double().contiguous())
    return (place - 1).clamp(0, len(edges) - 2)


def reliability(
    confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], *, edges: Float[Tensor, " e"]
) -> Reliability:
    """The reliability curve: mean confidence and accuracy of each bin.

    Args:
        confidence: probability of the predicted class.
        correct: whether that class is right.
        edges: as `bin_edges` makes them.

    Raises:
        DataError: no images, or a confidence outside [0, 1].
        ShapeError: lengths differ.

    Example:
        >>> import torch
        >>> edges = torch.tensor([0.0, 0.5, 1.0])
        >>> curve = reliability(torch.tensor([0.4, 0.9, 0.7]), torch.tensor([True, True, False]), edges=edges)
        >>> curve.counts.tolist(), curve.accuracy.tolist()
        ([1, 2], [1.0, 0.5])
    """
    _require(confidence, correct)
    place, n_bins = bin_of(confidence, edges), len(edges) - 1
    counts = torch.bincount(place, minlength=n_bins)
    sums = torch.zeros(2, n_bins, dtype=torch.float64)
    sums[0].index_add_(0, place, confidence.double())
    sums[1].index_add_(0, place, correct.double())
    means = sums / counts  # 0 / 0 is NaN: a bin without images has no mean
    return Reliability(edges.double(), counts, means[0], means[1])


def expected_calibration_error(
    confidence: Float[Tensor, " n"],
    correct: Bool[Tensor, " n"],
    *,
    n_bins: int = 15,
    mode: str = "equal_width",
) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by their images, in [0, 1].

        ECE = sum_b n_b / n |accuracy_b - confidence_b|      Guo et al. 2017

    0 is calibrated. It depends on the bins, and grows with their number on few images.

    Args:
        confidence: probability of the predicted class.
        correct: whether that class is right.
        n_bins: how many bins; 15 in the paper.
        mode: equal_width as in the paper, or equal_mass.

    Raises:
        DataError: no images, a confidence outside [0, 1], no bins, or an unknown mode.
        ShapeError: lengths differ.

    Example:
        >>> import torch
        >>> right = torch.tensor([True, True, True, False])
        >>> f"{expected_calibration_error(torch.full((4,), 0.95), right):.2f}"
        '0.20'
    """
    _require(confidence, correct)
    edges = bin_edges(confidence, n_bins=n_bins, mode=mode)
    error = calibration_statistic(confidence, correct, edges=edges)
    return float(error(torch.ones(1, len(confidence), dtype=torch.float64))[0])


def calibration_statistic(
    confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], *, edges: Float[Tensor, " e"]
) -> Callable[[Tensor], Tensor]:
    """The calibration error as a function of how often each image was drawn, for `intervals.bootstrap`.

    Weights (r, n) to values (r,). A resample has the noise of its own draw on top of that of the sample, so
    an interval of this leans upward.

    Raises:
        DataError: no images, or a confidence outside [0, 1].
        ShapeError: lengths differ.

    Example:
        >>> import torch
        >>> edges = torch.tensor([0.0, 1.0])
        >>> error = calibration_statistic(torch.tensor([0.8, 0.6]), torch.tensor([True, False]), edges=edges)
        >>> error(torch.tensor([[1.0, 1.0], [2.0, 0.0]], dtype=torch.float64))
        tensor([0.2000, 0.2000], dtype=torch.float64)
    """
    _require(confidence, correct)
    gap = correct.double() - confidence.double()
    place, n_bins = bin_of(confidence, edges), len(edges) - 1

    def error(weights: Tensor) -> Tensor:
        sums = torch.zeros(len(weights), n_bins, dtype=torch.float64)
        sums.index_add_(1, place, weights * gap)
        return sums.abs().sum(dim=1) / weights.sum(dim=1)

    return error


def calibration_floor(
    confidence: Float[Tensor, " n"],
    *,
    edges: Float[Tensor, " e"],
    n_draws: int = 1000,
    generator: torch.Generator,
) -> float:
    """The calibration error that chance alone would show: its mean, were every confidence exactly true.

    An error about as large as this says nothing against the model.

    Args:
        confidence: probability of the predicted class.
        edges: the bins in which the error was taken.
        n_draws: how often outcomes are drawn.
        generator: source of the draws.

    Raises:
        DataError: no images, no draws, or a confidence outside [0, 1].

    Example:
        >>> import torch
        >>> edges = torch.tensor([0.0, 1.0])
        >>> draws = torch.Generator().manual_seed(0)
        >>> calibration_floor(torch.ones(10), edges=edges, generator=draws)
        0.0
    """
    _require_confidence(confidence)
    if n_draws < 1:
        raise DataError(f"at least one draw is needed, got {n_draws}.")
    values = confidence.double()
    place, n_bins = bin_of(confidence, edges), len(edges) - 1
    total = 0.0
    size = max(1, 1_000_000 // len(values))
    for start in range(0, n_draws, size):
        rows = min(size, n_draws - start)
        drawn = torch.rand(rows, len(values), dtype=torch.float64, generator=generator) < values
        sums = torch.zeros(rows, n_bins, dtype=torch.float64)
        sums.index_add_(1, place, drawn.double() - values)
        total += float(sums.abs().sum())
    return total / (n_draws * len(values))


def brier_score(probabilities: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Squared distance of each image's probabilities from the truth, summed over classes, in [0, 2].

    0 is certain and right, 2 certain and wrong; 1 - 1/k is what equal probabilities get.

    Raises:
        DataError: a label is no class.
        ShapeError: lengths differ.

    Example:
        >>> import torch
        >>> brier_score(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([1, 0]))
        tensor([2.0000, 0.5000])
    """
    _require_labels(probabilities, labels)
    own = probabilities.gather(1, labels[:, None])[:, 0]
    return (probabilities.square().sum(dim=1) - 2 * own + 1).clamp(min=0)


def negative_log_likelihood(
    similarity: Float[Tensor, "n k"], labels: Int[Tensor, " n"], *, temperature: float | int
) -> Float[Tensor, " n"]:
    """-log of the probability of each image's class, in nats, 0 or more.

        log sum_k exp((cos_k - cos_true) / temperature)

    Args:
        similarity: cosines, not scaled.
        labels: true class of each row.
        temperature: divides the cosines; 1 / logit_scale is the model's own.

    Raises:
        DataError: the temperature is not positive, or a label is no class.
        ShapeError: lengths differ.

    Example:
        >>> import torch
        >>> negative_log_likelihood(torch.zeros(1, 4), torch.tensor([2]), temperature=0.01)
        tensor([1.3863], dtype=torch.float64)
    """
    _require_labels(similarity, labels)
    _require_temperature(temperature)
    logits = similarity.double() / temperature
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def fit_temperature(similarity: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Temperature:
    """The temperature under which the labels are most likely (temperature scaling).

    The mean negative log-likelihood is convex in 1 / temperature, so its slope, mean(E_p[cos] - cos_true),
    has at most one zero: halving finds it to the last bits, without a step size or a start. Where every image
    is right the likelihood grows without end and the search ends at its limit, likewise where the true
    classes lie below the mean of all: then temperature scaling is not the cure.

    Which class is first does not change, so accuracy stays. Fit on images that are not measured on.

    Args:
        similarity: cosines of calibration images, not scaled.
        labels: true class of each row.

    Raises:
        DataError: no images, fewer than two classes, values that are not finite, or a label that is no class.
        ShapeError: lengths differ.

    Example:
        >>> import torch
        >>> similarity = torch.tensor([[0.3, 0.2], [0.3, 0.2], [0.2, 0.3], [0.3, 0.2]])
        >>> found = fit_temperature(similarity, torch.tensor([0, 0, 1, 1]))
        >>> f"{found.value:.4f}", found.at_limit  # three of four right: p = 3/4, so 0.1 / log(3)
        ('0.0910', False)
    """
    _require_labels(similarity, labels)
    if len(similarity) == 0 or similarity.shape[1] < 2 or not bool(similarity.isfinite().all()):
        raise DataError("a temperature needs images, two classes or more, and finite similarities.")
    cosines = similarity.double()
    own = cosines.gather(1, labels[:, None])[:, 0]

    def slope(scale: float) -> float:
        total = 0.0
        for start in range(0, len(cosines), 8192):
            rows = cosines[start : start + 8192]
            expected = ((rows * scale).softmax(dim=1) * rows).sum(dim=1)
            total += float((expected - own[start : start + 8192]).sum())
        return total

    low, high = 1 / _HIGHEST, 1 / _LOWEST
    # a slope of exactly zero at the upper limit is a softmax that has saturated on the right classes
    if slope(high) <= 0:
        return Temperature(_LOWEST, at_limit=True)
    if slope(low) >= 0:
        return Temperature(_HIGHEST, at_limit=True)
    for _ in range(60):
        middle = math.sqrt(low * high)
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return Temperature(1 / math.sqrt(low * high), at_limit=False)


def _require(confidence: Tensor, correct: Tensor) -> None:
    _require_confidence(confidence)
    if len(confidence) != len(correct):
        raise ShapeError(f"{len(confidence)} confidences came with {len(correct)} outcomes.")


def _require_confidence(confidence: Tensor) -> None:
    if len(confidence) == 0 or not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise DataError("calibration needs images, with confidences in [0, 1].")


def _require_labels(values: Tensor, labels: Tensor) -> None:
    if len(values) != len(labels):
        raise ShapeError(f"{len(values)} rows came with {len(labels)} labels.")
    if len(labels) and not bool(((labels >= 0) & (labels < values.shape[1])).all()):
        raise DataError(f"labels must be classes 0 to {values.shape[1] - 1}, got up to {int(labels.max())}.")


def _require_temperature(temperature: float | int) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise DataError(f"the temperature must be positive, got {temperature}.")
