import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awase.errors import DataError
from awase.functional import detection
from awase.functional.detection import CONVENTIONS, aupr, auroc, fpr_at_tpr, keep_count

# few distinct values, so that most samples are tied
SIDE = st.lists(st.integers(-3, 3), min_size=1, max_size=15)
TPR = st.sampled_from([0.01, 0.25, 0.3, 0.5, 0.55, 0.75, 0.8, 0.95, 1.0])
KNOWN = [0.9, 0.8, 0.7, 0.7]
UNKNOWN = [0.7, 0.6, 0.95]


def sides(known, unknown, dtype=torch.float64):
    return {
        "id_scores": torch.tensor(known, dtype=dtype),
        "ood_scores": torch.tensor(unknown, dtype=dtype),
    }


def naive_auroc(known, unknown):
    """P(S_id > S_ood) + P(S_id = S_ood) / 2, pair by pair."""
    return sum((a > b) + (a == b) / 2 for a in known for b in unknown) / (len(known) * len(unknown))


def naive_average_precision(wanted, others):
    """AP = sum over distinct thresholds of (R_k - R_{k-1}) * P_k, from the highest down."""
    area = recall_before = 0.0
    for threshold in sorted({*wanted, *others}, reverse=True):
        hits = sum(score >= threshold for score in wanted)
        alarms = sum(score >= threshold for score in others)
        area += (hits / len(wanted) - recall_before) * hits / (hits + alarms)
        recall_before = hits / len(wanted)
    return area


def naive_fpr(known, unknown, tpr, convention):
    """Every pooled score is tried as the threshold, each with the rates it gives."""
    if convention == "ood_positive":
        known, unknown = [-score for score in unknown], [-score for score in known]
    rates = [
        (
            sum(score >= threshold for score in known) / len(known),
            sum(score >= threshold for score in unknown) / len(unknown),
        )
        for threshold in sorted({*known, *unknown}, reverse=True)
    ]
    if convention == "mcm_nearest":  # the curve ends where the recall is full, and is walked from there up
        end = next(i for i, (recall, _) in enumerate(rates) if recall == 1)
        walk = [*rates[end::-1], (1, 0.0)]
        return walk[int(np.argmin([abs(recall - tpr) for recall, _ in walk]))][1]
    # the highest threshold that reaches the TPR
    return next(false for recall, false in rates if recall >= tpr - 1e-9)


@settings(deadline=None)
@given(SIDE, SIDE)
def test_areas_equal_the_definition_with_ties(known, unknown):
    both = sides(known, unknown)
    assert auroc(**both) == pytest.approx(naive_auroc(known, unknown), abs=1e-12)
    assert aupr(**both) == pytest.approx(naive_average_precision(known, unknown), abs=1e-12)
    found_unknown = naive_average_precision([-score for score in unknown], [-score for score in known])
    assert aupr(**both, positive="ood") == pytest.approx(found_unknown, abs=1e-12)


@settings(deadline=None, max_examples=150)
@given(SIDE, SIDE, TPR, st.sampled_from(sorted(CONVENTIONS)))
def test_fpr_equals_the_definition_with_ties(known, unknown, tpr, convention):
    fpr, threshold = fpr_at_tpr(**sides(known, unknown), tpr=tpr, convention=convention)
    assert fpr == pytest.approx(naive_fpr(known, unknown, tpr, convention), abs=1e-12)
    # the threshold that is returned is the one that gives the number
    if convention == "ood_positive":
        assert sum(score <= threshold for score in unknown) / len(unknown) >= tpr - 1e-9
        assert sum(score <= threshold for score in known) / len(known) == pytest.approx(fpr)
    else:
        assert sum(score >= threshold for score in unknown) / len(unknown) == pytest.approx(fpr)
    if convention == "id_positive":
        assert sum(score >= threshold for score in known) / len(known) >= tpr - 1e-9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [12, 100_000])
def test_equal_to_scikit_learn(seed, levels):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(seed)
    known = torch.randint(levels, (300,), generator=generator).double() + levels // 5
    unknown = torch.randint(levels, (170,), generator=generator).double()
    labels = np.r_[np.ones(300), np.zeros(170)]
    scores = torch.cat((known, unknown)).numpy()
    both = {"id_scores": known, "ood_scores": unknown}
    assert auroc(**both) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert aupr(**both) == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
    theirs = metrics.average_precision_score(1 - labels, -scores)
    assert aupr(**both, positive="ood") == pytest.approx(theirs, abs=1e-12)
    # the first point of the ROC curve that reaches the TPR, with either class as positive
    for convention, truth, values in (("id_positive", labels, scores), ("ood_positive", 1 - labels, -scores)):
        false, true, _ = metrics.roc_curve(truth, values, drop_intermediate=False)
        fpr, _ = fpr_at_tpr(**both, convention=convention)
        assert fpr == pytest.approx(false[np.argmax(true >= 0.95)], abs=1e-12)


def test_worked_example_in_the_three_conventions():
    both = sides(KNOWN, UNKNOWN)
    assert auroc(**both) == pytest.approx(7 / 12)
    assert fpr_at_tpr(**both) == (pytest.approx(2 / 3), 0.7)
    assert fpr_at_tpr(**both, tpr=0.5) == (pytest.approx(1 / 3), 0.8)
    assert fpr_at_tpr(**both, convention="mcm_nearest") == (pytest.approx(2 / 3), 0.7)
    assert fpr_at_tpr(**both, convention="ood_positive") == (1.0, 0.95)


