"""Each score against a naive loop written from its formula in float64, and the answers known beforehand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.detection import auroc, fpr_at_tpr
from awase.ood._protocol import Known
from awase.ood._rows import blocks, score_rows
from awase.ood.energy import Energy
from awase.ood.entropy import Entropy
from awase.ood.gl_mcm import GlMcm
from awase.ood.kl_matching import KlMatching
from awase.ood.knn import Knn, kth_nearest
from awase.ood.logit_gap import LogitGap
from awase.ood.mahalanobis import Mahalanobis, oas_shrinkage, within_class_covariance
from awase.ood.max_logit import MaxLogit
from awase.ood.mcm import Mcm
from awase.ood.msp import Msp
from awase.ood.variance import Variance
from awase.types import Evidence


def unit(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def of(similarity: Tensor) -> Evidence:
    """Evidence with nothing but similarities."""
    n, k = similarity.shape
    return Evidence(similarity, torch.zeros(n, 2), torch.zeros(k, 2))


def cosines(n: int, k: int, *, seed: int = 0, mean: float = 0.2, spread: float = 0.03) -> Tensor:
    """Cosines as CLIP gives them."""
    return mean + spread * torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def softmax(row: list[float], temperature: float) -> list[float]:
    top = max(row)
    weights = [math.exp((value - top) / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def naive(name: str, row: list[float], t: float) -> float:
    p, k = softmax(row, t), len(row)
    if name in ("mcm", "msp"):
        return math.log(max(p))
    if name == "energy":
        return t * (max(row) / t + math.log(sum(math.exp((value - max(row)) / t) for value in row)))
    if name == "entropy":
        return sum(value * math.log(value) for value in p if value > 0)
    return sum((value - 1 / k) ** 2 for value in p) / k


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 100.0])
@pytest.mark.parametrize(
    ("name", "score"),
    [("mcm", Mcm), ("msp", Msp), ("energy", Energy), ("entropy", Entropy), ("variance", Variance)],
)
def test_softmax_scores_are_their_formula(name, score, temperature):
    similarity = cosines(20, 13)
    expected = [naive(name, row, temperature) for row in similarity.double().tolist()]
    scores = score(temperature=temperature).score(of(similarity))
    # float32 cosines and exponentials, sums in float64
    assert scores.tolist() == pytest.approx(expected, rel=2e-4 if name == "variance" else 2e-6)


def test_max_logit_is_the_maximum_and_takes_one_class():
    similarity = cosines(5, 3)
    assert MaxLogit().score(of(similarity)).tolist() == [max(row) for row in similarity.tolist()]
    assert MaxLogit().score(of(similarity[:, :1])).tolist() == similarity[:, 0].tolist()
    assert Energy().score(of(similarity[:, :1])).tolist() == pytest.approx(similarity[:, 0].tolist())


@pytest.mark.parametrize(
    ("share", "k", "n"), [(0.2, 13, 3), (0.2, 5, 2), (1.0, 7, 7), (0.5, 10, 5), (0.2, 2, 2)]
)
def test_logit_gap_is_best_minus_mean_of_the_next(share, k, n):
    similarity = cosines(20, k)
    similarity[0] = 0.25  # ties
    similarity[1, : min(3, k)] = 0.4
    rows = [sorted(row, reverse=True) for row in similarity.double().tolist()]
    expected = [row[0] - sum(row[1:n]) / (n - 1) for row in rows]
    assert LogitGap(share=share).score(of(similarity)).tolist() == pytest.approx(expected, abs=1e-9)


def test_at_high_temperature_mcm_is_uniform_and_ranks_like_best_minus_mean():
    similarity = cosines(300, 50)
    scores = Mcm(temperature=1000.0).score(of(similarity))
    assert scores.exp().tolist() == pytest.approx([1 / 50] * 300, rel=1e-3)
    gap = similarity.amax(dim=1) - similarity.mean(dim=1)
    for temperature in (1.0, 100.0):
        ranked = Mcm(temperature=temperature).score(of(similarity))
        assert spearmanr(ranked, gap).statistic > 0.999
        assert spearmanr(ranked, LogitGap(share=1.0).score(of(similarity))).statistic > 0.999


def test_at_low_temperature_mcm_is_one_and_ranks_like_the_gap_of_the_best_two():
    similarity = cosines(300, 50, spread=0.05).double()
    top = similarity.topk(2, dim=1).values
    scores = Mcm(temperature=1e-4).score(of(similarity))
    clear = top[:, 0] - top[:, 1] > 0.005
    assert clear.sum() > 100
    assert scores.exp()[clear].min() > 0.999
    assert spearmanr(Mcm(temperature=1e-3).score(of(similarity)), top[:, 0] - top[:, 1]).statistic > 0.99


def test_equal_similarities_make_mcm_one_over_k():
    same = of(torch.full((3, 8), 0.3))
    assert Mcm().score(same).exp().tolist() == pytest.approx([1 / 8] * 3)
    assert Entropy().score(same).tolist() == pytest.approx([-math.log(8)] * 3)
    assert Variance().score(same).tolist() == [0.0] * 3
    assert LogitGap().score(same).tolist() == pytest.approx([0.0] * 3, abs=1e-12)


def test_a_constant_shifts_max_logit_and_energy_alone():
    similarity = cosines(30, 20).double()
    shifted = similarity + 0.25
    for score in (Mcm(), Msp(), Entropy(), Variance(), LogitGap()):
        assert score.score(of(shifted)).tolist() == pytest.approx(
            score.score(of(similarity)).tolist(), rel=1e-9
        )
    for absolute in (MaxLogit(), Energy(), Energy(temperature=0.01)):
        moved = absolute.score(of(shifted)) - absolute.score(of(similarity))
        assert moved.tolist() == pytest.approx([0.25] * 30)


def test_log_mcm_ranks_like_mcm_and_float32_like_float64():
    similarity = cosines(4000, 1000)
    probabilities = (similarity.double()).softmax(dim=1).amax(dim=1)
    scores = Mcm().score(of(similarity))
    assert (rankdata(scores) == rankdata(probabilities)).all()
    assert len(set(scores.tolist())) == 4000
    # the trap: the probability itself in half precision knows a few hundred values
    assert len(set(probabilities.half().tolist())) < 400


def test_entropy_ranks_like_the_divergence_from_uniform_in_float32():
    similarity = cosines(2000, 1000)
    log_p = similarity.double().log_softmax(dim=1)
    divergence = math.log(1000) + (log_p.exp() * log_p).sum(dim=1)
    assert spearmanr(Entropy().score(of(similarity)), divergence).statistic > 0.99999
    variance = log_p.exp().var(dim=1, correction=0)
    assert spearmanr(Variance().score(of(similarity)), variance).statistic > 0.99999


def test_msp_is_mcm_at_another_temperature():
    similarity = of(cosines(30, 20))
    assert Msp().score(similarity).equal(Mcm(temperature=0.01).score(similarity))
    assert not Msp().score(similarity).equal(Mcm().score(similarity))


def _known(features: Tensor, labels: list[int], k: int, *, similarity: Tensor | None = None) -> Known:
    classes = torch.zeros(k, features.shape[1])
    similarity = torch.zeros(len(features), k) if similarity is None else similarity
    places = torch.tensor(labels, dtype=torch.int64)
    return Known(Evidence(similarity, features, classes), places, [str(i) for i in range(k)])


def test_kl_matching_is_its_formula():
    train, test = cosines(12, 5, seed=1), cosines(9, 5, seed=2)
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 4, 4, 4]  # nothing of class 3
    scorer = KlMatching().fit(_known(torch.zeros(12, 2), labels, 5, similarity=train))
    p = [softmax(row, 0.01) for row in train.double().tolist()]
    means = [
        np.mean([row for row, label in zip(p, labels, strict=True) if label == y], axis=0)
        for y in (0, 1, 2, 4)
    ]
    expected = []
    for row in test.double().tolist():
        q = softmax(row, 0.01)
        expected.append(
            -min(sum(a * math.log(a / b) for a, b in zip(q, mean, strict=True)) for mean in means)
        )
    assert scorer.score(of(test)).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_kl_matching_survives_probabilities_that_vanish():
    train = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) * 100
    scorer = KlMatching().fit(_known(torch.zeros(2, 2), [0, 1], 2, similarity=train))
    scores = scorer.score(of(torch.tensor([[100.0, -100.0], [0.0, 0.0]])))
    assert scores[0] == 0.0
    assert math.isfinite(scores[1])
    assert scores[1] < -100


def _mahalanobis(features: Tensor, labels: list[int], test: Tensor, covariance: np.ndarray) -> list[float]:
    values, inverse = features.double().numpy(), np.linalg.inv(covariance)
    means = [values[np.array(labels) == y].mean(axis=0) for y in sorted(set(labels))]
    return [max(-0.5 * (f - m) @ inverse @ (f - m) for m in means) for f in test.double().numpy()]


@pytest.mark.parametrize("shrinkage", [None, 0.3, 1.0, 1])
def test_mahalanobis_is_its_formula(shrinkage):
    features, test, labels = (
        unit(12, 16, seed=3),
        unit(9, 16, seed=4),
        [0] * 5 + [2] * 7,
    )  # 12 < 16 dimensions
    values = features.double().numpy()
    s = np.zeros((16, 16))
    for value, label in zip(values, labels, strict=True):
        deviation = value - values[np.array(labels) == label].mean(axis=0)
        s += np.outer(deviation, deviation) / (12 - 2)
    r = _oas(s, 10) if shrinkage is None else shrinkage
    covariance = (1 - r) * s + r * np.trace(s) / 16 * np.eye(16)
    expected = _mahalanobis(features, labels, test, covariance)
    scorer = Mahalanobis(shrinkage=shrinkage).fit(_known(features, labels, 3))
    scores = scorer.score(Evidence(torch.zeros(9, 3), test, torch.zeros(3, 16)))
    assert scores.tolist() == pytest.approx(expected, rel=1e-4)


def _oas(s: np.ndarray, n: int) -> float:
    """Chen et al. 2010, equation 23."""
    p = len(s)
    above = (1 - 2 / p) * np.trace(s @ s) + np.trace(s) ** 2
    below = (n + 1 - 2 / p) * (np.trace(s @ s) - np.trace(s) ** 2 / p)
    return min(1.0, above / below)


def test_shrinkage_falls_with_more_images():
    shrinkages = []
    for n in (20, 200, 2000):
        values = torch.randn(n, 8, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        values[:, 0] *= 5
        covariance = values.T @ values / n
        shrinkages.append(oas_shrinkage(covariance, n))
        assert shrinkages[-1] == pytest.approx(_oas(covariance.numpy(), n))
    assert shrinkages[0] > shrinkages[1] > shrinkages[2]
    assert shrinkages[2] < 0.01


def test_mahalanobis_uses_the_spread_within_classes_and_not_between():
    """Class means far apart along x, spread along y: a step along y is small, one along x is large."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(400, 2, generator=generator) * torch.tensor([0.01, 0.3])
    features = noise + torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).repeat_interleave(200, dim=0)
    scorer = Mahalanobis().fit(_known(features, [0] * 200 + [1] * 200, 2))
    steps = torch.tensor([[1.0, 0.3], [1.3, 0.0]])
    along_y, along_x = scorer.score(Evidence(torch.zeros(2, 2), steps, torch.zeros(2, 2))).tolist()
    assert along_y > -2 > along_x * 10


