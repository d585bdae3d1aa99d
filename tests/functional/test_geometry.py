"""Alignment, uniformity, gap and effective rank against naive forms and known answers."""

import math
from inspect import unwrap

import pytest
import torch
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.contrastive import regularizer
from awase.functional.geometry import alignment, effective_rank, modality_gap, uniformity
from awase.functional.margins import margins
from awase.functional.similarity import normalize


def _vectors(n: int, seed: int, d: int = 12) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=draws, dtype=torch.float64))


def test_alignment_is_the_mean_squared_distance_of_pairs() -> None:
    u, w, owner = _vectors(9, 0), _vectors(20, 1), torch.arange(20) % 9
    expected = sum(float((u[owner[j]] - w[j]).square().sum()) for j in range(20)) / 20
    assert alignment(u, w, image_of_text=owner) == pytest.approx(expected)
    assert alignment(u, w[:9]) == pytest.approx(float(regularizer(u, w[:9])))
    assert alignment(u, u) == 0
    assert alignment(u, -u) == pytest.approx(4)


@pytest.mark.parametrize("block_size", [1, 7, 256, 40, None])
def test_uniformity_is_the_double_loop_in_blocks_of_any_size(block_size: int | None) -> None:
    u = _vectors(40, 2)
    kernel = [
        math.exp(-2 * float((u[i] - u[j]).square().sum())) for i in range(40) for j in range(40) if i != j
    ]
    assert uniformity(u, block_size=block_size) == pytest.approx(
        math.log(sum(kernel) / len(kernel)), rel=1e-9
    )


def test_uniformity_of_known_sets() -> None:
    assert uniformity(torch.tensor([[1.0, 0.0]] * 4)) == pytest.approx(0, abs=1e-6)
    assert uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), sharpness=3) == pytest.approx(-12)


def test_drawn_pairs_come_near_and_never_pair_a_row_with_itself() -> None:
    u = _vectors(200, 3)
    drawn = uniformity(u, n_pairs=20_000, generator=torch.Generator().manual_seed(0))
    assert drawn == pytest.approx(uniformity(u), abs=0.02)
    apart = torch.eye(3, dtype=torch.float64)
    assert uniformity(apart, n_pairs=500, generator=torch.Generator().manual_seed(0)) == pytest.approx(-4)


def test_the_gap_is_the_distance_of_the_means() -> None:
    u, w = _vectors(9, 4), _vectors(5, 5)
    assert modality_gap(u, w) == pytest.approx(float((u.mean(dim=0) - w.mean(dim=0)).norm()))
    assert modality_gap(u, u) == 0


def test_effective_rank_counts_directions() -> None:
    assert effective_rank(torch.tensor([[0.6, 0.8]] * 5)) == 0
    line = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    assert effective_rank(line) == pytest.approx(1)
    plane = torch.eye(4)[[0, 1]]
    assert effective_rank(torch.cat([plane, -plane])) == pytest.approx(2)
    draws = torch.Generator().manual_seed(0)
    u = normalize(torch.randn(4000, 6, generator=draws))
    assert 5.9 < effective_rank(u) <= 6 + 1e-9
    # the entropy of the spectrum, from numbers
    covariance = torch.cov(u.double().T, correction=0)
    share = torch.linalg.eigvalsh(covariance)
    share = share / share.sum()
    assert effective_rank(u) == pytest.approx(math.exp(-float((share * share.log()).sum())))


def test_a_rotation_changes_none_of_them() -> None:
    u, w = _vectors(30, 6), _vectors(30, 7)
    turn = torch.linalg.qr(_vectors(12, 8)).Q
    for a, b in (((u, w), (u @ turn, w @ turn)),):
        assert alignment(*a) == pytest.approx(alignment(*b))
        assert modality_gap(*a) == pytest.approx(modality_gap(*b))
        assert uniformity(a[0]) == pytest.approx(uniformity(b[0]))
        assert effective_rank(a[0]) == pytest.approx(effective_rank(b[0]))


def test_a_constant_direction_changes_the_gap_and_can_leave_recall() -> None:
    """Spec section 9, item 5: images get one more, common direction; every rank stays, the gap does not."""
    u = torch.cat([torch.eye(5), torch.zeros(5, 1)], dim=1)
    moved = normalize(u + torch.tensor([0, 0, 0, 0, 0, 1.0]))
    assert modality_gap(u, u) == 0
    assert modality_gap(moved, u) > 0.5
    for side in margins(moved, u):
        assert bool((side.margin > 0).all())


def test_what_is_refused() -> None:
    u = torch.eye(3)
    with pytest.raises(ShapeError):
        alignment(u, u[:2])
    with pytest.raises(DataError):
        alignment(u[:0], u[:0])
    with pytest.raises(DataError, match="at least 2"):
        uniformity(u[:1])
    with pytest.raises(DataError, match="generator"):
        uniformity(u, n_pairs=5)
    with pytest.raises(DataError, match="positive"):
        uniformity(u, sharpness=0.0)
    with pytest.raises(DataError, match="at least 2"):
        effective_rank(u[:1])
    with pytest.raises(ShapeError, match="widths 3 and 2"):
        unwrap(modality_gap)(u, torch.eye(2))
    with pytest.raises(DataError, match="at least 1"):
        modality_gap(u[:0], u)
