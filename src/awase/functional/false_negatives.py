"""How often a batch holds the same thing twice, and the loss that this costs even perfect features.

Anchor of feature k, which occurs with probability p_k; the other B - 1 items of the batch are drawn
independently. Then Bin(B - 1, p_k) of them are true positives that InfoNCE counts as wrong, and a perfect
model, which cannot tell them from the right one, pays log(1 + that) per direction (after Chen et al. 2024,
arXiv 2310.00927, obstacle b).

Rates that are no classes, such as the share of captions that an anchor's caption nearly equals, go through
the same formulas with `weights`. `measured_false_negatives` counts in batches drawn without replacement.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError

_STEP = 0.25  # of the quadrature in log t: its error is about exp(-pi^2 / step) = 7e-18
_CELLS = 2_000_000  # terms of the quadrature held at once


class Measured(NamedTuple):
    """What was counted in batches that were really drawn; all three per anchor."""

    expected: float  # false negatives
    any: float  # share of anchors with at least one
    floor: float  # nats, one direction


def frequencies(groups: Int[Tensor, " n"]) -> Float[Tensor, " k"]:
    """Share of each group that occurs, in order of its number.

    Raises:
        DataError: there are no groups.

    Example:
        >>> import torch
        >>> frequencies(torch.tensor([7, 3, 7, 7]))
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    if len(groups) == 0:
        raise DataError("there are no rows to take frequencies of.")
    counts: Tensor = torch.unique(groups, return_counts=True)[1]
    return counts.double() / len(groups)


def expected_false_negatives(
    probabilities: Float[Tensor, " k"], batch_size: int, *, weights: Float[Tensor, " k"] | None = None
) -> float:
    """Expected number of false negatives of an anchor: sum_k p_k^2 (B - 1).

    Args:
        probabilities: p_k, in [0, 1].
        batch_size: B, at least 1.
        weights: how often each kind of anchor occurs, summing to 1; None for the probabilities themselves,
            which then sum to 1.

    Raises:
        ShapeError: there is not one weight a probability.
        DataError: the batch size or a probability is out of range, or weights do not sum to 1.

    Example:
        >>> import torch
        >>> round(expected_false_negatives(torch.full((100,), 0.01), 101), 9)
        1.0
    """
    p, w = _checked(probabilities, batch_size, weights)
    return float((w * p).sum()) * (batch_size - 1)


def any_false_negative(
    probabilities: Float[Tensor, " k"], batch_size: int, *, weights: Float[Tensor, " k"] | None = None
) -> float:
    """Chance that an anchor has at least one false negative: sum_k p_k (1 - (1 - p_k)^(B - 1)).

    Args:
        probabilities: see `expected_false_negatives`.
        batch_size: see there.
        weights: see there.

    Raises:
        ShapeError: see there.
        DataError: see there.

    Example:
        >>> import torch
        >>> round(any_false_negative(torch.full((100,), 0.01), 64), 3)
        0.469
    """
    p, w = _checked(probabilities, batch_size, weights)
    if batch_size == 1:
        return 0.0
    return float((w * -torch.expm1((batch_size - 1) * torch.log1p(-p))).sum())