def test_one_image_a_class_gives_the_nearest_image():
    features, test = unit(4, 16, seed=6), unit(9, 16, seed=7)
    scorer = Mahalanobis().fit(_known(features, [0, 1, 2, 3], 4))
    scores = scorer.score(Evidence(torch.zeros(9, 4), test, torch.zeros(4, 16)))
    expected = -(torch.cdist(test.double(), features.double()) ** 2).amin(dim=1) / 2
    assert scores.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    covariance = within_class_covariance(features, features.double(), 4, None)
    assert covariance.equal(torch.eye(16, dtype=torch.float64))


def test_no_shrinkage_with_few_images_is_an_error_that_says_so():
    with pytest.raises(DataError, match=r"no inverse.*shrinkage"):
        Mahalanobis(shrinkage=0.0).fit(_known(unit(12, 16), [0] * 6 + [1] * 6, 2))
    with pytest.raises(DataError, match=r"\[0, 1\], got 1.5"):
        Mahalanobis(shrinkage=1.5).fit(_known(unit(12, 16), [0] * 12, 2))
    enough = Mahalanobis(shrinkage=0.0).fit(_known(unit(60, 16), [0] * 30 + [1] * 30, 2))
    assert bool(enough.whitening.isfinite().all())


@pytest.mark.parametrize("k", [1, 3, 20])
def test_knn_is_minus_the_distance_to_the_kth_nearest(k):
    known, test = unit(20, 8, seed=8), unit(15, 8, seed=9)
    expected = [
        -sorted(math.dist(a, b) for b in known.double().tolist())[k - 1] for a in test.double().tolist()
    ]
    scorer = Knn(k=k).fit(_known(known, [0] * 20, 2))
    scores = scorer.score(Evidence(torch.zeros(15, 2), test, torch.zeros(2, 8)))
    assert scores.tolist() == pytest.approx(expected, rel=1e-5)


