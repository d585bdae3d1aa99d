import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awase.errors import DataError
from awase.functional.conformal import p_values
from awase.functional.detection import fpr_at_tpr
from awase.ood._threshold import conformal_threshold, threshold_keeping

SCORES = st.lists(st.integers(-4, 4), min_size=20, max_size=60)


def column(values):
    return torch.tensor(values, dtype=torch.float64)


@settings(deadline=None)
@given(SCORES, st.sampled_from([0.05, 0.5, 0.55, 0.9, 0.95, 1.0]))
def test_the_highest_score_that_keeps_the_share(scores, keep):
    threshold = threshold_keeping(column(scores), keep)
    kept = {t: sum(score >= t for score in scores) / len(scores) for t in scores}
    assert threshold == max(t for t, share in kept.items() if share >= keep - 1e-9)
    assert fpr_at_tpr(id_scores=column(scores), ood_scores=column([0]), tpr=keep)[1] == threshold


@settings(deadline=None)
@given(SCORES, st.sampled_from([0.05, 0.07, 0.1, 0.29, 0.5, 0.9]), SCORES)
def test_kept_is_the_same_as_a_p_value_above_alpha(calibration, alpha, scores):
    threshold = conformal_threshold(column(calibration), alpha)
    p = p_values(calibration_scores=column(calibration), scores=column(scores))
    assert torch.equal(column(scores) >= threshold, p > alpha)


def test_a_further_known_image_falls_under_it_as_often_as_said():
    generator, n, alpha, repeats = torch.Generator().manual_seed(2), 99, 0.05, 4000
    rejected = 0
    for _ in range(repeats):
        scores = torch.randn(n + 20, generator=generator)
        rejected += int((scores[n:] < conformal_threshold(scores[:n], alpha)).sum())
    sigma = math.sqrt(alpha * (1 - alpha) * (1 / (n + 2) / repeats + 1 / (repeats * 20)))
    assert abs(rejected / (repeats * 20) - alpha) <= 3 * sigma


def test_few_images_give_a_warning():
    with pytest.warns(UserWarning, match="19 in-distribution scores are fewer than 20"):
        assert threshold_keeping(torch.arange(19.0)) == 0.0
    with pytest.warns(UserWarning, match="needs at least 19 calibration rows and there are 18: nothing is"):
        assert conformal_threshold(torch.arange(18.0)) == -math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert threshold_keeping(torch.arange(20.0)) == 1.0
        assert conformal_threshold(torch.arange(19.0)) == 0.0


def test_bad_input_is_refused():
    for scores in ([], [1.0, math.nan]):
        for function in (threshold_keeping, conformal_threshold):
            with pytest.raises(DataError, match="at least one score and no NaN"):
                function(column(scores))
    for keep in (0.0, 1.5, math.nan):
        with pytest.raises(DataError, match="share to keep must lie in"):
            threshold_keeping(torch.arange(30.0), keep)
    for alpha in (0.0, 1.0):
        with pytest.raises(DataError, match="alpha must lie in"):
            conformal_threshold(torch.arange(30.0), alpha)
