"""One suite for every tuning method that the registry knows, on a toy encoder and a few made-up photos."""

import inspect
import io
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from awase import registry
from awase.engine.features import encode_images
from awase.engine.fields import pack, unpack
from awase.errors import DataError
from awase.training import loop
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task, Tuned, TuneMethod
from awase.types import Evidence, Features, ImageReference, LabelledImage

NAMES = registry.names("tune")
CLASSES = ("red thing", "dog", "sky")
NEW = ("green field", "cat")
# enough steps to move, few enough to be quick
LIGHT: dict[str, dict[str, Any]] = {
    "clip_adapter": {"epochs": 4, "rate": 0.05},
    "cocoop": {"epochs": 1, "learning_rate": 0.05},
    "coop": {"epochs": 4, "n_tokens": 4, "learning_rate": 0.05},
    "full": {"epochs": 4, "rate": 1e-3},
    "locoop": {"epochs": 4, "n_tokens": 4, "learning_rate": 0.05},
    "lora": {"steps_per_shot": 2, "rate": 2e-3},
    "taskres": {"epochs": 5, "rate": 0.05},
    "tip_adapter_f": {"epochs": 5, "rate": 0.05},
}
NOT_TUNED = {"zero_shot"}
ONLY_ITS_CLASSES = {"linear_probe"}


class KilledError(Exception):
    pass


def _photo(colour: tuple[int, int, int], generator: np.random.Generator, name: str) -> LabelledImage:
    noise = generator.integers(-60, 60, size=(32, 32, 3))
    stream = io.BytesIO()
    Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(stream, format="PNG")
    return LabelledImage(name, ImageReference(name, data=stream.getvalue()), name.partition("/")[0])


@pytest.fixture(scope="module")
def toy() -> tuple[Task, Features]:
    """3 classes with 2 shots and a validation image each, and 9 test images."""
    encoder = registry.load("encoder", "tiny").load("0")
    generator = np.random.default_rng(0)
    colours = {"red thing": (200, 40, 40), "dog": (120, 120, 60), "sky": (60, 90, 220)}
    frozen = Frozen.of(encoder, CLASSES, ["a photo of a {}."])

    def draw(part: str, per_class: int) -> tuple[Features, Tensor]:
        rows = [_photo(colours[c], generator, f"{c}/{part}{i}") for c in CLASSES for i in range(per_class)]
        features, bad = encode_images(encoder, rows)
        assert not bad
        return features, torch.arange(3).repeat_interleave(per_class)

    train, held, (test, _) = draw("train", 2), draw("validation", 1), draw("test", 3)
    return Task(frozen, *train, *held), test


def _method(name: str, **settings: Any) -> TuneMethod:
    method: TuneMethod = registry.load("tune", name)(**{**LIGHT.get(name, {}), **settings})
    return method


@pytest.fixture(scope="module")
def tuned(toy: tuple[Task, Features]) -> dict[str, Tuned]:
    """Every method, fitted once."""
    return {name: _method(name).fit(toy[0], seed=3) for name in NAMES}


def _numbers(tuned: Tuned) -> dict[str, Tensor]:
    return pack(tuned, leave_out=("frozen", "encoder", "prefix"))[0]


def _assert_equal(first: Evidence, second: Evidence) -> None:
    for part in ("similarity", "image_features", "class_features"):
        assert torch.equal(getattr(first, part), getattr(second, part)), part


def _assert_close(first: Evidence, second: Evidence, atol: float = 1e-5) -> None:
    for part in ("similarity", "image_features", "class_features"):
        torch.testing.assert_close(getattr(first, part), getattr(second, part), rtol=0, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_the_method_is_a_frozen_dataclass_of_its_protocol(name: str, tuned: dict[str, Tuned]) -> None:
    method = _method(name)
    assert isinstance(method, TuneMethod)
    assert type(method).__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert set(method.zero) <= {field.name for field in fields(method)}  # type: ignore[arg-type]
    assert isinstance(tuned[name], Tuned)
    assert type(tuned[name]) is type(method).tuned
    assert repr(method).startswith(type(method).__name__ + "(")


@pytest.mark.parametrize("name", NAMES)
def test_zero_settings_are_zero_shot_to_the_last_bit(name: str, toy: tuple[Task, Features]) -> None:
    task, test = toy
    method = registry.load("tune", name)(**registry.load("tune", name).zero)
    _assert_equal(method.fit(task, seed=3).evidence(test), task.frozen.evidence(test))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_TUNED])
