"""False negatives and the loss floor against the binomial sum, the printed figures and simulation."""

import math
from inspect import unwrap

import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.contrastive import info_nce, multi_positive_info_nce
from awase.functional.false_negatives import (
    any_false_negative,
    batch_loss_floor,
    expected_false_negatives,
    frequencies,
    loss_floor,
    measured_false_negatives,
)


def _uniform(k: int) -> Tensor:
    return torch.full((k,), 1 / k, dtype=torch.float64)


@pytest.mark.parametrize(
    ("k", "batch_size", "some", "floor"),
    [
        (100, 64, "0.469", "0.387"),
        (1000, 64, "0.061", "0.043"),
        (1000, 512, "0.400", "0.320"),
        (100, 512, "0.994", "1.734"),
        (10, 64, "0.999", "1.929"),
    ],
)
def test_the_figures_of_equally_likely_features(k: int, batch_size: int, some: str, floor: str) -> None:
    p = _uniform(k)
    assert f"{any_false_negative(p, batch_size):.3f}" == some
    assert f"{loss_floor(p, batch_size):.3f}" == floor
    assert expected_false_negatives(p, batch_size) == pytest.approx((batch_size - 1) / k)
    # the same in single precision, as features deliver it
    assert f"{loss_floor(p.float(), batch_size):.3f}" == floor


def _sum(p: Tensor, batch_size: int) -> float:
    """sum_k p_k sum_x log(1 + x) Bin(x; B - 1, p_k), as written."""
    return sum(
        q * sum(math.log1p(x) * binom.pmf(x, batch_size - 1, q) for x in range(batch_size))
        for q in p.tolist()
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 50])
@pytest.mark.parametrize("p", [[1.0], [0.5, 0.5], [0.9, 0.09, 0.01], [0.999999, 1e-6]])
def test_the_quadrature_is_the_binomial_sum(p: list[float], batch_size: int) -> None:
    probabilities = torch.tensor(p, dtype=torch.float64)
    assert loss_floor(probabilities, batch_size) == pytest.approx(_sum(probabilities, batch_size), rel=1e-12)


def test_large_batches_and_rare_features_keep_their_digits() -> None:
    # a rare feature: E log(1 + X) -> log 2 * (B - 1) p
    p = torch.tensor([1e-12, 1 - 1e-12], dtype=torch.float64)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert loss_floor(p, 3, weights=weights) == pytest.approx(math.log(2) * 2e-12, rel=1e-9)
    # everything the same: log B, at any B
    for batch_size in (2, 10**4, 10**9):
        assert loss_floor(torch.ones(1), batch_size) == pytest.approx(math.log(batch_size), rel=1e-12)
    # X concentrates: log of its mean, less var / (2 mean^2)
    batch, q = 10**7, 0.3
    mean = 1 + (batch - 1) * q
    expected = math.log(mean) - (batch - 1) * q * (1 - q) / (2 * mean**2)
    assert loss_floor(torch.tensor([q, 1 - q], dtype=torch.float64), batch, weights=weights) == pytest.approx(
        expected, rel=1e-12
    )


def test_the_measured_rate_of_simulated_features_lies_within_three_sigma() -> None:
    k, batch_size, n_batches = 100, 64, 400
    draws = torch.Generator().manual_seed(0)
    hits = torch.zeros(n_batches, dtype=torch.float64)
    floors = torch.zeros(n_batches, dtype=torch.float64)
    for i in range(n_batches):  # z drawn anew for every batch: independent, as the formula says
        z = torch.randint(k, (batch_size,), generator=draws)
        hits[i] = (torch.bincount(z, minlength=k)[z] > 1).double().mean()
        floors[i] = batch_loss_floor(z)
    for measured, expected in (
        (hits, 1 - (1 - 1 / k) ** (batch_size - 1)),
        (floors, loss_floor(_uniform(k), batch_size)),
    ):
        sigma = float(measured.std()) / math.sqrt(n_batches)
        assert abs(float(measured.mean()) - expected) < 3 * sigma


def test_batches_that_were_drawn_agree_with_the_formulas_where_rows_are_many() -> None:
    draws = torch.Generator().manual_seed(1)
    z = torch.randint(10, (20_000,), generator=draws)
    found = measured_false_negatives(z, 32, n_batches=300, generator=torch.Generator().manual_seed(2))
    p = frequencies(z)
    assert found.expected == pytest.approx(expected_false_negatives(p, 32), rel=0.03)
    assert found.any == pytest.approx(any_false_negative(p, 32), rel=0.01)
    assert found.floor == pytest.approx(loss_floor(p, 32), rel=0.02)
    again = measured_false_negatives(z, 32, n_batches=300, generator=torch.Generator().manual_seed(2))
    assert found == again


def test_a_whole_epoch_in_one_batch_is_its_own_floor() -> None:
    z = torch.tensor([0, 0, 1, 2, 2, 2])
    found = measured_false_negatives(z, 6, n_batches=2, generator=torch.Generator().manual_seed(0))
    assert found.floor == pytest.approx(batch_loss_floor(z))
    assert found.expected == pytest.approx((2 * 1 + 0 + 3 * 2) / 6)
    assert found.any == pytest.approx(5 / 6)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_info_nce_of_perfect_features_sinks_to_log_m_and_no_lower(m: int) -> None:
    """Spec section 9, item 4: every pair duplicated m times; several positives remove the floor."""
    features = torch.eye(6, dtype=torch.float64).repeat(m, 1)
    groups = torch.arange(6).repeat(m)
    assert batch_loss_floor(groups) == pytest.approx(math.log(m), rel=1e-12)
    losses = [float(info_nce(features, features, logit_scale=s)) for s in (5.0, 20.0, 50.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(math.log(m), rel=1e-12)
    several = multi_positive_info_nce(features, features, logit_scale=50.0, groups=groups)
    assert float(several) == pytest.approx(0, abs=1e-12)


def test_weights_stand_for_how_often_an_anchor_occurs() -> None:
    rates, weights = torch.tensor([0.1, 0.0]), torch.tensor([0.5, 0.5])
    assert expected_false_negatives(rates, 11, weights=weights) == pytest.approx(0.5)
    assert any_false_negative(rates, 3, weights=weights) == pytest.approx(0.5 * (1 - 0.9**2))


def test_what_is_refused() -> None:
    p = _uniform(4)
    for function in (expected_false_negatives, any_false_negative, loss_floor):
        with pytest.raises(DataError, match="batch_size"):
            function(p, 0)
        with pytest.raises(DataError, match="sum to 1, got 2"):
            function(torch.cat([p, p]), 8)
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            function(torch.tensor([1.5, -0.5]), 8)
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            function(torch.tensor([math.nan, 1.0]), 8)
        with pytest.raises(ShapeError, match="4 probabilities came with 1 weights"):
            unwrap(function)(p, 8, weights=torch.ones(1))
        with pytest.raises(DataError, match="weights must sum to 1"):
            function(p, 8, weights=torch.ones(4))
    draws = torch.Generator()
    with pytest.raises(DataError, match="batch of 5 cannot be drawn from 4 rows"):
        measured_false_negatives(torch.arange(4), 5, generator=draws)
    assert loss_floor(p, 5) > 0  # the closed formula still works
    with pytest.raises(DataError, match="n_batches"):
        measured_false_negatives(torch.arange(4), 2, n_batches=0, generator=draws)
    with pytest.raises(DataError, match="no rows"):
        frequencies(torch.zeros(0, dtype=torch.long))
