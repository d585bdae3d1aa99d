"""Full fine-tuning: nothing learned is zero-shot, and the way back to the original is a straight line."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from awase.engine.fields import pack, unpack
from awase.errors import DataError, EncoderError
from awase.training.loop import train
from awase.tune._interpolate import STRENGTHS, interpolate
from awase.tune._protocol import Tuned, TuneMethod
from awase.tune.full import Full, FullTuned
from awase.types import Features

QUICK = Full(epochs=30, rate=1e-3)
Make = Callable[..., tuple[Any, Features, torch.Tensor]]  # a Task; its encoder is more than an Encoder


def accuracy(tuned: Any, images: Features, labels: torch.Tensor) -> float:
    return float((tuned.evidence(images).similarity.argmax(dim=1) == labels).float().mean())


def weights(tuned: FullTuned) -> dict[str, torch.Tensor]:
    return {**tuned.image_weights, **tuned.text_weights}


@pytest.mark.parametrize("embedding", ["trained", "frozen"])
@pytest.mark.parametrize("towers", ["both", "image", "text"])
def test_learning_lifts_accuracy_and_leaves_the_original_alone(
    towers: str, embedding: str, photo_task: Make
) -> None:
    task, test, labels = photo_task(shots=4)
    encoder: Any = task.frozen.encoder
    first = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    tuned = replace(QUICK, towers=towers, embedding=embedding).fit(task, seed=0)
    assert isinstance(tuned, Tuned)
    assert accuracy(task.frozen, test, labels) < 0.5
    assert accuracy(tuned, test, labels) > 0.7
    for name, value in encoder.module.state_dict().items():
        assert torch.equal(value, first[name]), name
    assert bool(tuned.image_weights) == (towers != "text")
    assert bool(tuned.text_weights) == (towers != "image")
    if towers == "text":
        assert torch.equal(tuned.image_features(test), test.values)
    if towers == "image":
        assert torch.equal(tuned.evidence(test).class_features, task.frozen.class_features)
    assert ("image.patches.weight" in weights(tuned)) == (embedding == "trained" and towers != "text")
    assert ("text.pieces.weight" in weights(tuned)) == (embedding == "trained" and towers != "image")
    assert tuned.n_parameters == sum(value.numel() for value in weights(tuned).values())
    assert tuned.encoder.spec.fingerprint != encoder.spec.fingerprint


@pytest.mark.parametrize("settings", [Full.zero, {"epochs": 2, "strength": 0.0}])
def test_nothing_learned_is_zero_shot_to_the_last_bit(settings: dict[str, Any], photo_task: Make) -> None:
    task, test, _ = photo_task(shots=1)
    assert isinstance(Full(), TuneMethod)
    tuned = Full(**settings).fit(task, seed=0)
    for names in (None, ["cat", "dog"]):
        found, frozen = tuned.evidence(test, names), task.frozen.evidence(test, names)
        assert torch.equal(found.similarity, frozen.similarity)
        assert torch.equal(found.class_features, frozen.class_features)
    assert tuned.encoder.spec == task.frozen.encoder.spec


def test_strength_is_a_straight_line_between_the_weights(photo_task: Make) -> None:
    """WiSE-FT, arXiv 2109.01903, equation 1."""
    task, test, _ = photo_task(shots=2)
    whole = QUICK.fit(task, seed=0)
    first = dict(task.frozen.encoder.module.named_parameters())
    for strength in (0.25, 0.5):
        between: Any = interpolate(whole, strength)
        for name, value in between.encoder.module.named_parameters():
            tuned = weights(whole).get(name, first[name])
            expected = (1 - strength) * first[name] + strength * tuned
            torch.testing.assert_close(value, expected, atol=1e-7, rtol=1e-6)
        assert between.encoder.spec.fingerprint != whole.encoder.spec.fingerprint
    last: Any = interpolate(whole, 1.0)
    for name, value in last.encoder.module.named_parameters():
        assert torch.equal(value, weights(whole).get(name, first[name]))
    assert torch.equal(
        interpolate(whole, 0.0).evidence(test).similarity, task.frozen.evidence(test).similarity
    )


def test_strength_is_chosen_on_validation(photo_task: Make) -> None:
    task, _, _ = photo_task(shots=4)
    chosen = replace(QUICK, strength=None).fit(task, seed=0)
    scores = [
        accuracy(interpolate(chosen, strength), task.validation, task.validation_labels)
        for strength in STRENGTHS
    ]
    assert chosen.strength == STRENGTHS[scores.index(max(scores))]
    assert max(scores) > scores[0]


def test_the_rate_is_chosen_on_validation(photo_task: Make) -> None:
    task, _, _ = photo_task(shots=4)
    method = Full(towers="text", epochs=8)
    steps: list[tuple[int, Any]] = []
    chosen = method.fit(task, seed=0, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, 24) for step in range(1, 25)]
    tried = [replace(method, rate=rate).fit(task, seed=0) for rate in (1e-5, 1e-4, 5e-4)]
    scores = [accuracy(tuned, task.validation, task.validation_labels) for tuned in tried]
    best = tried[scores.index(max(scores))]
    assert max(scores) > min(scores)
    assert chosen.rate == best.rate
    for name, value in weights(best).items():
        assert torch.equal(value, weights(chosen)[name])
    unseen = replace(
        task, validation=task.validation.select([]), validation_labels=task.validation_labels[:0]
    )
    assert replace(method, epochs=1).fit(unseen, seed=0).rate == 1e-5


def test_one_step_is_adamw_on_the_whole_loss(photo_task: Make) -> None:
    task, _, _ = photo_task(shots=1)
    tuned = Full(epochs=1, rate=1e-3, weight_decay=0.2).fit(task, seed=0)
    encoder: Any = copy.deepcopy(task.frozen.encoder)
    encoder.module.requires_grad_(True)
    names = [f"a photo of a {name}." for name in task.frozen.class_names]
    pixels = torch.stack([encoder.preprocess(_open(image)) for image in task.train.images])
    # the encoder's own forward pass, without its no_grad
    images = type(encoder).encode_image.__wrapped__(encoder, pixels)
    texts = type(encoder).encode_text.__wrapped__(encoder, names)
    loss = cross_entropy(100.0 * images @ texts.T, task.train_labels)
    parameters = dict(encoder.module.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    for (name, old), g in zip(parameters.items(), gradients, strict=True):
        expected = old * (1 - 1e-3 * 0.2) - 1e-3 * g / (g.abs() + 1e-8)
        moved = g.abs() > 1e-4  # where rounding does not decide the sign of Adam's first step
        torch.testing.assert_close(
            weights(tuned).get(name, old)[moved], expected.detach()[moved], atol=2e-6, rtol=1e-3
        )


def _open(image: Any) -> Any:
    from awase.images import load_image

    return load_image(image.image)


def test_it_repeats_and_goes_on_after_a_kill(
    photo_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awase.tune.full.train", partial(train, save_every=3))

    class KilledError(Exception):
        pass

    def die(done: int, total: int | None) -> None:
        if done == 5:
            raise KilledError

    task, _, _ = photo_task(shots=1)
    method = Full(towers="text", epochs=8, rate=1e-4)
    whole = weights(method.fit(task, seed=2))
    with pytest.raises(KilledError):
        method.fit(task, seed=2, checkpoint=tmp_path, progress=die)
    seen: list[int] = []
    resumed = weights(
        method.fit(task, seed=2, checkpoint=tmp_path, progress=lambda done, total: seen.append(done))
    )
    assert seen[0] == 4
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    # a finished run is read back whole, not trained again
    finished = weights(method.fit(task, seed=2, checkpoint=tmp_path))
    for name, value in whole.items():
        assert torch.equal(value, finished[name]), name
    with pytest.raises(DataError, match="another run"):
        replace(method, rate=2e-3).fit(task, seed=2, checkpoint=tmp_path)


def test_it_is_saved_by_its_fields(photo_task: Make) -> None:
    task, test, _ = photo_task(shots=1)
    tuned = replace(QUICK, strength=0.5).fit(task, seed=0)
    again = unpack(FullTuned, *pack(tuned, leave_out=("frozen",)), frozen=task.frozen)
    assert torch.equal(again.evidence(test).similarity, tuned.evidence(test).similarity)
    assert again.encoder.spec == tuned.encoder.spec
    assert again.strength == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"towers": "left"}, "towers must be one of"),
        ({"embedding": "half"}, "embedding must be trained or frozen"),
        ({"epochs": -1}, "epochs"),
        ({"rate": -1.0}, "rate"),
        ({"strength": -0.5}, "strength must lie in"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str, photo_task: Make) -> None:
    task, _, _ = photo_task(shots=1, n_test=1)
    with pytest.raises(DataError, match=message):
        Full(**settings).fit(task, seed=0)


def test_what_cannot_learn_is_refused(photo_task: Make) -> None:
    task, _, _ = photo_task(shots=1, n_test=1)

    class Bare:
        """An encoder without weights to reach, as of ONNX."""

        spec = task.frozen.encoder.spec
        logit_scale = 100.0

        def preprocess(self, image: Any) -> Any: ...
        def encode_image(self, pixels: Any) -> Any: ...
        def encode_text(self, texts: Any) -> Any: ...

    bare: Any = Bare()
    with pytest.raises(EncoderError, match="cannot be changed"):
        Full().fit(replace(task, frozen=replace(task.frozen, encoder=bare)), seed=0)
    tuned = Full(towers="text", epochs=1).fit(task, seed=0)
    with pytest.raises(DataError, match="another model's"):
        replace(tuned, text_weights={"nowhere": torch.ones(1)}).evidence(task.train)
    with pytest.raises(DataError, match="no weight"):
        replace(tuned, text_weights={"text.norm.weight": torch.ones(1)}).evidence(task.train)
