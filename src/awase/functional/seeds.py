"""Mean and interval of a few runs that differ in their seed: Student's t.

Three seeds give a wide interval, and that is what is known. Left out: pairing, which is the caller's
(give the differences).
"""

import math
from collections.abc import Sequence

from awase.errors import DataError
from awase.functional.intervals import Interval

# two-sided 95 % points of Student's t for 1 .. 30 degrees of freedom
_T95 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


def mean_over_seeds(values: Sequence[float]) -> Interval:
    """Mean with its 95 % interval, mean +- t(n - 1) * sd / sqrt(n).

    Args:
        values: one number a seed.

    Returns:
        None for the ends where there is only one value, for all where there is none.

    Raises:
        DataError: a value is not finite.

    Example:
        >>> mean_over_seeds([0.5, 0.6, 0.7])
        Interval(value=0.6, low=0.3515..., high=0.8484...)
    """
    n = len(values)
    if not all(map(math.isfinite, values)):
        raise DataError(f"values of seeds must be finite, got {list(values)}.")
    if n == 0:
        return Interval(None, None, None)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    reach = _t95(n - 1) * deviation / math.sqrt(n)
    return Interval(mean, mean - reach, mean + reach)


def _t95(freedom: int) -> float:
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    # Fisher's expansion around the normal point, good to 1e-4 from here on
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
