"""A model trained on pairs as an encoder: nothing changed is the base, what changed is seen by every port."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from awase.encoders import tiny, tuned
from awase.encoders._tuned_file import CONFIG, WEIGHTS, digest_of, read_tuned
from awase.errors import EncoderError
from awase.functional.attribution import encode
from awase.functional.image_tower import run_image
from awase.functional.towers import run_text
from awase.protocols import Encoder, PatchEncoder, TokenEncoder, TrainableEncoder

TEXTS = ["a dog on the grass", "nothing", "a red square of some size"]
KEY = "text.projection.weight"


def _head(seed: int, *, zero: bool = False) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(24, 24, generator=generator) * (0.0 if zero else 0.1)
    return {"linear.weight": weight, "linear.bias": torch.full((24,), 0.0 if zero else 0.05)}


def _write(folder: Path, base: Encoder, **parts: Any) -> Path:
    given: dict[str, Any] = {"weights": {}, "heads": {}, "logit_scale": 20.0, "facts": {}} | parts
    tuned.write_tuned(folder, base=base.spec, **given)
    return folder


@pytest.fixture
def pixels() -> Tensor:
    photo = Image.new("RGB", (40, 30), "red")
    photo.paste("blue", (5, 5, 20, 20))
    return tiny.load("0").preprocess(photo)[None]


def test_nothing_changed_is_the_base_to_the_last_bit(tmp_path: Path, pixels: Tensor) -> None:
    base = tiny.load("0")
    found = tuned.load(str(_write(tmp_path, base)))
    assert torch.equal(found.encode_text(TEXTS), base.encode_text(TEXTS))
    assert torch.equal(found.encode_image(pixels), base.encode_image(pixels))
    assert found.spec.fingerprint == base.spec.fingerprint
    assert (found.spec.adapter, found.spec.name, found.logit_scale) == ("tuned", str(tmp_path), 20.0)


def test_changed_weights_and_heads_are_applied_as_written(tmp_path: Path, pixels: Tensor) -> None:
    base, head = tiny.load("0"), _head(1)
    weight = dict(base.module.named_parameters())[KEY] * 1.5 + 0.1
    found = tuned.load(str(_write(tmp_path, base, weights={KEY: weight}, heads={"image": head})))
    other: Any = copy.deepcopy(base)
    with torch.no_grad():
        dict(other.module.named_parameters())[KEY].copy_(weight)
    assert torch.equal(found.encode_text(TEXTS), other.encode_text(TEXTS))
    plain = base.encode_image(pixels).double()
    wanted = plain + (plain * 24**0.5 @ head["linear.weight"].double().T + 0.05) / 24**0.5
    torch.testing.assert_close(
        found.encode_image(pixels).double(), normalize(wanted, dim=1), atol=1e-6, rtol=0
    )
    assert found.spec.fingerprint != base.spec.fingerprint
    # the fingerprint depends on what was learned, not on the folder or the precision of the load
    again = _write(tmp_path / "b", base, weights={KEY: weight}, heads={"image": head})
    assert tuned.load(str(again)).spec.weights == found.spec.weights
    assert tuned.load(str(again), dtype="float64").spec.weights == found.spec.weights


@pytest.mark.parametrize("name", ["0", "bidirectional-0", "cls-0"])
def test_towers_taken_apart_run_through_the_heads(tmp_path: Path, pixels: Tensor, name: str) -> None:
    base = tiny.load(name)
    found: Any = tuned.load(str(_write(tmp_path, base, heads={"image": _head(1), "text": _head(2)})))
    assert isinstance(found, Encoder)
    assert isinstance(found, TokenEncoder)
    assert isinstance(found, PatchEncoder)
    assert isinstance(found, TrainableEncoder)
    tokens = found.tokenize(TEXTS)
    with torch.no_grad():
        texts = normalize(run_text(found.text_tower, tokens, found.text_tower.embed(tokens)), dim=1)
        images = normalize(run_image(found.image_tower, pixels), dim=1)
    torch.testing.assert_close(texts, found.encode_text(TEXTS), atol=1e-6, rtol=0)
    torch.testing.assert_close(encode(found.text_tower, tokens), found.encode_text(TEXTS), atol=1e-6, rtol=0)
    torch.testing.assert_close(images, found.encode_image(pixels), atol=1e-6, rtol=0)
    assert found.attention_projections("text") == base.attention_projections("text")
    assert float((found.encode_text(TEXTS) - base.encode_text(TEXTS)).abs().max()) > 1e-3


def test_a_copy_can_be_trained_on_without_touching_the_original(tmp_path: Path) -> None:
    found: Any = tuned.load(str(_write(tmp_path, tiny.load("0"), heads={"text": _head(2)})))
    before = found.encode_text(TEXTS)
    other = copy.deepcopy(found)
    with torch.no_grad():
        dict(other.module.named_parameters())[KEY].mul_(-1)
    assert torch.equal(found.encode_text(TEXTS), before)
    assert not torch.equal(other.encode_text(TEXTS), before)


def test_a_base_without_towers_takes_heads_alone(tmp_path: Path) -> None:
    class Vectors:
        spec = tiny.load("0").spec
        logit_scale = 10.0

        def preprocess(self, image: Image.Image) -> Tensor:
            return torch.zeros(3, 1, 1)

        def encode_image(self, pixels: Tensor) -> Tensor:
            return torch.eye(2)[: len(pixels)]

        def encode_text(self, texts: Sequence[str]) -> Tensor:
            return torch.eye(2)[: len(texts)]

    turn = {"linear.weight": torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), "linear.bias": torch.zeros(2)}
    found = tuned.apply(Vectors(), weights={}, heads={"text": turn}, logit_scale=3.0)
    assert found.encode_text(["x"]).tolist() == [[0.0, 1.0]]
    assert not isinstance(found, TokenEncoder | PatchEncoder | TrainableEncoder)
    with pytest.raises(EncoderError, match="width 2"):
        tuned.apply(Vectors(), weights={}, heads={"text": _head(0)}, logit_scale=3.0)
    with pytest.raises(EncoderError, match="cannot be changed"):
        tuned.apply(Vectors(), weights={"a": torch.ones(1)}, heads={}, logit_scale=3.0)


def test_a_model_may_rest_on_another_one_but_not_on_itself(tmp_path: Path) -> None:
    first = tuned.load(str(_write(tmp_path / "a", tiny.load("0"), heads={"text": _head(1)})))
    second = _write(tmp_path / "b", first, heads={"text": _head(2)})
    found = tuned.load(str(second))
    assert found.spec.weights != first.spec.weights
    by_hand = tuned.apply(first, weights={}, heads={"text": _head(2)}, logit_scale=20.0)
    assert torch.equal(found.encode_text(TEXTS), by_hand.encode_text(TEXTS))
    content = json.loads((tmp_path / "a" / CONFIG).read_text())
    content["base"] |= {"adapter": "tuned", "name": str(second)}
    (tmp_path / "a" / CONFIG).write_text(json.dumps(content))
    with pytest.raises(EncoderError, match="one above the other"):
        tuned.load(str(second))


def test_a_base_in_the_same_folder_may_be_moved_along(tmp_path: Path) -> None:
    from awase.encoders import small

    place = tmp_path / "model"
    base = small.load(str(small.create(place / "base", ["a red bolt"], size=32, width=16) and place / "base"))
    _write(place, base, heads={"text": {"linear.weight": torch.eye(128), "linear.bias": torch.ones(128)}})
    assert json.loads((place / CONFIG).read_text())["base"]["name"] == "./base"
    before = tuned.load(str(place)).encode_text(["a red bolt"])
    place.rename(tmp_path / "moved")
    assert torch.equal(tuned.load(str(tmp_path / "moved")).encode_text(["a red bolt"]), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"format": "awase.pairs/9"}, "newer awase"),
        (lambda c: c | {"format": "other"}, "awase tune pairs"),
        (lambda c: c | {"logit_scale": -1.0}, "positive"),
        (lambda c: {k: v for k, v in c.items() if k != "base"}, "damaged"),
        (lambda c: c | {"weights": {"sha256": "0" * 64}}, "damaged or of another model"),
        (lambda c: c | {"base": c["base"] | {"weights": "0" * 64}}, "another model"),
    ],
)
def test_a_damaged_or_foreign_folder_says_what_is_wrong(tmp_path: Path, change: Any, message: str) -> None:
    _write(tmp_path, tiny.load("0"), heads={"text": _head(1)})
    content = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(change(content)))
    with pytest.raises(EncoderError, match=message):
        tuned.load(str(tmp_path))


def test_missing_files_and_foreign_weights_are_errors(tmp_path: Path) -> None:
    base = tiny.load("0")
    with pytest.raises(EncoderError, match=r"tuned:DIR"):
        tuned.load("")
    with pytest.raises(EncoderError, match="awase tune pairs"):
        tuned.load(str(tmp_path))
    _write(tmp_path, base, weights={"nothing": torch.ones(2)})
    with pytest.raises(EncoderError, match="no weight nothing"):
        tuned.load(str(tmp_path))
    (tmp_path / CONFIG).write_text("{broken")
    with pytest.raises(EncoderError, match="damaged"):
        tuned.load(str(tmp_path))
    _write(tmp_path, base)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(EncoderError, match=WEIGHTS):
        tuned.load(str(tmp_path))


def test_the_hash_of_what_was_learned_survives_the_way_through_the_file(tmp_path: Path) -> None:
    heads = {"text": _head(1), "image": _head(2)}
    weights = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.ones(0)}
    found = read_tuned(_write(tmp_path, tiny.load("0"), weights=weights, heads=heads))
    assert digest_of(found.weights, found.heads) == digest_of(weights, heads) != digest_of(weights, {})
    assert digest_of({}, {}) == ""
