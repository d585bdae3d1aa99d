import math
import warnings

import pytest
import torch

from awase.errors import DataError, ShapeError
from awase.functional.detection import CONVENTIONS, aupr, auroc, fpr_at_tpr
from awase.ood import _evaluate
from awase.ood._evaluate import evaluate_scores


def normal(n, shift=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=generator, dtype=torch.float64) + shift


KNOWN = normal(120, 1.5, 1)
UNKNOWN = {"noise": normal(80, 0.0, 2), "near": normal(60, 1.0, 3)}


def by_name(estimates):
    assert len({estimate.name for estimate in estimates}) == len(estimates)
    return {estimate.name: estimate for estimate in estimates}


@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
def test_values_are_those_of_the_metrics_and_lie_in_their_intervals(convention):
    found = by_name(
        evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, tpr=0.9, convention=convention, n_replicates=200)
    )
    for name, unknown in UNKNOWN.items():
        sides = {"id_scores": KNOWN, "ood_scores": unknown}
        fpr, threshold = fpr_at_tpr(**sides, tpr=0.9, convention=convention)
        expected = {
            "auroc": auroc(**sides),
            "aupr_in": aupr(**sides),
            "aupr_out": aupr(**sides, positive="ood"),
            "fpr_at_tpr": fpr,
            "threshold": threshold,
        }
        for metric, value in expected.items():
            estimate = found[f"{metric}.{name}"]
            assert estimate.value == value
            assert estimate.low <= estimate.value <= estimate.high
            assert estimate.low < estimate.high
            assert estimate.n == 120 + len(unknown)
            assert f"n_id 120, n_ood {len(unknown)}" in estimate.unit
        assert convention in found[f"fpr_at_tpr.{name}"].unit
        assert CONVENTIONS[convention] in found[f"fpr_at_tpr.{name}"].unit
        assert "TPR 0.9" in found[f"threshold.{name}"].unit


def test_means_count_every_set_alike_whatever_its_size():
    found = by_name(evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, n_replicates=300))
    for metric in ("auroc", "aupr_in", "aupr_out", "fpr_at_tpr"):
        mean, sets = found[f"mean_{metric}"], [found[f"{metric}.{name}"] for name in UNKNOWN]
        assert mean.value == pytest.approx(sum(one.value for one in sets) / 2)
        assert mean.low < mean.value < mean.high
        assert mean.high - mean.low < max(one.high - one.low for one in sets)
        assert "mean over 2 OOD sets" in mean.unit
        assert mean.n == 260
    assert "mean_threshold" not in found


def test_units_name_the_positive_class_and_directions():
    found = by_name(evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, correct=KNOWN > 1, n_replicates=20))
    assert "positive: in-distribution, prevalence 0.600" in found["aupr_in.noise"].unit
    assert "positive: out-of-distribution, prevalence 0.400" in found["aupr_out.noise"].unit
    assert "OOD let in" in found["fpr_at_tpr.noise"].unit
    assert "positive: in-distribution" in found["fpr_at_tpr.noise"].unit
    means = {name.split(".")[0]: estimate.higher_means for name, estimate in found.items()}
    assert means["fpr_at_tpr"] == means["mean_fpr_at_tpr"] == "worse"
    assert means["auroc"] == means["aupr_in"] == means["id_accuracy"] == "better"
    assert means["threshold"] == "in_distribution"
    other = by_name(evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, convention="ood_positive", n_replicates=0))
    assert "ID rejected" in other["fpr_at_tpr.noise"].unit
    assert "positive: out-of-distribution" in other["fpr_at_tpr.noise"].unit


def test_accuracy_has_the_binomial_interval():
    correct = torch.arange(120) < 90
    accuracy = evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, correct=correct, n_replicates=2000)[-1]
    assert (accuracy.name, accuracy.value, accuracy.n) == ("id_accuracy", 0.75, 120)
    reach = 1.96 * math.sqrt(0.75 * 0.25 / 120)
    assert accuracy.low == pytest.approx(0.75 - reach, abs=0.012)
    assert accuracy.high == pytest.approx(0.75 + reach, abs=0.012)


