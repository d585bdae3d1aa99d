import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awase.errors import DataError
from awase.functional import detection_bootstrap
from awase.functional.detection import CONVENTIONS, aupr, auroc, fpr_at_tpr
from awase.functional.detection_bootstrap import (
    LIMIT,
    METRICS,
    level_scores,
    metrics_of_counts,
    metrics_of_levels,
    multinomial_counts,
    resampled_metrics,
    slack,
)

COUNTS = st.lists(st.integers(0, 3), min_size=8, max_size=8).filter(any)
SIDE = st.lists(st.integers(-9, 9), min_size=1, max_size=40)
TPR = st.sampled_from([0.01, 0.25, 0.3, 0.5, 0.55, 0.75, 0.95, 1.0])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, shift, seed):
    return torch.randn(n, generator=seeded(seed), dtype=torch.float64) + shift


def one_by_one(known, unknown, tpr, convention):
    """Every metric by the functions that make the point values."""
    sides = {"id_scores": known, "ood_scores": unknown}
    fpr, threshold = fpr_at_tpr(**sides, tpr=tpr, convention=convention)
    return {
        "auroc": auroc(**sides),
        "aupr_in": aupr(**sides),
        "aupr_out": aupr(**sides, positive="ood"),
        "fpr": fpr,
        "threshold": threshold,
    }


@settings(deadline=None, max_examples=100)
@given(COUNTS, COUNTS, TPR, st.sampled_from(sorted(CONVENTIONS)))
def test_counts_are_repeated_samples(known, unknown, tpr, convention):
    """Also where a level was drawn by neither side, as happens in a resample."""
    upper = torch.arange(8, dtype=torch.float64) / 7
    ours = metrics_of_counts(
        torch.tensor([known]), torch.tensor([unknown]), upper, tpr=tpr, convention=convention
    )
    sides = [upper.repeat_interleave(torch.tensor(side)) for side in (known, unknown)]
    expected = one_by_one(sides[0], sides[1], tpr, convention)
    for name in ("auroc", "aupr_in", "aupr_out", "fpr"):
        assert float(ours[name]) == pytest.approx(expected[name], abs=1e-12)
    if convention != "mcm_nearest":  # there a level that nobody drew may stand for the next one
        assert float(ours["threshold"]) == expected["threshold"]


def test_the_nearest_point_is_not_sought_below_the_lowest_known_score():
    upper = torch.tensor([0.0, 1.0, 2.0])
    known, unknown = torch.tensor([[0, 1, 1]]), torch.tensor([[2, 1, 1]])
    metrics = metrics_of_counts(known, unknown, upper, tpr=0.95, convention="mcm_nearest")
    assert (float(metrics["fpr"]), float(metrics["threshold"])) == (0.5, 1.0)


@settings(deadline=None, max_examples=40)
@given(SIDE, st.lists(SIDE, min_size=1, max_size=3))
def test_levels_hold_every_score_once(known, unknown):
    sides = [torch.tensor(side, dtype=torch.float64) for side in (known, *unknown)]
    levels = level_scores(sides[0], sides[1:])
    assert levels.is_exact
    for side, counts in zip(sides, (levels.known, *levels.unknown), strict=True):
        assert torch.equal(levels.upper.repeat_interleave(counts), side.sort().values)
    assert all(float(bound.max()) == 0 for bound in slack(levels, convention="id_positive").values())
    values = metrics_of_levels(levels, tpr=0.95, convention="id_positive")
    for place, side in enumerate(sides[1:]):
        expected = one_by_one(sides[0], side, 0.95, "id_positive")
        assert [float(values[name][place]) for name in METRICS] == pytest.approx(
            [expected[name] for name in METRICS], abs=1e-12
        )


@settings(deadline=None, max_examples=100)
@given(SIDE, SIDE, st.sampled_from([4, 6, 10, 16]), TPR, st.sampled_from(["id_positive", "ood_positive"]))
def test_tied_levels_move_a_metric_by_no_more_than_they_say(known, unknown, limit, tpr, convention):
    sides = [torch.tensor(side, dtype=torch.float64) for side in (known, unknown)]
    levels = level_scores(sides[0], sides[1:], limit=limit)
    assert len(levels.upper) <= max(limit, 2)
    assert (int(levels.known.sum()), int(levels.unknown.sum())) == (len(known), len(unknown))
    values = metrics_of_levels(levels, tpr=tpr, convention=convention)
    bounds = slack(levels, convention=convention)
    expected = one_by_one(sides[0], sides[1], tpr, convention)
    for name in METRICS[:4]:
        assert abs(float(values[name]) - expected[name]) <= float(bounds[name]) + 1e-12


def test_a_score_of_many_images_keeps_a_level_to_itself():
    known = torch.cat((torch.zeros(5000), torch.rand(5000, generator=seeded(1)))).double()
    unknown = torch.cat((torch.zeros(8000), -torch.rand(2000, generator=seeded(2)))).double()
    levels = level_scores(known, [unknown], limit=400)
    place = int(levels.known.argmax())
    assert levels.upper[place] == 0
    assert (levels.known[place], levels.unknown[0, place]) == (5000, 8000)
    assert levels.is_single[place]
    assert float(slack(levels, convention="id_positive")["auroc"]) < 1e-4
    values = metrics_of_levels(levels, tpr=0.95, convention="id_positive")
    assert float(values["auroc"]) == pytest.approx(auroc(id_scores=known, ood_scores=unknown), abs=1e-4)


