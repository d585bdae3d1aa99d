"""The bound of `awase.functional.completeness.transfer_bound` for retrieval, in blocks.

Every query is a zero-shot question whose classes are the items of the other side: its own item is the true
one, and those of other images (or labels) are wrong. Of an image's several captions the best one counts and
the others are left out. The left side is the InfoNCE loss of one direction over the whole set instead of a
batch.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.functional.completeness import Bound
from awase.functional.margins import Side, margins, wide

_SIDE = 2048  # rows and columns of a block


class Scored(NamedTuple):
    """The queries of one direction."""

    losses: tuple[float, ...]  # mean log sum exp((cos_k - cos_own) / temperature), for each temperature
    n_at_least: Int[Tensor, " q"]  # wrong items that score as high as the right one, or higher

    def bound(self, r: int, place: int = 0) -> Bound:
        """At one of the temperatures."""
        return Bound(self.losses[place] / math.log1p(r), float((self.n_at_least >= r).double().mean()))


class Losses(NamedTuple):
    """Of both directions."""

    image_to_text: Scored
    text_to_image: Scored


def retrieval_losses(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    temperatures: Sequence[float | int],
    image_of_text: Int[Tensor, " m"] | None = None,
    groups: Int[Tensor, " n"] | None = None,
    block_size: int | None = None,
) -> Losses:
    """Losses at some temperatures, and what a bound on the error is compared with.

        mean log( 1 + sum_{j wrong} exp((cos_j - cos_own) / temperature) ) / log(1 + r)

    bounds the share of queries for which at least r wrong items score as high as the right one, for any
    vectors at any temperature. With r = 1 that share is 1 - R@1, ties as misses.

    Args:
        image_features: unit vectors.
        text_features: unit vectors.
        temperatures: of the softmax, positive; they share the similarities.
        image_of_text: row of each text's image; None where row i belongs to row i.
        groups: what each image shows; items of one group are not wrong for each other.
        block_size: rows and columns of a block; it changes values by rounding only.

    Raises:
        ShapeError: the sides do not fit.
        DataError: a temperature is not positive, or the pairs have no margins (see `margins`).

    Example:
        >>> import torch
        >>> same = torch.tensor([[1.0, 0.0]] * 4)
        >>> retrieval_losses(same, same, temperatures=[0.1]).image_to_text.bound(r=3)  # met exactly
        Bound(bound=1.0, error=1.0)
    """
    for temperature in temperatures:
        if not temperature > 0 or not math.isfinite(temperature):
            raise DataError(f"the temperature must be positive, got {temperature}.")
    both = margins(
        image_features, text_features, image_of_text=image_of_text, groups=groups, block_size=block_size
    )
    owner = torch.arange(len(text_features)) if image_of_text is None else image_of_text
    shown = torch.arange(len(image_features)) if groups is None else groups
    images, texts = (_Sums(side, temperatures) for side in both)
    step = block_size or _SIDE
    for columns in torch.split(torch.arange(len(text_features)), step):
        wanted = wide(text_features[columns])
        for rows in torch.split(torch.arange(len(image_features)), step):
            similarity = wide(image_features[rows]) @ wanted.T  # (b, c)
            same = shown[rows][:, None] == shown[owner[columns]][None, :]
            similarity.masked_fill_(same | (rows[:, None] == owner[columns][None, :]), -torch.inf)
            images.add(rows, similarity)
            texts.add(columns, similarity.T)
    return Losses(images.scored(), texts.scored())


class _Sums:
    """What the wrong items so far add up to for each query, and how many are as high as the right one."""

    def __init__(self, side: Side, temperatures: Sequence[float | int]) -> None:
        self.own = side.own
        self.temperatures = torch.tensor([float(one) for one in temperatures], dtype=torch.float64)
        # the largest exponent is known beforehand, so nothing overflows
        self.shift = (-side.margin.double() / self.temperatures[:, None]).clamp(min=0)  # (t, q)
        self.total = (-self.shift).exp()  # the right item itself
        self.n_at_least = torch.zeros(len(self.own), dtype=torch.long)

    def add(self, rows: Tensor, similarity: Tensor) -> None:
        ahead = similarity - self.own[rows][:, None]
        self.n_at_least[rows] += (ahead >= 0).sum(dim=1)
        ahead = ahead.double()
        for place, temperature in enumerate(self.temperatures.tolist()):
            shifted = ahead / temperature - self.shift[place, rows][:, None]
            self.total[place, rows] += shifted.exp_().sum(dim=1)

    def scored(self) -> Scored:
        losses = (self.total.log() + self.shift).mean(dim=1)
        return Scored(tuple(losses.tolist()), self.n_at_least)