def test_the_nearest_point_may_keep_too_few_and_lets_more_in_between():
    # 0.6 is nearer to 2/3 than to 1/3: both kept; the unknown 0.75 just under 0.8 is let in too
    both = sides([0.9, 0.8, 0.7], [0.75, 0.1])
    assert fpr_at_tpr(**both, tpr=0.6, convention="mcm_nearest") == (0.5, 0.75)
    assert fpr_at_tpr(**both, tpr=0.6) == (0.0, 0.8)
    # 0.7 is nearer to 2/3 than to 1: one known image more is lost than the other convention loses
    assert fpr_at_tpr(**both, tpr=0.7, convention="mcm_nearest") == (0.5, 0.75)
    assert fpr_at_tpr(**both, tpr=0.7) == (0.5, 0.7)


@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
def test_constant_and_perfect_scores(convention):
    constant, perfect = sides([1.0] * 40, [1.0] * 30), sides([2.0, 3.0], [0.0, 1.0, 1.5])
    assert auroc(**constant) == 0.5
    assert fpr_at_tpr(**constant, convention=convention) == (1.0, 1.0)
    assert aupr(**constant) == pytest.approx(4 / 7)
    assert auroc(**perfect) == 1.0
    assert fpr_at_tpr(**perfect, convention=convention)[0] == 0.0
    assert aupr(**perfect) == aupr(**perfect, positive="ood") == 1.0


@settings(deadline=None)
@given(SIDE, SIDE)
def test_swapping_the_sides_gives_one_minus_auroc(known, unknown):
    assert auroc(**sides(known, unknown)) == pytest.approx(1 - auroc(**sides(unknown, known)), abs=1e-12)


@settings(deadline=None)
@given(SIDE, SIDE, TPR, st.sampled_from(sorted(CONVENTIONS)), st.randoms())
def test_only_the_order_of_the_scores_counts(known, unknown, tpr, convention, random):
    both = sides(known, unknown)
    warped = {name: (2 * scores - 1).exp() for name, scores in both.items()}
    assert auroc(**warped) == auroc(**both)
    assert aupr(**warped) == aupr(**both)
    fpr, threshold = fpr_at_tpr(**both, tpr=tpr, convention=convention)
    expected = (fpr, pytest.approx(math.exp(2 * threshold - 1)))
    assert fpr_at_tpr(**warped, tpr=tpr, convention=convention) == expected
    random.shuffle(known)
    random.shuffle(unknown)
    assert fpr_at_tpr(**sides(known, unknown), tpr=tpr, convention=convention) == (fpr, threshold)


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_blocks_do_not_change_the_numbers(monkeypatch, block):
    generator = torch.Generator().manual_seed(0)
    known = torch.randint(50, (100,), generator=generator).double() + 5
    unknown = torch.randint(50, (80,), generator=generator).double()
    whole = [auroc(id_scores=known, ood_scores=unknown), aupr(id_scores=known, ood_scores=unknown)]
    monkeypatch.setattr(detection, "_BLOCK", block)
    parts = [auroc(id_scores=known, ood_scores=unknown), aupr(id_scores=known, ood_scores=unknown)]
    assert parts == pytest.approx(whole, abs=1e-14)


@pytest.mark.parametrize(("tpr", "n", "kept"), [(0.55, 100, 55), (0.95, 100, 95), (0.95, 3, 3), (1e-9, 5, 1)])
def test_a_share_of_n_is_rounded_up_but_not_by_floating_point(tpr, n, kept):
    assert keep_count(tpr, n) == kept
    known = torch.arange(n, dtype=torch.float64)
    _, threshold = fpr_at_tpr(id_scores=known, ood_scores=torch.zeros(1), tpr=tpr)
    assert int((known >= threshold).sum()) == kept


def test_infinite_scores_and_half_precision_are_ordered():
    both = sides([math.inf, 0.0], [-math.inf, 0.0])
    assert auroc(**both) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert auroc(**sides(KNOWN, UNKNOWN, torch.float16)) == pytest.approx(7 / 12)
    wide = sides([1.0 + 1e-12], [1.0])
    wide["ood_scores"] = wide["ood_scores"].float()
    assert auroc(**wide) == 1.0  # compared as float64


BAD = [math.nan, 1.0]
GOOD = [0.0, 1.0]


@pytest.mark.parametrize("function", [auroc, aupr, fpr_at_tpr])
@pytest.mark.parametrize(
    ("known", "unknown", "message"),
    [
        (BAD, GOOD, "id_scores must hold no NaN, got 1 in 2"),
        (GOOD, BAD, "ood_scores must hold no NaN"),
        ([], GOOD, "id_scores must hold at least one score"),
        (GOOD, [], "ood_scores must hold at least one score"),
    ],
)
def test_bad_scores_are_refused(function, known, unknown, message):
    with pytest.raises(DataError, match=message):
        function(**sides(known, unknown))


def test_bad_settings_are_refused():
    both = sides(KNOWN, UNKNOWN)
    for tpr in (0.0, -0.5, 1.01, 95.0, math.nan):
        with pytest.raises(DataError, match="tpr must lie in"):
            fpr_at_tpr(**both, tpr=tpr)
    with pytest.raises(DataError, match="id_positive, ood_positive, mcm_nearest"):
        fpr_at_tpr(**both, convention="nearest")
    with pytest.raises(DataError, match="positive must be"):
        aupr(**both, positive="in")
    assert fpr_at_tpr(**both, tpr=1) == fpr_at_tpr(**both, tpr=1.0)
