"""LoRA: nothing learned is zero-shot, one step is the paper's, and what is merged is what was trained."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, linear, normalize, scaled_dot_product_attention

pytest.importorskip("peft", reason="the extra tune is not installed")

from awase.encoders import tiny
from awase.engine.features import encode_images, pixels
from awase.engine.fields import pack, unpack
from awase.errors import DataError, EncoderError
from awase.functional.image_tower import run_image
from awase.functional.towers import run_text
from awase.training.loop import train
from awase.tune._interpolate import STRENGTHS, interpolate
from awase.tune._prefix import PrefixCache
from awase.tune._protocol import Tuned, TuneMethod
from awase.tune.lora import Lora, LoraTuned, inject
from awase.types import Features

QUICK = Lora(steps_per_shot=10, rate=5e-3)
Make = Callable[..., tuple[Any, Features, torch.Tensor]]  # a Task; its encoder is more than an Encoder
Learned = tuple[Any, Features, LoraTuned]


@pytest.fixture(scope="module")
def learned(photo_task: Make) -> Learned:
    """A task, test images, and a model both towers of which have learned."""
    task, test, _ = photo_task(shots=2)
    return task, test, QUICK.fit(task, seed=0)


def accuracy(tuned: Any, images: Features, labels: torch.Tensor) -> float:
    return float((tuned.evidence(images).similarity.argmax(dim=1) == labels).float().mean())


def updates(tuned: LoraTuned) -> dict[str, torch.Tensor]:
    return {**tuned.image_updates, **tuned.text_updates}


@pytest.mark.parametrize("towers", ["both", "image", "text"])
def test_learning_lifts_accuracy_and_leaves_the_original_alone(towers: str, photo_task: Make) -> None:
    task, test, labels = photo_task(shots=4)
    encoder: Any = task.frozen.encoder
    weights = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    before = task.frozen.evidence(test)
    # of random towers the one for images moves least
    tuned = replace(QUICK, towers=towers, rate=2e-2 if towers == "image" else 5e-3).fit(task, seed=0)
    assert isinstance(tuned, Tuned)
    assert accuracy(task.frozen, test, labels) < 0.5
    assert accuracy(tuned, test, labels) > 0.7
    for name, value in encoder.module.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert torch.equal(task.frozen.evidence(test).similarity, before.similarity)
    # what did not learn is what it was, to the last bit
    if towers == "text":
        assert torch.equal(tuned.image_features(test), test.values)
    if towers == "image":
        assert torch.equal(tuned.evidence(test).class_features, task.frozen.class_features)
        assert torch.equal(tuned.text_features(["a cat"]), encoder.encode_text(["a cat"]))
    assert bool(tuned.image_updates) == (towers != "text")
    assert tuned.n_parameters == sum(value.numel() for value in updates(tuned).values())
    assert tuned.encoder.spec.fingerprint != encoder.spec.fingerprint
    assert tuned.encoder.spec.preprocess == encoder.spec.preprocess


@pytest.mark.parametrize("settings", [Lora.zero, {"steps_per_shot": 10, "strength": 0.0}])
def test_nothing_learned_is_zero_shot_to_the_last_bit(settings: dict[str, Any], photo_task: Make) -> None:
    task, test, _ = photo_task(shots=1)
    assert isinstance(Lora(), TuneMethod)
    tuned = Lora(**settings).fit(task, seed=0)
    for names in (None, ["cat", "dog"]):
        found, frozen = tuned.evidence(test, names), task.frozen.evidence(test, names)
        assert torch.equal(found.similarity, frozen.similarity)
        assert torch.equal(found.class_features, frozen.class_features)
    assert tuned.encoder.spec == task.frozen.encoder.spec
    if not settings.get("strength"):
        assert all(not value.any() for key, value in updates(tuned).items() if key.endswith("B")) or (
            tuned.strength == 0
        )


def test_unmerged_start_equals_the_frozen_towers(photo_task: Make) -> None:
    """B = 0 in the wrapped copy itself, dropout on, before any step."""
    task, _, _ = photo_task(shots=1)
    encoder: Any = copy.deepcopy(task.frozen.encoder)
    inject(encoder.module, encoder.attention_projections("text"), Lora(), seed=0)
    tokens = encoder.tokenize(["a dog"])
    tower: Any = encoder.text_tower
    wrapped = run_text(tower, tokens, tower.embed(tokens))
    original: Any = task.frozen.encoder
    assert torch.equal(wrapped, run_text(original.text_tower, tokens, original.text_tower.embed(tokens)))
    learns = {name for name, value in encoder.module.named_parameters() if value.requires_grad}
    assert learns
    assert all("lora_" in name for name in learns)
    assert [m for m in encoder.module.modules() if m.training and not isinstance(m, torch.nn.ModuleDict)]


def test_merged_equals_unmerged(learned: Learned) -> None:
    task, test, tuned = learned
    encoder: Any = copy.deepcopy(task.frozen.encoder)
    names = [key.removesuffix(".lora_A") for key in updates(tuned) if key.endswith("A")]
    layers: Any = inject(encoder.module, names, QUICK, seed=9)
    for name, layer in layers.items():
        with torch.no_grad():
            layer.lora_A["default"].weight.copy_(updates(tuned)[f"{name}.lora_A"])
            layer.lora_B["default"].weight.copy_(updates(tuned)[f"{name}.lora_B"])
        layer.eval()
    with torch.no_grad():
        tower = encoder.text_tower
        tokens = encoder.tokenize(["a photo of a red.", "a cat"])
        texts = normalize(run_text(tower, tokens, tower.embed(tokens)), dim=1)
    torch.testing.assert_close(
        tuned.text_features(["a photo of a red.", "a cat"]), texts, atol=1e-5, rtol=1e-5
    )
    with torch.no_grad():
        images = normalize(run_image(encoder.image_tower, pixels(encoder, test.images)), dim=1)
    torch.testing.assert_close(tuned.image_features(test), images, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        tuned.encoder.encode_image(pixels(encoder, test.images)), images, atol=1e-5, rtol=1e-5
    )


def naive_text(encoder: tiny.TinyEncoder, prompt: str, a: Any, b: Any, scale: float) -> torch.Tensor:
    """tiny's text tower written out, with W x + scale * B A x on the fused map of every block."""
    tower: Any = encoder.text_tower
    hidden = tower.embed(encoder.tokenize([prompt]))
    for i, block in enumerate(tower.blocks):
        x = block.norm_1(hidden)
        fused = block.qkv(x) + scale * linear(linear(x, a[i]), b[i])
        q, k, v = fused.unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        hidden = block.merge(hidden, scaled_dot_product_attention(q, k, v, is_causal=True))
    embedding = tower.projection(tower.norm(hidden[:, -1]))
    return normalize(embedding, dim=1)[0]


