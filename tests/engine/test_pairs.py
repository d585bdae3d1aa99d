"""Pairs to vectors: one row an image, however its files are called, and a bad row is a row."""

from collections.abc import Sequence

import pytest
import torch
from PIL import Image

from awase.engine.pairs import encode_pairs
from awase.errors import DataError
from awase.images import from_pixels
from awase.registry import load
from awase.types import BadRow, ImageReference, Pair


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    monkeypatch.setenv("AWASE_CACHE", str(tmp_path))
    return load("encoder", "tiny").load("0")


def _photo(colour: str) -> ImageReference:
    return from_pixels(Image.new("RGB", (32, 32), colour))


def test_each_image_once_and_every_caption_in_order(encoder) -> None:
    red, blue = _photo("red"), _photo("blue")
    rows = [Pair("1", red, "a"), Pair("2", blue, "b"), Pair("3", red, "c"), Pair("4", blue, "b")]
    pairs, bad = encode_pairs(encoder, rows)
    assert bad == []
    assert pairs.image_of_text.tolist() == [0, 1, 0, 1]
    assert pairs.captions == ("a", "b", "c", "b")
    assert pairs.logit_scale == encoder.logit_scale
    assert pairs.encoder == encoder.spec.fingerprint
    alone = encoder.encode_image(encoder.preprocess(Image.new("RGB", (32, 32), "blue"))[None])
    assert torch.allclose(pairs.image_features[1], alone[0], atol=1e-6)
    assert torch.equal(pairs.text_features[1], pairs.text_features[3])
    assert torch.allclose(pairs.text_features[2], encoder.encode_text(["c"])[0], atol=1e-6)


def test_equal_bytes_under_two_names_are_one_image(encoder, tmp_path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32), "red").save(tmp_path / name)
    rows = [Pair(name, ImageReference(name, path=tmp_path / name), name) for name in ("b.png", "a.png")]
    pairs, _ = encode_pairs(encoder, rows)
    assert pairs.images == ("b.png",)
    assert pairs.image_of_text.tolist() == [0, 0]


def test_only_the_split_that_was_asked_for(encoder) -> None:
    rows = [Pair("1", _photo("red"), "a", split="train"), Pair("2", _photo("blue"), "b", split="dev")]
    pairs, _ = encode_pairs(encoder, rows, split="dev")
    assert pairs.captions == ("b",)
    with pytest.raises(DataError, match="split 'test' of the data holds no pair"):
        encode_pairs(encoder, rows, split="test")


def test_bad_rows_stay_rows_and_say_why(encoder, tmp_path) -> None:
    gone = ImageReference("gone.png", path=tmp_path / "gone.png")
    rows: Sequence[Pair | BadRow] = [
        BadRow("0", "x.png", "", "empty_caption", "no caption"),
        Pair("1", gone, "one"),
        Pair("2", _photo("red"), "two"),
        Pair("3", gone, "three"),
    ]
    pairs, bad = encode_pairs(encoder, rows)
    assert pairs.captions == ("two",)
    assert [(row.id, row.caption, row.error_code) for row in bad] == [
        ("0", "", "empty_caption"),
        ("1", "one", "missing_image"),
        ("3", "three", "missing_image"),
    ]
    with pytest.raises(DataError, match="first of 2 bad rows says"):
        encode_pairs(encoder, [rows[0], rows[1]])


def test_labels_only_where_every_image_has_one(encoder) -> None:
    red, blue = _photo("red"), _photo("blue")
    labelled = [Pair("1", red, "a", label="warm"), Pair("2", blue, "b", label="cold")]
    assert encode_pairs(encoder, labelled)[0].labels == ("warm", "cold")
    assert encode_pairs(encoder, [labelled[0], Pair("2", blue, "b")])[0].labels is None


def test_progress_counts_images(encoder) -> None:
    told = []
    rows = [Pair(str(i), _photo(colour), "a") for i, colour in enumerate(["red", "blue", "red"])]
    encode_pairs(encoder, rows, batch_size=1, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
