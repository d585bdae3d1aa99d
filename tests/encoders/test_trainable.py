"""Weights that may change, on a copy: what the towers share with `module`, and what LoRA may wrap."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy, normalize

from awase import registry
from awase.encoders import cached, hf, tiny
from awase.encoders._projections import linear_maps
from awase.engine.features import encode_images
from awase.errors import EncoderError
from awase.functional.image_tower import CompactTower, image_prefix, run_image, run_prefix
from awase.functional.towers import run_text
from awase.images import from_pixels
from awase.protocols import Encoder, PatchEncoder, TokenEncoder, TrainableEncoder
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task
from awase.tune.full import Full, weights_of
from awase.types import LabelledImage

TEXTS = ["a dog runs", "two red cats"]
HF = ("clip", "siglip", "chinese_clip", "dual-bert-vit", "altclip")


@pytest.fixture
def make(hf_folder: Callable[[str], Path]) -> Callable[[str], Any]:
    def load(name: str) -> Any:
        if name.startswith("hf:"):
            return hf.load(str(hf_folder(name.removeprefix("hf:"))))
        adapter, _, rest = name.partition(":")
        return registry.load("encoder", adapter).load(rest)

    return load


def outputs(encoder: Any) -> tuple[torch.Tensor, torch.Tensor]:
    side = 256 if encoder.spec.adapter == "builtin" else 32
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return encoder.encode_image(pixels), encoder.encode_text(TEXTS)


NAMES = ("tiny:0", "tiny:cls-1", "builtin", *(f"hf:{kind}" for kind in HF))


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_has_its_own_weights_and_its_towers_follow_them(name: str, make: Any) -> None:
    original = make(name)
    assert isinstance(original, Encoder)
    assert isinstance(original, TokenEncoder)
    assert isinstance(original, TrainableEncoder)
    assert not any(p.requires_grad for p in original.module.parameters())
    before = outputs(original)
    other: Any = copy.deepcopy(original)
    for mine, own in zip(outputs(other), before, strict=True):
        assert torch.equal(mine, own)

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in other.module.parameters():
            value.add_(0.3 * torch.randn(value.shape, generator=generator) * value.abs().mean())
    images, texts = outputs(other)
    assert not torch.allclose(images, before[0], atol=1e-3)
    assert not torch.allclose(texts, before[1], atol=1e-3)
    for mine, own in zip(outputs(original), before, strict=True):
        assert torch.equal(mine, own)

    # the towers of the copy are made of the copy's module
    tokens = other.tokenize(TEXTS)
    with torch.no_grad():
        tower = other.text_tower
        embeddings = run_text(tower, tokens, tower.embed(tokens))
        torch.testing.assert_close(normalize(embeddings, dim=1), texts, rtol=1e-4, atol=1e-5)
        if hasattr(other, "image_tower") and name != "builtin":
            pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
            embeddings = run_image(other.image_tower, pixels)
            torch.testing.assert_close(normalize(embeddings, dim=1), images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tower", ["image", "text"])
def test_projections_are_linear_maps_that_only_their_tower_reads(name: str, tower: str, make: Any) -> None:
    encoder = copy.deepcopy(make(name))
    maps = encoder.attention_projections(tower)
    n_layers = len((encoder.image_tower if tower == "image" else encoder.text_tower).layers)
    per_layer = len(maps) / n_layers
    # fused in tiny and builtin; SigLIP's pooling layer, the last one, is left out
    assert per_layer in (1, 2, 3) or (name == "hf:siglip" and len(maps) == 3 * (n_layers - 1))
    before = outputs(encoder)
    for key in maps:
        part = encoder.module.get_submodule(key)
        assert isinstance(part, torch.nn.Linear)
        with torch.no_grad():
            part.weight.mul_(-1.5)
    images, texts = outputs(encoder)
    changed, kept = (images, texts) if tower == "image" else (texts, images)
    was, stays = before if tower == "image" else before[::-1]
    assert not torch.allclose(changed, was, atol=1e-3)
    assert torch.equal(kept, stays)


@pytest.mark.parametrize("name", ["tiny:0", "hf:clip"])
def test_exchanged_parts_are_run(name: str, make: Any) -> None:
    """LoRA puts a wrapper where a map was; a tower that had kept the old map would never learn."""

    class Silent(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return 0.0 * self.inner(states)

    encoder = copy.deepcopy(make(name))
    tokens = encoder.tokenize(TEXTS)
    before = run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens))
    for key in encoder.attention_projections("text"):
        parent, _, child = key.rpartition(".")
        setattr(encoder.module.get_submodule(parent), child, Silent(encoder.module.get_submodule(key)))
    after = run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens))
    assert not torch.allclose(before, after)
    torch.testing.assert_close(normalize(after, dim=1), encoder.encode_text(TEXTS), rtol=1e-4, atol=1e-5)


def test_the_compact_form_of_the_builtin_tower_equals_the_long_one(make: Any) -> None:
    encoder = make("builtin")
    tower = encoder.image_tower
    is_compact = isinstance(tower, CompactTower)
    assert is_compact
    pixels = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        prefix = image_prefix(tower, pixels)
        quick = normalize(run_prefix(tower, prefix), dim=1)
    assert prefix.shape == (1, 2560 + 64 * 904)
    torch.testing.assert_close(quick, encoder.encode_image(pixels), rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_weights_through_the_compact_form(make: Any) -> None:
    encoder = copy.deepcopy(make("builtin"))
    pooling = encoder.image_tower.pooling
    for layer in (pooling.look, pooling.value):
        layer.requires_grad_(True)
    hidden = torch.randn(2, 64, 2560 + 904, generator=torch.Generator().manual_seed(0))
    even = pooling.averaged
    prefix = torch.cat([hidden[..., :even].mean(1), hidden[..., even:].flatten(1)], 1)
    quick = run_prefix(encoder.image_tower, prefix).square().sum()
    query, key, value = pooling.project(hidden)
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    slow = encoder.image_tower.head(pooling.merge(hidden[:, :1], attended)).square().sum()
    weights = [pooling.look.weight, pooling.value.weight, pooling.value.bias]
    for fast, long in zip(
        torch.autograd.grad(quick, weights), torch.autograd.grad(slow, weights), strict=True
    ):
        torch.testing.assert_close(fast, long, rtol=1e-3, atol=1e-3 * float(long.abs().max()))


def test_towers_without_attention_maps_are_refused(make: Any) -> None:
    with pytest.raises(EncoderError, match="fine-tune it in full"):
        make("hf:align").attention_projections("image")
    assert make("hf:align").attention_projections("text")


@pytest.mark.parametrize("name", ["tiny:0", "builtin", "hf:clip"])
def test_there_are_two_towers(name: str, make: Any) -> None:
    with pytest.raises(EncoderError, match="image or text, got 'both'"):
        make(name).attention_projections("both")


def test_linear_maps_match_whole_names_only() -> None:
    module = torch.nn.ModuleDict(
        {"text": torch.nn.ModuleDict({"query": torch.nn.Linear(2, 2), "prequery": torch.nn.Linear(2, 2)})}
    )
    assert linear_maps(module, "text", prefix="text.", ends=("query",)) == ("text.query",)


def test_cached_passes_training_through(tmp_path: Path, make: Any) -> None:
    wrapped: Any = cached.wrap(tiny.load("0"), tmp_path)
    assert [isinstance(wrapped, port) for port in (TrainableEncoder, PatchEncoder)] == [True, True]
    assert wrapped.attention_projections("text") == tiny.load("0").attention_projections("text")
    other: Any = copy.deepcopy(wrapped)  # a store cannot be copied, and the copy has no use for it
    assert isinstance(other, tiny.TinyEncoder)
    assert other.text_tower is not wrapped.text_tower
    assert torch.equal(other.encode_text(TEXTS), wrapped.encode_text(TEXTS))
    text_only: Any = cached.wrap(make("hf:align"), tmp_path)
    assert [isinstance(text_only, port) for port in (TrainableEncoder, PatchEncoder)] == [True, False]
    wrapped.store.close()
    text_only.store.close()


def test_cached_does_not_make_what_was_not_trainable(tmp_path: Path) -> None:
    class Bare:
        spec = tiny.load("0").spec
        logit_scale = 100.0

        def preprocess(self, image: Any) -> Any: ...
        def encode_image(self, pixels: Any) -> Any: ...
        def encode_text(self, texts: Any) -> Any: ...

    bare: Any = Bare()
    wrapped: Any = cached.wrap(bare, tmp_path)
    assert not isinstance(wrapped, TrainableEncoder)
    wrapped.store.close()


def photos(encoder: Any) -> Task:
    """Two photos of each of two classes, for a logit scale at which random towers do not saturate."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for row in range(4):
        square = torch.randint(0, 256, (32, 32, 3), generator=generator, dtype=torch.uint8)
        picture = from_pixels(Image.fromarray(square.numpy()), f"{row}.bmp")
        images.append(LabelledImage(str(row), picture, ("dog", "cat")[row % 2]))
    features, _ = encode_images(encoder, images)
    frozen = replace(Frozen.of(encoder, ("dog", "cat"), ("a photo of a {}",)), logit_scale=10.0)
    labels = torch.tensor([0, 1, 0, 1])
    return Task(frozen, features, labels, features.select([]), labels[:0])


