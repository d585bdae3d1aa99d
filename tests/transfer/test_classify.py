"""Answers, figures and rows of a zero-shot classifier against naive loops and known answers."""

import math

import pytest
import torch
from PIL import Image
from torch import Tensor

from awase.errors import DataError
from awase.functional.calibration import expected_calibration_error, fit_temperature
from awase.functional.completeness import transfer_bound
from awase.functional.similarity import normalize
from awase.images import from_pixels
from awase.transfer._answers import Answers, answer
from awase.transfer._calibration_split import keep_for_calibration
from awase.transfer._class_rows import SCHEMA, class_rows
from awase.transfer._classify import Settings, classification
from awase.types import BadRow, Features, LabelledImage

QUICK = Settings(n_replicates=60)


def _random(n: int = 60, k: int = 7, d: int = 9, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    images = normalize(torch.randn(n, d, generator=draws))
    classes = normalize(torch.randn(k, d, generator=draws))
    labels = (images @ classes.T + 0.3 * torch.randn(n, k, generator=draws)).argmax(dim=1)
    return images, classes, labels


def _tied() -> tuple[Tensor, Tensor, Tensor]:
    """Two images that are as near to the classes 1 and 3 as can be, and classes that are equal."""
    classes = torch.eye(3)[[0, 1, 2, 1]]
    return torch.eye(3)[[1, 1, 0]], classes, torch.tensor([1, 3, 2])


def _naive_rank(row: list[float], truth: int) -> int:
    """Classes before the true one: nearer, or as near and earlier."""
    return sum(value > row[truth] or (value == row[truth] and k < truth) for k, value in enumerate(row))


@pytest.mark.parametrize("make", [_random, _tied])
@pytest.mark.parametrize("block_size", [1, 7, None])
def test_answers_are_those_of_the_naive_loop(make, block_size: int | None) -> None:
    images, classes, labels = make()
    said = answer(images, classes, labels, temperature=0.1, top=3, block_size=block_size)
    cosines = (images.double() @ classes.double().T).tolist()
    for row, cos in enumerate(cosines):
        truth = int(labels[row])
        assert int(said.ranks[row]) == _naive_rank(cos, truth)
        order = sorted(range(len(cos)), key=lambda k: (-cos[k], k))[:3]
        assert said.classes[row].tolist() == order
        total = sum(math.exp(c / 0.1) for c in cos)
        probabilities = [math.exp(c / 0.1) / total for c in cos]
        assert said.probability[row].tolist() == pytest.approx([probabilities[k] for k in order], rel=1e-5)
        assert float(said.loss[row]) == pytest.approx(-math.log(probabilities[truth]), rel=1e-5, abs=1e-6)
        squares = sum((p - (k == truth)) ** 2 for k, p in enumerate(probabilities))
        assert float(said.brier[row]) == pytest.approx(squares, rel=1e-4, abs=1e-6)


def test_half_precision_is_widened() -> None:
    images, classes, labels = _random()
    half = answer(images.half(), classes.half(), labels, temperature=0.1)
    assert half.similarity.dtype == torch.float32
    assert half.similarity[:, 0].tolist() == pytest.approx(
        (images @ classes.T).max(dim=1).values.tolist(), abs=2e-3
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": torch.eye(9)[:1]}, "two classes or more"),
        ({"images": torch.zeros(0, 9), "labels": torch.tensor([], dtype=torch.long)}, "no image"),
        ({"labels": torch.full((60,), 7)}, "labels must be classes 0 to 6"),
        ({"temperature": 0.0}, "must be positive"),
        ({"top": 0}, "must be positive"),
        ({"images": torch.full((60, 9), math.nan)}, "rows 0, 1, 2, 3, 4 are not finite"),
    ],
)
def test_bad_input_is_refused_with_a_reason(change: dict, message: str) -> None:
    images, classes, labels = _random()
    given = {"images": images, "classes": classes, "labels": labels, "temperature": 0.1, "top": 1, **change}
    with pytest.raises(DataError, match=message):
        answer(given.pop("images"), given.pop("classes"), given.pop("labels"), **given)


def _figures(said: Answers, hashes: list[str] | None = None, **more):
    labels = [f"class {k}" for k in range(said.n_classes)]
    names = hashes or [str(row) for row in range(len(said))]
    return classification(said, labels=labels, hashes=names, settings=QUICK, **more)


