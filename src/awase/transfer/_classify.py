"""How often zero-shot is right, on which classes, and whether its probabilities mean what they say.

Every number on images that chose nothing; a temperature is fitted on others. Intervals draw images anew,
equal contents together. The bound on the error is that of `functional.completeness.transfer_bound`: the loss
of an image is at least log(1 + r) where r other classes score as high as the true one, so mean loss / log(1 +
r) is at least the top-r error, for any model whatever. What is left out: choosing prompts (`awase transfer
prompts`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.calibration import (
    MODES,
    Temperature,
    bin_edges,
    calibration_floor,
    calibration_statistic,
    reliability,
)
from awase.functional.intervals import Statistic, bootstrap_interval, wilson_interval
from awase.training.sampler import seeded
from awase.transfer._answers import Answers
from awase.types import Chart, Estimate, Line

_FEW = 10  # images of a class, below which its accuracy is rough
_MOST_BARS = 40  # of many classes half of these from either end
_STEPS = 20


@dataclass(frozen=True, slots=True)
class ClassFigure:
    """Accuracy on one class with Wilson's 95 % interval, and what its images are taken for instead.

    `recall` is the share of the class's images that are right, `precision` the share of the images given this
    class that belong to it; None where there are none.
    """

    label: str
    n: int
    recall: float | None
    low: float | None
    high: float | None
    precision: float | None
    mistaken_for: str | None
    mistakes: int


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What was measured.

    Attributes:
        estimates: top-k accuracy and so on, the most important first.
        charts: reliability, confidence, accuracy by class.
        notes: what a reader should know.
        classes: one entry a class.
        confusion: images by true class (rows) and answer (columns).
    """

    estimates: tuple[Estimate, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]
    classes: tuple[ClassFigure, ...]
    confusion: Int[Tensor, "k k"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How numbers are taken.

    Attributes:
        top: the k of top-k accuracy.
        n_bins: bins of the calibration error.
        bins: equal_width or equal_mass.
        n_replicates: draws behind the intervals; 0 for none.
        seed: of the draws.

    Raises:
        DataError: one of them is out of range.
    """

    top: tuple[int, ...] = (1, 5)
    n_bins: int = 15
    bins: str = "equal_width"
    n_replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.top or min(self.top) < 1:
            raise DataError(f"top-k accuracy needs a k of 1 or more, got {self.top}.")
        if self.n_bins < 1 or self.bins not in MODES or self.n_replicates < 0:
            raise DataError(
                f"bins are 1 or more of {' or '.join(MODES)} and draws 0 or more, got {self.n_bins} of "
                f"{self.bins!r} and {self.n_replicates}."
            )


def classification(
    answers: Answers,
    *,
    labels: Sequence[str],
    hashes: Sequence[str],
    settings: Settings = Settings(),
    after: Answers | None = None,
    fitted: Temperature | None = None,
    n_calibration: int = 0,
) -> Classification:
    """Figures of a zero-shot classifier on test images.

    Args:
        answers: under the model's own temperature.
        labels: name of each class.
        hashes: content of each image; equal ones are drawn together.
        settings: how numbers are taken.
        after: the answers under a temperature that was fitted on other images; None for none.
        fitted: that temperature.
        n_calibration: images that it was fitted on.

    Raises:
        ShapeError: labels or hashes do not fit the answers.

    Example:
        >>> import torch
        >>> from awase.transfer._answers import answer
        >>> said = answer(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), temperature=0.5)
        >>> found = classification(said, labels=["cat", "dog"], hashes=["a", "b"])
        >>> found.estimates[0].name, found.estimates[0].value, found.confusion.tolist()
        ('top_1_accuracy', 0.5, [[1, 1], [0, 0]])
    """
    if len(labels) != answers.n_classes or len(hashes) != len(answers):
        raise ShapeError(
            f"{len(labels)} labels and {len(hashes)} hashes came with {answers.n_classes} classes and "
            f"{len(answers)} images."
        )
    order = {hash: number for number, hash in enumerate(dict.fromkeys(hashes))}
    taken = _Taken(answers, torch.tensor([order[hash] for hash in hashes]), settings)
    confusion = _confusion(answers)
    classes = _classes(answers, confusion, labels)
    estimates = [*taken.accuracies(), taken.mean_class_accuracy(), *taken.probabilities("")]
    charts = [_reliability_line("as_it_came", answers, settings)]
    if after is not None and fitted is not None:
        repaired = _Taken(after, taken.groups, settings)
        unit = f"divides cosines; fitted on {n_calibration} other images, 1 / it is the logit scale to use"
        estimates.append(Estimate("fitted_temperature", fitted.value, None, None, n_calibration, unit))
        estimates += repaired.probabilities("_after")
        charts.append(_reliability_line("after_fit", after, settings))
    estimates += taken.bounds()
    return Classification(
        tuple(estimates),
        (
            Chart("reliability", tuple(charts), style="points", diagonal=True),
            _confidence_chart(answers),
            _class_chart(classes),
        ),
        tuple(_notes(answers, classes, settings, fitted, estimates)),
        classes,
        confusion,
    )


@dataclass(frozen=True, eq=False)
class _Taken:
    """One set of answers, and the draws behind its intervals: the same for every number."""

    answers: Answers
    groups: Tensor
    settings: Settings

    def accuracies(self) -> list[Estimate]:
        unit = "share of the images whose class is among the first {}"
        return [
            self._mean(f"top_{k}_accuracy", (self.answers.ranks < k).double(), unit.format(k), "better")
            for k in self._ks()
        ]

    def mean_class_accuracy(self) -> Estimate:
        """The plain mean over classes: a rare class counts as much as a frequent one."""
        labels, k = self.answers.labels, self.answers.n_classes
        hits = (self.answers.ranks == 0).double()

        def mean(weights: Tensor) -> Tensor:
            sums = torch.zeros(2, len(weights), k, dtype=torch.float64)
            sums[0].index_add_(1, labels, weights * hits)
            sums[1].index_add_(1, labels, weights)
            # a class that was not drawn has no accuracy; the others speak for the mean
            return (sums[0] / sums[1]).nanmean(dim=1)

        unit = "mean over the classes that have images, each counts alike"
        return self._estimate("mean_class_accuracy", mean, unit, "better")

    def probabilities(self, suffix: str) -> list[Estimate]:
        """Calibration error with what chance alone would show, confidence, likelihood, Brier score."""
        answers, settings = self.answers, self.settings
        confidence = answers.confidence
        edges = bin_edges(confidence, n_bins=settings.n_bins, mode=settings.bins)
        error = calibration_statistic(confidence, answers.ranks == 0, edges=edges)
        floor = calibration_floor(confidence, edges=edges, n_draws=200, generator=seeded(settings.seed, 1))
        bins = f"{settings.n_bins} bins, {settings.bins}"
        at = f"at temperature {answers.temperature:.4g}"
        n = len(answers)
        return [
            self._estimate(f"ece{suffix}", error, f"{bins}, {at}; the interval leans upward", "worse"),
            Estimate(f"ece_floor{suffix}", floor, None, None, n, f"mean over 200 draws, {bins}", "worse"),
            self._mean(f"mean_confidence{suffix}", confidence, f"probability of the answer, {at}", ""),
            self._mean(f"nll{suffix}", answers.loss, f"nats, {at}", "worse"),
            self._mean(f"brier{suffix}", answers.brier.double(), f"0 to 2, {at}", "worse"),
        ]

    def bounds(self) -> list[Estimate]:
        """What the loss says about the error at most, whatever the model is."""
        loss = float(self.answers.loss.mean())
        found = []
        for r in self._ks():
            bound = loss / math.log1p(r)
            error = float((self.answers.ranks >= r).double().mean())
            assert bound >= error - 1e-9, "mean loss / log(1 + r) is at least the top-r error"
            unit = f"mean loss / log({1 + r}); the error is {error:.3f}, above 1 it says nothing"
            found.append(
                Estimate(f"top_{r}_error_bound", bound, None, None, len(self.answers), unit, "worse")
            )
        return found

    def _ks(self) -> list[int]:
        """Every k that asks for less than all classes."""
        return sorted({k for k in self.settings.top if k < self.answers.n_classes})

    def _mean(self, name: str, values: Tensor, unit: str, means: str) -> Estimate:
        return self._estimate(name, lambda weights: weights @ values / weights.sum(dim=1), unit, means)

    def _estimate(self, name: str, statistic: Statistic, unit: str, means: str) -> Estimate:
        found = bootstrap_interval(
            statistic,
            self.groups,
            n_replicates=self.settings.n_replicates,
            generator=seeded(self.settings.seed, 0),
        )
        return Estimate(name, found.value, found.low, found.high, len(self.answers), unit, means)


def _confusion(answers: Answers) -> Int[Tensor, "k k"]:
    k = answers.n_classes
    return torch.bincount(answers.labels * k + answers.classes[:, 0], minlength=k * k).reshape(k, k)


def _classes(
    answers: Answers, confusion: Int[Tensor, "k k"], labels: Sequence[str]
) -> tuple[ClassFigure, ...]:
    given = confusion.sum(dim=0).tolist()
    wrong = confusion.clone()
    wrong.fill_diagonal_(0)
    most, place = wrong.max(dim=1)
    # max names any of equal maxima: take the first
    place = (wrong == most[:, None]).int().argmax(dim=1)
    found = []
    for row, label in enumerate(labels):
        n, hits, mistakes = int(confusion[row].sum()), int(confusion[row, row]), int(most[row])
        share = wilson_interval(hits, n)
        precision = hits / given[row] if given[row] else None
        other = labels[int(place[row])] if mistakes else None
        found.append(ClassFigure(label, n, share.value, share.low, share.high, precision, other, mistakes))
    return tuple(found)


def _reliability_line(label: str, answers: Answers, settings: Settings) -> Line:
    """Accuracy over confidence, bin by bin, with Wilson's interval; empty bins are left out."""
    right = answers.ranks == 0
    edges = bin_edges(answers.confidence, n_bins=settings.n_bins, mode=settings.bins)
    curve = reliability(answers.confidence, right, edges=edges)
    rows = [
        (float(x), wilson_interval(round(float(y) * int(n)), int(n)))
        for x, y, n in zip(curve.confidence, curve.accuracy, curve.counts, strict=True)
        if int(n)
    ]
    return Line(
        label,
        tuple(x for x, _ in rows),
        tuple(share.value or 0.0 for _, share in rows),
        tuple(share.low or 0.0 for _, share in rows),
        tuple(share.high or 0.0 for _, share in rows),
    )


