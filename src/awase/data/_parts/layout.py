"""Where the parts of a scene lie: apart from one another, inside the picture, with relations that are clear.

One part lies anywhere. Two lie side by side or one above the other, three in three of the four quarters.
Lengths are fractions of the side of the picture, y points down.
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

_ALONE = (0.19, 0.27, 0.37)  # radii of small, medium and large where scenes have one part
_TOGETHER = (0.115, 0.16, 0.21)  # a large one fits into a quarter
_GAP = 0.02  # to the border and between parts: more than a pixel at 64
_JITTER = 0.07  # about the middle of a quarter; keeps |across| below 0.4 |along| for neighbours
_CLEAR = 0.6

# the three quarters that are used, in the order of the parts: quarter q has column q % 2 and row q // 2
_QUARTERS = np.array(list(permutations(range(4), 3)))


def radii(most: int) -> NDArray[np.float64]:
    """Radius of a small, medium and large part in a world with at most so many parts a scene."""
    return np.array(_ALONE if most == 1 else _TOGETHER)


def place(
    counts: NDArray[np.int64], radius: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres x and y of parts, (n, 3) each; parts beyond the count get some place too.

    Args:
        counts: 1 to 3, (n,).
        radius: of every part, (n, 3).
        at: numbers in [0, 1), (n, 8): an arrangement, a common shift, and two of each part.
    """
    side = 2 * at[:, 2:].reshape(-1, 3, 2) - 1  # (n, 3, 2) in [-1, 1)
    free = 0.5 - radius - _GAP
    alone = 0.5 + side * free[..., None]

    room = np.minimum(_JITTER, 0.25 - radius - _GAP / 2)
    quarter = _QUARTERS[(at[:, 0] * len(_QUARTERS)).astype(np.int64)]  # (n, 3)
    corners = np.stack([0.25 + 0.5 * (quarter % 2), 0.25 + 0.5 * (quarter // 2)], axis=-1)
    three = corners + side * room[..., None]

    order = (at[:, 0] * 4).astype(np.int64)  # which axis, and who comes first
    along = np.where(np.arange(3)[None, :] % 2 == (order % 2)[:, None], 0.25, 0.75)
    across = 0.5 + 0.25 * (2 * at[:, 1:2] - 1) + np.zeros_like(along)
    is_row = (order // 2 == 0)[:, None, None]
    two = np.where(is_row, np.stack([along, across], -1), np.stack([across, along], -1))
    two = two + side * room[..., None]

    kind = counts[:, None, None]
    centres = np.where(kind == 1, alone, np.where(kind == 2, two, three))
    return centres[..., 0], centres[..., 1]


def relation(dx: float, dy: float) -> str | None:
    """How one part lies to another, from its offset; None where no word is clearly right.

    Example:
        >>> relation(-0.5, 0.1), relation(0.0, 0.4), relation(0.3, 0.3)
        ('left', 'below', None)
    """
    if abs(dy) < _CLEAR * abs(dx):
        return "left" if dx < 0 else "right"
    if abs(dx) < _CLEAR * abs(dy):
        return "above" if dy < 0 else "below"
    return None


def may_hold(word: str, dx: float, dy: float) -> bool:
    """Whether somebody could call this offset by the word: only where not is it clearly wrong.

    Example:
        >>> may_hold("left", -0.3, 0.3), may_hold("right", -0.3, 0.3)
        (True, False)
    """
    return {"left": dx < 0, "right": dx > 0, "above": dy < 0, "below": dy > 0}[word]
