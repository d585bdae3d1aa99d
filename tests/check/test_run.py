"""Streams of pairs: order, bad rows, deduplication, stores, flat memory of the loader."""

import io
from typing import Any

import pytest
import torch
from PIL import Image

from awase.check import check_pairs, check_stream
from awase.check.clip4dm import Clip4dm
from awase.engine._images import MemoryStore
from awase.errors import DataError, RowError
from awase.registry import load
from awase.types import BadRow, ImageReference, Pair


@pytest.fixture(scope="module")
def encoder():
    return load("encoder", "tiny").load("0")


class Counting:
    """The toy encoder, counting how many images it encodes and can be told to return NaN."""

    logit_scale = 1.0
    default_threshold = None

    def __init__(self, inner, broken=False):
        self.spec, self.text_tower = inner.spec, inner.text_tower
        self.default_template = inner.default_template
        self.tokenize, self.encode_text, self.preprocess = inner.tokenize, inner.encode_text, inner.preprocess
        self.inner, self.encoded, self.broken = inner, 0, broken

    def encode_image(self, pixels):
        self.encoded += len(pixels)
        values = self.inner.encode_image(pixels)
        return values * torch.nan if self.broken else values


def png(colour) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 20), colour).save(buffer, "PNG")
    return buffer.getvalue()


def rows(tmp_path, count: int) -> list[Pair]:
    made = []
    for i in range(count):
        path = tmp_path / f"{i % 5}.png"
        path.write_bytes(png((i % 5 * 50, 10, 10)))
        made.append(Pair(f"r{i}", ImageReference(path.name, path=path), f"a dog number {i % 3}"))
    return made


def flat(batches) -> list:
    return [finding for batch in batches for finding in batch]


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_order_and_numbers_do_not_depend_on_the_batch(encoder, tmp_path, batch_size):
    pairs = rows(tmp_path, 23)
    expected = flat(check_stream(encoder, pairs, Clip4dm(), batch_size=3))
    found = flat(check_stream(encoder, pairs, Clip4dm(), batch_size=batch_size, workers=4))
    assert [f.id for f in found] == [p.id for p in pairs]
    for one, two in zip(found, expected, strict=True):
        assert [w.text for w in one.words] == [w.text for w in two.words]
        assert [w.score for w in one.words] == pytest.approx([w.score for w in two.words], rel=1e-4, abs=1e-8)


def test_equal_images_are_encoded_once(encoder, tmp_path):
    counting = Counting(encoder)
    pairs = rows(tmp_path, 30)
    copy = tmp_path / "copy.png"
    copy.write_bytes((tmp_path / "0.png").read_bytes())
    pairs.append(Pair("copy", ImageReference("copy.png", path=copy), "a dog"))
    store = MemoryStore()
    flat(check_stream(counting, pairs, Clip4dm(), batch_size=4, store=store))
    assert counting.encoded == 5
    flat(check_stream(counting, pairs, Clip4dm(), batch_size=8, store=store))
    assert counting.encoded == 5


def test_bad_rows_keep_their_place(encoder, tmp_path):
    good = rows(tmp_path, 3)
    broken = tmp_path / "broken.png"
    broken.write_bytes(png("red")[:40])
    mixed: list[Any] = [
        good[0],
        BadRow("b1", "x.jpg", "", "bad_row", "row 2 has no caption"),
        Pair("b2", ImageReference("gone.jpg", path=tmp_path / "gone.jpg"), "a dog"),
        good[1],
        Pair("b3", good[0].image, "   "),
        Pair("b4", ImageReference("broken.png", path=broken), "a dog"),
        (png("red"), 3),
        good[2],
    ]
    found = check_pairs(encoder, mixed, batch_size=3).findings
    assert [f.id for f in found] == ["r0", "b1", "b2", "r1", "b3", "b4", "6", "r2"]
    codes = [f.error_code for f in found]
    assert codes == [
        None,
        "bad_row",
        "missing_image",
        None,
        "empty_caption",
        "unreadable_image",
        "bad_caption",
        None,
    ]
    assert all(f.error and f.score is None for f in found if f.error_code)