def test_figures_are_those_of_the_naive_loop() -> None:
    images, classes, labels = _random()
    said = answer(images, classes, labels, temperature=0.1)
    found = _figures(said)
    value = {figure.name: figure.value for figure in found.estimates}
    cosines = (images.double() @ classes.double().T).tolist()
    ranks = [_naive_rank(cos, int(truth)) for cos, truth in zip(cosines, labels, strict=True)]
    assert value["top_1_accuracy"] == pytest.approx(sum(r == 0 for r in ranks) / 60)
    assert value["top_5_accuracy"] == pytest.approx(sum(r < 5 for r in ranks) / 60)
    by_class = [
        sum(r == 0 for r, t in zip(ranks, labels.tolist(), strict=True) if t == k)
        / max(labels.tolist().count(k), 1)
        for k in range(7)
        if k in labels.tolist()
    ]
    assert value["mean_class_accuracy"] == pytest.approx(sum(by_class) / len(by_class))
    correct = torch.tensor(ranks) == 0
    assert value["ece"] == pytest.approx(expected_calibration_error(said.confidence, correct))
    assert value["mean_confidence"] == pytest.approx(float(said.confidence.mean()))
    assert value["nll"] == pytest.approx(float(said.loss.mean()))
    assert value["brier"] == pytest.approx(float(said.brier.mean()))
    for figure in found.estimates:
        assert figure.n == 60
        if figure.low is not None and not figure.name.startswith("ece"):
            assert figure.low < figure.value < figure.high, figure.name


def test_confusion_and_class_figures_add_up() -> None:
    images, classes, labels = _random()
    said = answer(images, classes, labels, temperature=0.1)
    found = _figures(said)
    for truth in range(7):
        for given in range(7):
            expected = int(((labels == truth) & (said.classes[:, 0] == given)).sum())
            assert int(found.confusion[truth, given]) == expected
    for k, one in enumerate(found.classes):
        row = found.confusion[k].tolist()
        assert one.n == sum(row)
        assert one.recall == (pytest.approx(row[k] / one.n) if one.n else None)
        given = int(found.confusion[:, k].sum())
        assert one.precision == (pytest.approx(row[k] / given) if given else None)
        wrong = [*row[:k], 0, *row[k + 1 :]]
        assert one.mistakes == max(wrong)
        assert one.mistaken_for == (f"class {wrong.index(max(wrong))}" if max(wrong) else None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 100.0])
def test_the_bound_holds_and_is_the_one_of_functional(seed: int, temperature: float) -> None:
    images, classes, labels = _random(seed=seed)
    found = _figures(answer(images, classes, labels, temperature=temperature))
    value = {figure.name: figure.value for figure in found.estimates}
    for r in (1, 5):
        expected = transfer_bound(images @ classes.T, labels, temperature=temperature, r=r)
        assert value[f"top_{r}_error_bound"] == pytest.approx(expected.bound, rel=1e-5)
        assert value[f"top_{r}_error_bound"] >= expected.error >= 1 - value[f"top_{r}_accuracy"] - 1e-12


def test_perfect_and_hopeless_classifiers() -> None:
    eye = torch.eye(4)
    perfect = _figures(answer(eye, eye, torch.arange(4), temperature=0.01))
    value = {figure.name: figure.value for figure in perfect.estimates}
    assert value["top_1_accuracy"] == value["mean_class_accuracy"] == 1.0
    assert value["ece"] == pytest.approx(0, abs=1e-9)
    assert value["top_1_error_bound"] == pytest.approx(0, abs=1e-9)
    assert "top_5_accuracy" not in value
    assert any("Top-5 accuracy is left out: there are 4 classes." in note for note in perfect.notes)
    wrong = _figures(answer(eye, eye, torch.tensor([1, 2, 3, 0]), temperature=0.01))
    value = {figure.name: figure.value for figure in wrong.estimates}
    assert value["top_1_accuracy"] == 0.0
    assert value["ece"] == pytest.approx(1.0)
    assert value["brier"] == pytest.approx(2.0)
    assert value["nll"] == pytest.approx(100.0)


def test_equal_images_are_drawn_together() -> None:
    images, classes, labels = _random(n=40)
    twice = answer(images.repeat(2, 1), classes, labels.repeat(2), temperature=0.1)
    hashes = [str(row) for row in range(40)] * 2
    together, apart = _figures(twice, hashes), _figures(twice)
    once = _figures(answer(images, classes, labels, temperature=0.1))
    width = [f.estimates[0].high - f.estimates[0].low for f in (once, together, apart)]
    assert width[1] == pytest.approx(width[0])
    assert width[2] < 0.9 * width[0]
    assert together.estimates[0].value == once.estimates[0].value