def test_other_settings_are_not(name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]) -> None:
    task, test = toy
    difference = tuned[name].evidence(test).similarity - task.frozen.evidence(test).similarity
    assert float(difference.abs().max()) > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_weights(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    state = torch.get_rng_state()
    again = _method(name).fit(toy[0], seed=3)
    assert torch.equal(state, torch.get_rng_state())
    for key, value in _numbers(tuned[name]).items():
        assert torch.equal(value, _numbers(again)[key]), key
    _assert_equal(again.evidence(toy[1]), tuned[name].evidence(toy[1]))


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_fit_goes_on_to_the_same_weights(
    name: str,
    toy: tuple[Task, Features],
    tuned: dict[str, Tuned],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(inspect.unwrap(loop.train).__kwdefaults__, "save_every", 1)
    steps: list[tuple[int, int | None]] = []

    def die(done: int, total: int | None) -> None:
        steps.append((done, total))
        if done == 2:
            raise KilledError

    try:
        _method(name).fit(toy[0], seed=3, checkpoint=tmp_path, progress=die)
    except KilledError:
        pass
    else:
        assert not steps, "a run that trains tells of its steps"
        return  # nothing is trained
    resumed = _method(name).fit(
        toy[0], seed=3, checkpoint=tmp_path, progress=lambda *told: steps.append(told)
    )
    assert steps[2][0] == 3, "it went on, and did not start again"
    for key, value in _numbers(tuned[name]).items():
        assert torch.equal(value, _numbers(resumed)[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted(name: str, tuned: dict[str, Tuned]) -> None:
    assert (tuned[name].n_parameters > 0) == (name not in NOT_TUNED)


@pytest.mark.parametrize("name", NAMES)
def test_evidence_speaks_of_each_image_alone(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    _, test = toy
    whole = tuned[name].evidence(test)
    assert whole.similarity.shape == (9, 3)
    assert bool(whole.similarity.isfinite().all())
    for features in (whole.image_features, whole.class_features):
        torch.testing.assert_close(features.norm(dim=1), torch.ones(len(features)), rtol=0, atol=1e-5)
    torch.testing.assert_close(tuned[name].image_features(test), whole.image_features, rtol=0, atol=1e-6)
    _assert_close(tuned[name].evidence(test.select([7, 2])), whole.select([7, 2]))
    assert len(tuned[name].evidence(test.select([]))) == 0


@pytest.mark.parametrize("name", NAMES)
def test_other_classes_are_spoken_of_or_refused(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    _, test = toy
    if name in ONLY_ITS_CLASSES:
        with pytest.raises(DataError, match="no others"):
            tuned[name].evidence(test, NEW)
        return
    evidence = tuned[name].evidence(test, NEW)
    assert evidence.similarity.shape == (9, 2)
    assert bool(evidence.similarity.isfinite().all())
    swapped = tuned[name].evidence(test, NEW[::-1])
    torch.testing.assert_close(swapped.similarity, evidence.similarity.flip(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_its_own_classes_by_name_are_its_own_classes(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    _assert_close(tuned[name].evidence(toy[1], list(CLASSES)), tuned[name].evidence(toy[1]))


@pytest.mark.parametrize("name", NAMES)
def test_renumbering_the_classes_renumbers_the_answers(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    task, test = toy
    order = [2, 0, 1]  # new place -> old place
    place = torch.tensor([order.index(old) for old in range(3)])
    renumbered = Task(
        replace(
            task.frozen,
            class_names=tuple(CLASSES[old] for old in order),
            class_features=task.frozen.class_features[order],
        ),
        task.train,
        place[task.train_labels],
        task.validation,
        place[task.validation_labels],
    )
    similarity = _method(name).fit(renumbered, seed=3).evidence(test).similarity
    expected = tuned[name].evidence(test).similarity[:, order]
    torch.testing.assert_close(similarity, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_free_texts_and_images_stay_in_one_space(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    texts = tuned[name].text_features(["a dog on grass", "two cats"])
    assert texts.shape == (2, tuned[name].image_features(toy[1]).shape[1])
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_features_of_another_encoder_are_refused(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    test = toy[1]
    other = Features(test.values, test.images, test.hashes, "another")
    with pytest.raises(DataError, match="another"):
        tuned[name].evidence(other)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_TUNED])
def test_it_comes_back_from_its_fields(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    tensors, plain = pack(tuned[name], leave_out=("frozen",))
    back: Any = unpack(type(tuned[name]), tensors, plain, frozen=toy[0].frozen)
    _assert_equal(back.evidence(toy[1]), tuned[name].evidence(toy[1]))
    assert back.n_parameters == tuned[name].n_parameters


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_TUNED])
def test_the_encoder_that_was_given_is_left_as_it_was(
    name: str, toy: tuple[Task, Features], tuned: dict[str, Tuned]
) -> None:
    fresh = Frozen.of(registry.load("encoder", "tiny").load("0"), CLASSES, ["a photo of a {}."])
    assert torch.equal(
        fresh.class_features, Frozen.of(toy[0].frozen.encoder, CLASSES, fresh.templates).class_features
    )