def test_knn_streams_over_the_known_images_too(monkeypatch):
    known, test = unit(50, 8, seed=8), unit(15, 8, seed=9)
    whole = kth_nearest(test, known, 4)
    monkeypatch.setattr("awase.ood.knn._COLUMNS", 7)
    monkeypatch.setattr("awase.ood.knn._ROWS", 4)
    assert kth_nearest(test, known, 4).equal(whole)
    scorer = Knn(k=4).fit(_known(known, [0] * 50, 2))
    scores = scorer.score(Evidence(torch.zeros(15, 2), test, torch.zeros(2, 8)))
    assert scores.tolist() == pytest.approx((-(test - known[whole]).double().norm(dim=1)).tolist())


def test_knn_takes_fifty_where_classes_have_fifty_images_and_else_one():
    assert Knn().fit(_known(unit(100, 4), [0] * 50 + [1] * 50, 3)).k == 50
    assert Knn().fit(_known(unit(99, 4), [0] * 50 + [1] * 49, 3)).k == 1
    assert Knn().fit(_known(unit(3, 4), [0, 1, 1], 3)).k == 1
    with pytest.raises(DataError, match=r"1 .. 3.*got 4"):
        Knn(k=4).fit(_known(unit(3, 4), [0, 1, 1], 3))


