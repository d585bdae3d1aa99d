"""Means and quantiles of values of pairs, with intervals over images.

Captions of one photo are not independent, so they are drawn together.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.functional.intervals import Interval, Statistic, bootstrap_interval
from awase.training.sampler import seeded
from awase.types import Estimate


def mean_estimate(
    name: str,
    values: Float[Tensor, " q"],
    images: Int[Tensor, " q"],
    *,
    n_replicates: int,
    seed: int,
    unit: str = "",
    higher_means: str = "",
) -> Estimate:
    """The mean with its interval.

    Args:
        name: of the estimate.
        values: of pairs.
        images: number of each pair's image, 0 .. n - 1.
        n_replicates: resamples behind the interval; 0 for none.
        seed: of the resamples.
        unit: what it is counted in.
        higher_means: `better`, `worse` or nothing.

    Example:
        >>> import torch
        >>> mean_estimate("x", torch.ones(4), torch.arange(4), n_replicates=50, seed=0).value
        1.0
    """
    n = int(images.max()) + 1
    total = torch.zeros(n, dtype=torch.float64).scatter_add_(0, images, values.double())
    times = torch.zeros(n, dtype=torch.float64).scatter_add_(0, images, torch.ones(len(values)).double())

    def mean(weights: Tensor) -> Tensor:
        return (weights @ total) / (weights @ times)

    interval = _interval(mean, torch.arange(n), n_replicates, seed)
    return Estimate(name, interval.value, interval.low, interval.high, len(values), unit, higher_means)


def quantile_estimate(
    name: str,
    share: float,
    values: Float[Tensor, " q"],
    images: Int[Tensor, " q"],
    *,
    n_replicates: int,
    seed: int,
    unit: str = "",
    higher_means: str = "",
) -> Estimate:
    """The smallest value that a share of the values does not exceed, with its interval.

    Args:
        name: of the estimate.
        share: in (0, 1]; 0.5 is the median.
        values: of pairs.
        images: number of each pair's image.
        n_replicates: resamples behind the interval; 0 for none.
        seed: of the resamples.
        unit: what it is counted in.
        higher_means: `better`, `worse` or nothing.

    Example:
        >>> import torch
        >>> quantile_estimate("x", 0.5, torch.arange(5.0), torch.arange(5), n_replicates=0, seed=0).value
        2.0
    """
    order = values.argsort(stable=True)
    ordered = values[order].double()

    def quantile(weights: Tensor) -> Tensor:
        reached = weights.cumsum(dim=1)
        # a little less: sums of whole numbers are exact, the share of them is not
        wanted = (share * reached[:, -1:] - 1e-9).contiguous()
        return ordered[torch.searchsorted(reached, wanted)[:, 0].clamp(max=len(ordered) - 1)]

    interval = _interval(quantile, images[order], n_replicates, seed)
    return Estimate(name, interval.value, interval.low, interval.high, len(values), unit, higher_means)


def _interval(statistic: Statistic, groups: Tensor, n_replicates: int, seed: int) -> Interval:
    interval = bootstrap_interval(statistic, groups, n_replicates=n_replicates, generator=seeded(seed, 0))
    value = interval.value
    return interval if value is None or math.isfinite(value) else Interval(None, None, None)
