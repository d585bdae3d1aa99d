"""The joint distribution of a scene's attributes as a table, so that it is known and not only sampled.

A scene has a count and a background, and each of its parts a shape, a colour, a size and a texture. A
`Correlation` ties two of them: with probability `strength` the second takes a value that belongs to the
first, else it is drawn on its own. Value a of one belongs to value b of the other when a and b are equal
modulo the smaller number of values, so with strength s

    P(they belong together) = s + (1 - s) / min(number of values)

where all values are equally frequent, and s is Cramer's V where the two have equally many. Combinations
that are held out have probability 0; what is left of a part's distribution, given count and background, is
scaled up to sum to 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from awase.data._parts.vocabulary import PART_ATTRIBUTES, SCENE_ATTRIBUTES
from awase.errors import DataError

ORDER = (*SCENE_ATTRIBUTES, *PART_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Two attributes that go together more often than chance.

    Args:
        first: count, background, shape, colour, size or texture.
        second: another one.
        strength: 0 (independent) to 1 (always together).

    Raises:
        DataError: no such attribute, twice the same, or a strength outside [0, 1].
    """

    first: str
    second: str
    strength: float | int

    def __post_init__(self) -> None:
        for name in (self.first, self.second):
            if name not in ORDER:
                raise DataError(f"{name!r} is no attribute to correlate; there are: {', '.join(ORDER)}.")
        if self.first == self.second:
            raise DataError(f"{self.first} cannot be correlated with itself; name two attributes.")
        if not 0 <= self.strength <= 1:
            raise DataError(f"the strength of a correlation lies in [0, 1], got {self.strength}.")

    @property
    def ends(self) -> tuple[str, str]:
        """The attribute that is drawn first, and the one that follows it."""
        low, high = sorted((self.first, self.second), key=ORDER.index)
        return low, high


