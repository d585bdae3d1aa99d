"""The six backgrounds as tiles twice the size of a picture, of which every scene shows another piece.

Muted and neither very light nor very dark, so that parts of every colour stand out. Whole numbers, sums and
products only: every machine makes the same tiles.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from awase.data._parts.chance import TILE, uniform
from awase.data._parts.vocabulary import BACKGROUNDS

Grid = NDArray[np.float64]

_TONES = {
    "wood": (196, 160, 116),
    "steel": (150, 162, 174),
    "stone": (148, 144, 138),
    "cloth": (128, 138, 104),
    "paper": (222, 216, 198),
    "rubber": (84, 82, 88),
}


@lru_cache(maxsize=4)
def tiles(size: int) -> NDArray[np.float32]:
    """Colours 0 to 255, (backgrounds, 2 * size, 2 * size, 3)."""
    places = (np.arange(2 * size) + 0.5) / size  # in sides of a picture
    x, y = np.meshgrid(places, places)
    return np.stack([_tile(number, name, x, y) for number, name in enumerate(BACKGROUNDS)])


def _tile(number: int, name: str, x: Grid, y: Grid) -> NDArray[np.float32]:
    tint = np.ones(3) if name != "paper" else np.array([1.0, 0.75, 0.35])  # blue lines
    colour = np.array(_TONES[name]) + _SHADES[name](number, x, y)[..., None] * tint
    return np.asarray(np.clip(colour, 0, 255), np.float32)


def _wood(key: int, x: Grid, y: Grid) -> Grid:
    return 18 * _wave(5 * x + 0.9 * _noise(key, x, y, 3)) + 8 * _wave(17 * x + 0.3 * y)


def _steel(key: int, x: Grid, y: Grid) -> Grid:
    return 16 * (_noise(key, x * 0.06, y, 40) - 0.5) + 8 * _wave(1.5 * y)


def _stone(key: int, x: Grid, y: Grid) -> Grid:
    return 46 * (_noise(key, x, y, 14) - 0.5) + 26 * (_noise(key + 9, x, y, 30) - 0.5)


def _cloth(key: int, x: Grid, y: Grid) -> Grid:
    return 15 * _wave(13 * x) * _wave(13 * y) + 6 * _wave(13 * x)


def _paper(key: int, x: Grid, y: Grid) -> Grid:
    return -34 * np.maximum(_lines(5 * x), _lines(5 * y))


def _rubber(key: int, x: Grid, y: Grid) -> Grid:
    return 22 * np.maximum(0, _wave(8 * (x + y)) + _wave(8 * (x - y)) - 0.7)


_SHADES: dict[str, Callable[[int, Grid, Grid], Grid]] = {
    "wood": _wood,
    "steel": _steel,
    "stone": _stone,
    "cloth": _cloth,
    "paper": _paper,
    "rubber": _rubber,
}


def _wave(phase: Grid) -> Grid:
    """A triangle wave in [-1, 1] with period 1."""
    return np.asarray(4 * np.abs(phase % 1 - 0.5) - 1)


def _lines(phase: Grid) -> Grid:
    """1 on thin lines a period apart, falling off to 0 beside them."""
    return np.clip(2.2 - 22 * np.abs(phase % 1 - 0.5), 0, 1)


def _noise(key: int, x: Grid, y: Grid, cells: int) -> Grid:
    """Smooth noise in [0, 1] with `cells` of them to a side of a picture."""
    knots = uniform(key, TILE, np.arange(2 * cells + 2), 2 * cells + 2)
    left, top = np.floor(x * cells).astype(np.int64), np.floor(y * cells).astype(np.int64)
    dx, dy = x * cells - left, y * cells - top
    upper = knots[top, left] * (1 - dx) + knots[top, left + 1] * dx
    lower = knots[top + 1, left] * (1 - dx) + knots[top + 1, left + 1] * dx
    return np.asarray(upper * (1 - dy) + lower * dy)
