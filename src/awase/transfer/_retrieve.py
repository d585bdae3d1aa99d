"""How well a model finds the captions of a photo and the photo of a caption, with intervals over photos.

Recall at k, median rank and mAP@R in both directions and their sum; exact, in one pass over blocks, so any
number of rows fits. An interval draws photos anew, each with its captions; the photos and captions that are
searched stay as they are. Ties are resolved by the row, which is no merit of the model, so their share is
reported, and what the recall would be if every tie were lost. Left out: why a query fails, which is
`awase transfer explain`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.functional.intervals import Interval, Statistic, bootstrap_interval
from awase.functional.placements import Placed, Placements, placements
from awase.functional.retrieval import average_precision_at_r
from awase.training.sampler import seeded
from awase.types import Chart, Estimate, Line, PairFeatures

IMAGE_TO_TEXT, TEXT_TO_IMAGE = "image_to_text", "text_to_image"
_MOST_K = 1000  # of the curve
_FEW = 100  # images, below which recall at 10 says little


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """What was measured.

    Attributes:
        estimates: `recall_at_1.image_to_text` and so on, the same for `text_to_image`, and `rsum`.
        charts: recall over k.
        notes: what a reader should know.
        found: for every query its rank, what stood first, and ties; with the rank of every text.
        average_precision: AP@R of every image.
    """

    estimates: tuple[Estimate, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]
    found: Placements
    average_precision: Float[Tensor, " n"]


def retrieve(
    pairs: PairFeatures, *, ks: Sequence[int] = (1, 5, 10), n_replicates: int = 1000, seed: int = 0
) -> Retrieval:
    """Retrieval in both directions.

    Args:
        pairs: images and their captions, one or more each.
        ks: the k of recall at k; those that are not below the number of items tell nothing and are left out.
        n_replicates: bootstrap draws behind the 95 % intervals; 0 for none.
        seed: of the draws.

    Raises:
        DataError: fewer than two images, a k or a number of draws out of range.

    Example:
        >>> import torch
        >>> eye = torch.eye(4)
        >>> pairs = PairFeatures(eye, eye, torch.arange(4), ("a", "b", "c", "d"))
        >>> found = retrieve(pairs, ks=(1,), n_replicates=100)
        >>> [(e.name, e.value) for e in found.estimates][:3]
        [('recall_at_1.image_to_text', 1.0), ('median_rank.image_to_text', 1.0),
         ('map_at_r.image_to_text', 1.0)]
    """
    n, m = len(pairs.image_features), len(pairs.text_features)
    wanted = tuple(sorted(set(ks)))
    if not wanted or wanted[0] < 1 or n_replicates < 0:
        raise DataError(
            f"k must be 1 or more and draws 0 or more, got k {', '.join(map(str, ks))} and {n_replicates}."
        )
    if n < 2:
        raise DataError(f"retrieval compares images, and there is {n}; two or more are needed.")
    owners = pairs.image_of_text
    found = placements(pairs.image_features, pairs.text_features, image_of_text=owners, every=True)
    if found.text_ranks is None:
        raise AssertionError("the ranks of all texts were asked for")
    precision = average_precision_at_r(found.text_ranks, query=owners, n=n)
    draws = _Draws(n, n_replicates, seed)
    forward = _Direction(IMAGE_TO_TEXT, found.image_to_text, torch.arange(n), m, "images", draws)
    backward = _Direction(TEXT_TO_IMAGE, found.text_to_image, owners, n, "captions", draws)
    estimates = [
        *forward.estimates(wanted, precision),
        *backward.estimates(wanted, backward.hits(1)),  # one right photo: AP@R is the hit at 1
        _rsum(forward, backward, wanted, draws),
    ]
    return Retrieval(
        tuple(estimates),
        (_curve(forward, backward),),
        tuple(_notes(pairs, forward, backward, wanted)),
        found,
        precision,
    )


@dataclass(frozen=True)
class _Draws:
    """The same draws of images for every number."""

    n: int
    n_replicates: int
    seed: int

    def interval(self, statistic: Statistic, groups: Int[Tensor, " q"] | None = None) -> Interval:
        return bootstrap_interval(
            statistic,
            torch.arange(self.n) if groups is None else groups,
            n_replicates=self.n_replicates,
            generator=seeded(self.seed, 0),
        )


@dataclass(frozen=True, eq=False)
class _Direction:
    name: str
    placed: Placed
    image: Int[Tensor, " q"]  # of each query, for the draws
    n_items: int
    unit: str
    draws: _Draws

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    def hits(self, k: int, *, lose_ties: bool = False) -> Float[Tensor, " q"]:
        ranks = self.placed.ranks + self.placed.ties if lose_ties else self.placed.ranks
        return (ranks < k).double()

    def shares(self, ks: Sequence[int]) -> tuple[int, ...]:
        """Without those that every query meets."""
        return tuple(k for k in ks if k < self.n_items)

    def mean(self, values: Float[Tensor, " q"]) -> Statistic:
        """Mean over queries, as a function of how often each image was drawn."""
        total = self.by_image(values)
        count = self.by_image(torch.ones_like(values))
        return lambda weights: (weights @ total) / (weights @ count)

    def by_image(self, values: Float[Tensor, " q"]) -> Float[Tensor, " n"]:
        return torch.zeros(self.draws.n, dtype=torch.float64).index_add_(0, self.image, values)

    def estimates(self, ks: Sequence[int], precision: Float[Tensor, " q"]) -> Iterator[Estimate]:
        n = len(self.image)
        of = f"share of {n} {self.unit}"
        for k in self.shares(ks):
            yield self._share(f"recall_at_{k}", self.hits(k), f"{of} with a right item among the first {k}")
        order = self.placed.ranks.argsort(stable=True)
        middle = self.draws.interval(_median(self.placed.ranks[order]), self.image[order])
        yield Estimate(
            f"median_rank.{self.name}",
            middle.value,
            middle.low,
            middle.high,
            n,
            f"place of the best right item among {self.n_items}, 1 is best; 95 % over images",
            "worse",
        )
        what = "mean average precision at R, R = right items of the query; 95 % over images"
        yield self._share("map_at_r", precision, what)
        tied = (self.placed.ties > 0).double()
        yield self._share("tied", tied, f"{of} whose right item ties with a wrong one", "worse")

    def _share(self, name: str, values: Float[Tensor, " q"], unit: str, means: str = "better") -> Estimate:
        found = self.draws.interval(self.mean(values))
        return Estimate(f"{name}.{self.name}", found.value, found.low, found.high, len(values), unit, means)


def _rsum(forward: _Direction, backward: _Direction, ks: Sequence[int], draws: _Draws) -> Estimate:
    # a k that every query meets counts its full 100, or sums over other k would look alike
    parts = [side.mean(side.hits(k)) for side in (forward, backward) for k in ks]
    found = draws.interval(lambda weights: 100 * torch.stack([part(weights) for part in parts]).sum(dim=0))
    unit = f"sum of recall at {', '.join(map(str, ks))} over both directions in %, at most {100 * len(parts)}"
    n = len(forward.image) + len(backward.image)
    return Estimate("rsum", found.value, found.low, found.high, n, unit, "better")


def _median(ordered: Int[Tensor, " q"]) -> Statistic:
    """Median of ranks that are in order already, counted from 1, by how often each was drawn."""
    ranks = ordered.double() + 1

    def median(weights: Tensor) -> Tensor:
        below = weights.cumsum(dim=1)  # (b, q)
        total = below[:, -1:]
        # the two in the middle of a list in which each rank stands as often as it was drawn
        places = torch.cat([((total + 1) / 2).floor(), (total / 2).floor() + 1], dim=1)
        middle = torch.searchsorted(below, places).clamp(max=len(ranks) - 1)
        return ranks[middle].mean(dim=1)

    return median


def _curve(forward: _Direction, backward: _Direction) -> Chart:
    lines = []
    for side in (forward, backward):
        most = min(side.n_items, _MOST_K)
        ks = sorted({round(most ** (step / 24)) for step in range(25)})
        ranks = side.placed.ranks.sort().values
        shares = torch.searchsorted(ranks, torch.tensor(ks)) / len(ranks)
        lines.append(Line(side.name, tuple(map(float, ks)), tuple(shares.double().tolist())))
        if side is backward:
            chance = tuple(k / side.n_items for k in ks)
            lines.append(Line("chance", tuple(map(float, ks)), chance))
    return Chart("recall_by_k", tuple(lines), log_x=True)


def _notes(
    pairs: PairFeatures, forward: _Direction, backward: _Direction, ks: Sequence[int]
) -> Iterator[str]:
    n, m = len(pairs.image_features), len(pairs.text_features)
    yield (
        f"Guessing would find the photo of a caption first in {100 / n:.2g} % of the cases, "
        f"as there are {n} photos."
    )
    yield (
        f"Recall falls with every photo that is added ({n} photos, {m} captions here): compare only numbers "
        "of the same data."
    )
    if n < _FEW:
        yield f"With {n} photos the numbers are rough."
    for side in (forward, backward):
        tied = int((side.placed.ties > 0).sum())
        if tied:
            lost = float(side.hits(1, lose_ties=True).mean())
            yield (
                f"Ties, {side.words}: for {tied} of {len(side.image)} queries a wrong item is exactly as "
                f"similar as the right one, and the first row wins; recall at 1 would be {lost:.3f} if every "
                "tie were lost."
            )
        if left := [k for k in ks if k >= side.n_items]:
            yield (
                f"Recall at {', '.join(map(str, left))} ({side.words}) is left out: there are "
                f"{side.n_items} items to find."
            )
    if repeated := _repeated(pairs):
        yield (
            f"Captions that belong to more than one photo: {repeated}. Such a caption cannot say which is "
            "meant, and no model finds all of them."
        )


def _repeated(pairs: PairFeatures) -> int:
    """Captions whose text stands at another image too."""
    if pairs.captions is None:
        return 0
    owners: dict[str, int] = {}
    several: set[str] = set()
    for caption, owner in zip(pairs.captions, pairs.image_of_text.tolist(), strict=True):
        if owners.setdefault(caption, owner) != owner:
            several.add(caption)
    return sum(caption in several for caption in pairs.captions)


def worst(placed: Placed, *, n: int) -> list[int]:
    """The n queries whose right item stands furthest behind; of equal ranks the larger gap in score first.

    Queries that found a right item first are none of them.

    Raises:
        DataError: n is negative.

    Example:
        >>> import torch
        >>> from awase.functional.placements import placements
        >>> crossed = placements(torch.eye(3), torch.eye(3)[[1, 0, 2]], image_of_text=torch.arange(3))
        >>> worst(crossed.text_to_image, n=5)
        [0, 1]
    """
    if n < 0:
        raise DataError(f"a number of examples must be 0 or more, got {n}.")
    ranks = placed.ranks.tolist()
    gaps = (placed.first_scores - placed.right_scores).tolist()
    missed = [row for row, rank in enumerate(ranks) if rank > 0 and math.isfinite(gaps[row])]
    return sorted(missed, key=lambda row: (-ranks[row], -gaps[row], row))[:n]