def loss_of(tuned: Any, task: Task) -> float:
    return float(cross_entropy(10.0 * tuned.evidence(task.train).similarity, task.train_labels))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_low_rank_updates_teach_a_transformers_model(kind: str, make: Any) -> None:
    lora = pytest.importorskip("awase.tune.lora", reason="the extra tune is not installed")
    encoder = make(f"hf:{kind}")
    task, before = photos(encoder), copy.deepcopy(encoder.module.state_dict())
    tuned = lora.Lora(steps_per_shot=4, rate=1e-2, dropout=0.0).fit(task, seed=0)
    assert loss_of(tuned, task) < loss_of(task.frozen, task) - 0.02
    assert not torch.allclose(tuned.image_features(task.train), task.train.values, atol=1e-4)
    for name, value in encoder.module.state_dict().items():
        assert torch.equal(value, before[name]), name
    for tower, updates in (("image", tuned.image_updates), ("text", tuned.text_updates)):
        assert set(updates) == {
            f"{name}.lora_{part}" for name in encoder.attention_projections(tower) for part in "AB"
        }


def test_full_fine_tuning_teaches_a_transformers_model(make: Any) -> None:
    task = photos(make("hf:clip"))
    tuned = Full(epochs=8, rate=1e-4).fit(task, seed=0)
    assert loss_of(tuned, task) < loss_of(task.frozen, task) - 0.02
    assert not torch.allclose(tuned.image_features(task.train), task.train.values, atol=1e-4)