def test_a_known_image_is_at_distance_zero():
    known = unit(30, 64)
    scorer = Knn().fit(_known(known, [0] * 30, 1))
    assert scorer.score(Evidence(torch.zeros(30, 1), known, torch.zeros(1, 64))).tolist() == [0.0] * 30


def test_gl_mcm_is_its_formula():
    images, patches, classes = unit(6, 8, seed=1), unit(6, 5, 8, seed=2), unit(4, 8, seed=3)
    evidence = Evidence(images @ classes.T, images, classes, patches)
    for temperature, weight in ((1.0, 1.0), (0.05, 0.5), (1, 0)):
        expected = []
        for image, local in zip(images.double(), patches.double(), strict=True):
            whole = max(softmax((classes.double() @ image).tolist(), temperature))
            best = max(max(softmax((classes.double() @ patch).tolist(), temperature)) for patch in local)
            expected.append(whole + weight * best)
        scores = GlMcm(temperature=temperature, weight=weight).score(evidence)
        assert scores.tolist() == pytest.approx(expected, rel=1e-6)


def test_gl_mcm_says_when_patches_are_missing():
    with pytest.raises(DataError, match="patch features"):
        GlMcm().score(of(cosines(3, 4)))
    images = unit(3, 8)
    with pytest.raises(DataError, match="weight"):
        GlMcm(weight=-1.0).score(Evidence(images @ images.T, images, images, images[:, None]))


