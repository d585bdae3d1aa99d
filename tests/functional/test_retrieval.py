"""Ranks against a naive sort, with many ties."""

import pytest
import torch

from awase.errors import DataError
from awase.functional import retrieval
from awase.functional.retrieval import ranks, recall_at_k


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


@pytest.mark.parametrize("cells", [1, 40, 8_000_000])
@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_a_sort(seed: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_CELLS", cells)
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


def test_bad_input() -> None:
    with pytest.raises(DataError, match="at least one text"):
        ranks(torch.eye(2), torch.eye(2), image_of_text=torch.tensor([0, 0]))
    with pytest.raises(DataError, match="NaN"):
        ranks(torch.eye(2) * torch.nan, torch.eye(2), image_of_text=torch.tensor([0, 1]))
    with pytest.raises(DataError, match="at least 1"):
        recall_at_k(torch.tensor([0]), k=0)