def test_one_step_is_the_papers_step(photo_task: Make) -> None:
    """CLIP-LoRA, arXiv 2405.18541: cross-entropy on logit_scale * cos, one step of AdamW by hand."""
    task, _, _ = photo_task(shots=1)
    settings = Lora(towers="text", steps_per_shot=1, dropout=0.0, rate=1e-2, weight_decay=0.1)
    tuned = settings.fit(task, seed=5)
    encoder: Any = task.frozen.encoder
    start = Lora(towers="text", steps_per_shot=0).fit(task, seed=5)
    names = [key.removesuffix(".lora_A") for key in start.text_updates if key.endswith("A")]
    a = [start.text_updates[f"{name}.lora_A"].clone().requires_grad_() for name in names]
    b = [torch.zeros_like(start.text_updates[f"{name}.lora_B"]).requires_grad_() for name in names]
    for value in a:  # uniform in +- 1 / sqrt(inputs), as torch starts a linear map
        assert value.shape == (2, 32)
        assert 0.85 < float(value.detach().abs().max()) * math.sqrt(32) <= 1

    texts = torch.stack(
        [naive_text(encoder, f"a photo of a {name}.", a, b, 1 / 2) for name in task.frozen.class_names]
    )
    loss = cross_entropy(100.0 * task.train.values @ texts.T, task.train_labels)
    gradients = torch.autograd.grad(loss, [*a, *b])
    # Adam's first step is rate * g / (|g| + eps); decay comes before it and apart from it
    for i, name in enumerate(names):
        for kind, old, g in (("A", a[i], gradients[i]), ("B", b[i], gradients[len(a) + i])):
            expected = old * (1 - 1e-2 * 0.1) - 1e-2 * g / (g.abs() + 1e-8)
            torch.testing.assert_close(
                tuned.text_updates[f"{name}.lora_{kind}"], expected.detach(), atol=1e-5, rtol=1e-4
            )


