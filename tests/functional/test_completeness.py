"""The completeness curve and the transfer bound against their definitions."""

import math
from inspect import unwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.completeness import completeness_curve, transfer_bound
from awase.functional.similarity import normalize


def _vectors(n: int, seed: int, d: int = 8) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=draws, dtype=torch.float64))


def _case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    centres = _vectors(4, 0)
    groups = torch.arange(18) % 4
    images = normalize(centres[groups] + 0.7 * _vectors(18, 1))
    owner = torch.cat([torch.arange(18), torch.arange(7)])
    texts = normalize(centres[groups[owner]] + 0.7 * _vectors(25, 2))
    return images, texts, owner, groups


GAMMAS = (-0.2, 0.0, 0.1, 0.4, 0.8, 1.2)


def test_alpha_is_the_double_loop_over_pairs_of_pairs() -> None:
    images, texts, owner, groups = _case()
    found = completeness_curve(images, texts, image_of_text=owner, groups=groups, gammas=GAMMAS)
    labels = groups[owner].tolist()
    paired = images[owner]
    cosine = (paired @ texts.T).tolist()  # [image of pair i][text of pair j]
    violations = dict.fromkeys(GAMMAS, 0)
    n = 0
    for i in range(25):
        for j in range(25):
            if labels[i] == labels[j]:
                continue
            n += 1
            for gamma in GAMMAS:
                limit = cosine[i][i] - gamma
                violations[gamma] += not (cosine[j][i] <= limit and cosine[i][j] <= limit)
    assert found.n_cross == n
    assert found.alphas == pytest.approx([violations[gamma] / n for gamma in GAMMAS], abs=1e-12)
    assert 0 < found.alphas[2] < found.alphas[4] < 1


def test_beta_is_the_mean_variance_within_a_label() -> None:
    images, texts, owner, groups = _case()
    found = completeness_curve(images, texts, image_of_text=owner, groups=groups, gammas=GAMMAS)
    labels = groups[owner]
    over_images = [(images[groups == labels[j]] @ texts[j]).var() for j in range(25)]
    over_texts = [(texts[labels == groups[i]] @ images[i]).var() for i in range(18)]
    assert found.beta_images == pytest.approx(float(torch.stack(over_images).mean()))
    assert found.beta_texts == pytest.approx(float(torch.stack(over_texts).mean()))


def test_labels_with_one_member_have_no_variance_and_are_left_out() -> None:
    images, texts = _vectors(4, 3), _vectors(4, 4)
    groups = torch.tensor([5, 5, 2, 9])
    found = completeness_curve(images, texts, groups=groups, gammas=GAMMAS)
    expected = torch.stack([(images[:2] @ texts[j]).var() for j in range(2)]).mean()
    assert found.beta_images == pytest.approx(float(expected))
    alone = completeness_curve(images, texts, gammas=GAMMAS)
    assert alone.beta_images is None
    assert alone.beta_texts is None
    assert alone.n_cross == 12


def test_captions_of_one_image_are_the_texts_of_one_label() -> None:
    images, texts, owner, _ = _case()
    found = completeness_curve(images, texts, image_of_text=owner, gammas=GAMMAS)
    expected = torch.stack([(texts[owner == i] @ images[i]).var() for i in range(7)]).mean()
    assert found.beta_images is None
    assert found.beta_texts == pytest.approx(float(expected))


@pytest.mark.parametrize("block_size", [1, 7, 256, 25])
def test_blocks_and_the_whole_give_one_answer(block_size: int) -> None:
    images, texts, owner, groups = _case()
    whole = completeness_curve(images, texts, image_of_text=owner, groups=groups)
    parts = completeness_curve(images, texts, image_of_text=owner, groups=groups, block_size=block_size)
    assert parts.alphas == pytest.approx(whole.alphas, abs=1e-12)
    assert (parts.n_cross, parts.beta_images) == (whole.n_cross, pytest.approx(whole.beta_images))