@dataclass(frozen=True, eq=False)
class Distribution:
    """P(count, background), and P(shape, colour, size, texture | count, background) of every part.

    Attributes:
        scene: (counts, backgrounds), sums to 1.
        part: (counts, backgrounds, shapes, colours, sizes, textures), sums to 1 over the last four wherever
            the scene has a chance.
    """

    scene: NDArray[np.float64]
    part: NDArray[np.float64]

    def draw_scenes(self, at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count and background by inverse transform of numbers in [0, 1)."""
        cells = np.searchsorted(self._scene_steps, at, side="right")
        counts, backgrounds = np.unravel_index(cells, self.scene.shape)
        return counts, backgrounds

    def draw_parts(
        self, counts: NDArray[np.int64], backgrounds: NDArray[np.int64], at: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], ...]:
        """Shape, colour, size and texture of parts (n, k), given the scene's count and background (n,)."""
        rows = np.ravel_multi_index((counts, backgrounds), self.scene.shape)
        steps, last = self._part_steps
        cells = np.searchsorted(steps, rows[:, None] + at, side="right")
        # rounding of row + at may reach the next row when `at` is a hair below 1
        cells = np.minimum(cells, last[rows][:, None])
        width = len(steps) // len(last)
        return tuple(np.unravel_index(cells - rows[:, None] * width, self.part.shape[2:]))

    def marginal(self, *names: str) -> NDArray[np.float64]:
        """P of these attributes of a scene and one of its parts, axes in the order of the names."""
        whole = self.scene[..., None, None, None, None] * self.part
        axes = [ORDER.index(name) for name in names]
        kept = whole.sum(axis=tuple(axis for axis in range(len(ORDER)) if axis not in axes))
        return np.asarray(kept.transpose(np.argsort(np.argsort(axes))))

    @cached_property
    def _scene_steps(self) -> NDArray[np.float64]:
        return _cumulative(self.scene.ravel())

    @cached_property
    def _part_steps(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """One ascending list for all scenes, of which row r lies in (r, r + 1]; last cell with a chance."""
        table = self.part.reshape(self.scene.size, -1)
        steps = np.concatenate([row + _cumulative(weights) for row, weights in enumerate(table)])
        ends = table.shape[1] - 1 - np.argmax(table[:, ::-1] > 0, axis=1)
        return steps, np.arange(len(table)) * table.shape[1] + ends


def joint(
    values: Mapping[str, Sequence[str]],
    *,
    frequencies: Mapping[str, Sequence[float | int]],
    correlations: Sequence[Correlation],
    held_out: Sequence[Mapping[str, str]],
    show: str,
) -> Distribution:
    """The table of a world.

    Args:
        values: the values of each attribute that occur.
        frequencies: relative frequency of the values, equal ones where an attribute is missing.
        correlations: each attribute follows at most one other.
        held_out: combinations as attribute to value.
        show: `seen` (all but the held-out combinations), `held_out` (only them) or `all`.

    Raises:
        DataError: frequencies do not fit, an attribute follows two, or nothing is left to show.
    """
    weights = {name: _weights(name, values[name], frequencies.get(name)) for name in ORDER}
    factors = {name: _axis(weights[name], name) for name in ORDER}
    followers = [correlation.ends[1] for correlation in correlations]
    if len(set(followers)) < len(followers):
        raise DataError(f"an attribute can follow one other only, and {sorted(followers)} holds one twice.")
    for correlation in correlations:
        driver, follower = correlation.ends
        factors[follower] = _tied(weights, driver, follower, correlation.strength)
    scene = (factors["count"] * factors["background"])[..., 0, 0, 0, 0]
    part = np.ones([len(values[name]) for name in ORDER])
    for name in PART_ATTRIBUTES:
        part = part * factors[name]
    return _shown(scene, part, _held(values, held_out), show)


def _weights(name: str, values: Sequence[str], given: Sequence[float | int] | None) -> NDArray[np.float64]:
    weights = np.ones(len(values)) if given is None else np.asarray(given, np.float64)
    if weights.shape != (len(values),) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise DataError(
            f"frequencies of {name}: {len(values)} numbers from 0 up are needed, one a value, got {given}."
        )
    return np.asarray(weights / weights.sum())


def _axis(weights: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    shape = [1] * len(ORDER)
    shape[ORDER.index(name)] = len(weights)
    return weights.reshape(shape)


def _tied(
    weights: Mapping[str, NDArray[np.float64]], driver: str, follower: str, strength: float | int
) -> NDArray[np.float64]:
    """P(follower | driver), on the axes of the whole table."""
    first, second = len(weights[driver]), len(weights[follower])
    together = belongs(first, second) * weights[follower]
    total = together.sum(1, keepdims=True)
    # a value whose partners never occur falls back to the frequencies
    own = np.where(total > 0, together / np.where(total > 0, total, 1), weights[follower])
    table = strength * own + (1 - strength) * weights[follower]
    shape = [1] * len(ORDER)
    shape[ORDER.index(driver)], shape[ORDER.index(follower)] = first, second
    return np.asarray(table.reshape(shape))


def belongs(first: int, second: int) -> NDArray[np.bool_]:
    """Which values of two attributes belong together, (first, second).

    Example:
        >>> belongs(3, 2).astype(int).tolist()
        [[1, 0], [0, 1], [1, 0]]
    """
    smaller = min(first, second)
    return np.asarray((np.arange(first) % smaller)[:, None] == (np.arange(second) % smaller)[None, :])


def _held(values: Mapping[str, Sequence[str]], held_out: Sequence[Mapping[str, str]]) -> NDArray[np.bool_]:
    held = np.zeros([len(values[name]) for name in ORDER], bool)
    for combination in held_out:
        place: list[slice | int] = [slice(None)] * len(ORDER)
        for name, value in combination.items():
            if name not in ORDER or value not in values[name]:
                known = ", ".join(values[name]) if name in ORDER else ", ".join(ORDER)
                raise DataError(f"held out is {name}={value}, which this world does not know: {known}.")
            place[ORDER.index(name)] = values[name].index(value)
        if not combination:
            raise DataError("a held-out combination names at least one attribute and its value.")
        held[tuple(place)] = True
    return held


def _shown(
    scene: NDArray[np.float64], part: NDArray[np.float64], held: NDArray[np.bool_], show: str
) -> Distribution:
    if show not in ("seen", "held_out", "all"):
        raise DataError(f"show is one of seen, held_out, all; got {show!r}.")
    if show != "all":
        part = part * (held if show == "held_out" else ~held)
    total = part.sum(axis=(2, 3, 4, 5))
    scene = scene * (total > 0)
    if not scene.sum() > 0:
        raise DataError(f"no combination of attributes is left to show (show={show!r}); hold out fewer.")
    scaled = part / np.where(total > 0, total, 1)[..., None, None, None, None]
    return Distribution(scene / scene.sum(), scaled)


def _cumulative(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ends at 1 exactly from the last value with a chance on; all zero stays so."""
    sums = np.cumsum(weights)
    return np.asarray(sums / sums[-1] if sums[-1] > 0 else sums)