def _confidence_chart(answers: Answers) -> Chart:
    """How sure the model is, of right and of wrong answers: images in each step."""
    right = answers.ranks == 0
    middles = tuple((step + 0.5) / _STEPS for step in range(_STEPS))
    lines = []
    for label, chosen in (("right_answers", right), ("wrong_answers", ~right)):
        counts = _counts(answers.confidence[chosen])
        lines.append(Line(label, middles, tuple(float(count) for count in counts)))
    return Chart("confidence", tuple(lines), style="steps")


def _counts(values: Float[Tensor, " n"]) -> list[int]:
    place = (values * _STEPS).floor().long().clamp(0, _STEPS - 1)
    return torch.bincount(place, minlength=_STEPS).tolist()


def _class_chart(classes: Sequence[ClassFigure]) -> Chart:
    """Accuracy by class, the worst first; of many classes the worst and the best ones."""
    there = [one for one in classes if one.recall is not None]
    there.sort(key=lambda one: (one.recall or 0.0, one.label))
    half = _MOST_BARS // 2
    shown = there if len(there) <= _MOST_BARS else there[:half] + there[-half:]
    lines = tuple(
        Line(one.label, (float(place),), (one.recall or 0.0,), (one.low or 0.0,), (one.high or 0.0,))
        for place, one in enumerate(shown)
    )
    return Chart("class_accuracy", lines, style="bars")