def test_the_weights_of_a_tower_are_those_it_runs_through(make: Any) -> None:
    encoder = copy.deepcopy(make("hf:clip"))
    image = set(weights_of(encoder, "image", behind_embedding=False))
    text = set(weights_of(encoder, "text", behind_embedding=False))
    every = {name for name, _ in encoder.module.named_parameters()}
    assert image | text == every - {"logit_scale"}
    assert not image & text
    assert all(name.startswith(("vision_model", "visual_projection")) for name in image)
    behind = set(weights_of(encoder, "image", behind_embedding=True))
    assert {name.split(".")[1] for name in image - behind} == {"embeddings", "pre_layrnorm"}
    assert not any(value.requires_grad for value in encoder.module.parameters())


def test_what_cannot_be_tuned_is_refused(hf_folder: Callable[[str], Path], make: Any) -> None:
    task = photos(make("hf:clip"))
    coarse = hf.load(str(hf_folder("clip")), dtype="bfloat16")
    with pytest.raises(EncoderError, match="load it as float32"):
        Full().fit(replace(task, frozen=replace(task.frozen, encoder=coarse)), seed=0)
    closed = make("hf:align")  # its image tower cannot be taken apart
    with pytest.raises(EncoderError, match="choose towers=text"):
        Full().fit(replace(task, frozen=replace(task.frozen, encoder=closed)), seed=0)
