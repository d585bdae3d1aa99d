import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awase.errors import DataError, ShapeError
from awase.functional.conformal import (
    aps_scores,
    aps_sets,
    lac_scores,
    lac_sets,
    p_values,
    quantile,
    rejectable,
    too_few,
)

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=20)
ALPHAS = [0.01, 0.05, 0.07, 0.1, 0.2, 0.29, 0.3, 0.5, 0.9]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def column(values):
    return torch.tensor(values, dtype=torch.float64)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_p_values_equal_the_definition_with_ties(calibration, scores):
    """p(x) = (1 + #{calibration: S_i <= S(x)}) / (n + 1)"""
    ours = p_values(calibration_scores=column(calibration), scores=column(scores))
    naive = [(1 + sum(c <= s for c in calibration)) / (len(calibration) + 1) for s in scores]
    assert ours.tolist() == naive


@pytest.mark.parametrize("ties", [False, True])
def test_known_images_are_rejected_at_most_as_often_as_said(ties):
    """The known answer: 0.0497 of known images at alpha 0.05 with n = 99."""
    generator, n, alpha, n_tests = seeded(1), 99, 0.05, 40
    rejected = 0
    repeats = 3000
    for _ in range(repeats):
        scores = torch.randn(n + n_tests, generator=generator)
        scores = (scores * 4).round() if ties else scores
        p = p_values(calibration_scores=scores[:n], scores=scores[n:])
        rejected += int((p <= alpha).sum())
    share = rejected / (repeats * n_tests)
    # the images of one repeat share a calibration set, whose own share of the tail has this spread
    sigma = math.sqrt(alpha * (1 - alpha) / (n + 2) / repeats + alpha * (1 - alpha) / (repeats * n_tests))
    assert share <= alpha + 3 * sigma
    if not ties:
        assert share >= alpha - 3 * sigma


def test_unknown_images_are_rejected():
    known = torch.randn(200, generator=seeded()) + 10
    p = p_values(calibration_scores=known, scores=torch.tensor([0.0, 10.0, 20.0, math.inf, -math.inf]))
    assert p[0] == p[4] == 1 / 201
    assert 0.2 < p[1] < 0.8
    assert p[2] == p[3] == 1


@pytest.mark.parametrize("alpha", ALPHAS)
def test_quantile_is_the_finite_sample_rank(alpha):
    for n in (1, 5, 18, 19, 20, 99, 100, 137):
        scores = torch.randn(n, generator=seeded(n), dtype=torch.float64)
        rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
        if rank > n:
            with pytest.warns(UserWarning, match="needs at least"):
                assert quantile(scores, alpha=alpha) == math.inf
            assert n < math.ceil(1 / alpha - 1e-9) - 1
        else:
            assert quantile(scores, alpha=alpha) == sorted(scores.tolist())[rank - 1]
            assert n >= math.ceil(1 / alpha - 1e-9) - 1


@pytest.mark.parametrize("alpha", ALPHAS)
def test_rejectable_counts_the_p_values_up_to_alpha(alpha):
    for n in range(1, 140):
        assert rejectable(alpha, n) == sum(place / (n + 1) <= alpha for place in range(1, n + 2))


def test_too_few_rows_give_full_sets_and_a_warning():
    probabilities = torch.rand(18, 4, generator=seeded()).softmax(dim=1)
    labels = torch.zeros(18, dtype=torch.long)
    with pytest.warns(UserWarning, match="alpha 0.05 needs at least 19 calibration rows and there are 18"):
        bound = quantile(lac_scores(probabilities, labels), alpha=0.05)
    assert lac_sets(probabilities, bound).all()
    assert aps_sets(probabilities, bound).all()
    assert aps_sets(probabilities, bound, generator=seeded()).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enough = lac_scores(probabilities[[0] * 19], torch.zeros(19, dtype=torch.long))
        assert quantile(enough, alpha=0.05) < 1
    assert [too_few(0, alpha, "x").split()[5] for alpha in (0.05, 0.3, 0.5, 0.01)] == ["19", "3", "1", "99"]


def naive_lac(probabilities, bound):
    """{k: p_k >= 1 - q}, as 1 - p_k <= q"""
    return [[1 - p <= bound for p in row] for row in probabilities.double().tolist()]