def test_synthetic_classes_are_told_from_random_directions():
    """Known answer: prototypes in 512 dimensions, noise 0.02, against random unit vectors."""
    classes = unit(20, 512, seed=1)
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(400) % 20
    inside = classes[labels] + 0.02 * torch.randn(400, 512, generator=generator)
    inside = torch.nn.functional.normalize(inside, dim=1)
    outside = unit(400, 512, seed=3)
    scores = [Mcm().score(Evidence(x @ classes.T, x, classes)) for x in (inside, outside)]
    assert auroc(id_scores=scores[0], ood_scores=scores[1]) > 0.999
    assert fpr_at_tpr(id_scores=scores[0], ood_scores=scores[1])[0] < 0.01


def test_features_of_another_width_are_refused():
    for method in (Mahalanobis(), Knn()):
        scorer = method.fit(_known(unit(6, 8), [0, 0, 0, 1, 1, 1], 2))
        with pytest.raises(ShapeError, match=r"9 dimensions.*8"):
            scorer.score(Evidence(torch.zeros(2, 2), unit(2, 9), torch.zeros(2, 9)))


@pytest.mark.parametrize("method", [KlMatching(), Mahalanobis(), Knn()])
def test_what_nothing_can_be_learned_from_is_refused(method):
    features = unit(3, 4)
    with pytest.raises(DataError, match="at least one image"):
        method.fit(_known(features[:0], [], 2))
    with pytest.raises(DataError, match="3 images and 2 labels"):
        method.fit(_known(features, [0, 1], 2))
    with pytest.raises(DataError, match=r"0 .. 1 for 2 classes, got 0 .. 2"):
        method.fit(_known(features, [0, 1, 2], 2))
    with pytest.raises(DataError, match="NaN"):
        method.fit(_known(features * math.nan, [0, 1, 1], 2, similarity=torch.full((3, 2), math.nan)))


def test_blocks_cover_every_row_once():
    for n, width, elements in ((0, 5, 10), (1, 5, 1), (7, 3, 6), (8, 1, 100)):
        rows = [row for part in blocks(n, width, elements=elements) for row in range(n)[part]]
        assert rows == list(range(n))


def test_a_score_that_is_not_finite_names_its_row():
    similarity = cosines(600, 1000)
    similarity[555, 3] = math.nan
    with pytest.raises(DataError, match=r"1 of 600 images.*row 555"):
        Mcm().score(of(similarity))
    similarity[555, 3] = math.inf
    with pytest.raises(DataError, match="row 555"):
        MaxLogit().score(of(similarity))


def test_scores_leave_the_similarities_alone():
    similarity = cosines(10, 6)
    before = similarity.clone()
    for score in (Mcm(), Msp(), Energy(), Entropy(), Variance(), LogitGap(), MaxLogit()):
        score.score(of(similarity))
        assert similarity.equal(before)


def test_score_rows_runs_block_by_block():
    seen = []

    def first(block: Tensor) -> Tensor:
        seen.append(len(block))
        return block[:, 0]

    similarity = cosines(1000, 600)
    assert score_rows(of(similarity), first).tolist() == similarity[:, 0].double().tolist()
    assert len(seen) > 1
    assert sum(seen) == 1000
