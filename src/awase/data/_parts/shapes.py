"""The twelve shapes as signed distances in a part's own frame: negative inside, the part in the unit disc.

Made once on a grid and looked up afterwards. Distances come from polygons and circles by square roots alone,
so that every machine makes the same tables. A bent part is drawn in a frame that curves; its distances are
then nearly right, which is enough for an edge.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from awase.data._parts.vocabulary import BENDABLE, SHAPES, TOOTHED

Grid = NDArray[np.float64]
Points = Sequence[tuple[float, float]]

EXTENT = 1.15  # tables cover [-EXTENT, EXTENT] both ways
_COARSE = 256
_TEETH = 8
_TEE = 1.1  # as drawn below, the corners of its flanges would lie 1.095 from the centre

# a table a shape, then the damaged ones
VARIANTS: tuple[tuple[str, str | None], ...] = (
    *((name, None) for name in SHAPES),
    *((name, "missing tooth") for name in TOOTHED),
    *((name, "bent") for name in BENDABLE),
)


@lru_cache(maxsize=4)
def tables(resolution: int) -> NDArray[np.float32]:
    """Signed distances (variants, resolution, resolution); rows are y, which points down.

    Args:
        resolution: a multiple of 256.
    """
    coarse = _COARSE + 1
    places = (np.arange(coarse) / _COARSE * 2 - 1) * EXTENT
    x, y = np.meshgrid(places, places)
    factor = resolution // _COARSE
    return np.stack([_finer(_variant(name, defect, x, y), factor) for name, defect in VARIANTS])


@lru_cache(maxsize=4)
def pattern_tables(resolution: int) -> NDArray[np.float32]:
    """Signed distances of what is painted on parts: (nothing, stripes, dots, a scratch)."""
    places = ((np.arange(resolution) + 0.5) / resolution * 2 - 1) * EXTENT
    x, y = np.meshgrid(places, places)
    period = 0.44
    stripes = np.abs((x / period) % 1 - 0.5) * period - period / 4
    dx, dy = ((x / period + 0.5) % 1 - 0.5) * period, ((y / period + 0.5) % 1 - 0.5) * period
    dots = np.sqrt(dx**2 + dy**2) - 0.135
    scratch = _stroke([(-0.75, -0.62), (-0.18, -0.12), (0.02, 0.3), (0.78, 0.58)], x, y) - 0.055
    return np.stack([np.full_like(x, 9.0), stripes, dots, scratch]).astype(np.float32)


def variant_of(shape: str, defect: str | None) -> int:
    """Which table a part is drawn from."""
    shown = (shape, defect)
    return VARIANTS.index(shown if shown in VARIANTS else (shape, None))


def _variant(name: str, defect: str | None, x: Grid, y: Grid) -> Grid:
    if defect == "missing tooth":
        return _gear(x, y, missing=True)
    if defect == "bent":
        # a little smaller, so that the curved part still fits into the disc
        bent = DRAWN[name](1.12 * x - 0.62 * (y**2 - 0.25), 1.12 * y) / 1.12
        return np.maximum(bent, _disc(x, y, 1.0))
    return DRAWN[name](x, y)


def _bolt(x: Grid, y: Grid) -> Grid:
    side: list[tuple[float, float]] = [(0.6, -0.74), (0.6, -0.4), (0.27, -0.4), (0.27, -0.22)]
    for turn in range(5):  # the thread
        top = -0.22 + turn * 0.19
        side += [(0.37, top + 0.095), (0.25, top + 0.19)]
    side.append((0.1, 0.96))
    head = [(-0.42, -0.9), (0.42, -0.9)]
    return _polygon([*head, *side, *((-px, py) for px, py in reversed(side))], x, y)


def _nut(x: Grid, y: Grid) -> Grid:
    return np.maximum(_polygon(_regular(6, 0.99), x, y), -_disc(x, y, 0.45))


def _gear(x: Grid, y: Grid, *, missing: bool = False) -> Grid:
    points: list[tuple[float, float]] = []
    for tooth in range(_TEETH):
        for part, radius in ((-0.29, 0.7), (-0.19, 0.98), (0.19, 0.98), (0.29, 0.7)):
            low = missing and tooth == 0
            points.append(_polar((tooth + part) / _TEETH, 0.66 if low else radius))
    return np.maximum(_polygon(points, x, y), -_disc(x, y, 0.27))


def _washer(x: Grid, y: Grid) -> Grid:
    return np.maximum(_disc(x, y, 0.94), -_disc(x, y, 0.3))


def _ring(x: Grid, y: Grid) -> Grid:
    return np.maximum(_disc(x, y, 0.97), -_disc(x, y, 0.62))


def _star(x: Grid, y: Grid) -> Grid:
    points = [_polar(k / 10, 0.4 if k % 2 else 1.0) for k in range(10)]
    return _polygon(points, x, y)


def _cross(x: Grid, y: Grid) -> Grid:
    return np.minimum(_box(x, y, 0.27, 0.94), _box(x, y, 0.94, 0.27))


def _arrow(x: Grid, y: Grid) -> Grid:
    side = [(0.68, -0.12), (0.21, -0.12), (0.21, 0.95)]
    return _polygon([(0.0, -0.98), *side, *((-px, py) for px, py in reversed(side))], x, y)


def _triangle(x: Grid, y: Grid) -> Grid:
    return _polygon(_regular(3, 0.99), x, y)


def _square(x: Grid, y: Grid) -> Grid:
    return _box(x, y, 0.69, 0.69)


def _crescent(x: Grid, y: Grid) -> Grid:
    return np.maximum(_disc(x, y, 0.95), -_disc(x - 0.45, y, 0.76))


def _tee(x: Grid, y: Grid) -> Grid:
    """A pipe tee: two arms and a stem of one width, with a flange at each of the three ends."""
    x, y = x * _TEE, y * _TEE
    arms = np.minimum(_box(x, y + 0.3, 0.86, 0.23), _box(np.abs(x) - 0.78, y + 0.3, 0.1, 0.36))
    stem = np.minimum(_box(x, y - 0.2, 0.23, 0.7), _box(x, y - 0.82, 0.36, 0.1))
    return np.minimum(arms, stem) / _TEE


DRAWN: dict[str, Callable[[Grid, Grid], Grid]] = {
    "bolt": _bolt,
    "nut": _nut,
    "gear": _gear,
    "washer": _washer,
    "ring": _ring,
    "star": _star,
    "cross": _cross,
    "arrow": _arrow,
    "triangle": _triangle,
    "square": _square,
    "crescent": _crescent,
    "T-piece": _tee,
}


def _disc(x: Grid, y: Grid, radius: float) -> Grid:
    return np.asarray(np.sqrt(x * x + y * y) - radius)


def _box(x: Grid, y: Grid, half_x: float, half_y: float) -> Grid:
    over_x, over_y = np.abs(x) - half_x, np.abs(y) - half_y
    outside = np.sqrt(np.maximum(over_x, 0) ** 2 + np.maximum(over_y, 0) ** 2)
    return np.asarray(outside + np.minimum(np.maximum(over_x, over_y), 0))


def _polygon(points: Points, x: Grid, y: Grid) -> Grid:
    """Distance to the nearest side; the sign by counting the sides to the left of a place."""
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if ay != by:
            crosses = (ay > y) != (by > y)
            inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return np.where(inside, -1, 1) * _stroke([*points, points[0]], x, y)


def _stroke(points: Points, x: Grid, y: Grid) -> Grid:
    """Distance to a chain of lines."""
    nearest = np.full(x.shape, np.inf)
    for (ax, ay), (bx, by) in pairwise(points):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
        nearest = np.minimum(nearest, (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2)
    return np.asarray(np.sqrt(nearest))


def _regular(corners: int, radius: float) -> list[tuple[float, float]]:
    return [_polar(k / corners, radius) for k in range(corners)]


def _polar(turn: float, radius: float) -> tuple[float, float]:
    """A point a share of a full turn away from the top."""
    return radius * math.sin(2 * math.pi * turn), -radius * math.cos(2 * math.pi * turn)


def _finer(coarse: Grid, factor: int) -> NDArray[np.float32]:
    """Bilinear values at the middles of cells, `factor` of them to a coarse step, for rows and columns."""
    share = (np.arange(factor) + 0.5) / factor
    rows = coarse[:-1, None, :] * (1 - share[:, None]) + coarse[1:, None, :] * share[:, None]
    rows = rows.reshape(-1, coarse.shape[1])
    both = rows[:, :-1, None] * (1 - share) + rows[:, 1:, None] * share
    return both.reshape(len(rows), -1).astype(np.float32)
