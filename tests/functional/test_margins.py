"""Margins against naive loops, their known answers, and what must not change them."""

import math
from inspect import unwrap

import pytest
import torch
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.margins import (
    Side,
    largest_safe_temperature,
    margins,
    require_unit,
    zero_shot_margins,
)
from awase.functional.retrieval import ranks, recall_at_k
from awase.functional.similarity import normalize


def _vectors(n: int, seed: int, *, d: int = 16, dtype: torch.dtype = torch.float64) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=draws, dtype=dtype))


def _captioned(n: int = 30, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Images with one to three captions each, in mixed order; captions lie near their image."""
    images = _vectors(n, 0, dtype=dtype)
    draws = torch.Generator().manual_seed(1)
    owner = torch.cat([torch.arange(n), torch.randint(n, (n,), generator=draws)])
    owner = owner[torch.randperm(len(owner), generator=draws)]
    return images, normalize(images[owner] + _vectors(len(owner), 2, dtype=dtype) * 1.6), owner


def _naive(images: Tensor, texts: Tensor, owner: Tensor, groups: Tensor) -> tuple[list[float], list[float]]:
    """m_i = cos_ii - max over wrong j, by two loops; of several captions the best one counts."""
    cosine = (images @ texts.T).tolist()
    of_image, of_text = [], []
    for i in range(len(images)):
        own = max(cosine[i][j] for j in range(len(texts)) if owner[j] == i)
        wrong = max(cosine[i][j] for j in range(len(texts)) if groups[owner[j]] != groups[i])
        of_image.append(own - wrong)
    for j in range(len(texts)):
        i = int(owner[j])
        wrong = max(cosine[o][j] for o in range(len(images)) if groups[o] != groups[i])
        of_text.append(cosine[i][j] - wrong)
    return of_image, of_text


@pytest.mark.parametrize("n_groups", [None, 5])
def test_it_is_the_naive_loop(n_groups: int | None) -> None:
    images, texts, owner = _captioned()
    groups = None if n_groups is None else torch.arange(len(images)) % n_groups
    found = margins(images, texts, image_of_text=owner, groups=groups)
    of_image, of_text = _naive(images, texts, owner, torch.arange(len(images)) if groups is None else groups)
    torch.testing.assert_close(found.image_to_text.margin, torch.tensor(of_image, dtype=torch.float64))
    torch.testing.assert_close(found.text_to_image.margin, torch.tensor(of_text, dtype=torch.float64))


def test_the_nearest_wrong_item_is_the_one_of_the_margin() -> None:
    images, texts, owner = _captioned()
    found = margins(images, texts, image_of_text=owner)
    side = found.image_to_text
    cosine = (images * texts[side.nearest_wrong]).sum(dim=1)
    torch.testing.assert_close(side.own - cosine, side.margin)
    assert bool((owner[side.nearest_wrong] != torch.arange(len(images))).all())
    side = found.text_to_image
    torch.testing.assert_close(side.own - (texts * images[side.nearest_wrong]).sum(dim=1), side.margin)
    assert bool((side.nearest_wrong != owner).all())


@pytest.mark.parametrize("block_size", [1, 7, 256, 30])
@pytest.mark.parametrize("grouped", [False, True])
def test_blocks_and_the_whole_give_one_answer(block_size: int, grouped: bool) -> None:
    images, texts, owner = _captioned()
    groups = torch.arange(len(images)) % 4 if grouped else None
    whole = margins(images, texts, image_of_text=owner, groups=groups)
    parts = margins(images, texts, image_of_text=owner, groups=groups, block_size=block_size)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.margin, other.margin, rtol=0, atol=1e-12)
        assert torch.equal(one.nearest_wrong, other.nearest_wrong)


def test_the_share_not_above_0_is_one_minus_recall_at_1() -> None:
    images, texts, owner = _captioned()
    found, places = margins(images, texts, image_of_text=owner), ranks(images, texts, image_of_text=owner)
    for side, rank in zip(found, places, strict=True):
        missed = (side.margin <= 0).double().mean()
        assert 0 < float(missed) < 1
        torch.testing.assert_close(missed, 1 - recall_at_k(rank, k=1))


def test_identical_embeddings_have_no_margin_and_orthonormal_ones_have_1() -> None:
    same = torch.tensor([[0.6, 0.8]] * 5)
    for side in margins(same, same):
        assert torch.equal(side.margin, torch.zeros(5))
    for side in margins(torch.eye(4), torch.eye(4)):
        assert torch.equal(side.margin, torch.ones(4))


def test_what_differs_by_rounding_alone_is_a_tie_and_no_more() -> None:
    u = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    for turn, expected in ((1e-4, 0.0), (1e-2, 5e-5)):  # cosines of 1 - 5e-9 and 1 - 5e-5
        texts = torch.tensor([[math.cos(turn), math.sin(turn)], [1.0, 0.0]])
        found = margins(u, texts).image_to_text.margin
        torch.testing.assert_close(found, torch.tensor([-expected, expected]), rtol=1e-2, atol=0)
        off = texts.clone()
        off[1, 0] -= 1e-6  # the last bits of a product
        assert (margins(u, off).image_to_text.margin[0] == 0) == (expected == 0)


def test_duplicate_captions_are_ties_also_after_a_rotation_in_float32() -> None:
    """Rounding differs from column to column of a matrix product, and must not decide a tie."""
    images = _vectors(300, 3, d=128, dtype=torch.float32)
    texts = images.clone()
    texts[1::2] = texts[::2]  # every caption stands twice, with two different images
    turn = torch.linalg.qr(torch.randn(128, 128, generator=torch.Generator().manual_seed(4))).Q
    for side in (images, texts), (normalize(images @ turn), normalize(texts @ turn)):
        found = margins(*side, block_size=37).image_to_text
        assert int((found.margin[::2] == 0).sum()) == 150


def test_groups_take_true_positives_out_of_the_wrong_ones() -> None:
    """Two pairs of one label lie on top of each other: no margin, unless the label is known."""
    features = torch.eye(3)[[0, 0, 1]]
    labels = torch.tensor([0, 0, 1])
    assert margins(features, features).image_to_text.margin.tolist() == [0.0, 0.0, 1.0]
    assert margins(features, features, groups=labels).image_to_text.margin.tolist() == [1.0, 1.0, 1.0]


def test_a_rotation_or_another_order_changes_nothing() -> None:
    images, texts, owner = _captioned()
    before = margins(images, texts, image_of_text=owner)
    turn = torch.linalg.qr(_vectors(16, 9)).Q
    for one, other in zip(before, margins(images @ turn, texts @ turn, image_of_text=owner), strict=True):
        torch.testing.assert_close(one.margin, other.margin)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))
    text_order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(6))
    moved = margins(images[order], texts[text_order], image_of_text=order.argsort()[owner][text_order])
    torch.testing.assert_close(moved.image_to_text.margin, before.image_to_text.margin[order])
    torch.testing.assert_close(moved.text_to_image.margin, before.text_to_image.margin[text_order])


def test_half_precision_is_accumulated_in_float32() -> None:
    images, texts, owner = _captioned(dtype=torch.float32)
    half = margins(images.half(), texts.half(), image_of_text=owner).image_to_text.margin
    assert half.dtype == torch.float32
    exact = margins(images.half().double(), texts.half().double(), image_of_text=owner).image_to_text.margin
    torch.testing.assert_close(half.double(), exact, rtol=0, atol=1e-6)


def test_what_is_refused() -> None:
    u = torch.eye(3)
    users = unwrap(margins)  # without the hook of the tests, which refuses shapes by itself
    with pytest.raises(ShapeError, match="3 images came with 2 texts"):
        margins(u, u[:2])
    with pytest.raises(ShapeError, match="3 texts came with 2 owners"):
        users(u, u, image_of_text=torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="width 3, text vectors 2"):
        users(u, torch.eye(2))
    with pytest.raises(ShapeError, match="2 groups"):
        users(u, u, groups=torch.tensor([0, 1]))
    with pytest.raises(DataError, match="at least two images, got 1"):
        margins(u[:1], u[:1])
    with pytest.raises(DataError, match="at least two groups"):
        margins(u, u, groups=torch.zeros(3, dtype=torch.long))
    with pytest.raises(DataError, match="every image needs at least one text"):
        margins(u, u, image_of_text=torch.tensor([0, 1, 1]))
    with pytest.raises(DataError, match="every text an image"):
        margins(u, u, image_of_text=torch.tensor([0, 1, 3]))
    with pytest.raises(DataError, match="block_size"):
        margins(u, u, block_size=0)
    for value in (0.0, math.nan, 2.0):
        broken = u.clone()
        broken[1, 1] = value
        with pytest.raises(DataError, match=r"text features .* rows 1;"):
            margins(u, broken)


def test_bad_rows_are_named_and_the_list_is_cut() -> None:
    with pytest.raises(DataError, match=r"rows 0, 1, 2, 3, 4, \.\.\.;"):
        require_unit(torch.zeros(9, 4), "image")


def test_zero_shot_margins_and_their_errors() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.3, 0.1], [0.5, 0.1, 0.2]])
    found = zero_shot_margins(similarity, torch.tensor([0, 1, 2]))
    torch.testing.assert_close(found.margin, torch.tensor([0.7, 0.0, -0.3]))
    assert found.nearest_wrong.tolist() == [2, 0, 0]
    assert isinstance(found, Side)
    error = (similarity.argmax(dim=1) != torch.tensor([0, 1, 2])).double().mean()
    assert float((found.margin <= 0).double().mean()) == float(error)
    with pytest.raises(DataError, match="two classes"):
        zero_shot_margins(similarity[:, :1], torch.zeros(3, dtype=torch.long))
    with pytest.raises(DataError, match=r"0 \.\. 2"):
        zero_shot_margins(similarity, torch.tensor([0, 1, 3]))
    with pytest.raises(DataError, match="NaN"):
        zero_shot_margins(similarity * math.nan, torch.tensor([0, 1, 2]))
    with pytest.raises(ShapeError, match="3 images came with 2 labels"):
        unwrap(zero_shot_margins)(similarity, torch.tensor([0, 1]))


def test_the_largest_safe_temperature_is_where_the_check_holds_with_equality() -> None:
    tau = largest_safe_temperature(0.3, 64, 0.1)
    assert tau == pytest.approx(0.3 / math.log(2 * 64 / 0.1), rel=1e-12)
    # wrong pairs at this margin: 2 B exp(-margin / tau) is delta
    assert 2 * 64 * math.exp(-0.3 / tau) == pytest.approx(0.1)
    for margin in (0.0, -0.2):
        assert largest_safe_temperature(margin, 64, 0.1) is None
    for arguments in ((0.1, 0, 0.1), (0.1, 8, 0.0), (0.1, 8, 1.0), (math.nan, 8, 0.1)):
        with pytest.raises(DataError):
            largest_safe_temperature(*arguments)
