"""Which rows make up batch number i: a function of the seed and i alone, so a run can go on anywhere.

`ShuffledBatches` permutes all rows; `GroupedBatches` also keeps rows of one group out of each other's
batch, which contrastive losses need: two captions of one image are no negatives of each other.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from awase.errors import DataError
from awase.training.epoch import Epoch, lay_out


@runtime_checkable
class Batches(Protocol):
    """What the loop asks of a sampler."""

    @property
    def n_rows(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def seed(self) -> int: ...

    def rows(self, step: int) -> Int[Tensor, " b"]:
        """The rows of the batch of a step, counted from 0 over all epochs."""
        ...


@dataclass(frozen=True)
class ShuffledBatches:
    """Batches of a few rows, reshuffled every epoch; the last one of an epoch may be smaller.

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


@dataclass(frozen=True, eq=False)
class GroupedBatches:
    """Batches in which no two rows are of one group; every row comes once an epoch where that is possible.

    Batches of an epoch are of one size but for a row (for a few where groups do not divide by `each`), and
    none is larger than asked; they are smaller where there are fewer groups than places. A group so large
    that other groups cannot fill the batches it would need gives as many rows an epoch as there are
    batches, others each time.

    Args:
        groups: equal numbers are the same thing: captions of one image, images of one class.
        batch_size: rows in a batch, at most.
        seed: of the draws.
        apart: False ignores the groups.
        each: rows of a group that go to a batch together, where a loss with several positives wants them to
            meet; other rows of the group go to other batches.

    Raises:
        DataError: there are no two groups to tell apart, or a setting is out of range.

    Example:
        >>> groups = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
        >>> batches = GroupedBatches(groups, batch_size=4, seed=0)
        >>> [groups[batches.rows(step)].sort().values.tolist() for step in range(batches.per_epoch)]
        [[0, 1, 2, 3], [0, 1, 2, 3]]
    """

    groups: Int[Tensor, " n"] = field(repr=False)
    batch_size: int
    seed: int
    apart: bool = True
    each: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 2 or self.each < 1 or self.n_rows < 2:
            raise DataError(
                f"cannot make batches of {self.batch_size}, {self.each} of a group, out of {self.n_rows} "
                "rows: a batch needs two rows to tell apart."
            )
        if self.each > 1 and (not self.apart or self.batch_size < 2 * self.each):
            raise DataError(
                f"each={self.each} needs apart=True and a batch size of at least {2 * self.each}, "
                f"got apart={self.apart} and {self.batch_size}."
            )
        if self.apart and bool((self.groups == self.groups[0]).all()):
            raise DataError(
                f"all {self.n_rows} rows are of one group, so no two of them may meet in a batch; "
                "give other groups, or choose an objective with several positives."
            )

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.groups)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What tells two samplers apart, for the identity of a run."""
        digest = hashlib.sha256(self._of_row.numpy().tobytes()).hexdigest()
        return {"groups": digest[:16], "apart": self.apart, "each": self.each}

    @property
    def largest(self) -> int:
        """Rows in the largest batch."""
        return min(
            self.batch_size,
            -(-int(self._items.clamp(max=self.per_epoch).sum()) // self.per_epoch) * self.each,
        )

    @cached_property
    def per_epoch(self) -> int:
        """Batches in an epoch: as many as can be filled.

        The largest K with sum over groups of min(items, K) > (K - 1) * size, which without large groups is
        the number of items / size, rounded up.
        """
        size = min(self.batch_size // self.each, len(self._items))
        low, high = 1, -(-int(self._items.sum()) // size)
        while low < high:
            middle = (low + high + 1) // 2
            if int(self._items.clamp(max=middle).sum()) > (middle - 1) * size:
                low = middle
            else:
                high = middle - 1
        return low

    def rows(self, step: int) -> Int[Tensor, " b"]:
        """The rows of the batch of a step, counted from 0 over all epochs."""
        epoch, place = divmod(step, self.per_epoch)
        return self._epoch(epoch).rows(place)

    @cached_property
    def _of_row(self) -> Int[Tensor, " n"]:
        """Groups numbered from 0."""
        if not self.apart:
            return torch.arange(self.n_rows)
        numbers: Tensor = torch.unique(self.groups.cpu(), return_inverse=True)[1]
        return numbers

    @cached_property
    def _items(self) -> Int[Tensor, " g"]:
        """How many items each group has."""
        return (self._of_row.bincount() + self.each - 1) // self.each

    @cached_property
    def _kept(self) -> dict[int, Epoch]:
        return {}

    def _epoch(self, epoch: int) -> Epoch:
        if epoch not in self._kept:  # only the epoch that is going on: it follows from its number
            drawn = lay_out(
                self._of_row,
                n_groups=len(self._items),
                n_batches=self.per_epoch,
                each=self.each,
                generator=seeded(self.seed, epoch),
            )
            self._kept.clear()
            self._kept[epoch] = drawn
        return self._kept[epoch]


def share(rows: Int[Tensor, " n"], *, rank: int, world_size: int) -> Int[Tensor, " b"]:
    """One device's part of a batch; all parts are equally long, so up to world_size - 1 rows are left out.

    Args:
        rows: of the whole batch.
        rank: number of the device.
        world_size: number of devices.

    Raises:
        DataError: there are fewer rows than devices.

    Example:
        >>> share(torch.arange(7), rank=1, world_size=2)
        tensor([3, 4, 5])
    """
    size = len(rows) // world_size
    if size == 0:
        raise DataError(f"a batch of {len(rows)} rows cannot be shared by {world_size} devices.")
    return rows[rank * size : (rank + 1) * size]


def seeded(seed: int, index: int) -> torch.Generator:
    """A generator of its own for every (seed, index): neighbours share nothing."""
    # the multiplier spreads neighbouring indices over the seeds; the modulus is what torch takes
    return torch.Generator().manual_seed((seed * 1_000_003 + index * 7_919 + 1) % 2**63)
