"""One pass over blocks against a full sort of the whole similarity matrix."""

import pytest
import torch
from torch import Tensor

from awase.errors import DataError
from awase.functional import tiles
from awase.functional.placements import Placed, Placements, placements
from awase.functional.similarity import normalize


def _naive(similarity: Tensor, image_of_text: Tensor) -> Placements:
    """Sort every row and every column (stable, so the lower index wins) and look where the right ones are."""
    text_ranks = torch.zeros(len(image_of_text), dtype=torch.long)
    sides: list[list[tuple]] = [[], []]
    for i, row in enumerate(similarity.tolist()):
        order = sorted(range(len(row)), key=lambda j: -row[j])
        right = [j for j in order if image_of_text[j] == i]
        for j in right:
            text_ranks[j] = order.index(j)
        ties = sum(row[j] == row[right[0]] for j in range(len(row)) if image_of_text[j] != i)
        sides[0].append((order.index(right[0]), right[0], row[right[0]], order[0], row[order[0]], ties))
    for j, column in enumerate(similarity.T.tolist()):
        order = sorted(range(len(column)), key=lambda i: -column[i])
        own = int(image_of_text[j])
        ties = column.count(column[own]) - 1
        sides[1].append((order.index(own), own, column[own], order[0], column[order[0]], ties))
    placed = [
        Placed(*(torch.tensor(part, dtype=similarity.dtype if k in (2, 4) else torch.long)
                 for k, part in enumerate(zip(*side, strict=True))))
        for side in sides
    ]  # fmt: skip
    return Placements(placed[0], placed[1], text_ranks)


def _pairs(seed: int, kind: str, n: int = 23, m: int = 61) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    if kind == "whole":  # whole numbers: ties everywhere, and every sum is exact
        images = torch.randint(-1, 2, (n, 3), generator=generator).float()
        texts = torch.randint(-1, 2, (m, 3), generator=generator).float()
    else:  # equal vectors at different places: only they may tie
        images = normalize(torch.randn(n, 19, generator=generator))
        texts = normalize(
            images[torch.randint(n, (m,), generator=generator)] + torch.randn(m, 19, generator=generator)
        )
        images[torch.randint(n, (n // 2,), generator=generator)] = images[0].clone()
        texts[torch.randint(m, (m // 2,), generator=generator)] = texts[1].clone()
    owners = torch.cat([torch.arange(n), torch.randint(n, (m - n,), generator=generator)])
    return images, texts, owners[torch.randperm(m, generator=generator)]


def _same(found: Placements, other: Placements) -> None:
    for mine, theirs in zip(found[:2], other[:2], strict=True):
        for name in Placed._fields:
            assert torch.equal(getattr(mine, name), getattr(theirs, name)), name
    assert torch.equal(found.text_ranks, other.text_ranks)


@pytest.mark.parametrize("kind", ["whole", "equal"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block_size", [1, 7, 16, 61, 256])
def test_it_is_what_a_full_sort_says(kind: str, seed: int, block_size: int) -> None:
    images, texts, owners = _pairs(seed, kind)
    found = placements(images, texts, image_of_text=owners, every=True, block_size=block_size)
    _same(found, _naive(images @ texts.T, owners))


def test_larger_inputs_agree_with_argsort_and_equal_vectors_tie() -> None:
    images, texts, owners = _pairs(5, "equal", n=300, m=1500)
    found = placements(images, texts, image_of_text=owners, every=True, block_size=128)
    similarity = images @ texts.T
    forward = similarity.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    backward = similarity.T.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    assert torch.equal(found.text_ranks, forward[owners, torch.arange(1500)])
    assert torch.equal(found.text_to_image.ranks, backward[torch.arange(1500), owners])
    assert int((found.text_to_image.ties > 0).sum()) > 100


def test_everything_equal_is_all_ties_and_the_index_decides() -> None:
    same = torch.ones(5, 4) / 2
    found = placements(same, same, image_of_text=torch.arange(5))
    assert found.text_to_image.ranks.tolist() == [0, 1, 2, 3, 4]
    assert found.text_to_image.ties.tolist() == [4] * 5
    assert found.image_to_text.first.tolist() == [0] * 5


def test_right_texts_that_tie_with_each_other_are_no_ties() -> None:
    images = torch.eye(2)
    found = placements(images, images[[0, 0, 1]], image_of_text=torch.tensor([0, 0, 1]))
    assert found.image_to_text.ties.tolist() == [0, 0]
    assert found.image_to_text.right.tolist() == [0, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_added_up_in_float32(dtype: torch.dtype) -> None:
    images, texts, owners = _pairs(2, "equal")
    half = placements(images.to(dtype), texts.to(dtype), image_of_text=owners, every=True, block_size=20)
    _same(half, _naive(images.to(dtype).float() @ texts.to(dtype).float().T, owners))
    assert half.image_to_text.first_scores.dtype is torch.float32


def test_a_rotation_and_a_new_order_change_nothing() -> None:
    images, texts, owners = _pairs(3, "equal")
    images, texts = images.double(), texts.double()
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(19, 19, generator=generator, dtype=torch.float64)).Q
    plain = placements(images, texts, image_of_text=owners)
    # ties are left out: rounding decides between vectors that were equal before
    turned = placements(images @ turn, texts @ turn, image_of_text=owners)
    untied = plain.text_to_image.ties == 0
    assert torch.equal(plain.text_to_image.ranks[untied], turned.text_to_image.ranks[untied])
    order = torch.randperm(len(texts), generator=generator)
    moved = placements(images, texts[order], image_of_text=owners[order])
    assert torch.equal(moved.text_to_image.ranks, plain.text_to_image.ranks[order])


def test_no_tile_is_larger_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = tiles.tile

    def watched(images: Tensor, texts: Tensor, buffer: Tensor | None = None) -> Tensor:
        made = plain(images, texts, buffer)
        seen.append(made.shape)
        return made

    monkeypatch.setattr(tiles, "tile", watched)
    images, texts, owners = _pairs(0, "equal", n=100, m=230)
    placements(images, texts, image_of_text=owners, block_size=40)
    assert max(max(shape) for shape in seen) <= 40
    assert sum(b * c for b, c in seen) == 100 * 230  # every similarity once


def test_bad_input() -> None:
    eye = torch.eye(2)
    with pytest.raises(DataError, match="an image of the set"):
        placements(eye, eye, image_of_text=torch.tensor([0, 2]))
    with pytest.raises(DataError, match="an image of the set"):
        placements(eye, eye, image_of_text=torch.tensor([0, -1]))
    with pytest.raises(DataError, match="infinity"):
        placements(eye, eye / 0, image_of_text=torch.arange(2))
    with pytest.raises(DataError, match="block_size"):
        placements(eye, eye, image_of_text=torch.arange(2), block_size=0)