def test_strength_scales_the_update(learned: Learned) -> None:
    task, test, whole = learned
    tuned_encoder: Any = whole.encoder
    half: Any = interpolate(whole, 0.5)
    first = dict(task.frozen.encoder.module.named_parameters())
    last = dict(tuned_encoder.module.named_parameters())
    for name, value in half.encoder.module.named_parameters():
        torch.testing.assert_close(value, (first[name] + last[name]) / 2, atol=1e-6, rtol=1e-6)
    assert torch.equal(interpolate(half, 1.0).evidence(test).similarity, whole.evidence(test).similarity)
    assert torch.equal(
        interpolate(whole, 0.0).evidence(test).similarity, task.frozen.evidence(test).similarity
    )
    name = next(key for key in whole.text_updates if key.endswith("A")).removesuffix(".lora_A")
    update = whole.text_updates[f"{name}.lora_B"] @ whole.text_updates[f"{name}.lora_A"] / 2
    assert float(update.abs().max()) > 0
    torch.testing.assert_close(last[f"{name}.weight"] - first[f"{name}.weight"], update, atol=1e-6, rtol=1e-4)


def test_strength_is_chosen_on_validation(photo_task: Make) -> None:
    task, _, _ = photo_task(shots=4)
    chosen = replace(QUICK, strength=None).fit(task, seed=0)
    scores = [
        accuracy(interpolate(chosen, strength), task.validation, task.validation_labels)
        for strength in STRENGTHS
    ]
    assert chosen.strength == STRENGTHS[scores.index(max(scores))]
    assert max(scores) > scores[0]
    unseen = replace(
        task, validation=task.validation.select([]), validation_labels=task.validation_labels[:0]
    )
    assert replace(QUICK, steps_per_shot=1, strength=None).fit(unseen, seed=0).strength == 1.0


