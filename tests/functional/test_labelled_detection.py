import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from awase.errors import DataError, ShapeError
from awase.functional.labelled_detection import (
    DetectionCounts,
    aurocs,
    average_precision,
    average_precisions,
    count_detections,
    labelled_auroc,
    precision_recall_curve,
)

# few distinct values, so that most samples are tied
LABELLED = st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=1, max_size=30)


def split(rows):
    scores = torch.tensor([float(score) for score, _ in rows], dtype=torch.float64)
    return scores, torch.tensor([label for _, label in rows])


def naive_average_precision(rows):
    """AP = sum over distinct thresholds of (R_k - R_{k-1}) * P_k, written from the definition."""
    positives = sum(label for _, label in rows)
    if positives in (0, len(rows)):
        return None
    area = recall_before = 0.0
    for threshold in sorted({score for score, _ in rows}, reverse=True):
        kept = [label for score, label in rows if score >= threshold]
        recall = sum(kept) / positives
        area += (recall - recall_before) * sum(kept) / len(kept)
        recall_before = recall
    return area


def naive_auroc(rows):
    up = [score for score, label in rows if label]
    down = [score for score, label in rows if not label]
    if not up or not down:
        return None
    return sum((a > b) + (a == b) / 2 for a in up for b in down) / (len(up) * len(down))


@settings(deadline=None)
@given(LABELLED)
def test_ap_and_auroc_equal_the_definition_with_ties(rows):
    scores, positive = split(rows)
    assert average_precision(scores, positive=positive) == pytest.approx(
        naive_average_precision(rows), abs=1e-12
    )
    assert labelled_auroc(scores, positive=positive) == pytest.approx(naive_auroc(rows), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(40, (500,), generator=generator) / 7.0
    positive = torch.rand(500, generator=generator) < 0.3
    labels, values = positive.numpy(), scores.double().numpy()
    ours = average_precision(scores.double(), positive=positive)
    assert ours == pytest.approx(metrics.average_precision_score(labels, values), abs=1e-12)
    assert labelled_auroc(scores, positive=positive) == pytest.approx(
        metrics.roc_auc_score(labels, values), abs=1e-12
    )
    precision, recall, thresholds = precision_recall_curve(scores.double(), positive=positive)
    theirs = metrics.precision_recall_curve(labels, values)
    assert precision.flip(0).tolist() == pytest.approx(theirs[0][:-1].tolist(), abs=1e-12)
    assert recall.flip(0).tolist() == pytest.approx(theirs[1][:-1].tolist(), abs=1e-12)
    assert thresholds.flip(0).tolist() == theirs[2].tolist()
    predicted = scores < 2
    counts = count_detections(predicted=predicted, positive=positive)
    expected = metrics.precision_recall_fscore_support(labels, predicted.numpy(), average="binary")
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx(expected[:3], abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_weighted_equal_to_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(9, (80,), generator=generator).double()
    positive = torch.rand(80, generator=generator) < 0.5
    weights = torch.rand(4, 80, generator=generator, dtype=torch.float64)
    for ours, function in ((average_precisions, "average_precision_score"), (aurocs, "roc_auc_score")):
        expected = [
            getattr(metrics, function)(positive.numpy(), scores.numpy(), sample_weight=row.numpy())
            for row in weights
        ]
        assert ours(scores, positive=positive, weights=weights).tolist() == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(LABELLED, st.data())
def test_integer_weights_are_repeated_samples(rows, data):
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    repeated = [row for row, n in zip(rows, times, strict=True) for _ in range(n)]
    scores, positive = split(rows)
    weights = torch.tensor([times], dtype=torch.float64)
    for plural, naive in ((average_precisions, naive_average_precision), (aurocs, naive_auroc)):
        value = float(plural(scores, positive=positive, weights=weights)[0])
        expected = naive(repeated) if repeated else None
        if expected is None:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(LABELLED, st.randoms())
def test_only_the_order_counts(rows, random):
    scores, positive = split(rows)
    value = average_precision(scores, positive=positive)
    assert average_precision((scores * 3 + 1).exp(), positive=positive) == pytest.approx(value, abs=1e-12)
    shuffled = list(rows)
    random.shuffle(shuffled)
    scores, positive = split(shuffled)
    assert average_precision(scores, positive=positive) == pytest.approx(value, abs=1e-12)


@settings(deadline=None)
@given(LABELLED)
def test_the_other_class_is_one_minus_auroc_but_not_one_minus_ap(rows):
    scores, positive = split(rows)
    value = labelled_auroc(scores, positive=positive)
    other = labelled_auroc(-scores, positive=~positive)
    assert other == pytest.approx(value, abs=1e-12)


def test_ap_depends_on_the_positive_class():
    scores = torch.tensor([4.0, 3.0, 2.0, 1.0])
    positive = torch.tensor([True, False, False, False])
    assert average_precision(scores, positive=positive) == 1.0
    scores = torch.tensor([3.0, 4.0, 2.0, 1.0])
    assert average_precision(scores, positive=positive) == 0.5
    assert average_precision(-scores, positive=~positive) == pytest.approx((1 + 1 + 3 / 4) / 3)


@settings(deadline=None)
@given(LABELLED)
def test_constant_scores_give_the_prevalence(rows):
    _, positive = split(rows)
    n_positive = int(positive.sum())
    value = average_precision(torch.zeros(len(rows)), positive=positive)
    if 0 < n_positive < len(rows):
        assert value == pytest.approx(n_positive / len(rows))
        assert labelled_auroc(torch.zeros(len(rows)), positive=positive) == 0.5
    else:
        assert value is None


@settings(deadline=None)
@given(LABELLED)
def test_curve_rises_to_full_recall(rows):
    scores, positive = split(rows)
    precision, recall, thresholds = precision_recall_curve(scores, positive=positive)
    if not positive.any():
        assert len(precision) == len(recall) == len(thresholds) == 0
        return
    assert recall[-1] == 1
    assert all(a <= b for a, b in pairwise(recall.tolist()))
    for p, r, t in zip(precision.tolist(), recall.tolist(), thresholds.tolist(), strict=True):
        counts = count_detections(predicted=scores >= t, positive=positive)
        assert (p, r) == (pytest.approx(counts.precision), pytest.approx(counts.recall))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_ratios_are_none_where_they_do_not_exist(tp, fp, fn):
    counts = DetectionCounts(tp, fp, fn)
    assert (counts.precision is None) == (tp + fp == 0)
    assert (counts.recall is None) == (tp + fn == 0)
    assert (counts.f1 is None) == (tp + fp + fn == 0)
    if counts.precision and counts.recall:
        expected = 2 * counts.precision * counts.recall / (counts.precision + counts.recall)
        assert counts.f1 == pytest.approx(expected)


def test_degenerate_input():
    assert average_precision(torch.zeros(0), positive=torch.zeros(0, dtype=torch.bool)) is None
    assert labelled_auroc(torch.zeros(0), positive=torch.zeros(0, dtype=torch.bool)) is None
    with pytest.raises(DataError, match="NaN"):
        average_precision(torch.tensor([math.nan, 1.0]), positive=torch.tensor([True, False]))
    with pytest.raises((ShapeError, TypeError)):  # TypeError where the shape hook speaks first
        count_detections(predicted=torch.ones(2, dtype=torch.bool), positive=torch.ones(3, dtype=torch.bool))


def test_infinite_scores_are_ordered():
    scores = torch.tensor([math.inf, 0.0, -math.inf])
    assert average_precision(scores, positive=torch.tensor([True, False, False])) == 1.0
