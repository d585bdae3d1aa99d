"""AUROC, AUPR and FPR of known against unknown images on many resamples at once, for their intervals.

Known and unknown images are drawn anew with replacement, each side as many as there are (the two-sample
bootstrap). A resample is how often each score level was drawn, so scores are sorted once and no replicate is
ever sorted. Up to `LIMIT` distinct scores every one is a level, and the resamples are those of the images
themselves. Beyond, neighbouring scores share a level and count as tied; `Levels.slack` bounds what that can
change, which is a few millionths at the limit. Point values come from `detection.py` and are always exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from awase.errors import DataError
from awase.functional.detection import keep_count

METRICS = ("auroc", "aupr_in", "aupr_out", "fpr", "threshold")
LIMIT = 1 << 17  # levels at most
_BLOCK = 1 << 17  # counts held at once: 1 MB, which with the sums over them fits a cache


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Scores of one known and s unknown sets as counts over common levels, from the lowest up.

    Attributes:
        upper: the highest score that a level may hold.
        known: how many known images have a score in each level.
        unknown: the same for every unknown set.
        is_single: levels of one score value, whose ties are true ones.
    """

    upper: Float[Tensor, " l"]
    known: Int[Tensor, " l"]
    unknown: Int[Tensor, "s l"]
    is_single: Bool[Tensor, " l"]

    @property
    def is_exact(self) -> bool:
        """Whether every level is one score, so that nothing is lost."""
        return bool(self.is_single.all())


