"""Learning-rate multipliers by step: from 1 at the start to nearly 0 at the end."""

import math
from collections.abc import Callable

from awase.errors import DataError

Schedule = Callable[[int], float]  # step -> multiplier of every group's own learning rate


def cosine(
    n_steps: int, *, warmup_steps: int = 0, warmup: float = 0.0, floor: float = 0.0, ramp: bool = False
) -> Schedule:
    """Half a cosine from 1 to `floor`, after some steps at a constant, smaller rate or on a ramp up to 1.

    Args:
        n_steps: steps in all.
        warmup_steps: how many of them are warm-up.
        warmup: multiplier during warm-up; constant, as in CoOp.
        floor: multiplier that the cosine ends at.
        ramp: whether warm-up climbs evenly from `warmup` to 1 instead, as towers learned from scratch need
            it.

    Raises:
        DataError: more warm-up than steps.

    Example:
        >>> rate = cosine(4, warmup_steps=1, warmup=0.01)
        >>> [round(rate(step), 2) for step in range(4)]
        [0.01, 1.0, 0.75, 0.25]
        >>> rate = cosine(100, warmup_steps=3, ramp=True)
        >>> [rate(step) for step in range(4)]
        [0.25, 0.5, 0.75, 1.0]
    """
    if warmup_steps > n_steps > 0:
        raise DataError(f"{warmup_steps} warm-up steps do not fit into {n_steps} steps.")

    def multiplier(step: int) -> float:
        if step < warmup_steps:
            return warmup + (1 - warmup) * (step + 1) / (warmup_steps + 1) if ramp else warmup
        done = (step - warmup_steps) / max(1, n_steps - warmup_steps)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return multiplier


def constant(step: int) -> float:
    """1 at every step."""
    return 1.0
