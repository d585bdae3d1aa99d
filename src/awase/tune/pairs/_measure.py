"""Retrieval on dev pairs before and after training, with intervals over photos."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.functional.intervals import Interval, Statistic, bootstrap_interval, difference
from awase.functional.retrieval import Ranks, ranks, recall_at_k
from awase.types import Estimate

CUTS = (1, 5, 10)
SIDES = ("image_to_text", "text_to_image")


def found(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    image_of_text: Int[Tensor, " m"],
) -> Ranks:
    """Ranks in both directions."""
    return ranks(image_features, text_features, image_of_text=image_of_text)


def recalls(places: Ranks) -> dict[str, float]:
    """R@1, 5 and 10 both ways as shares, and their sum in % (`rsum`, at most 600).

    Example:
        >>> recalls(Ranks(torch.tensor([0, 2]), torch.tensor([0, 0])))["rsum"]
        550.0
    """
    numbers = {
        f"recall_at_{k}.{side}": float(recall_at_k(getattr(places, side), k=k))
        for side in SIDES
        for k in CUTS
    }
    return {**numbers, "rsum": 100 * sum(numbers.values())}


def estimates(
    before: Ranks, after: Ranks, image_of_text: Int[Tensor, " m"], *, seed: int
) -> tuple[Estimate, ...]:
    """R@k after training, before it, and the gain on the same queries; 95 % intervals over photos.

    Args:
        before: of the base.
        after: of the trained model.
        image_of_text: photo of each caption.
        seed: of the bootstrap.
    """
    made = []
    photos = torch.arange(len(before.image_to_text))
    for side, groups in (("image_to_text", photos), ("text_to_image", image_of_text)):
        for k in CUTS:
            hits = {
                name: _share((getattr(places, side) < k).double())
                for name, places in (("", after), (".before", before))
            }
            for name, statistic, unit in (
                ("", hits[""], f"{'photos' if side == SIDES[0] else 'captions'}"),
                (".before", hits[".before"], f"{'photos' if side == SIDES[0] else 'captions'}"),
                (".gain", difference(hits[""], hits[".before"]), "difference, same queries"),
            ):
                draws = torch.Generator().manual_seed(seed)
                interval = bootstrap_interval(statistic, groups, generator=draws)
                made.append(_estimate(f"recall_at_{k}.{side}{name}", interval, len(groups), unit))
    return tuple(made)


def best_step(measured: Mapping[int, Mapping[str, float]]) -> int:
    """The step with the largest rsum, the earliest of equals.

    Example:
        >>> best_step({0: {"rsum": 1.0}, 5: {"rsum": 2.0}, 9: {"rsum": 2.0}})
        5
    """
    return max(measured, key=lambda step: (measured[step]["rsum"], -step))


def _share(hits: Float[Tensor, " q"]) -> Statistic:
    return lambda weights: weights @ hits / weights.sum(dim=1)


def _estimate(name: str, interval: Interval, n: int, unit: str) -> Estimate:
    return Estimate(name, interval.value, interval.low, interval.high, n, unit, "better")