def level_scores(
    id_scores: Float[Tensor, " n"], ood_scores: Sequence[Float[Tensor, " _"]], *, limit: int = LIMIT
) -> Levels:
    """The scores as counts over at most `limit` levels: one a distinct score where they are that few.

    Otherwise the levels end at evenly spaced ranks of every set, so each holds about the same share of it,
    and a score that many images have keeps a level to itself.

    Args:
        id_scores: of known images, without NaN; at least one.
        ood_scores: of each unknown set, without NaN; at least one set, and one score in each.
        limit: levels at most; at least twice the number of sets.

    Example:
        >>> import torch
        >>> levels = level_scores(torch.tensor([0.9, 0.7]), [torch.tensor([0.7, 0.6])])
        >>> levels.known.tolist(), levels.unknown.tolist(), levels.is_exact
        ([0, 1, 1], [[1, 1, 0]], True)
    """
    sides = [side.double().sort().values for side in (id_scores, *ood_scores)]
    if sum(1 + int((side[1:] != side[:-1]).sum()) for side in sides) <= limit:
        upper = torch.unique(torch.cat([torch.unique_consecutive(side) for side in sides]))
        is_single = torch.ones(len(upper), dtype=torch.bool)
    else:
        upper = torch.unique(torch.cat([_evenly(side, limit // (2 * len(sides))) for side in sides]))
        is_single = torch.zeros(len(upper), dtype=torch.bool)
        is_single[1:] = upper[:-1] == _just_below(upper[1:])
    counts = [torch.searchsorted(side, upper, right=True) for side in sides]
    counts = [up_to.diff(prepend=up_to.new_zeros(1)) for up_to in counts]
    return Levels(upper, counts[0], torch.stack(counts[1:]), is_single)


def resampled_metrics(
    levels: Levels, *, tpr: float | int, convention: str, n_replicates: int, generator: torch.Generator
) -> dict[str, Float[Tensor, "r s"]]:
    """Every metric on every resample; all unknown sets of a replicate meet the same known images.

    Args:
        levels: as `level_scores` makes them.
        tpr: as for `detection.fpr_at_tpr`.
        convention: likewise.
        n_replicates: number of resamples r.
        generator: source of the draws.

    Returns:
        One tensor for each of `METRICS`.
    """
    known_draws = _Draws(levels.known)
    # levels that neither side holds are passed over: with many sets they are most
    places = [(levels.known + unknown).nonzero()[:, 0] for unknown in levels.unknown]
    sets = [
        (place, _Draws(unknown[place]), levels.upper[place])
        for place, unknown in zip(places, levels.unknown, strict=True)
    ]
    # made beforehand: small tensors that outlive big ones would keep the heap from shrinking
    found = {name: torch.empty(n_replicates, len(sets), dtype=torch.float64) for name in METRICS}
    size = max(1, _BLOCK // len(levels.upper))
    for start in range(0, n_replicates, size):
        rows = slice(start, min(start + size, n_replicates))
        known = known_draws.sample(rows.stop - start, generator)
        for column, (place, draws, upper) in enumerate(sets):
            unknown = draws.sample(len(known), generator)
            metrics = metrics_of_counts(known[:, place], unknown, upper, tpr=tpr, convention=convention)
            for name, values in metrics.items():
                found[name][rows, column] = values
    return found


def metrics_of_levels(levels: Levels, *, tpr: float | int, convention: str) -> dict[str, Float[Tensor, " s"]]:
    """Every metric on the scores as they came, for every unknown set; exact where the levels are."""
    per_set = [
        metrics_of_counts(levels.known[None], unknown[None], levels.upper, tpr=tpr, convention=convention)
        for unknown in levels.unknown
    ]
    return {name: torch.cat([metrics[name] for metrics in per_set]) for name in METRICS}


def metrics_of_counts(
    known: Shaped[Tensor, "r l"],
    unknown: Shaped[Tensor, "r l"],
    upper: Float[Tensor, " l"],
    *,
    tpr: float | int,
    convention: str,
) -> dict[str, Float[Tensor, " r"]]:
    """The metrics of r samples of equal size, given as counts over common levels; a level is one score.

    Example:
        >>> import torch
        >>> known, unknown = torch.tensor([[0.0, 2, 1, 1, 0]]), torch.tensor([[1.0, 1, 0, 0, 1]])
        >>> levels = torch.tensor([0.6, 0.7, 0.8, 0.9, 0.95])
        >>> metrics = metrics_of_counts(known, unknown, levels, tpr=0.95, convention="id_positive")
        >>> [round(float(metrics[name]), 3) for name in ("auroc", "fpr", "threshold")]
        [0.583, 0.667, 0.7]
    """
    known, unknown = known.double(), unknown.double()
    known_to, unknown_to = known.cumsum(dim=1), unknown.cumsum(dim=1)
    n, m = known_to[:, -1:], unknown_to[:, -1:]
    known_from, unknown_from = n - known_to + known, m - unknown_to + unknown
    fpr, level = _fpr(known_to, unknown_to, known_from, unknown_from, tpr, convention)
    wins = (known * (unknown_to - unknown / 2)).sum(dim=1)
    return {
        "auroc": wins / (n * m)[:, 0],
        "aupr_in": _area(known, known_from, unknown_from) / n[:, 0],
        "aupr_out": _area(unknown, unknown_to, known_to) / m[:, 0],
        "fpr": fpr,
        "threshold": upper.double()[level],
    }


def slack(levels: Levels, *, convention: str) -> dict[str, Float[Tensor, " s"]]:
    """How far tied levels can move each metric but the threshold, at most, for every unknown set; 0 if exact.

    Bounds for the scores as they came: the best and the worst order that a level can hide. Twice that bounds
    an end of an interval that was moved so that its point value is right.
    """
    known, hidden = levels.known.double(), ~levels.is_single
    n = known.sum()
    bounds: dict[str, list[Tensor]] = {name: [] for name in METRICS[:4]}
    for unknown in levels.unknown.double():
        m = unknown.sum()
        bounds["auroc"].append((known * unknown * hidden).sum() / (2 * n * m))
        known_above, unknown_above = n - known.cumsum(dim=0), m - unknown.cumsum(dim=0)
        known_below, unknown_below = known.cumsum(dim=0) - known, unknown.cumsum(dim=0) - unknown
        bounds["aupr_in"].append(_spread(known, unknown, known_above, unknown_above, hidden) / n)
        bounds["aupr_out"].append(_spread(unknown, known, unknown_below, known_below, hidden) / m)
        passing, total = (known, n) if convention == "ood_positive" else (unknown, m)
        bounds["fpr"].append((passing * hidden).max() / total)
    return {name: torch.stack(values) for name, values in bounds.items()}


class _Draws:
    """Resamples of n images given as counts over levels: multinomial counts, exact for every n."""

    def __init__(self, counts: Int[Tensor, " l"]) -> None:
        self._n_levels = len(counts)
        self._held = counts.nonzero()[:, 0]
        self._counts = counts[self._held]
        self._n = int(counts.sum())
        # drawing images one by one costs about a fifth of drawing a level's binomial share
        self._one_by_one = self._n <= 5 * len(self._held)
        self._level = self._held.repeat_interleave(self._counts) if self._one_by_one else self._held

    def sample(self, rows: int, generator: torch.Generator) -> Float[Tensor, "r l"]:
        drawn = torch.zeros(rows, self._n_levels, dtype=torch.float64)
        if self._one_by_one:
            images = torch.randint(self._n, (rows, self._n), generator=generator)
            return drawn.scatter_add_(1, self._level[images], drawn.new_ones(rows, self._n))
        drawn[:, self._held] = multinomial_counts(self._counts, self._n, rows, generator)
        return drawn


def multinomial_counts(
    weights: Int[Tensor, " l"], n: int, rows: int, generator: torch.Generator
) -> Float[Tensor, "r l"]:
    """How often each of l levels comes up in n draws, in each of r rows; takes time for l, not for n.

    The draws are halved again and again: how many fall into the left half of the levels is binomial.

    Example:
        >>> import torch
        >>> drawn = multinomial_counts(torch.tensor([1, 0, 3]), 1000, 2, torch.Generator().manual_seed(0))
        >>> drawn.sum(dim=1), drawn[:, 1]
        (tensor([1000., 1000.], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    depth = max(0, len(weights) - 1).bit_length()
    mass = torch.zeros(1 << depth, dtype=torch.float64)
    mass[: len(weights)] = weights
    drawn = torch.full((rows, 1), float(n), dtype=torch.float64)
    for halvings in range(1, depth + 1):
        halves = mass.view(1 << halvings, -1).sum(dim=1).view(-1, 2)
        share = halves[:, 0] / halves.sum(dim=1).clamp(min=1)
        left = torch.binomial(drawn, share.expand_as(drawn).contiguous(), generator=generator)
        drawn = torch.stack((left, drawn - left), dim=2).view(rows, -1)
    return drawn[:, : len(weights)]


def _fpr(
    known_to: Float[Tensor, "r l"],
    unknown_to: Float[Tensor, "r l"],
    known_from: Float[Tensor, "r l"],
    unknown_from: Float[Tensor, "r l"],
    tpr: float | int,
    convention: str,
) -> tuple[Float[Tensor, " r"], Int[Tensor, " r"]]:
    """The rate and the level of its threshold; the four sums count scores up to and from each level."""
    n, m = int(known_to[0, -1]), int(unknown_to[0, -1])
    if convention == "ood_positive":
        level = _first_reaching(unknown_to, keep_count(tpr, m))
        return known_to.gather(1, level)[:, 0] / n, level[:, 0]
    if convention == "id_positive":
        level = _first_reaching(known_to, n + 1 - keep_count(tpr, n))
    elif convention == "mcm_nearest":
        # the curve has a point where a score was drawn; it ends at the highest level that keeps all
        is_point = (known_to > 0) & (known_from + unknown_from > 0)
        distance = (known_from / n - tpr).abs().where(is_point, math.inf)
        level = distance.argmin(dim=1, keepdim=True)  # the first: the lowest level, the largest share
    else:
        raise DataError(f"there is no convention {convention!r}.")
    return unknown_from.gather(1, level)[:, 0] / m, level[:, 0]


def _first_reaching(up_to: Float[Tensor, "r l"], count: int) -> Int[Tensor, "r 1"]:
    wanted = torch.full((len(up_to), 1), float(count), dtype=up_to.dtype)
    return torch.searchsorted(up_to, wanted)


def _area(
    gained: Float[Tensor, "*r l"], hits: Float[Tensor, "*r l"], alarms: Float[Tensor, "*r l"]
) -> Float[Tensor, "*r"]:
    """Sum of the precision at every positive; where nothing was passed yet nothing was gained."""
    return (gained * hits / (hits + alarms).clamp(min=1)).sum(dim=-1)


def _spread(
    wanted: Float[Tensor, " l"],
    others: Float[Tensor, " l"],
    wanted_passed: Float[Tensor, " l"],
    others_passed: Float[Tensor, " l"],
    hidden: Bool[Tensor, " l"],
) -> Float[Tensor, ""]:
    """Sum of the precision if each level hid its positives first, less the same if it hid them last."""
    best = _area(wanted * hidden, wanted_passed + wanted, others_passed)
    worst = _area(wanted * hidden, wanted_passed + 1, others_passed + others)
    return best - worst


def _evenly(ascending: Float[Tensor, " n"], n_picks: int) -> Float[Tensor, " p"]:
    """Scores at evenly spaced ranks, the highest among them, and a border just under each that repeats."""
    n = len(ascending)
    ranks = ((torch.arange(n_picks) + 1) * n).div(n_picks, rounding_mode="floor").clamp(min=1) - 1
    picked = ascending[ranks]
    repeated = picked[1:][picked[1:] == picked[:-1]]
    return torch.cat((picked, _just_below(repeated)))


def _just_below(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.nextafter(values, torch.full_like(values, -math.inf))