def test_the_seed_decides_and_no_replicates_mean_no_intervals():
    first, again, other = (
        evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, correct=KNOWN > 1, n_replicates=50, seed=seed)
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other
    assert [one.value for one in first] == [one.value for one in other]
    bare = evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, correct=KNOWN > 1, n_replicates=0)
    assert [one.value for one in bare] == [one.value for one in first]
    assert {(one.low, one.high) for one in bare} == {(None, None)}


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = 0.5 * (1 + math.erf(1.0 / math.sqrt(2) / math.sqrt(2)))  # P(N(1, 1) > N(0, 1))
    covered = 0
    for seed in range(60):
        known, unknown = normal(60, 1.0, 2 * seed + 100), normal(40, 0.0, 2 * seed + 101)
        auroc_estimate = evaluate_scores(id_scores=known, ood={"o": unknown}, n_replicates=120, seed=seed)[0]
        covered += auroc_estimate.low <= truth <= auroc_estimate.high
    assert 50 <= covered <= 60  # 57 expected; percentile intervals run a little short


def test_many_scores_are_grouped_for_the_intervals_and_say_so(monkeypatch):
    exact = by_name(evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, n_replicates=400))
    monkeypatch.setattr(_evaluate, "LIMIT", 120)
    grouped = by_name(evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, n_replicates=400))
    for name, estimate in grouped.items():
        assert estimate.value == exact[name].value
        width = exact[name].high - exact[name].low
        assert estimate.low == pytest.approx(exact[name].low, abs=0.35 * width)
        assert estimate.high == pytest.approx(exact[name].high, abs=0.35 * width)
        is_bounded = "threshold" not in name
        assert ("groups of scores, its ends off by about" in estimate.unit) == is_bounded
        assert "groups" not in exact[name].unit


def test_intervals_of_grouped_scores_are_moved_to_their_exact_value(monkeypatch):
    monkeypatch.setattr(_evaluate, "LIMIT", 40)  # so coarse that ties add several points of FPR
    known, unknown = normal(4000, 1.5, 1), normal(4000, 0.0, 2)
    found = by_name(evaluate_scores(id_scores=known, ood={"o": unknown}, tpr=0.93, n_replicates=200))
    for name in ("auroc.o", "fpr_at_tpr.o", "threshold.o"):
        assert found[name].low <= found[name].value <= found[name].high


def test_constant_scores_are_an_answer_with_a_warning():
    with pytest.warns(UserWarning, match="all scores of the known images and of 'flat' are 1"):
        found = by_name(
            evaluate_scores(
                id_scores=torch.ones(30), ood={"flat": torch.ones(30), "o": torch.zeros(9)}, n_replicates=20
            )
        )
    assert (found["auroc.flat"].value, found["fpr_at_tpr.flat"].value) == (0.5, 1.0)
    assert (found["auroc.o"].value, found["fpr_at_tpr.o"].value) == (1.0, 0.0)
    assert found["auroc.flat"].low == found["auroc.flat"].high == 0.5


def test_few_known_images_are_warned_of_and_a_single_one_has_no_interval():
    with pytest.warns(UserWarning, match="19 in-distribution scores are fewer than 20"):
        evaluate_scores(id_scores=KNOWN[:19], ood=UNKNOWN, n_replicates=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = by_name(
            evaluate_scores(id_scores=KNOWN[:20], ood={**UNKNOWN, "one": torch.zeros(1)}, n_replicates=20)
        )
    assert (found["auroc.one"].low, found["mean_auroc"].low) == (None, None)
    assert found["auroc.noise"].low is not None


def test_infinite_scores_make_no_nan():
    known = torch.cat((KNOWN, torch.full((30,), -math.inf)))
    found = by_name(evaluate_scores(id_scores=known, ood=UNKNOWN, n_replicates=50))
    assert found["threshold.noise"].value == -math.inf
    assert (found["threshold.noise"].low, found["fpr_at_tpr.noise"].value) == (None, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ood": {}}, "there is no set of unknown images"),
        ({"ood": {"empty": torch.zeros(0)}}, "the set 'empty' holds no score"),
        ({"ood": {"bad": torch.tensor([math.nan])}}, "the set 'bad' holds a NaN"),
        ({"id_scores": torch.zeros(0)}, "the set 'in-distribution' holds no score"),
        ({"tpr": 0.0}, "tpr must lie in"),
        ({"convention": "mine"}, "there is no convention 'mine'; there are: id_positive"),
        ({"n_replicates": -1}, "n_replicates must be 0 or more"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        evaluate_scores(**{"id_scores": KNOWN, "ood": UNKNOWN, **change})


def test_one_score_an_image_and_one_truth_a_known_image():
    with pytest.raises(ShapeError, match=r"'noise' must have one score an image, got shape \(4, 2\)"):
        evaluate_scores(id_scores=KNOWN, ood={"noise": torch.zeros(4, 2)})
    with pytest.raises((ShapeError, TypeError)):  # TypeError where the shape hook speaks first
        evaluate_scores(id_scores=KNOWN, ood=UNKNOWN, correct=torch.ones(3, dtype=torch.bool))