def _notes(
    answers: Answers,
    classes: Sequence[ClassFigure],
    settings: Settings,
    fitted: Temperature | None,
    estimates: Sequence[Estimate],
) -> list[str]:
    k = answers.n_classes
    value = {estimate.name: estimate.value for estimate in estimates}
    right, sure = float((answers.ranks == 0).double().mean()), float(answers.confidence.mean())
    said = [
        f"Guessing among the {k} classes would be right in {100 / k:.1f} % of the cases.",
        f"The model is right in {100 * right:.1f} % of the cases and on average {100 * sure:.1f} % sure.",
    ]
    if left_out := sorted({top for top in settings.top if top >= k}):
        said.append(f"Top-{', top-'.join(map(str, left_out))} accuracy is left out: there are {k} classes.")
    if few := sum(0 < one.n < _FEW for one in classes):
        said.append(f"Classes with fewer than {_FEW} images, whose accuracy is rough: {few}.")
    if empty := sum(one.n == 0 for one in classes):
        said.append(f"Classes without a test image, which can still be answered: {empty}.")
    if fitted is not None and fitted.at_limit:
        said.append("The fitted temperature is at the limit of the search: scaling is no cure here.")
    error, floor = value.get("ece"), value.get("ece_floor")
    if error is not None and floor is not None and error < 2 * floor:
        said.append("The calibration error is about what chance alone would show on so few images.")
    return said