def test_perfect_features_are_complete_up_to_their_margin() -> None:
    """One orthonormal direction a label: alpha is 0 up to and with gamma 1, and beta is 0."""
    features = torch.eye(3).repeat(4, 1)
    found = completeness_curve(features, features, groups=torch.arange(3).repeat(4), gammas=(0.0, 1.0, 1.01))
    assert found.alphas == (0.0, 0.0, 1.0)
    assert (found.beta_images, found.beta_texts) == (0.0, 0.0)


def test_identical_features_violate_every_positive_margin() -> None:
    same = torch.tensor([[0.6, 0.8]] * 4)
    found = completeness_curve(same, same, gammas=(-0.1, 0.0, 0.01))
    assert found.alphas == (0.0, 0.0, 1.0)


def test_a_rotation_or_another_order_changes_nothing() -> None:
    images, texts, owner, groups = _case()
    before = completeness_curve(images, texts, image_of_text=owner, groups=groups)
    turn = torch.linalg.qr(_vectors(8, 9)).Q
    turned = completeness_curve(images @ turn, texts @ turn, image_of_text=owner, groups=groups)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    moved = completeness_curve(images, texts[order], image_of_text=owner[order], groups=groups)
    for other in (turned, moved):
        assert other.alphas == pytest.approx(before.alphas, abs=1e-12)
        assert other.beta_images == pytest.approx(before.beta_images)
        assert other.beta_texts == pytest.approx(before.beta_texts)


def test_curves_refuse() -> None:
    u = torch.eye(3)
    with pytest.raises(DataError, match="at least two groups"):
        completeness_curve(u, u, groups=torch.zeros(3, dtype=torch.long))
    with pytest.raises(DataError, match="rising order"):
        completeness_curve(u, u, gammas=(0.1, 0.1))
    with pytest.raises(DataError, match="rising order"):
        completeness_curve(u, u, gammas=())
    with pytest.raises(ShapeError, match="2 owners and 3 groups"):
        unwrap(completeness_curve)(u, u, image_of_text=torch.tensor([0, 1]))
    with pytest.raises(DataError, match="every image needs"):
        completeness_curve(u, u[:2])
    with pytest.raises(DataError, match="every image needs"):
        completeness_curve(u, u, image_of_text=torch.tensor([0, 0, 1]))
    with pytest.raises(DataError, match="unit vectors"):
        completeness_curve(u, u * 2)
    with pytest.raises(DataError, match="block_size"):
        completeness_curve(u, u, block_size=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.005, 10), st.sampled_from([0, 1, 3]))
def test_the_bound_holds_for_any_scores(seed: int, r: int, temperature: float, decimals: int) -> None:
    """Spec section 9, item 3, on scores with many ties (few decimals) and without."""
    draws = torch.Generator().manual_seed(seed)
    scores = (torch.rand(17, 5, generator=draws, dtype=torch.float64) * 2 - 1).round(decimals=decimals)
    labels = torch.randint(5, (17,), generator=draws)
    found = transfer_bound(scores, labels, temperature=temperature, r=r)
    assert found.bound >= found.error - 1e-12
    ahead = [
        sum(row[k] >= row[y] for k in range(5) if k != y)
        for row, y in zip(scores.tolist(), labels, strict=True)
    ]
    assert found.error == pytest.approx(sum(a >= r for a in ahead) / 17)
    sums = [
        math.log(sum(math.exp((s - row[y]) / temperature) for s in row))
        for row, y in zip(scores.tolist(), labels.tolist(), strict=True)
    ]
    assert found.bound == pytest.approx(sum(sums) / 17 / math.log(1 + r))


def test_the_bound_is_met_where_all_scores_are_equal() -> None:
    found = transfer_bound(torch.zeros(3, 4), torch.tensor([0, 1, 2]), temperature=0.01, r=3)
    assert found.bound == pytest.approx(1)
    assert found.error == 1


def test_bounds_refuse() -> None:
    scores, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    for temperature in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(DataError, match="temperature"):
            transfer_bound(scores, labels, temperature=temperature)
    with pytest.raises(DataError, match="r must"):
        transfer_bound(scores, labels, temperature=1.0, r=0)
    with pytest.raises(DataError, match="two classes"):
        transfer_bound(scores[:, :1], torch.zeros(2, dtype=torch.long), temperature=1.0)