def test_classes_without_an_image_are_counted_and_left_out_of_the_mean() -> None:
    eye = torch.eye(4)
    found = _figures(answer(eye[:2], eye, torch.tensor([0, 0]), temperature=0.1))
    value = {figure.name: figure.value for figure in found.estimates}
    assert value["mean_class_accuracy"] == 0.5
    assert found.classes[3].recall is None
    assert any("Classes without a test image, which can still be answered: 3." in n for n in found.notes)
    [bars] = [chart for chart in found.charts if chart.name == "class_accuracy"]
    assert [line.label for line in bars.lines] == ["class 0"]


def test_a_fitted_temperature_repairs_confidence_and_changes_no_answer() -> None:
    draws = torch.Generator().manual_seed(1)
    images, classes, _ = _random(n=600)
    labels = torch.multinomial((images @ classes.T / 0.3).softmax(dim=1), 1, generator=draws)[:, 0]
    fit, test = slice(0, 300), slice(300, 600)
    fitted = fit_temperature(images[fit] @ classes.T, labels[fit])
    before = answer(images[test], classes, labels[test], temperature=0.02)
    after = answer(images[test], classes, labels[test], temperature=fitted.value)
    found = _figures(before, after=after, fitted=fitted, n_calibration=300)
    value = {figure.name: figure.value for figure in found.estimates}
    assert bool((before.classes == after.classes).all())
    assert value["fitted_temperature"] == fitted.value == pytest.approx(0.3, rel=0.3)
    assert value["ece_after"] < 0.3 * value["ece"]
    assert value["nll_after"] < value["nll"]
    [curve] = [chart for chart in found.charts if chart.name == "reliability"]
    assert [line.label for line in curve.lines] == ["as_it_came", "after_fit"]
    [figure] = [figure for figure in found.estimates if figure.name == "fitted_temperature"]
    assert figure.n == 300


def test_figures_are_the_same_every_time_and_without_draws_there_are_no_intervals() -> None:
    said = answer(*_random(), temperature=0.1)
    assert _figures(said).estimates == _figures(said).estimates
    labels = [str(k) for k in range(7)]
    hashes = [str(row) for row in range(60)]
    bare = classification(said, labels=labels, hashes=hashes, settings=Settings(n_replicates=0))
    assert all(figure.low is None for figure in bare.estimates)


@pytest.mark.parametrize(
    "bad", [{"top": ()}, {"top": (0,)}, {"n_bins": 0}, {"bins": "odd"}, {"n_replicates": -1}]
)
def test_settings_out_of_range_are_refused(bad: dict) -> None:
    with pytest.raises(DataError):
        Settings(**bad)


def _features(n: int, hashes: list[str] | None = None) -> Features:
    photo = from_pixels(Image.new("RGB", (8, 8)))
    rows = tuple(LabelledImage(f"{row}.jpg", photo, "dog") for row in range(n))
    return Features(torch.eye(4)[[0] * n], rows, tuple(hashes or [str(row) for row in range(n)]), "toy")


def test_rows_hold_answers_and_errors() -> None:
    classes = torch.eye(4)[:3]
    said = answer(_features(2).values, classes, torch.tensor([0, 2]), temperature=0.5, top=2)
    bad = [BadRow("x.jpg", "x.jpg", "", "unreadable_image", "broken")]
    table = class_rows(_features(2), said, ["cat", "dog", "\ud800"], bad=bad, after=said)
    assert table.schema == SCHEMA
    first, second, failed = table.to_pylist()
    assert (first["label"], first["class"], first["correct"], first["rank"]) == ("cat", "cat", True, 1)
    assert (second["correct"], second["rank"]) == (False, 3)
    assert first["top"] == ["cat", "dog"]
    assert first["top_similarity"] == [1.0, 0.0]
    assert first["confidence"] == first["confidence_after"] == pytest.approx(math.e**2 / (math.e**2 + 2))
    assert (failed["error_code"], failed["class"], failed["confidence"]) == ("unreadable_image", None, None)


def test_the_calibration_side_is_drawn_by_contents() -> None:
    hashes = [f"{row // 2}" for row in range(40)]  # every content twice
    images = _features(40, hashes)
    fit, test = keep_for_calibration(images, share=0.25)
    assert len(fit) == 10
    assert sorted(fit + test) == list(range(40))
    assert not {hashes[row] for row in fit} & {hashes[row] for row in test}
    turned = _features(40, hashes[::-1])
    other, _ = keep_for_calibration(turned, share=0.25)
    assert {hashes[::-1][row] for row in other} == {hashes[row] for row in fit}
    assert keep_for_calibration(images, share=0.25, seed=1)[0] != fit
    for share in (0.0, 1.0, 0.001):
        with pytest.raises(DataError, match="share"):
            keep_for_calibration(images, share=share)
