"""Calibration against naive loops in float64, known answers and limits."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import Tensor

from awase.errors import DataError
from awase.functional.calibration import (
    bin_edges,
    bin_of,
    brier_score,
    calibration_floor,
    calibration_statistic,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from awase.functional.intervals import bootstrap


def _draw(n: int, seed: int = 0, *, k: int = 4) -> tuple[Tensor, Tensor]:
    """Cosines and labels; the label is the first class in about half of the rows."""
    draws = torch.Generator().manual_seed(seed)
    similarity = torch.rand(n, k, generator=draws, dtype=torch.float64) * 0.4 - 0.1
    labels = torch.randint(k, (n,), generator=draws)
    is_first = torch.rand(n, generator=draws) < 0.5
    return similarity, torch.where(is_first, similarity.argmax(dim=1), labels)


def _outcomes(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    confidence = torch.rand(n, generator=draws, dtype=torch.float64)
    return confidence, torch.rand(n, generator=draws, dtype=torch.float64) < confidence**2


def _naive_ece(confidence: list[float], correct: list[bool], edges: list[float]) -> float:
    """Guo et al. 2017, eq. 3: bin m holds low < confidence <= high, and 0 lies in the first."""
    total = 0.0
    for place, (low, high) in enumerate(pairwise(edges)):
        inside = [
            row for row, c in enumerate(confidence) if low < c <= high or (place == 0 and c <= edges[0])
        ]
        if inside:
            accuracy = sum(correct[row] for row in inside) / len(inside)
            sure = sum(confidence[row] for row in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - sure)
    return total


@pytest.mark.parametrize("mode", ["equal_width", "equal_mass"])
@pytest.mark.parametrize("n_bins", [1, 2, 7, 15, 100])
def test_the_error_is_that_of_the_naive_loop(mode: str, n_bins: int) -> None:
    confidence, correct = _outcomes(257)
    edges = bin_edges(confidence, n_bins=n_bins, mode=mode).tolist()
    expected = _naive_ece(confidence.tolist(), correct.tolist(), edges)
    found = expected_calibration_error(confidence, correct, n_bins=n_bins, mode=mode)
    assert found == pytest.approx(expected, rel=1e-9)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0]), st.booleans()), min_size=1),
    st.integers(1, 12),
    st.sampled_from(["equal_width", "equal_mass"]),
)
def test_the_error_on_limits_of_bins_and_on_ties(
    rows: list[tuple[float, bool]], n_bins: int, mode: str
) -> None:
    confidence = torch.tensor([c for c, _ in rows], dtype=torch.float64)
    correct = torch.tensor([hit for _, hit in rows])
    edges = bin_edges(confidence, n_bins=n_bins, mode=mode).tolist()
    found = expected_calibration_error(confidence, correct, n_bins=n_bins, mode=mode)
    assert found == pytest.approx(_naive_ece(confidence.tolist(), correct.tolist(), edges), abs=1e-12)
    assert 0 <= found <= 1


def test_known_errors() -> None:
    half = torch.tensor([True, False] * 10)
    assert expected_calibration_error(torch.full((20,), 0.5), half) == pytest.approx(0)
    assert expected_calibration_error(torch.ones(20), half) == pytest.approx(0.5)
    assert expected_calibration_error(torch.zeros(20), torch.ones(20, dtype=torch.bool)) == 1.0
    # over- and under-confidence cancel in one bin and add up in two
    confidence = torch.tensor([0.4, 0.6])
    correct = torch.tensor([True, False])
    assert expected_calibration_error(confidence, correct, n_bins=1) == pytest.approx(0, abs=1e-7)
    assert expected_calibration_error(confidence, correct, n_bins=2) == pytest.approx(0.6)


def test_bins_of_equal_mass_hold_equal_numbers_and_never_part_ties() -> None:
    confidence, _ = _outcomes(120)
    edges = bin_edges(confidence, n_bins=6, mode="equal_mass")
    assert torch.bincount(bin_of(confidence, edges)).tolist() == [20] * 6
    tied = torch.tensor([0.2] * 50 + [0.9] * 50)
    assert len(bin_edges(tied, n_bins=6, mode="equal_mass")) - 1 == 3  # up to .2, up to .9, above
    assert len(bin_of(tied, bin_edges(tied, n_bins=6, mode="equal_mass")).unique()) == 2


def test_the_curve_has_the_means_of_its_bins() -> None:
    confidence, correct = _outcomes(90)
    edges = bin_edges(confidence, n_bins=10)
    curve = reliability(confidence, correct, edges=edges)
    assert int(curve.counts.sum()) == 90
    for place in range(10):
        inside = (confidence > edges[place]) & (confidence <= edges[place + 1])
        assert int(curve.counts[place]) == int(inside.sum())
        assert float(curve.accuracy[place]) == pytest.approx(float(correct[inside].double().mean()))
        assert float(curve.confidence[place]) == pytest.approx(float(confidence[inside].mean()))
    empty = reliability(torch.tensor([0.95]), torch.tensor([True]), edges=edges)
    assert empty.counts.tolist() == [0] * 9 + [1]
    assert bool(empty.accuracy[:9].isnan().all())


def test_a_drawn_error_is_that_of_the_repeated_images() -> None:
    confidence, correct = _outcomes(40)
    edges = bin_edges(confidence, n_bins=5)
    error = calibration_statistic(confidence, correct, edges=edges)
    times = torch.randint(4, (3, 40), generator=torch.Generator().manual_seed(1))
    for row, value in zip(times, error(times.double()), strict=True):
        repeated = (confidence.repeat_interleave(row).tolist(), correct.repeat_interleave(row).tolist())
        assert float(value) == pytest.approx(_naive_ece(*repeated, edges.tolist()))
    draws = bootstrap(error, torch.arange(40), n_replicates=50, generator=torch.Generator().manual_seed(0))
    assert float(draws.mean()) > expected_calibration_error(confidence, correct, n_bins=5)  # leans upward


def test_the_floor_is_what_a_calibrated_model_shows() -> None:
    # one bin, n images of confidence p: the mean of |Bin(n, p) - n p| / n
    n, p = 20, 0.7
    expected = sum(
        math.comb(n, hits) * p**hits * (1 - p) ** (n - hits) * abs(hits - n * p) / n for hits in range(n + 1)
    )
    confidence = torch.full((n,), p, dtype=torch.float64)
    edges = torch.tensor([0.0, 1.0])
    found = calibration_floor(
        confidence, edges=edges, n_draws=10_000, generator=torch.Generator().manual_seed(0)
    )
    assert found == pytest.approx(expected, rel=0.02)
    again = calibration_floor(
        confidence, edges=edges, n_draws=10_000, generator=torch.Generator().manual_seed(0)
    )
    assert again == found
    more = calibration_floor(
        confidence.repeat(25), edges=edges, n_draws=2000, generator=torch.Generator().manual_seed(0)
    )
    assert more == pytest.approx(found / 5, rel=0.1)  # falls with the root of n


def test_brier_score_by_its_definition() -> None:
    similarity, labels = _draw(30)
    probabilities = (similarity / 0.1).softmax(dim=1)
    for row, value in enumerate(brier_score(probabilities, labels).tolist()):
        truth = [float(k == int(labels[row])) for k in range(4)]
        expected = sum((p - t) ** 2 for p, t in zip(probabilities[row].tolist(), truth, strict=True))
        assert value == pytest.approx(expected)
    assert brier_score(torch.full((1, 4), 0.25), torch.tensor([3])).tolist() == pytest.approx([1 - 1 / 4])


def test_likelihood_by_its_definition() -> None:
    similarity, labels = _draw(30)
    found = negative_log_likelihood(similarity, labels, temperature=0.03).tolist()
    for row, value in enumerate(found):
        ahead = similarity[row] - similarity[row, labels[row]]
        expected = math.log(sum(math.exp(a / 0.03) for a in ahead.tolist()))
        assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_where_an_independent_search_finds_it(seed: int) -> None:
    similarity, labels = _draw(200, seed)

    def loss(log_temperature: float) -> float:
        logits = similarity / math.exp(log_temperature)
        return float(torch.nn.functional.cross_entropy(logits, labels))

    expected = minimize_scalar(loss, bounds=(math.log(1e-3), math.log(10)), method="bounded")
    found = fit_temperature(similarity, labels)
    assert not found.at_limit
    # a flat minimum is known to half the digits of its value: the slope is the sharper test
    assert found.value == pytest.approx(math.exp(expected.x), rel=1e-3)
    assert loss(math.log(found.value)) <= expected.fun + 1e-12
    probability = (similarity / found.value).softmax(dim=1)
    slope = (probability * similarity).sum(dim=1) - similarity.gather(1, labels[:, None])[:, 0]
    assert float(slope.mean()) == pytest.approx(0, abs=1e-12)


def test_a_temperature_that_was_put_in_is_found_again() -> None:
    similarity, _ = _draw(8000, 3)
    draws = torch.Generator().manual_seed(5)
    labels = torch.multinomial((similarity / 0.08).softmax(dim=1), 1, generator=draws)[:, 0]
    found = fit_temperature(similarity, labels)
    assert found.value == pytest.approx(0.08, rel=0.05)
    confidence, answer = (similarity / found.value).softmax(dim=1).max(dim=1)
    correct = answer == labels
    edges = bin_edges(confidence)
    floor = calibration_floor(
        confidence, edges=edges, n_draws=200, generator=torch.Generator().manual_seed(0)
    )
    assert expected_calibration_error(confidence, correct) < 3 * floor
    too_sure = (similarity / 0.01).softmax(dim=1).max(dim=1).values
    assert expected_calibration_error(too_sure, correct) > 0.3


def test_scaling_and_shifting_cosines_moves_the_temperature_alone() -> None:
    similarity, labels = _draw(100)
    found = fit_temperature(similarity, labels).value
    assert fit_temperature(similarity * 3, labels).value == pytest.approx(3 * found, rel=1e-9)
    assert fit_temperature(similarity + 0.2, labels).value == pytest.approx(found, rel=1e-9)


def test_without_a_best_point_the_limit_is_said() -> None:
    right = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    assert fit_temperature(right, torch.tensor([0, 1])) == (1e-5, True)
    assert fit_temperature(right, torch.tensor([1, 0])) == (1e3, True)
    assert fit_temperature(torch.zeros(3, 2), torch.tensor([0, 1, 0])).at_limit


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: expected_calibration_error(torch.tensor([]), torch.tensor([], dtype=torch.bool)), DataError),
        (lambda: expected_calibration_error(torch.tensor([1.5]), torch.tensor([True])), DataError),
        (lambda: expected_calibration_error(torch.tensor([math.nan]), torch.tensor([True])), DataError),
        (lambda: bin_edges(torch.ones(2), n_bins=0), DataError),
        (lambda: bin_edges(torch.ones(2), mode="quantiles"), DataError),
        (lambda: negative_log_likelihood(torch.ones(1, 2), torch.tensor([0]), temperature=0), DataError),
        (lambda: negative_log_likelihood(torch.ones(1, 2), torch.tensor([2]), temperature=1), DataError),
        (lambda: fit_temperature(torch.ones(2, 1), torch.tensor([0, 0])), DataError),
        (lambda: fit_temperature(torch.full((2, 2), math.nan), torch.tensor([0, 0])), DataError),
        (lambda: fit_temperature(torch.ones(0, 2), torch.tensor([], dtype=torch.long)), DataError),
    ],
)
def test_bad_input_is_refused(call, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()
