"""A task out of labelled images: what is drawn, what is refused, what is written down."""

import itertools

import pytest
import torch

from awase.errors import DataError, LeakError
from awase.tune._frozen import Frozen
from awase.tune._task import make_task
from awase.types import Features, ImageReference, LabelledImage

NAMES = ("ant", "bee", "cow")
FROZEN = Frozen(NAMES, torch.eye(4)[:3], 100.0, "toy")


def _pool(
    counts: tuple[int, ...], *, prefix: str = "train", encoder: str = "toy"
) -> tuple[Features, torch.Tensor]:
    """counts[k] images of class k, whose hashes are their names."""
    labels = torch.tensor([label for label, n in enumerate(counts) for _ in range(n)], dtype=torch.long)
    names = [f"{prefix}/{NAMES[label]}/{row}.jpg" for row, label in enumerate(labels.tolist())]
    images = tuple(LabelledImage(name, ImageReference(name, data=b"")) for name in names)
    values = torch.nn.functional.normalize(torch.randn(len(names), 4, generator=_generator()), dim=1)
    return Features(values, images, tuple(f"#{name}" for name in names), encoder), labels


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_every_class_gives_its_shots_and_validation_images() -> None:
    pool, labels = _pool((20, 9, 8))
    task, split = make_task(FROZEN, pool, labels, shots=4, seed=1)
    assert task.train_labels.bincount().tolist() == [4, 4, 4]
    assert task.validation_labels.bincount().tolist() == [4, 4, 4]
    for features, numbers in ((task.train, task.train_labels), (task.validation, task.validation_labels)):
        for image, label in zip(features.images, numbers.tolist(), strict=True):
            assert NAMES[label] in image.id
    assert not set(task.train.hashes) & set(task.validation.hashes)
    assert split.train == dict(zip([i.id for i in task.train.images], task.train.hashes, strict=True))
    assert split.validation == dict(
        zip([i.id for i in task.validation.images], task.validation.hashes, strict=True)
    )
    assert split.seen == set(task.train.hashes) | set(task.validation.hashes)
    assert (split.seed, split.shots, split.fewer, split.made_test) == (1, 4, {}, False)


@pytest.mark.parametrize(("shots", "validation"), [(1, 1), (2, 2), (4, 4), (8, 4), (16, 4)])
def test_validation_is_as_many_as_shots_and_four_at_most(shots: int, validation: int) -> None:
    pool, labels = _pool((20, 20, 20))
    task, _ = make_task(FROZEN, pool, labels, shots=shots, seed=1)
    assert task.shots == shots
    assert len(task.validation) == 3 * validation


def test_no_validation_may_be_asked_for() -> None:
    pool, labels = _pool((2, 2, 2))
    task, split = make_task(FROZEN, pool, labels, shots=2, seed=1, validation=0)
    assert len(task.validation) == len(task.validation_labels) == len(split.validation) == 0


def test_fewer_shots_of_a_seed_lie_in_more_of_it() -> None:
    pool, labels = _pool((20, 20, 20))
    drawn = [set(make_task(FROZEN, pool, labels, shots=n, seed=5)[1].train) for n in (1, 2, 4, 8, 16)]
    for small, large in itertools.pairwise(drawn):
        assert small < large
    assert set(make_task(FROZEN, pool, labels, shots=16, seed=6)[1].train) != drawn[-1]


def test_an_image_of_the_test_among_the_shots_is_refused_by_name() -> None:
    pool, labels = _pool((4, 4, 4))
    test, _ = _pool((2, 2, 2), prefix="test")
    test = Features(test.values, test.images, (*test.hashes[:5], pool.hashes[0]), "toy")
    with pytest.raises(LeakError, match=r"train/ant/0.jpg = test/cow/5.jpg"):
        make_task(FROZEN, pool, labels, shots=4, validation=0, seed=1, test=test)
    _, split = make_task(FROZEN, pool, labels, shots=2, validation=2, seed=1)
    for side, what in ((split.train, "training images"), (split.validation, "validation images")):
        name, hash = next(iter(side.items()))
        with pytest.raises(LeakError, match=f"1 of the {what} .* {name} = copy.jpg"):
            make_task(FROZEN, pool, labels, shots=2, validation=2, seed=1, test={hash: "copy.jpg"})


def test_a_clean_test_side_is_recorded() -> None:
    pool, labels = _pool((4, 4, 4))
    test, _ = _pool((1, 1, 1), prefix="test")
    _, split = make_task(FROZEN, pool, labels, shots=2, seed=1, test=test, made_test=True)
    assert split.test == {image.id: hash for image, hash in zip(test.images, test.hashes, strict=True)}
    assert split.made_test
    named = {hash: image.id for image, hash in zip(test.images, test.hashes, strict=True)}
    assert make_task(FROZEN, pool, labels, shots=2, seed=1, test=named)[1].test == split.test


def test_too_few_images_of_a_class_are_named_or_recorded() -> None:
    pool, labels = _pool((8, 3, 1))
    with pytest.raises(DataError, match=r"need 4 different images .*'bee' has 3, 'cow' has 1"):
        make_task(FROZEN, pool, labels, shots=2, seed=1)
    task, split = make_task(FROZEN, pool, labels, shots=2, seed=1, allow_fewer=True)
    assert split.fewer == {"bee": 3, "cow": 1}
    assert task.train_labels.bincount().tolist() == [2, 2, 1]
    assert len(task.train) + len(task.validation) == 8


def test_a_class_whose_images_carry_two_labels_has_none_of_its_own() -> None:
    pool, labels = _pool((4, 4, 1))
    pool = Features(pool.values, pool.images, (*pool.hashes[:8], pool.hashes[0]), "toy")
    with pytest.raises(DataError, match="'cow' has 0"):
        make_task(FROZEN, pool, labels, shots=1, validation=0, seed=1, allow_fewer=True)


def test_inputs_that_do_not_fit_are_refused() -> None:
    pool, labels = _pool((4, 4, 4))
    with pytest.raises(DataError, match="features are of encoder other"):
        make_task(FROZEN, _pool((4, 4, 4), encoder="other")[0], labels, shots=1, seed=1)
    with pytest.raises(DataError, match="12 images came with 11 labels"):
        make_task(FROZEN, pool, labels[1:], shots=1, seed=1)
    with pytest.raises(DataError, match=r"0 \.\. 2"):
        make_task(FROZEN, pool, labels + 1, shots=1, seed=1)
    with pytest.raises(DataError, match="no training images of 'cow'"):
        make_task(FROZEN, pool.select(range(8)), labels[:8], shots=1, seed=1)
    with pytest.raises(DataError, match="shots must be"):
        make_task(FROZEN, pool, labels, shots=0, seed=1)
    with pytest.raises(DataError, match="got none"):
        make_task(FROZEN, pool.select([]), labels[:0], shots=1, seed=1)
