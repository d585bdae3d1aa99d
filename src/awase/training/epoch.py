"""One epoch cut into batches in which no group meets itself, drawn at random.

The rows are put in an order in which groups are random and each group's rows stand side by side. This order
is cut into laps as long as there are batches; a lap gives every batch one item, by a permutation of its
own. The rows of a group lie in one lap, so in different batches, or in two laps that follow each other;
then the second permutation is mended where it would meet the first. Which groups meet is as random as the
permutations. All of it is sorting, so a million rows take a fraction of a second. Left out: batches of
similar items (hard negatives).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Epoch:
    """Where every row of an epoch goes.

    Attributes:
        order: rows, those of a group side by side.
        starts: where each item begins in `order`, and the end: an item is one row, or a few of one group.
        places: for every lap and batch, which item of the lap the batch gets.
    """

    order: Int[Tensor, " n"]
    starts: Int[Tensor, " m"]
    places: Int[Tensor, "laps k"]

    def rows(self, place: int) -> Int[Tensor, " b"]:
        """The rows of one batch."""
        laps, n_batches = self.places.shape
        items = torch.arange(laps) * n_batches + self.places[:, place]
        items = items[items < len(self.starts) - 1]  # the last lap may be short
        first, sizes = self.starts[items], self.starts[items + 1] - self.starts[items]
        within = torch.arange(int(sizes.sum())) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        return self.order[first.repeat_interleave(sizes) + within]


def lay_out(
    groups: Int[Tensor, " n"], *, n_groups: int, n_batches: int, each: int, generator: torch.Generator
) -> Epoch:
    """Draw an epoch.

    Args:
        groups: numbers from 0 to n_groups - 1.
        n_groups: how many there are.
        n_batches: batches of the epoch. Of a group with more than n_batches * each rows only so many, drawn
            at random, take part.
        each: rows of a group that go to a batch together.
        generator: of all draws.

    Example:
        >>> groups = torch.tensor([0, 0, 1, 1, 2, 2])
        >>> epoch = lay_out(
        ...     groups, n_groups=3, n_batches=2, each=1, generator=torch.Generator().manual_seed(0)
        ... )
        >>> [groups[epoch.rows(place)].sort().values.tolist() for place in range(2)]
        [[0, 1, 2], [0, 1, 2]]
    """
    shuffled = torch.randperm(len(groups), generator=generator)
    keys, by_group = torch.randperm(n_groups, generator=generator)[groups[shuffled]].sort(stable=True)
    order = shuffled[by_group]
    counts = keys.bincount(minlength=n_groups)
    within = torch.arange(len(order)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    takes_part = within < n_batches * each
    order, keys, within = order[takes_part], keys[takes_part], within[takes_part]
    begins = (within % each == 0).nonzero()[:, 0]
    starts = torch.cat([begins, begins.new_tensor([len(order)])])
    laps = -(-len(begins) // n_batches)
    batches = torch.rand(laps, n_batches, generator=generator).argsort(dim=1, stable=True)
    _mend(batches, keys[begins])
    return Epoch(order, starts, batches.argsort(dim=1, stable=True))


def _mend(batches: Int[Tensor, "laps k"], keys: Int[Tensor, " m"]) -> None:
    """Exchange batches within laps so that a group that lies in two laps goes to different ones, in place."""
    n_batches = batches.shape[1]
    ends = torch.arange(n_batches, len(keys), n_batches)  # first item of every lap but the first
    for end in ends[keys[ends - 1] == keys[ends]].tolist():
        key = keys[end - 1 : end]
        begin = int(torch.searchsorted(keys, key))
        until = int(torch.searchsorted(keys, key, right=True))
        earlier, lap = batches[end // n_batches - 1], batches[end // n_batches]
        taken = torch.isin(lap, earlier[begin - end :])
        split = until - end
        meeting = taken[:split].nonzero()[:, 0]
        if len(meeting):
            # enough are free: the group has at most as many items as there are batches
            free = split + (~taken[split:]).nonzero()[: len(meeting), 0]
            lap[meeting], lap[free] = lap[free].clone(), lap[meeting].clone()
