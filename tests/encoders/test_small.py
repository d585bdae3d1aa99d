"""The small encoder: made from captions and a seed, read back, taken apart, and able to learn."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, normalize, scaled_dot_product_attention

from awase import registry
from awase.encoders import small
from awase.encoders._small.image import SmallImageTower
from awase.encoders._small.vocabulary import learn_words
from awase.errors import DataError, EncoderError, ShapeError
from awase.functional.attribution import attribute, full
from awase.functional.attribution import operator as text_operator
from awase.functional.image_tower import run_image
from awase.functional.patches import patch_features
from awase.functional.saliency import chefer, grad_eclip
from awase.functional.towers import run_text
from awase.protocols import Encoder, PatchEncoder, TokenEncoder, TrainableEncoder
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches
from awase.training.schedule import cosine

CAPTIONS = ["A red circle.", "a blue square, large", "one green cross", "a red café", "赤いボルトが二つ"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("small")
    small.create(place, CAPTIONS, size=32, width=32, dimension=24, context=10, seed=1)
    return place


@pytest.fixture(scope="module")
def encoder(folder: Path) -> small.SmallEncoder:
    return small.load(str(folder))


def pictures(n: int, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, side, side), generator=generator, dtype=torch.uint8)


def test_it_offers_every_port(encoder: small.SmallEncoder) -> None:
    for port in (Encoder, TokenEncoder, PatchEncoder, TrainableEncoder):
        assert isinstance(encoder, port)
    assert registry.load("encoder", "small") is small
    assert not any(value.requires_grad for value in encoder.module.parameters())
    assert encoder.logit_scale == pytest.approx(1 / 0.07)
    assert repr(encoder).startswith("small.load(")


def test_a_model_follows_from_captions_and_seed(folder: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    same = small.create(tmp_path / "same", CAPTIONS, size=32, width=32, dimension=24, context=10, seed=1)
    other = small.create(tmp_path / "other", CAPTIONS, size=32, width=32, dimension=24, context=10, seed=2)
    assert torch.equal(state, torch.get_rng_state())
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "same" / name).read_bytes() == (folder / name).read_bytes()
    assert same.spec.fingerprint == small.load(str(folder)).spec.fingerprint != other.spec.fingerprint
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.float32}


def test_every_weight_is_drawn_or_neutral(encoder: small.SmallEncoder) -> None:
    for name, value in encoder.module.named_parameters():
        assert value.isfinite().all(), name
        if value.ndim < 2:
            assert bool((value == (1.0 if "norm" in name and name.endswith("weight") else 0.0)).all()), name
        else:
            assert 0 < float(value.std()) < 2, name


def test_vectors_are_of_unit_length_and_independent_of_the_batch(encoder: small.SmallEncoder) -> None:
    pixels = encoder.pixels_of(pictures(5))
    images, texts = encoder.encode_image(pixels), encoder.encode_text(CAPTIONS)
    for vectors in (images, texts):
        assert vectors.shape == (5, 24)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(encoder.encode_image(pixels[3:4])[0], images[3], rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder.encode_text(CAPTIONS[3:4])[0], texts[3], rtol=0, atol=1e-6)
    assert encoder.encode_text([]).shape == encoder.encode_image(pixels[:0]).shape == (0, 24)
    # random weights tell images apart all the same
    assert float((images @ images.T).fill_diagonal_(0).max()) < 0.9999


def test_drawn_pixels_equal_preprocessed_ones(encoder: small.SmallEncoder) -> None:
    levels = pictures(2)
    photos = [Image.fromarray(np.ascontiguousarray(level.permute(1, 2, 0).numpy())) for level in levels]
    assert torch.equal(encoder.pixels_of(levels), torch.stack([encoder.preprocess(p) for p in photos]))
    assert encoder.preprocess(Image.new("L", (100, 7))).shape == (3, 32, 32)
    with pytest.raises(ShapeError, match="32 x 32"):
        encoder.pixels_of(pictures(1, 40))


def test_the_towers_in_parts_give_what_the_encoder_gives(encoder: small.SmallEncoder) -> None:
    pixels = encoder.pixels_of(pictures(3))
    torch.testing.assert_close(
        normalize(run_image(encoder.image_tower, pixels), dim=1), encoder.encode_image(pixels)
    )
    tokens = encoder.tokenize(CAPTIONS)
    embedded = encoder.text_tower.embed(tokens)
    torch.testing.assert_close(
        normalize(run_text(encoder.text_tower, tokens, embedded), dim=1), encoder.encode_text(CAPTIONS)
    )


def test_pooling_is_softmax_attention_of_learned_queries(encoder: small.SmallEncoder) -> None:
    tower = encoder.image_tower
    hidden = tower.embed(encoder.pixels_of(pictures(2)))
    pool = tower.pooling
    with torch.no_grad():
        cells = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:], pool.norm.weight, pool.norm.bias)
        heads = []
        for head in range(pool.heads):
            own = slice(32 * head, 32 * head + 32)
            key = cells @ pool.key.weight[own].T + pool.key.bias[own]
            value = cells @ pool.value.weight[own].T + pool.value.bias[own]
            weights = (key @ pool.query[head] / 32**0.5).softmax(1)  # (b, n)
            heads.append((weights[:, None] @ value)[:, 0])
        merged = pool.merge(hidden[:, :1], scaled_dot_product_attention(*pool.project(hidden)))
    torch.testing.assert_close(merged[:, 0], torch.cat(heads, dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_grid_has_a_cell_in_eight_pixels(size: int) -> None:
    tower = SmallImageTower(size=size, width=16, depth=1, heads=2, dimension=8)
    assert tower.grid == (size // 8, size // 8)
    assert tower.embed(torch.zeros(1, 3, size, size)).shape == (1, (size // 8) ** 2, 16)
    assert float(tower.row_weights(1).sum()) == 1.0


def test_words_and_heat_maps_can_be_read(encoder: small.SmallEncoder) -> None:
    pixels = encoder.pixels_of(pictures(2))
    images, tokens = encoder.encode_image(pixels), encoder.tokenize(CAPTIONS[:2])
    read = text_operator(encoder.text_tower, tokens, layers=3)
    scores = attribute(encoder.text_tower, tokens, images, layers=3).scores
    assert scores.shape == tokens.ids.shape
    assert scores.isfinite().all()
    torch.testing.assert_close(
        full(encoder.text_tower, tokens, images, layers=3).scores, scores, rtol=1e-3, atol=1e-5
    )
    assert read is not None
    for method in (grad_eclip, chefer):
        assert method(encoder.image_tower, pixels, encoder.encode_text(CAPTIONS[:2])).shape == (2, 4, 4)
    assert patch_features(encoder.image_tower, pixels).shape == (2, 16, 24)


def test_spans_point_at_words_and_unknown_ones_have_none(encoder: small.SmallEncoder) -> None:
    caption = "A RED, zebra café"
    spans = encoder.tokenize([caption]).spans[0]
    assert [caption[start:end] for start, end in spans] == ["", "A", "RED", ",", "", "café", ""]


def test_japanese_is_cut_without_blanks(encoder: small.SmallEncoder) -> None:
    caption = "赤いボルト"
    tokens = encoder.tokenize([caption])
    assert [caption[start:end] for start, end in tokens.spans[0]] == ["", "赤", "い", "ボルト", ""]
    # voicing marks are kept: が is no か
    words = learn_words(["かがみ"], size=10, least=1).get_vocab()
    assert {"か", "が", "み"} <= set(words)


def test_long_captions_are_cut_and_say_so(encoder: small.SmallEncoder) -> None:
    tokens = encoder.tokenize(["red " * 50, "red"])
    assert tokens.ids.shape == (2, 10)
    assert tokens.truncated == (True, False)


def test_the_vocabulary_takes_frequent_words_first() -> None:
    captions = ["a b b c c c", "c d", "<pad> d"]
    words = learn_words(captions, size=6, least=2).get_vocab()
    assert sorted(words, key=words.__getitem__) == ["<pad>", "<start>", "<end>", "<unknown>", "c", "b"]
    assert set(learn_words(captions, size=100, least=2).get_vocab()) == {*words, "d"}
    with pytest.raises(DataError, match="occurs 9 times"):
        learn_words(captions, size=100, least=9)


def test_special_words_in_a_caption_are_text(encoder: small.SmallEncoder) -> None:
    tokens = encoder.tokenize(["red <end> circle"])
    assert tokens.ids[0].tolist().count(2) == 1
    assert int(tokens.row_weights[0].argmax()) == tokens.ids.shape[1] - 1


def test_a_changed_model_is_written_and_read_back(encoder: small.SmallEncoder, tmp_path: Path) -> None:
    other: Any = copy.deepcopy(encoder)
    with torch.no_grad():
        for value in other.module.parameters():
            value.mul_(1.1)
    small.save(other, tmp_path, logit_scale=42.0)
    back = small.load(str(tmp_path))
    assert back.logit_scale == 42.0
    assert back.spec.fingerprint != encoder.spec.fingerprint
    pixels = encoder.pixels_of(pictures(2))
    assert torch.equal(back.encode_image(pixels), other.encode_image(pixels))
    assert torch.equal(back.encode_text(CAPTIONS), other.encode_text(CAPTIONS))
    assert not torch.allclose(back.encode_image(pixels), encoder.encode_image(pixels), atol=1e-3)
    again = tmp_path / "again"
    small.save(back, again)
    assert (again / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(DataError, match="positive"):
        small.save(back, again, logit_scale=float("nan"))


def test_float64_agrees(folder: Path, encoder: small.SmallEncoder) -> None:
    double = small.load(str(folder), dtype="float64")
    pixels = encoder.pixels_of(pictures(2))
    assert {value.dtype for value in double.module.parameters()} == {torch.float64}
    torch.testing.assert_close(double.encode_image(pixels), encoder.encode_image(pixels), rtol=0, atol=1e-5)
    torch.testing.assert_close(double.encode_text(CAPTIONS), encoder.encode_text(CAPTIONS), rtol=0, atol=1e-5)
    assert double.spec.fingerprint != encoder.spec.fingerprint


def test_updates_of_attention_know_their_maps(encoder: small.SmallEncoder) -> None:
    assert encoder.attention_projections("image") == ("image.pooling.key", "image.pooling.value")
    assert len(encoder.attention_projections("text")) == 3
    with pytest.raises(EncoderError, match="image or text"):
        encoder.attention_projections("both")


@pytest.mark.parametrize("width", [8, 40, 72, 104])
def test_heads_fit_every_width(width: int, tmp_path: Path) -> None:
    encoder = small.create(tmp_path, CAPTIONS, size=32, width=width, layers=1)
    assert encoder.encode_text(CAPTIONS).isfinite().all()
    assert encoder.encode_image(encoder.pixels_of(pictures(1))).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 60}, "multiple of 8"),
        ({"size": 24}, "32 to 128"),
        ({"size": 256}, "32 to 128"),
        ({"width": 12}, "multiple of 8"),
        ({"layers": 0}, "at least 1"),
        ({"context": 3}, "at least 4"),
        ({"captions": ["", " "]}, "no word"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        small.create(tmp_path, settings.pop("captions", CAPTIONS), **settings)
    assert not list(tmp_path.iterdir())


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="does not hold a small model"):
        small.load(str(tmp_path / "missing"))
    with pytest.raises(EncoderError, match="float32 or float64"):
        small.load(str(folder), dtype="float16")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    def changed(name: str, content: bytes) -> str:
        place = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        for other, bytes_ in {**files, name: content}.items():
            (place / other).write_bytes(bytes_)
        return str(place)

    config = json.loads(files["config.json"])
    for name, content, message in [
        ("config.json", b"{", "does not hold a small model"),
        ("config.json", b"[]", "does not hold a small model"),
        ("config.json", json.dumps({**config, "kind": "awase-builtin"}).encode(), "tune pairs"),
        ("config.json", json.dumps({"kind": "awase-small"}).encode(), "cannot be used"),
        ("config.json", json.dumps({**config, "logit_scale": "much"}).encode(), "cannot be used"),
        ("config.json", json.dumps({**config, "text": {**config["text"], "width": 64}}).encode(), "cannot"),
        ("model.safetensors", b"no tensors at all", "does not hold a small model"),
        ("tokenizer.json", b"{}", "cannot be read"),
    ]:
        with pytest.raises(EncoderError, match=message):
            small.load(changed(name, content))
    weights = load_file(folder / "model.safetensors")
    weights.pop("image.stem.weight")
    place = Path(changed("config.json", files["config.json"]))
    save_file(weights, place / "model.safetensors")
    with pytest.raises(EncoderError, match="cannot be used"):
        small.load(str(place))


def drawn(colour: str, shape: str, generator: np.random.Generator) -> torch.Tensor:
    image = Image.new("RGB", (32, 32), tuple(int(v) for v in generator.integers(0, 60, 3)))
    x, y = (int(v) for v in generator.integers(2, 12, 2))
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((x, y, x + 16, y + 16), fill=colour)
    elif shape == "square":
        draw.rectangle((x, y, x + 14, y + 14), fill=colour)
    else:
        draw.line((x, y + 8, x + 16, y + 8), fill=colour, width=4)
        draw.line((x + 8, y, x + 8, y + 16), fill=colour, width=4)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def test_it_learns_to_tell_scenes_apart_from_nothing(tmp_path: Path) -> None:
    kinds = [(c, s) for c in ("red", "green", "blue") for s in ("circle", "square", "cross")]
    captions = [f"a {colour} {shape}" for colour, shape in kinds]
    encoder = small.create(tmp_path, captions, size=32, width=32, dimension=32, layers=1)
    generator = np.random.default_rng(0)
    levels = torch.stack([drawn(*kind, generator) for kind in kinds * 40])
    pixels, tokens = encoder.pixels_of(levels), encoder.tokenize(captions)
    encoder.module.requires_grad_(True)

    def texts() -> torch.Tensor:
        return normalize(run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens)), dim=1)

    def loss(rows: torch.Tensor, step: int) -> torch.Tensor:
        images = normalize(run_image(encoder.image_tower, pixels[rows]), dim=1)
        return cross_entropy(14.0 * images @ texts().T, rows % 9)

    def accuracy(n: slice) -> float:
        with torch.no_grad():
            found = (run_image(encoder.image_tower, pixels[n]) @ texts().T).argmax(dim=1)
        return float((found == torch.arange(360)[n] % 9).float().mean())

    assert accuracy(slice(270, 360)) < 0.35
    losses = train(
        encoder.module,
        loss,
        batches=ShuffledBatches(n_rows=270, batch_size=45, seed=0),
        n_steps=90,
        optimizer=torch.optim.AdamW(encoder.module.parameters(), lr=2e-3),
        schedule=cosine(90, warmup_steps=9, ramp=True),
        clip_norm=1.0,
    )
    assert losses[-1] < 0.5 * losses[0]
    assert accuracy(slice(270, 360)) > 0.5  # pictures that were held back; colour alone gives a third
    assert all(value.grad is not None for value in encoder.module.parameters())
