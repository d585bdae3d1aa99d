"""Ranks, recall, median, mAP@R and rsum against naive sorts, with many ties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awase.errors import DataError
from awase.functional.retrieval import (
    Ranks,
    average_precision_at_r,
    map_at_r,
    median_rank,
    ranks,
    recall_at_k,
    rsum,
)


def _naive(images, texts, image_of_text):
    """Sort all items for every query; Python's sort is stable, so the lower index wins."""
    similarity = images @ texts.T
    forward, backward = [], []
    for i, row in enumerate(similarity.tolist()):
        order = sorted(range(len(row)), key=lambda j: -row[j])
        forward.append(next(place for place, j in enumerate(order) if image_of_text[j] == i))
    for j, column in enumerate(similarity.T.tolist()):
        order = sorted(range(len(column)), key=lambda i: -column[i])
        backward.append(order.index(int(image_of_text[j])))
    return forward, backward


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_a_sort(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(-1, 2, (9, 4), generator=generator).double()  # whole numbers: ties everywhere
    texts = torch.randint(-1, 2, (31, 4), generator=generator).double()
    image_of_text = torch.cat([torch.arange(9), torch.randint(9, (22,), generator=generator)])
    found = ranks(images, texts, image_of_text=image_of_text)
    forward, backward = _naive(images, texts, image_of_text)
    assert found.image_to_text.tolist() == forward
    assert found.text_to_image.tolist() == backward


def test_recall_rises_with_k() -> None:
    found = torch.tensor([0, 2, 5])
    assert [round(float(recall_at_k(found, k=k)), 3) for k in (1, 3, 6)] == [0.333, 0.667, 1.0]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_the_median_rank_counts_from_one(found: list[int]) -> None:
    ordered = sorted(found)
    half = len(ordered) // 2
    naive = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    assert median_rank(torch.tensor(found)) == naive + 1


def _naive_map(order: list[int], right: set[int]) -> float:
    """AP@R of one query as Musgrave et al. 2020 (arXiv 2003.08505), section 3.2 write it."""
    total = 0.0
    for i in range(1, len(right) + 1):
        if order[i - 1] in right:
            total += sum(item in right for item in order[:i]) / i
    return total / len(right)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_map_at_r_is_that_of_the_paper(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, m = 4, 13
    query = torch.cat([torch.arange(n), torch.randint(n, (m - n,), generator=generator)])
    orders = [torch.randperm(m, generator=generator).tolist() for _ in range(n)]
    found = torch.tensor([orders[int(query[j])].index(j) for j in range(m)])
    naive = [_naive_map(orders[i], {j for j in range(m) if query[j] == i}) for i in range(n)]
    assert average_precision_at_r(found, query=query, n=n).tolist() == pytest.approx(naive, abs=1e-12)
    assert float(map_at_r(found, query=query, n=n)) == pytest.approx(sum(naive) / n, abs=1e-12)


def test_with_one_right_item_map_at_r_is_the_hit_at_one() -> None:
    found = torch.tensor([0, 1, 0, 7])
    assert float(map_at_r(found, query=torch.arange(4), n=4)) == float(recall_at_k(found, k=1)) == 0.5


def test_right_items_beyond_the_first_r_count_nothing() -> None:
    # both right items stand third and fourth: recall at 5 is 1, mAP@R is 0
    assert float(map_at_r(torch.tensor([2, 3]), query=torch.tensor([0, 0]), n=1)) == 0.0


def test_rsum_is_six_hundred_at_best_and_adds_up_the_recalls() -> None:
    assert rsum(Ranks(torch.zeros(3, dtype=torch.long), torch.zeros(9, dtype=torch.long))) == 600.0
    mixed = Ranks(torch.tensor([0, 4]), torch.tensor([9, 10]))
    assert rsum(mixed) == pytest.approx(50 + 100 + 100 + 0 + 0 + 50)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="at least one text"):
        ranks(torch.eye(2), torch.eye(2), image_of_text=torch.tensor([0, 0]))
    with pytest.raises(DataError, match="NaN"):
        ranks(torch.eye(2) * torch.nan, torch.eye(2), image_of_text=torch.tensor([0, 1]))
    with pytest.raises(DataError, match="at least 1"):
        recall_at_k(torch.tensor([0]), k=0)
    with pytest.raises(DataError, match="at least one query"):
        median_rank(torch.zeros(0, dtype=torch.long))
    with pytest.raises(DataError, match="needs at least one right item"):
        map_at_r(torch.tensor([0]), query=torch.tensor([0]), n=2)
    with pytest.raises(DataError, match="must lie in"):
        map_at_r(torch.tensor([0]), query=torch.tensor([3]), n=2)
    with pytest.raises(DataError, match="at least one query"):
        map_at_r(torch.zeros(0, dtype=torch.long), query=torch.zeros(0, dtype=torch.long), n=0)
    with pytest.raises(DataError, match="at least one k"):
        rsum(Ranks(torch.tensor([0]), torch.tensor([0])), ks=())
