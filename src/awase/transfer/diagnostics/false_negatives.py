"""How many pairs of a batch count as wrong and are right, against the batch size (Chen et al. 2024).

By labels, in closed form and as counted in batches drawn from the data; without labels by proxies, each under
its own name, since none of them is the truth.
"""

from dataclasses import dataclass

from awase.errors import DataError
from awase.functional.false_negatives import (
    any_false_negative,
    expected_false_negatives,
    measured_false_negatives,
)
from awase.training.sampler import seeded
from awase.transfer._groups import image_ranks, label_groups
from awase.transfer._protocol import Diagnosis
from awase.transfer._rates import Rates, false_negative_rates
from awase.types import Chart, Estimate, Line, PairFeatures

SIZES = tuple(2**power for power in range(3, 17))


@dataclass(frozen=True)
class FalseNegatives:
    """Expected number of false negatives of an anchor, and chance of at least one.

    Args:
        batch_size: the one that figures are given for.
        batch_sizes: of the curve.
        proxies: labels, equal_captions, similar_captions, nouns, outscored; () takes labels where there are
            any, else all the others.
        threshold: text-text cosine from which captions count as similar.
        n_batches: drawn for the measured rate, where there are labels.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(4)
        >>> pairs = PairFeatures(u, u, torch.arange(4), tuple("abcd"), labels=("x", "x", "y", "y"))
        >>> found = FalseNegatives(batch_size=4).measure(pairs, seed=0).estimates
        >>> [(one.name, one.value) for one in found][:2]
        [('false_negatives.labels', 1.5), ('any_false_negative.labels', 0.875)]
    """

    batch_size: int = 512
    batch_sizes: tuple[int, ...] = SIZES
    proxies: tuple[str, ...] = ()
    threshold: float = 0.95
    n_batches: int = 200
    block_size: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or any(size < 1 for size in self.batch_sizes):
            raise DataError(f"batch sizes must be at least 1, got {self.batch_size}, {self.batch_sizes}.")

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """Figures by each proxy, and a curve."""
        rates, notes = false_negative_rates(
            pairs, self.proxies, threshold=self.threshold, block_size=self.block_size
        )
        estimates: list[Estimate] = []
        for one in rates:
            estimates += self._estimates(one)
        if any(one.proxy == "labels" for one in rates):
            estimates += self._measured(pairs, seed, notes)
        curves = tuple(self._line(one) for one in rates)
        chart = Chart("any_false_negative", curves, log_x=True, marks={"batch_size": float(self.batch_size)})
        return Diagnosis(tuple(estimates), (chart,) if curves else (), tuple(notes))

    def _estimates(self, rates: Rates) -> list[Estimate]:
        size = self.batch_size
        number = expected_false_negatives(rates.values, size, weights=rates.weights)
        some = any_false_negative(rates.values, size, weights=rates.weights)
        unit = f"in a batch of {size}"
        return [
            _estimate(f"false_negatives.{rates.proxy}", number, rates.n, f"of an anchor {unit}"),
            _estimate(f"any_false_negative.{rates.proxy}", some, rates.n, f"chance {unit}"),
        ]

    def _measured(self, pairs: PairFeatures, seed: int, notes: list[str]) -> list[Estimate]:
        """The same counted; the closed form draws with replacement, an epoch does not."""
        groups = label_groups(pairs)
        if groups is None or self.batch_size > len(pairs):
            notes.append(
                f"The rate of false negatives was not counted in batches of {self.batch_size}, which the "
                f"{len(pairs)} images do not fill; the formulas hold all the same."
            )
            return []
        ordered = groups[image_ranks(pairs).argsort()]
        found = measured_false_negatives(
            ordered, self.batch_size, n_batches=self.n_batches, generator=seeded(seed, 1)
        )
        unit = f"in {self.n_batches} batches of {self.batch_size} that were drawn"
        return [
            _estimate("false_negatives.counted", found.expected, len(pairs), f"of an anchor {unit}"),
            _estimate("any_false_negative.counted", found.any, len(pairs), f"share {unit}"),
        ]

    def _line(self, rates: Rates) -> Line:
        chances = (any_false_negative(rates.values, size, weights=rates.weights) for size in self.batch_sizes)
        return Line(rates.proxy, tuple(map(float, self.batch_sizes)), tuple(chances))


def _estimate(name: str, value: float, n: int, unit: str) -> Estimate:
    return Estimate(name, value, None, None, n, unit, "worse")


METHOD = FalseNegatives