def test_levels_of_a_large_set_are_even_and_slack_is_small():
    known, unknown = normal(100_000, 1.5, 1), normal(90_000, 0.0, 2)
    levels = level_scores(known, [unknown])
    assert not levels.is_exact
    assert len(levels.upper) <= LIMIT
    assert int(levels.known.max()) <= 4
    bounds = slack(levels, convention="id_positive")
    values = metrics_of_levels(levels, tpr=0.95, convention="id_positive")
    expected = one_by_one(known, unknown, 0.95, "id_positive")
    for name in METRICS[:4]:
        assert float(bounds[name]) < 5e-5
        assert abs(float(values[name]) - expected[name]) <= float(bounds[name])


@pytest.mark.parametrize("n", [40, 100_000])
def test_multinomial_counts_have_their_means_and_covariances(n):
    weights = torch.tensor([5, 0, 1, 1, 12, 0, 1])
    drawn = multinomial_counts(weights, n, 20_000, seeded(3))
    share = weights.double() / weights.sum()
    assert (drawn.sum(dim=1) == n).all()
    assert (drawn >= 0).all()
    assert (drawn == drawn.round()).all()
    assert (drawn[:, weights == 0] == 0).all()
    spread = (n * share * (1 - share)).sqrt()
    assert ((drawn.mean(dim=0) - n * share).abs() <= 4 * spread / math.sqrt(20_000)).all()
    covariance = n * (share.diag() - share[:, None] * share)
    assert ((drawn.T.cov() - covariance).abs() <= 0.05 * n / 4).all()


@pytest.mark.parametrize("n", [30, 3000])  # images one by one, and levels by their binomial shares
def test_draws_are_resamples_of_the_images(n):
    counts = torch.tensor([0, n // 10, 0, n // 2, n - n // 10 - n // 2])
    drawn = detection_bootstrap._Draws(counts).sample(4000, seeded(4))
    share = counts.double() / n
    assert (drawn.sum(dim=1) == n).all()
    assert (drawn[:, counts == 0] == 0).all()
    assert torch.allclose(drawn.mean(dim=0), n * share, rtol=0.02, atol=1e-12)
    assert torch.allclose(drawn.var(dim=0), n * share * (1 - share), rtol=0.12, atol=1e-12)


def test_replicates_equal_those_of_the_sorted_resamples():
    """The same draws, made by hand: each side drawn with replacement, every metric from scratch."""
    known, unknown = normal(15, 0.7, 5), normal(11, 0.0, 6)
    levels = level_scores(known, [unknown])
    ours = resampled_metrics(levels, tpr=0.9, convention="id_positive", n_replicates=30, generator=seeded(7))
    generator = seeded(7)
    first = torch.randint(15, (30, 15), generator=generator)
    second = torch.randint(11, (30, 11), generator=generator)
    for row in range(30):
        sample = known.sort().values[first[row]], unknown.sort().values[second[row]]
        expected = one_by_one(*sample, 0.9, "id_positive")
        for name in METRICS:
            assert float(ours[name][row, 0]) == pytest.approx(expected[name], abs=1e-12)


def test_the_spread_of_auroc_is_that_of_delong():
    """DeLong et al. 1988: var = var over known of P(. > ood) / n + the same over unknown / m."""
    known, unknown = normal(300, 1.0, 8), normal(200, 0.0, 9)
    wins = (known[:, None] > unknown).double()
    variance = wins.mean(dim=1).var() / 300 + wins.mean(dim=0).var() / 200
    drawn = resampled_metrics(
        level_scores(known, [unknown]),
        tpr=0.95,
        convention="id_positive",
        n_replicates=2000,
        generator=seeded(),
    )
    assert float(drawn["auroc"].std()) == pytest.approx(float(variance.sqrt()), rel=0.06)
    assert float(drawn["auroc"].mean()) == pytest.approx(float(wins.mean()), abs=0.002)


@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
def test_grouped_scores_give_the_spread_of_single_ones(convention):
    known, unknown = normal(2000, 1.5, 10), normal(1500, 0.0, 11)
    spreads = []
    for limit in (LIMIT, 600):
        levels = level_scores(known, [unknown], limit=limit)
        assert levels.is_exact == (limit == LIMIT)
        drawn = resampled_metrics(
            levels, tpr=0.95, convention=convention, n_replicates=400, generator=seeded(12)
        )
        spreads.append({name: float(drawn[name].std()) for name in METRICS})
    for name in METRICS:
        assert spreads[1][name] == pytest.approx(spreads[0][name], rel=0.15)


@pytest.mark.parametrize("block", [1, 70, 10**6])
def test_sets_share_the_known_images_and_blocks_change_nothing_but_the_draws(monkeypatch, block):
    known, unknown = normal(40, 1.0, 1), [normal(30, 0.0, 2), normal(20, 5.0, 3)]
    monkeypatch.setattr(detection_bootstrap, "_BLOCK", block)
    drawn = resampled_metrics(
        level_scores(known, unknown),
        tpr=0.95,
        convention="id_positive",
        n_replicates=50,
        generator=seeded(),
    )
    assert {values.shape for values in drawn.values()} == {(50, 2)}
    assert torch.equal(drawn["threshold"][:, 0], drawn["threshold"][:, 1])  # of the same known images
    assert not torch.equal(drawn["auroc"][:, 0], drawn["auroc"][:, 1])
    assert abs(float(drawn["auroc"][:, 0].mean()) - auroc(id_scores=known, ood_scores=unknown[0])) < 0.03


def test_no_replicates_and_an_unknown_convention():
    levels = level_scores(normal(5, 0.0, 1), [normal(5, 0.0, 2)])
    none = resampled_metrics(levels, tpr=0.95, convention="id_positive", n_replicates=0, generator=seeded())
    assert {values.shape for values in none.values()} == {(0, 1)}
    with pytest.raises(DataError, match="no convention"):
        metrics_of_levels(levels, tpr=0.95, convention="other")
