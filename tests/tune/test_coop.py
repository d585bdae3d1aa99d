"""CoOp, and what the three methods with a learned context share."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from awase.engine.prototypes import encode_classes
from awase.errors import DataError, EncoderError
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.training import loop
from awase.tune._context import LearnedContext
from awase.tune._protocol import Tuned, TuneMethod
from awase.tune.cocoop import METHOD as COCOOP
from awase.tune.coop import METHOD as COOP
from awase.tune.locoop import METHOD as LOCOOP

METHODS: dict[str, Any] = {
    "coop": COOP(epochs=15, learning_rate=0.02, context="words"),
    "cocoop": COCOOP(epochs=5, learning_rate=0.03, batch_size=4),
    "locoop": LOCOOP(epochs=15, learning_rate=0.02, context="words"),
}
MakeTask = Callable[..., Any]
every_method = pytest.mark.parametrize("name", METHODS)


class KilledError(Exception):
    pass


def _weights(tuned: Any) -> dict[str, torch.Tensor]:
    return {"shift": tuned.shift, **getattr(tuned, "meta", {})}


def _accuracy(tuned: Any, images: Any, labels: torch.Tensor) -> float:
    return float((tuned.evidence(images).similarity.argmax(dim=1) == labels).float().mean())


@every_method
def test_it_conforms(name: str, prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    method = dataclasses.replace(METHODS[name], epochs=1)
    assert isinstance(method, TuneMethod)
    assert eval(repr(method), {type(method).__name__: type(method)}) == method
    tuned = method.fit(task, seed=0)
    assert isinstance(tuned, Tuned)
    assert type(tuned) is method.tuned
    assert tuned.n_parameters == sum(value.numel() for value in _weights(tuned).values())
    assert torch.equal(tuned.image_features(test), test.values)
    assert torch.equal(tuned.text_features(["a cat"]), task.frozen.encoder.encode_text(["a cat"]))


@every_method
@pytest.mark.parametrize("encoder", ["0", "bidirectional-0", "cls-0"])
def test_zero_epochs_are_zero_shot_bit_for_bit(name: str, encoder: str, prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task(encoder=encoder)
    tuned = type(METHODS[name])(**METHODS[name].zero).fit(task, seed=3)
    for names in (None, ["truck", "green bird"]):
        ours, theirs = tuned.evidence(test, names), task.frozen.evidence(test, names)
        for field in dataclasses.fields(ours):
            assert torch.equal(getattr(ours, field.name), getattr(theirs, field.name)), field.name


@every_method
def test_learning_lowers_the_loss_and_lifts_the_accuracy(
    name: str, prompt_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, test, labels = prompt_task(strength=1.0)
    losses: list[float] = []

    def kept(*arguments: Any, **settings: Any) -> list[float]:
        losses.extend(loop.train(*arguments, **settings))
        return losses

    monkeypatch.setattr("awase.tune._context.train", kept)
    before = [value.clone() for value in task.frozen.encoder.text_tower.parameters()]
    tuned = METHODS[name].fit(task, seed=0)
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    before_after = [
        [_accuracy(model, images, labels) for images in (task.train, test)] for model in (task.frozen, tuned)
    ]
    assert before_after[1][1] > before_after[0][1]
    assert sum(before_after[1]) >= sum(before_after[0]) + 0.2
    for value, old in zip(task.frozen.encoder.text_tower.parameters(), before, strict=True):
        assert torch.equal(value, old)


@every_method
def test_a_killed_run_ends_with_the_same_weights(name: str, prompt_task: MakeTask, tmp_path: Path) -> None:
    task, _, _ = prompt_task()
    method = dataclasses.replace(METHODS[name], epochs=2, batch_size=4, context="random")
    whole = method.fit(task, seed=1)
    steps = []

    def kill(done: int, total: int | None) -> None:
        steps.append(done)
        if done == 11:
            raise KilledError

    monkeypatched = pytest.MonkeyPatch()
    with monkeypatched.context() as patch:
        patch.setattr("awase.tune._context.train", lambda *a, **k: loop.train(*a, save_every=3, **k))
        with pytest.raises(KilledError):
            method.fit(task, seed=1, checkpoint=tmp_path, progress=kill)
        resumed = method.fit(task, seed=1, checkpoint=tmp_path, progress=lambda d, n: steps.append(d))
    assert steps[11] == 10  # it went on behind the save at 9
    for key, value in _weights(whole).items():
        assert torch.equal(value, _weights(resumed)[key]), key
    with pytest.raises(DataError, match="another run"):
        dataclasses.replace(method, learning_rate=0.5).fit(task, seed=1, checkpoint=tmp_path)


@every_method
def test_a_seed_decides_and_global_randomness_does_not(name: str, prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    method = dataclasses.replace(METHODS[name], epochs=2, context="random")
    state = torch.get_rng_state()
    first = _weights(method.fit(task, seed=1))
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    for key, value in _weights(method.fit(task, seed=1)).items():
        assert torch.equal(value, first[key]), key
    assert not torch.equal(method.fit(task, seed=2).shift, first["shift"])


@every_method
@pytest.mark.parametrize("position", ["mid", "front"])
def test_other_places_of_the_name_learn_too(name: str, position: str, prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task(shots=1)
    tuned = dataclasses.replace(METHODS[name], position=position, epochs=2).fit(task, seed=0)
    assert bool(tuned.shift.any())
    assert torch.isfinite(tuned.evidence(test).similarity).all()


@every_method
def test_an_encoder_without_a_text_tower_is_refused(name: str, prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    members = ("preprocess", "encode_image", "encode_text", "spec", "logit_scale")
    vectors = SimpleNamespace(**{member: getattr(task.frozen.encoder, member) for member in members})
    for encoder, error in ((vectors, EncoderError), (None, DataError)):
        other = dataclasses.replace(task, frozen=dataclasses.replace(task.frozen, encoder=encoder))
        with pytest.raises(error):
            METHODS[name].fit(other, seed=0)


@every_method
@pytest.mark.parametrize(
    "settings", [{"epochs": -1}, {"learning_rate": 0.0}, {"batch_size": 0}, {"context": "none"}]
)
def test_bad_settings_are_refused(name: str, settings: dict[str, Any], prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    with pytest.raises(DataError):
        dataclasses.replace(METHODS[name], **settings).fit(task, seed=0)


def test_the_gradient_is_that_of_the_plain_path(prompt_task: MakeTask) -> None:
    """In float64, against autograd through every prompt alone: embed, add, run, normalise, cross-entropy."""
    task, _, _ = prompt_task(dtype="float64")
    tuned = COOP(context="words", epochs=1, batch_size=1000, learning_rate=1e-5).fit(task, seed=0)  # one step

    encoder = task.frozen.encoder
    tokens = encoder.tokenize([f"a photo of a {name}." for name in task.frozen.class_names])
    shift = torch.zeros(5, 32, dtype=torch.float64, requires_grad=True)
    embedded = encoder.text_tower.embed(tokens)
    moved = torch.cat((embedded[:, :1], embedded[:, 1:6] + shift, embedded[:, 6:]), dim=1)
    classes = normalize(run_text(encoder.text_tower, tokens, moved))
    loss = cross_entropy(100 * task.train.values.double() @ classes.T, task.train_labels)
    loss.backward()
    assert tuned.shift.dtype == torch.float64
    assert torch.allclose(tuned.shift, -1e-5 * shift.grad, rtol=1e-8, atol=1e-18)


@pytest.mark.parametrize(("shots", "epochs"), [(1, 50), (2, 100), (8, 200)])
def test_the_epochs_follow_the_shots(shots: int, epochs: int, prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task(shots=shots)
    told: list[int] = []

    def stop(done: int, total: int | None) -> None:
        told.append(total)
        raise KilledError

    with pytest.raises(KilledError):
        COOP(batch_size=1000).fit(task, seed=0, progress=stop)
    assert told == [epochs]


def test_a_random_context_starts_from_noise(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    tuned = COOP(epochs=0).fit(task, seed=0)
    assert tuned.shift.shape == (16, 32)
    assert abs(float(tuned.shift.std()) - 0.02) < 0.003
    assert tuned.prompt.of("dog") == "X " * 16 + "dog."


def test_zero_epochs_at_another_place_are_zero_shot_with_that_prompt(prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    tuned = COOP(context="words", epochs=0, position="mid").fit(task, seed=0)
    own = encode_classes(task.frozen.encoder, task.frozen.class_names, ["a photo {} of a."])
    assert torch.equal(tuned.evidence(test).class_features, own)


def test_new_classes_get_the_learned_context(prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    tuned = METHODS["coop"].fit(task, seed=0)
    assert torch.equal(tuned.evidence(test).similarity, test.values @ tuned.class_features().T)
    same = tuned.evidence(test, ["truck", "dog"]).class_features
    own = tuned.evidence(test).class_features[[7, 0]]
    assert torch.allclose(same, own, atol=1e-6)
    new = tuned.evidence(test, ["green bird"]).class_features
    assert not torch.allclose(new, task.frozen.features_of(["green bird"]), atol=1e-3)


def test_a_context_of_another_encoder_is_refused(prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    with pytest.raises(DataError, match="another encoder"):
        LearnedContext(task.frozen, torch.ones(3, 32), "a photo of a ", "", ".").evidence(test)


def test_a_class_without_an_image_is_refused(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    rows = [i for i, label in enumerate(task.train_labels.tolist()) if label != 2]
    fewer = dataclasses.replace(task, train=task.train.select(rows), train_labels=task.train_labels[rows])
    with pytest.raises(DataError, match="church organ"):
        COOP(epochs=1).fit(fewer, seed=0)