def test_it_repeats_and_goes_on_after_a_kill(
    photo_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awase.tune.lora.train", partial(train, save_every=3))

    class KilledError(Exception):
        pass

    def die(done: int, total: int | None) -> None:
        assert total == 8
        if done == 5:
            raise KilledError

    task, _, _ = photo_task(shots=1)
    method = Lora(steps_per_shot=8, rate=1e-3)
    state = torch.get_rng_state()
    whole = updates(method.fit(task, seed=2))
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises(KilledError):
        method.fit(task, seed=2, checkpoint=tmp_path, progress=die)
    torch.rand(3)
    seen: list[int] = []
    resumed = updates(
        method.fit(task, seed=2, checkpoint=tmp_path, progress=lambda done, total: seen.append(done))
    )
    assert seen[0] == 4
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    other = updates(replace(method, steps_per_shot=2).fit(task, seed=3))
    assert any(not torch.equal(value, whole[name]) for name, value in other.items())
    with pytest.raises(DataError, match="another run"):
        replace(method, rate=2e-3).fit(task, seed=2, checkpoint=tmp_path)


def test_it_is_saved_by_its_fields(learned: Learned) -> None:
    task, test, tuned = learned
    tensors, plain = pack(tuned, leave_out=("frozen",))
    again = unpack(LoraTuned, tensors, plain, frozen=task.frozen)
    assert torch.equal(again.evidence(test).similarity, tuned.evidence(test).similarity)
    assert again.encoder.spec == tuned.encoder.spec
    one_sided = replace(QUICK, towers="text").fit(task, seed=0)
    again = unpack(LoraTuned, *pack(one_sided, leave_out=("frozen",)), frozen=task.frozen)
    assert again.image_updates == {}
    assert torch.equal(again.evidence(test).similarity, one_sided.evidence(test).similarity)


def test_what_is_kept_of_photos_changes_nothing(photo_task: Make) -> None:
    task, test, _ = photo_task(shots=2)
    plain = replace(QUICK, towers="image").fit(task, seed=0)
    for capacity in (0, 5000, 2**30):
        cache = PrefixCache(task.frozen.encoder, capacity=capacity)
        with_cache = replace(task, frozen=replace(task.frozen, prefix=cache))
        tuned = replace(QUICK, towers="image").fit(with_cache, seed=0)
        for name, value in updates(plain).items():
            torch.testing.assert_close(updates(tuned)[name], value, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            tuned.evidence(test).similarity, plain.evidence(test).similarity, atol=1e-4, rtol=1e-4
        )
        assert cache.n_bytes == 4 * 17 * 32 * len(cache)
        assert cache.n_bytes <= capacity
        assert len(cache) == {0: 0, 5000: 2, 2**30: 6 + len(test)}[capacity]
    stranger = replace(test, encoder="another")
    with pytest.raises(DataError, match="were encoded by another"):
        cache.rows(stranger)
    with pytest.raises(DataError, match="needs"):
        tuned.evidence(stranger)


def test_patches_are_those_of_the_tuned_tower(photo_task: Make) -> None:
    task, test, _ = photo_task(shots=1)
    patched, _ = encode_images(task.frozen.encoder, test.images[:3], patches=True)
    text_only = replace(QUICK, towers="text").fit(task, seed=0)
    assert torch.equal(text_only.evidence(patched).patch_features, patched.patches)
    tuned = replace(QUICK, towers="image").fit(task, seed=0)
    found = tuned.evidence(patched).patch_features
    expected, _ = encode_images(tuned.encoder, test.images[:3], patches=True)
    torch.testing.assert_close(found, expected.patches, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, patched.patches, atol=1e-3)


def test_other_classes_are_read_by_the_tuned_tower(learned: Learned) -> None:
    _, test, tuned = learned
    evidence = tuned.evidence(test, ["cat", "dog"])
    texts = tuned.text_features(["a photo of a cat.", "a photo of a dog."])
    torch.testing.assert_close(evidence.class_features, texts, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(
        evidence.similarity, tuned.image_features(test) @ texts.T, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"towers": "all"}, "towers must be one of both, image, text"),
        ({"rank": 0}, "rank"),
        ({"dropout": 1.5}, "dropout"),
        ({"steps_per_shot": -1}, "steps_per_shot"),
        ({"rate": 0.0}, "rate"),
        ({"strength": 1.5}, "strength must lie in"),
        ({"weight_decay": -1.0}, "weight_decay"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str, photo_task: Make) -> None:
    task, _, _ = photo_task(shots=1, n_test=1)
    with pytest.raises(DataError, match=message):
        Lora(**settings).fit(task, seed=0)


def test_what_cannot_learn_is_refused(photo_task: Make) -> None:
    task, _, _ = photo_task(shots=1, n_test=1)

    class Packed(tiny.TinyEncoder):
        def attention_projections(self, tower: str) -> tuple[str, ...]:
            raise EncoderError("packed in one parameter")

    original: Any = task.frozen.encoder
    packed = Packed(original.spec, original.text_tower, original.image_tower, "end")
    with pytest.raises(EncoderError, match="packed in one parameter"):
        Lora().fit(replace(task, frozen=replace(task.frozen, encoder=packed)), seed=0)
    with pytest.raises(DataError, match="name the encoder"):
        Lora().fit(replace(task, frozen=replace(task.frozen, encoder=None)), seed=0)
    lost = replace(task, train=task.train.select([0]), train_labels=task.train_labels[:1])
    with pytest.raises(DataError, match="no training image"):
        Lora().fit(lost, seed=0)
    with pytest.raises(DataError, match="nothing between"):
        interpolate(task.frozen, 0.5)
    tuned = Lora(steps_per_shot=1).fit(task, seed=0)
    with pytest.raises(DataError, match="strength must lie"):
        interpolate(tuned, -0.1)
    foreign = replace(tuned, text_updates={"text.nowhere.lora_A": torch.ones(2, 3)})
    with pytest.raises(DataError, match="another model's"):
        foreign.evidence(task.train)
