"""Measures on a model whose right answers are obvious."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from awase.errors import DataError
from awase.registry import load
from awase.tune import _measures as measures
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task
from awase.types import Features, ImageReference, LabelledImage


class AxisReader:
    """Every word is an axis: cat 0, dog 1, bus 2, tree 3."""

    spec = load("encoder", "tiny").load("0").spec
    logit_scale = 100.0

    def preprocess(self, image: object) -> Tensor:
        raise NotImplementedError

    def encode_image(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        words = ("cat", "dog", "bus", "tree")
        return torch.stack(
            [torch.eye(4)[next(i for i, w in enumerate(words) if w in text)] for text in texts]
        )


def features(axes: Sequence[int], labels: Sequence[str]) -> Features:
    images = tuple(
        LabelledImage(f"{i}", ImageReference(f"{i}", data=b"x"), label) for i, label in enumerate(labels)
    )
    return Features(
        torch.eye(4)[list(axes)], images, tuple(map(str, range(len(axes)))), AxisReader.spec.fingerprint
    )


@pytest.fixture
def task() -> Task:
    frozen = Frozen.of(AxisReader(), ["cat", "dog"], ["a {}"])
    none = features([], [])
    return Task(frozen, none, torch.zeros(0, dtype=torch.long), none, torch.zeros(0, dtype=torch.long))


def test_accuracy_takes_the_lower_of_equal_classes() -> None:
    similarity = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.1, 0.2]])
    assert measures.accuracy(similarity, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="at least one image"):
        measures.accuracy(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))


def test_measures_of_the_model_before_tuning(task: Task) -> None:
    frozen, images = task.frozen, features([0, 1, 1, 0], ["cat", "dog", "cat", "cat"])
    labels = torch.tensor([0, 1, 0, 0])
    assert measures.held_out_accuracy(images, labels)(frozen, task) == {"accuracy": 0.75}
    moved = measures.drift(images)(frozen, task)
    assert moved == {"class_shift": pytest.approx(0.0), "image_shift": pytest.approx(0.0)}


def test_other_classes_and_retrieval_read_the_words(task: Task) -> None:
    images = features([2, 3, 3], ["bus", "tree", "bus"])
    found = measures.other_zero_shot("street", images, torch.tensor([0, 1, 0]), ["bus", "tree"])
    assert found(task.frozen, task) == {"zero_shot/street": pytest.approx(2 / 3)}
    captions = ["a cat", "a bus", "the tree", "the bus"]
    photos = features([0, 2, 3], ["", "", ""])
    found = measures.retrieval("p", photos, captions, torch.tensor([0, 1, 2, 1]))
    assert found(task.frozen, task) == {"image_to_text_r1/p": 1.0, "text_to_image_r1/p": 1.0}


class Deaf:
    """A tuned model that knows no other classes, like a linear head."""

    n_parameters = 3

    def __init__(self, frozen: Frozen) -> None:
        self.frozen = frozen

    def evidence(self, images: Features, class_names: Sequence[str] | None = None):
        if class_names is not None:
            raise DataError("cannot")
        return self.frozen.evidence(images)

    def image_features(self, images: Features) -> Tensor:
        return images.values

    def text_features(self, texts: Sequence[str]) -> Tensor:
        return self.frozen.text_features(texts)


def test_base_to_new_and_a_method_that_cannot(task: Task) -> None:
    images, new = features([0, 1], ["cat", "dog"]), features([2, 2, 3, 2], ["bus", "bus", "tree", "tree"])
    measure = measures.base_to_new(
        images,
        torch.tensor([0, 1]),
        new_images=new,
        new_labels=torch.tensor([0, 0, 1, 1]),
        new_classes=["bus", "tree"],
    )
    found = measure(task.frozen, task)
    assert found["base_accuracy"] == 1.0
    assert found["new_accuracy"] == 0.75
    assert found["harmonic_mean"] == pytest.approx(2 * 0.75 / 1.75)
    deaf = measure(Deaf(task.frozen), task)
    assert deaf["base_accuracy"] == 1.0
    assert deaf["new_accuracy"] is None
    assert deaf["harmonic_mean"] is None


def test_harmonic_mean_of_nothing_is_nothing() -> None:
    assert measures.harmonic_mean(0.0, 0.0) == 0.0