def loss_floor(
    probabilities: Float[Tensor, " k"], batch_size: int, *, weights: Float[Tensor, " k"] | None = None
) -> float:
    """Loss in nats of one direction that a perfect feature matcher still pays: E log(1 + Bin(B - 1, p_k)).

    Computed for any B without summing over the binomial, from

        E log(1 + X) = integral_0^inf exp(-t) (1 - E exp(-t X)) / t dt
        E exp(-t X)  = (1 - p + p exp(-t))^(B - 1)

    by the trapezoidal rule in log t, which is exact to rounding here. What training reports is worth
    comparing only after it is taken off. With several positives or soft targets there is no floor.

    Args:
        probabilities: see `expected_false_negatives`.
        batch_size: see there.
        weights: see there.

    Raises:
        ShapeError: see there.
        DataError: see there.

    Example:
        >>> import torch
        >>> f"{loss_floor(torch.full((100,), 0.01), 64):.3f} {loss_floor(torch.full((10,), 0.1), 64):.3f}"
        '0.387 1.929'
    """
    p, w = _checked(probabilities, batch_size, weights)
    if batch_size == 1:
        return 0.0
    distinct, place = torch.unique(p, return_inverse=True)
    mass = torch.zeros_like(distinct).scatter_add_(0, place, w)
    low = math.log(1e-18 / batch_size)
    t = torch.arange(low, math.log(750.0), _STEP, dtype=torch.float64).exp()
    value = 0.0
    for rows in torch.split(torch.arange(len(distinct)), max(1, _CELLS // len(t))):
        # log E exp(-t X) / (B - 1); -inf where p = 1 and exp(-t) is rounding, which expm1 takes
        log_moment = torch.log1p(distinct[rows, None] * torch.expm1(-t))  # (k, t)
        gone = -torch.expm1((batch_size - 1) * log_moment)
        value += float(mass[rows] @ ((-t).exp() * gone).sum(dim=1)) * _STEP
    return value


def batch_loss_floor(groups: Int[Tensor, " b"]) -> float:
    """The floor of one given batch: mean log of how often each anchor's group occurs in it.

    In nats, one direction. A batch in which everything stands m times has log m. It is what InfoNCE of
    perfect features tends to as the temperature goes to 0.

    Raises:
        DataError: the batch is empty.

    Example:
        >>> import torch
        >>> round(batch_loss_floor(torch.tensor([0, 0, 1, 1])), 4)
        0.6931
    """
    share = frequencies(groups)
    return float((share * (share * len(groups)).log()).sum())


def measured_false_negatives(
    groups: Int[Tensor, " n"], batch_size: int, *, n_batches: int = 200, generator: torch.Generator
) -> Measured:
    """The same three figures counted in random batches, drawn without replacement as an epoch draws them.

    Args:
        groups: what each row shows.
        batch_size: B, at least 1 and at most n.
        n_batches: how many are drawn.
        generator: source of the draws.

    Raises:
        DataError: B is larger than n (the closed formulas still hold), or a number is out of range.

    Example:
        >>> import torch
        >>> draws = torch.Generator().manual_seed(0)
        >>> measured_false_negatives(torch.tensor([0, 0, 1, 1]), 4, n_batches=3, generator=draws).any
        1.0
    """
    if not 1 <= batch_size <= len(groups):
        raise DataError(
            f"a batch of {batch_size} cannot be drawn from {len(groups)} rows; batch_size must lie between. "
            "The closed formulas hold for any batch size."
        )
    if n_batches < 1:
        raise DataError(f"n_batches must be at least 1, got {n_batches}.")
    number = torch.unique(groups, return_inverse=True)[1].to(generator.device)
    counted = torch.zeros(3, dtype=torch.float64)
    for _ in range(n_batches):
        batch = number[torch.randperm(len(number), generator=generator, device=generator.device)[:batch_size]]
        times = torch.bincount(batch)[batch].double()  # its own group in the batch, itself included
        counted += torch.stack([(times - 1).mean(), (times > 1).double().mean(), times.log().mean()]).cpu()
    expected, some, floor = (counted / n_batches).tolist()
    return Measured(expected, some, floor)


def _checked(probabilities: Tensor, batch_size: int, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    p = probabilities.double()
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}.")
    if len(p) == 0 or not bool(((p >= 0) & (p <= 1)).all()):  # NaN compares false
        raise DataError("probabilities must be at least one number, all of them in [0, 1].")
    w = p if weights is None else weights.double()
    if len(w) != len(p):
        raise ShapeError(f"{len(p)} probabilities came with {len(w)} weights.")
    total = float(w.sum())
    if bool((w < 0).any()) or not abs(total - 1) < 1e-4:
        raise DataError(
            f"{'probabilities' if weights is None else 'weights'} must sum to 1, got {total:.6g}."
        )
    # shares in float32 sum to 1 within 1e-7 only
    return (p / total if weights is None else p), w / total
