"""A data set as cells are run on it."""

from collections.abc import Callable
from dataclasses import dataclass

from cell import Training
from heads import Heads


@dataclass(frozen=True)
class Ground:
    """What is trained on, what is measured, and how long.

    Args:
        training: see there.
        measure: everything measured of trained heads.
        epochs: passes over the images.
        batch_size: of the main runs.
    """

    training: Training
    measure: Callable[[Heads], dict[str, float]]
    epochs: int
    batch_size: int
