"""Batches of groups: apart from each other, every row once, the same from any step on."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from awase.errors import DataError
from awase.training.sampler import Batches, GroupedBatches, ShuffledBatches, share


def epoch_of(batches: GroupedBatches, epoch: int = 0) -> list[Tensor]:
    start = epoch * batches.per_epoch
    return [batches.rows(start + place) for place in range(batches.per_epoch)]


def most_of_one(batch: Tensor, groups: Tensor) -> int:
    return max(Counter(groups[batch].tolist()).values())


group_numbers = st.lists(st.integers(-3, 12), min_size=2, max_size=80).filter(lambda g: len(set(g)) > 1)


@settings(max_examples=150)
@given(numbers=group_numbers, batch_size=st.integers(2, 20), each=st.integers(1, 3), seed=st.integers(0, 9))
def test_groups_stay_apart_and_rows_come_once(
    numbers: list[int], batch_size: int, each: int, seed: int
) -> None:
    each = min(each, batch_size // 2)
    groups = torch.tensor(numbers)
    batches = GroupedBatches(groups, batch_size, seed, each=each)
    counts = Counter(numbers)
    for epoch in (0, 3):
        drawn = epoch_of(batches, epoch)
        rows = torch.cat(drawn).tolist()
        assert len(rows) == len(set(rows))
        assert all(1 <= len(batch) <= batches.largest <= batch_size for batch in drawn)
        assert all(most_of_one(batch, groups) <= each for batch in drawn)
        # a group gives what fits: `each` rows to every batch
        came = Counter(groups[rows].tolist())
        assert came == {group: min(n, batches.per_epoch * each) for group, n in counts.items()}
        if each == 1:
            assert max(map(len, drawn)) - min(map(len, drawn)) <= 1


@given(numbers=group_numbers, batch_size=st.integers(2, 20))
def test_there_are_as_many_batches_as_can_be_filled(numbers: list[int], batch_size: int) -> None:
    counts = Counter(numbers).values()
    size = min(batch_size, len(counts))
    naive = max(k for k in range(1, 200) if sum(min(n, k) for n in counts) > (k - 1) * size)
    assert GroupedBatches(torch.tensor(numbers), batch_size, 0).per_epoch == naive


def test_a_batch_follows_from_its_number_alone() -> None:
    groups = torch.arange(60) // 5
    forth = GroupedBatches(groups, 8, 3)
    back = GroupedBatches(groups, 8, 3)
    steps = range(3 * forth.per_epoch)
    expected = [forth.rows(step) for step in steps]
    for step in reversed(steps):
        assert torch.equal(back.rows(step), expected[step])
    other = GroupedBatches(groups, 8, 4)
    assert any(not torch.equal(other.rows(step), expected[step]) for step in steps)
    assert not torch.equal(expected[0].sort().values, expected[forth.per_epoch].sort().values)


def test_every_two_rows_that_may_meet_meet_equally_often() -> None:
    """12 rows in 6 groups, 3 a batch: a row meets 2 of the 10 rows of other groups in every epoch."""
    groups = torch.arange(12) // 2
    batches = GroupedBatches(groups, 3, 0)
    n_epochs = 500
    meetings = torch.zeros(12, 12)
    for epoch in range(n_epochs):
        for batch in epoch_of(batches, epoch):
            meetings[batch[:, None], batch[None, :]] += 1
    may_meet = groups[:, None] != groups[None, :]
    assert (meetings[~may_meet & ~torch.eye(12, dtype=torch.bool)] == 0).all()
    sigma = (0.2 * 0.8 / n_epochs) ** 0.5
    assert ((meetings[may_meet] / n_epochs - 0.2).abs() < 5 * sigma).all()


def test_the_next_batch_does_not_repeat_the_groups_of_this_one() -> None:
    """With 5 captions an image and 20 batches, a batch shares a fifth of its images with any other one."""
    groups = torch.arange(1000) // 5
    batches = GroupedBatches(groups, 50, 0)
    shared = []
    for epoch in range(10):
        drawn = [set(groups[batch].tolist()) for batch in epoch_of(batches, epoch)]
        shared += [len(a & b) / 50 for a, b in pairwise(drawn)]
    assert abs(sum(shared) / len(shared) - 4 / 19) < 0.02


def test_a_group_that_is_too_large_is_drawn_from_anew() -> None:
    groups = torch.cat([torch.zeros(40, dtype=torch.long), torch.arange(1, 61)])
    batches = GroupedBatches(groups, 10, 0)
    assert batches.per_epoch == 7  # 60 + 7 rows fill six batches of ten, and a seventh in part
    seen: set[int] = set()
    for epoch in range(60):
        drawn = epoch_of(batches, epoch)
        assert {len(batch) for batch in drawn} == {9, 10}
        seen |= set(torch.cat(drawn).tolist())
    assert seen == set(range(100))


def test_groups_can_be_ignored() -> None:
    groups = torch.arange(40) // 10
    batches = GroupedBatches(groups, 20, 0, apart=False)
    assert batches.per_epoch == 2
    drawn = epoch_of(batches)
    assert sorted(torch.cat(drawn).tolist()) == list(range(40))
    assert most_of_one(drawn[0], groups) > 1


def test_rows_that_go_together_do() -> None:
    groups = torch.arange(60) // 4
    batches = GroupedBatches(groups, 12, 0, each=2)
    for batch in epoch_of(batches):
        assert set(Counter(groups[batch].tolist()).values()) == {2}
        assert torch.equal(groups[batch][::2], groups[batch][1::2])  # side by side


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": torch.zeros(8, dtype=torch.long)}, "one group"),
        ({"batch_size": 1}, "two rows"),
        ({"groups": torch.tensor([1])}, "two rows"),
        ({"each": 0}, "two rows"),
        ({"each": 3}, "at least 6"),
        ({"each": 2, "apart": False}, "apart=True"),
    ],
)
def test_what_cannot_be_cut_into_batches_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        GroupedBatches(**{"groups": torch.arange(8), "batch_size": 4, "seed": 0, **settings})


def test_facts_tell_samplers_apart() -> None:
    first = GroupedBatches(torch.tensor([7, 7, 9, 9]), 2, 0)
    assert first.facts == GroupedBatches(torch.tensor([1, 1, 2, 2]), 2, 0).facts  # the same groups, renamed
    assert first.facts != GroupedBatches(torch.tensor([7, 9, 9, 7]), 2, 0).facts
    assert first.facts != GroupedBatches(torch.tensor([7, 7, 9, 9]), 2, 0, apart=False).facts


def test_both_samplers_fit_the_loop() -> None:
    assert isinstance(ShuffledBatches(n_rows=4, batch_size=2, seed=0), Batches)
    assert isinstance(GroupedBatches(torch.arange(4), 2, 0), Batches)


def test_shares_are_equal_and_apart() -> None:
    rows = torch.arange(11)
    parts = [share(rows, rank=rank, world_size=3) for rank in range(3)]
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert torch.equal(share(rows, rank=0, world_size=1), rows)
    with pytest.raises(DataError, match="cannot be shared by 12"):
        share(rows, rank=0, world_size=12)


def test_a_large_table_is_cut_up_at_once() -> None:
    groups = torch.arange(200_000) // 5
    batches = GroupedBatches(groups, 256, 0)
    batch = batches.rows(400)
    assert len(groups[batch].unique()) == len(batch)
    assert batches.per_epoch == 782