def naive_aps_scores(row, u):
    """Sum of the classes that come before k when sorted by probability, and u times its own."""
    order = sorted(range(len(row)), key=lambda k: (-row[k], k))
    before, scores = 0.0, [0.0] * len(row)
    for k in order:
        scores[k] = before + u * row[k]
        before += row[k]
    return scores


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(1, 4), min_size=5, max_size=5), min_size=1, max_size=8), st.floats(0, 1))
def test_sets_equal_naive_loops_with_tied_probabilities(weights, bound):
    probabilities = column(weights) / column(weights).sum(dim=1, keepdim=True)
    labels = torch.arange(len(weights)) % 5
    assert lac_sets(probabilities, bound).tolist() == naive_lac(probabilities, bound)
    for generator, us in (
        (None, torch.ones(len(weights))),
        (seeded(3), torch.rand(len(weights), 1, generator=seeded(3), dtype=torch.float64)[:, 0]),
    ):
        naive = [naive_aps_scores(row, u) for row, u in zip(probabilities.tolist(), us.tolist(), strict=True)]
        expected = [row[label] for row, label in zip(naive, labels.tolist(), strict=True)]
        assert aps_scores(probabilities, labels, generator=generator).tolist() == pytest.approx(expected)
        again = None if generator is None else seeded(3)
        inside = aps_sets(probabilities, bound, generator=again)
        clear = (column(naive) - bound).abs() > 1e-9
        wanted = column(naive) <= bound
        if generator is None:
            wanted[torch.arange(len(weights)), probabilities.argmax(dim=1)] = True
        assert torch.equal(inside[clear], wanted[clear])


def simulate(repeat, n, k=6):
    """A model that is wrong in its confidence but exchangeable over rows."""
    generator = seeded(repeat)
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    return (3 * logits).softmax(dim=1), labels, generator


@pytest.mark.parametrize("kind", ["lac", "aps", "aps_random"])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_sets_hold_the_true_class_as_often_as_promised(kind, alpha):
    n, n_tests, repeats = 60, 100, 150
    covered, sizes = 0, 0.0
    for repeat in range(repeats):
        probabilities, labels, generator = simulate(repeat, n + n_tests)
        u = generator if kind == "aps_random" else None
        if kind == "lac":
            bound = quantile(lac_scores(probabilities[:n], labels[:n]), alpha=alpha)
            sets = lac_sets(probabilities[n:], bound)
        else:
            bound = quantile(aps_scores(probabilities[:n], labels[:n], generator=u), alpha=alpha)
            sets = aps_sets(probabilities[n:], bound, generator=u)
        covered += int(sets[torch.arange(n_tests), labels[n:]].sum())
        sizes += float(sets.double().sum(dim=1).mean())
    coverage = covered / (repeats * n_tests)
    sigma = math.sqrt(alpha * (1 - alpha) * (1 / (n + 2) / repeats + 1 / (repeats * n_tests)))
    assert coverage >= 1 - alpha - 3 * sigma
    assert sizes / repeats < 6
    if kind != "aps":  # the form without chance covers more than it has to
        assert coverage <= 1 - alpha + 1 / (n + 1) + 3 * sigma


def test_without_chance_the_likeliest_class_is_always_in_and_with_it_repeats_by_seed():
    probabilities = torch.tensor([[0.999, 0.001], [0.6, 0.4]])
    assert aps_sets(probabilities, 0.5).tolist() == [[True, False], [True, False]]
    first, again = (aps_sets(probabilities, 0.5, generator=seeded(7)) for _ in range(2))
    assert torch.equal(first, again)


def test_bad_input_is_refused():
    half = torch.full((2, 2), 0.5)
    for scores, calibration in (([math.nan], [1.0]), ([1.0], [math.nan]), ([1.0], [])):
        with pytest.raises(DataError, match="NaN"):
            p_values(calibration_scores=column(calibration), scores=column(scores))
    for alpha in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(DataError, match="alpha must lie in"):
            quantile(column([1.0]), alpha=alpha)
    with pytest.raises(DataError, match="at least one score"):
        quantile(column([]), alpha=0.5)
    for wrong in (half * 3, -half, half * math.nan):
        with pytest.raises(DataError, match="probabilities must lie in"):
            lac_sets(wrong, 0.5)
    with pytest.raises(DataError, match=r"labels must lie in 0 \.\. 1, got 0 \.\. 2"):
        lac_scores(half, torch.tensor([0, 2]))
    with pytest.raises((ShapeError, TypeError)):  # TypeError where the shape hook speaks first
        aps_scores(half, torch.tensor([0]))
