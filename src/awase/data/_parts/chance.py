"""Uniform numbers that depend on (seed, stream, index, place) alone: no state, no order, any batch.

SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") used as a hash of a
counter, in whole numbers only, so that every machine makes the same ones. Not for secrets.
"""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)

SCENE, CAPTION, TILE = 1, 2, 3  # streams, which share nothing


def uniform(seed: int, stream: int, indices: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """n numbers in [0, 1) for every index, shape (len(indices), n).

    Example:
        >>> import numpy as np
        >>> many = uniform(7, SCENE, np.arange(100), 3)
        >>> bool((uniform(7, SCENE, np.array([42]), 3) == many[42]).all())
        True
    """
    key = _mix(_mix(np.array([seed % 2**64], np.uint64)) + np.uint64(stream))
    rows = _mix(key + indices.astype(np.uint64) * _GOLDEN)
    places = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(rows[:, None] + places[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + _GOLDEN  # arrays of unsigned numbers wrap around, as they should
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))