@pytest.mark.parametrize("method", ["clip4dm", "clip_score", "fclipscore_attr"])
def test_a_caption_that_cannot_be_read_costs_one_row_under_every_method(encoder, tmp_path, method):
    class Strict(Counting):
        def __init__(self, inner):
            super().__init__(inner)
            self.tokenize = lambda texts: inner.tokenize([self.readable(t) for t in texts])
            self.encode_text = lambda texts: inner.encode_text([self.readable(t) for t in texts])

        def readable(self, text):
            if "unreadable" in text:
                raise RowError("alignment", "cannot be located")
            return text

    image = rows(tmp_path, 1)[0].image
    captions = ["a dog", "unreadable", "a cat", "a cow"]
    pairs = [Pair(str(i), image, caption) for i, caption in enumerate(captions)]
    found = check_pairs(Strict(encoder), pairs, method).findings
    assert [f.error_code for f in found] == [None, "alignment", None, None]
    for finding, expected in zip(found, check_pairs(encoder, pairs, method).findings, strict=True):
        assert finding.error_code or finding.clip_score == pytest.approx(expected.clip_score, abs=1e-6)


def test_vectors_that_are_not_numbers_become_errors(encoder, tmp_path):
    found = check_pairs(Counting(encoder, broken=True), rows(tmp_path, 2)).findings
    assert [f.error_code for f in found] == ["bad_features", "bad_features"]


def test_the_store_forgets_the_least_recent():
    store = MemoryStore(capacity=2)
    for key in "abc":
        store.put(key, torch.zeros(1))
    assert store.get("a") is None
    assert store.get("b") is not None
    store.put("d", torch.zeros(1))
    assert store.get("c") is None


def test_rows_are_pulled_only_as_far_as_needed(encoder, tmp_path):
    pulled = 0

    def endless():
        nonlocal pulled
        pair = rows(tmp_path, 1)[0]
        while True:
            pulled += 1
            yield pair

    stream = check_stream(encoder, endless(), Clip4dm(), batch_size=4)
    next(stream)
    stream.close()
    assert pulled <= 12


def test_progress_and_provenance(encoder, tmp_path):
    seen = []
    result = check_pairs(encoder, rows(tmp_path, 5), batch_size=2, progress=lambda d, t: seen.append((d, t)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert result.provenance["counts"]["pairs"] == 5
    assert result.provenance["encoder"]["fingerprint"] == encoder.spec.fingerprint
    assert result.provenance["segmenter"].startswith("unicode")
    assert result.provenance["method_name"] == "clip4dm"
    assert result.provenance["rule"] == "threshold"
    assert result.provenance["warnings"] == []
    assert result.method == repr(Clip4dm())


def test_a_script_without_blanks_is_warned_of_once(encoder, tmp_path):
    image = rows(tmp_path, 1)[0].image
    result = check_pairs(
        encoder, [Pair(str(i), image, caption) for i, caption in enumerate(["犬が走る", "猫"])]
    )
    (warning,) = result.provenance["warnings"]
    assert "sudachi" in warning


def test_tuples_of_photo_and_caption(encoder, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png("green"))
    photo = Image.open(path)
    found = check_pairs(
        encoder, [(path, "a dog"), (str(path), "a dog"), (photo, "a dog"), (png("green"), "a dog")]
    )
    scores = [[w.score for w in f.words] for f in found.findings]
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] == pytest.approx(scores[2], rel=1e-4)
    assert scores[0] == pytest.approx(scores[3])


def test_an_empty_stream_gives_nothing(encoder):
    assert check_pairs(encoder, []).findings == ()
    with pytest.raises(DataError, match="batch_size"):
        flat(check_stream(encoder, [], Clip4dm(), batch_size=0))
