"""Which rows make up batch number i: a function of the seed and i alone, so a run can go on anywhere.

Every epoch is a permutation of all rows, cut into batches; the last one may be smaller. Left out: batches
that keep groups apart, which contrastive training needs.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from awase.errors import DataError


@dataclass(frozen=True)
class ShuffledBatches:
    """Batches of a few rows, reshuffled every epoch.

    Args:
        n_rows: number of rows.
        batch_size: rows in a batch; more than there are means all.
        seed: of the permutations.

    Example:
        >>> batches = ShuffledBatches(n_rows=5, batch_size=2, seed=0)
        >>> batches.per_epoch, sorted(int(row) for step in range(3) for row in batches.rows(step))
        (3, [0, 1, 2, 3, 4])
    """

    n_rows: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.n_rows < 1 or self.batch_size < 1:
            raise DataError(f"cannot make batches of {self.batch_size} out of {self.n_rows} rows.")

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def rows(self, step: int) -> Int[Tensor, " b"]:
        """The rows of the batch of a step, counted from 0 over all epochs."""
        epoch, place = divmod(step, self.per_epoch)
        generator = seeded(self.seed, epoch)
        order = torch.randperm(self.n_rows, generator=generator)
        return order[place * self.batch_size : (place + 1) * self.batch_size]


def seeded(seed: int, index: int) -> torch.Generator:
    """A generator of its own for every (seed, index): neighbours share nothing."""
    # the multiplier spreads neighbouring indices over the seeds; the modulus is what torch takes
    return torch.Generator().manual_seed((seed * 1_000_003 + index * 7_919 + 1) % 2**63)
