"""The first k in blocks against a stable sort of everything, with ties at the k-th place."""

import pytest
import torch

from awase.errors import DataError
from awase.functional import top_k as module
from awase.functional.similarity import normalize
from awase.functional.top_k import top_k


@pytest.mark.parametrize("block_size", [1, 7, 40, 1000])
@pytest.mark.parametrize("k", [1, 3, 40, 99])
@pytest.mark.parametrize("is_whole", [True, False])
def test_it_is_a_stable_sort(
    block_size: int, k: int, is_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUERIES", 5)
    generator = torch.Generator().manual_seed(k)
    if is_whole:
        queries = torch.randint(-1, 2, (17, 3), generator=generator).float()
        items = torch.randint(-1, 2, (83, 3), generator=generator).float()
    else:
        queries = normalize(torch.randn(17, 8, generator=generator))
        items = normalize(torch.randn(83, 8, generator=generator))[
            torch.randint(83, (83,), generator=generator)
        ]
    found = top_k(queries, items, k=k, block_size=block_size)
    scores, indices = (queries @ items.T).sort(dim=1, descending=True, stable=True)
    assert torch.equal(found.indices, indices[:, :k])
    assert torch.equal(found.scores, scores[:, :k])


def test_half_precision_gives_float32_scores() -> None:
    assert top_k(torch.eye(3).half(), torch.eye(3).half(), k=2).scores.dtype is torch.float32


def test_bad_input() -> None:
    eye = torch.eye(2)
    for arguments in ({"k": 0}, {"k": 1, "block_size": 0}):
        with pytest.raises(DataError, match="at least 1"):
            top_k(eye, eye, **arguments)
    with pytest.raises(DataError, match="NaN"):
        top_k(eye, torch.tensor([[1.0, 0.0], [torch.nan, 0.0]]), k=1)
