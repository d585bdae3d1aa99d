"""What chosen prompts gain: known answers, an oracle by class, and images on both sides."""

import pytest
import torch

from awase.errors import DataError, LeakError
from awase.transfer._gain import measure_gain, verdict
from awase.types import Estimate, Features, ImageReference, LabelledImage


def _features(values, hashes=None) -> Features:
    names = [str(row) for row in range(len(values))]
    images = tuple(LabelledImage(f"{name}.jpg", ImageReference(name, data=b"")) for name in names)
    return Features(values, images, tuple(hashes or names), "toy")


def _figures(gain) -> dict[str, Estimate]:
    return {figure.name: figure for figure in gain.estimates}


LABELS = torch.tensor([0] * 30 + [1] * 10 + [2] * 20)
RIGHT = torch.eye(3)


def test_equal_prompts_gain_exactly_nothing() -> None:
    images = _features(RIGHT[LABELS])
    plain = {"baseline": RIGHT[[1, 0, 2]], "uniform": RIGHT[[1, 0, 2]]}
    found = _figures(measure_gain(RIGHT[[1, 0, 2]], plain, images, LABELS, selection={}))
    for name in ("accuracy.gain", "accuracy.gain_over_uniform", "mean_class_accuracy.gain"):
        assert (found[name].value, found[name].low, found[name].high) == (0, 0, 0)
        assert found[name].n == 60


def test_figures_agree_with_counting() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.nn.functional.normalize(
        RIGHT[LABELS] + 0.6 * torch.randn(60, 3, generator=generator), dim=1
    )
    other = torch.nn.functional.normalize(RIGHT + torch.tensor([[0.0, 0.9, 0.0]]), dim=1)
    gain = measure_gain(RIGHT, {"baseline": other}, _features(images), LABELS, selection={}, seed=1)
    after = [int(row.argmax()) for row in images @ RIGHT.T]
    before = [int(row.argmax()) for row in images @ other.T]
    assert gain.predicted.tolist() == after
    assert gain.others["baseline"].tolist() == before
    found = _figures(gain)
    hits = [a == y for a, y in zip(after, LABELS.tolist(), strict=True)]
    old = [a == y for a, y in zip(before, LABELS.tolist(), strict=True)]
    assert found["accuracy"].value == sum(hits) / 60
    assert found["accuracy.baseline"].value == sum(old) / 60
    assert found["accuracy.gain"].value == pytest.approx((sum(hits) - sum(old)) / 60)

    def by_class(right):
        rows = [[h for h, y in zip(right, LABELS.tolist(), strict=True) if y == k] for k in range(3)]
        return sum(sum(of_class) / len(of_class) for of_class in rows) / 3

    assert found["mean_class_accuracy"].value == pytest.approx(by_class(hits))
    assert found["mean_class_accuracy.gain"].value == pytest.approx(by_class(hits) - by_class(old))
    for name in ("accuracy.gain", "mean_class_accuracy.gain"):
        assert found[name].low < found[name].value < found[name].high
    again = measure_gain(RIGHT, {"baseline": other}, _features(images), LABELS, selection={}, seed=1)
    assert again.estimates == gain.estimates


def test_the_interval_is_that_of_the_difference_and_not_of_two_shares() -> None:
    images = _features(RIGHT[LABELS])
    other = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0.5]]), dim=1)
    found = _figures(measure_gain(RIGHT, {"baseline": other}, images, LABELS, selection={}))
    width = found["accuracy.gain"].high - found["accuracy.gain"].low
    shares = [found[name].high - found[name].low for name in ("accuracy", "accuracy.baseline")]
    assert width < sum(shares)


def test_equal_images_are_drawn_together() -> None:
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (40,), generator=draws)
    values = torch.nn.functional.normalize(
        torch.eye(2)[labels] + 0.8 * torch.randn(40, 2, generator=draws), dim=1
    )
    other = {"baseline": torch.eye(2).flip(0)}
    alone = _figures(measure_gain(torch.eye(2), other, _features(values), labels, selection={}))
    twice = _figures(
        measure_gain(
            torch.eye(2),
            other,
            _features(values.repeat(2, 1), [*map(str, range(40))] * 2),
            labels.repeat(2),
            selection={},
        )
    )
    for end in ("value", "low", "high"):
        first, second = (getattr(figures["accuracy.gain"], end) for figures in (alone, twice))
        assert first == pytest.approx(second)


def test_an_image_that_chose_is_refused() -> None:
    images = _features(RIGHT[LABELS])
    with pytest.raises(
        LeakError, match=r"1 of the selection images is also among the kept-out images.*b\.jpg = 7\.jpg"
    ):
        measure_gain(RIGHT, {}, images, LABELS, selection={"x": "a.jpg", "7": "b.jpg"})
    with pytest.raises(LeakError, match="2 of the selection images"):
        measure_gain(RIGHT, {}, images, LABELS, selection=images.select([3, 4]))
    with pytest.raises(DataError, match="no kept-out image"):
        measure_gain(RIGHT, {}, images.select([]), LABELS[:0], selection={})


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.2, "gain on"), (-0.2, -0.01, "do harm"), (0.0, 0.2, "No gain"), (None, None, "Nothing")],
)
def test_the_verdict_says_what_the_interval_says(low, high, words: str) -> None:
    assert words in verdict(Estimate("accuracy.gain", 0.1, low, high, 9))
