"""Labelled images to features: order, bad rows, copies, stores, patches, memory; and leaks by content."""

import io
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from awase.engine._images import MemoryStore
from awase.engine.features import encode_images, pixels, stream_images
from awase.engine.leaks import refuse_overlap
from awase.engine.prototypes import class_name
from awase.errors import DataError, EncoderError, LeakError, RowError
from awase.functional.patches import patch_features
from awase.images import content_hash, load_image
from awase.registry import load
from awase.types import BadRow, Features, ImageReference, LabelledImage


def photo_bytes(seed: int) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def row(name: str, seed: int, label: str | None = None) -> LabelledImage:
    return LabelledImage(name, ImageReference(f"{name}.png", data=photo_bytes(seed)), label)


def broken(name: str) -> LabelledImage:
    return LabelledImage(name, ImageReference(f"{name}.png", data=b"\xff\xd8\xff no photo"))


BAD = BadRow("line 3", "x.png", "", "bad_row", "damaged")


@pytest.fixture
def encoder():
    return load("encoder", "tiny").load("0")


class Counting:
    """An encoder that counts what it encodes; not a PatchEncoder."""

    def __init__(self, encoder, spoil=()) -> None:
        self._encoder, self.n_encoded, self._spoil = encoder, 0, set(spoil)
        self.spec, self.logit_scale, self.preprocess = encoder.spec, 100.0, encoder.preprocess

    def encode_text(self, texts):
        return self._encoder.encode_text(texts)

    def encode_image(self, pixels):
        self.n_encoded += len(pixels)
        values = self._encoder.encode_image(pixels)
        for index in self._spoil:
            values[index] = float("nan")
        return values


def expected(encoder, image: LabelledImage) -> torch.Tensor:
    """One image alone, straight through the encoder."""
    return encoder.encode_image(encoder.preprocess(load_image(image.image)).unsqueeze(0))[0]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_order_values_hashes_and_bad_rows(encoder, batch_size: int) -> None:
    good = [row("a", 1, "cat"), row("c", 2, "dog"), row("d", 1), row("e", 3)]
    rows: list[LabelledImage | BadRow] = [good[0], broken("b"), good[1], BAD, *good[2:]]
    features, bad = encode_images(encoder, rows, batch_size=batch_size)
    assert [image.id for image in features.images] == ["a", "c", "d", "e"]
    assert features.labels == ("cat", "dog", None, None)
    assert features.encoder == encoder.spec.fingerprint
    assert features.hashes == tuple(content_hash(image.image) for image in good)
    assert features.hashes[0] == features.hashes[2]
    torch.testing.assert_close(features.values, torch.stack([expected(encoder, image) for image in good]))
    assert [(one.id, one.error_code) for one in bad] == [("b", "unreadable_image"), ("line 3", "bad_row")]
    assert "b.png" in bad[0].error
    assert features.patches is None


def test_a_stream_gives_batches_in_order(encoder) -> None:
    rows = [row(str(i), i) for i in range(5)]
    parts = list(stream_images(encoder, iter(rows), batch_size=2))
    assert [[image.id for image in features.images] for features, _ in parts] == [
        ["0", "1"],
        ["2", "3"],
        ["4"],
    ]


def test_a_batch_of_bad_rows_has_the_axes_of_images(encoder) -> None:
    ((features, bad),) = stream_images(encoder, [broken("a"), BAD], patches=True)
    assert features.values.shape == (0, 24)
    assert features.patches is not None
    assert features.patches.shape == (0, 16, 24)
    assert len(bad) == 2
    assert encode_images(encoder, [])[0].values.shape == (0, 24)


def test_equal_contents_are_encoded_once(encoder) -> None:
    counting = Counting(encoder)
    rows = [row(str(i), i % 3) for i in range(12)]
    features, _ = encode_images(counting, rows, batch_size=4)
    assert counting.n_encoded == 3
    assert torch.equal(features.values[0], features.values[9])


def test_a_store_serves_the_next_run(encoder) -> None:
    counting, store = Counting(encoder), MemoryStore()
    rows = [row(str(i), i) for i in range(5)]
    first, _ = encode_images(counting, rows, store=store)
    second, _ = encode_images(counting, rows[::-1], store=store)
    assert counting.n_encoded == 5
    assert torch.equal(first.values, second.values.flip(0))


def test_stores_keep_encoders_and_patches_apart(encoder) -> None:
    store, one = MemoryStore(), row("a", 1)
    plain, _ = encode_images(encoder, [one], store=store)
    other = load("encoder", "tiny").load("1")
    with_patches, _ = encode_images(other, [one], store=store, patches=True)
    again, _ = encode_images(encoder, [one], store=store, patches=True)
    assert not torch.equal(plain.values, with_patches.values)
    assert torch.equal(plain.values, again.values)
    assert with_patches.patches is not None
    assert again.patches is not None
    assert not torch.equal(with_patches.patches, again.patches)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_patches_are_those_of_the_tower(encoder, batch_size: int) -> None:
    rows = [row("a", 1), broken("b"), row("c", 2), row("d", 1)]
    features, _ = encode_images(encoder, rows, patches=True, batch_size=batch_size)
    wanted = patch_features(encoder.image_tower, pixels(encoder, features.images))
    assert features.patches is not None
    torch.testing.assert_close(features.patches, wanted)


def test_a_second_run_takes_patches_from_the_store(encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    from awase.engine import _images

    store, rows = MemoryStore(), [row("a", 1), row("b", 2)]
    first, _ = encode_images(encoder, rows, store=store, patches=True)

    def refuse(*arguments: object) -> None:
        raise AssertionError("the patches are stored")

    monkeypatch.setattr(_images, "patch_features", refuse)
    second, _ = encode_images(encoder, rows, store=store, patches=True)
    assert first.patches is not None
    assert second.patches is not None
    assert torch.equal(first.patches, second.patches)


def test_patches_need_a_tower(encoder) -> None:
    with pytest.raises(EncoderError, match="taken apart"):
        encode_images(Counting(encoder), [row("a", 1)], patches=True)


def test_a_vector_that_is_no_unit_vector_costs_its_row(encoder) -> None:
    rows = [row("a", 1), row("b", 2), row("c", 3)]
    features, bad = encode_images(Counting(encoder, spoil=[1]), rows)
    assert [image.id for image in features.images] == ["a", "c"]
    assert [(one.id, one.error_code) for one in bad] == [("b", "bad_features")]


def test_an_id_appears_once(encoder) -> None:
    with pytest.raises(DataError, match="two images have the id 'a'"):
        encode_images(encoder, [row("a", 1), row("a", 2)])


def test_batch_size(encoder) -> None:
    with pytest.raises(DataError, match="batch_size"):
        stream_images(encoder, [], batch_size=0)


def test_progress_knows_the_total(encoder) -> None:
    said: list[tuple[int, int | None]] = []
    encode_images(
        encoder,
        [row("a", 1), broken("b"), row("c", 3)],
        batch_size=2,
        progress=lambda done, total: said.append((done, total)),
    )
    assert said == [(2, 3), (3, 3)]


class Forgetful:
    """A store that drops what it was asked for: another thread may have needed the place."""

    def __init__(self) -> None:
        self.values: dict[str, torch.Tensor] = {}

    def get(self, key: str) -> torch.Tensor | None:
        return self.values.pop(key, None)

    def put(self, key: str, value: torch.Tensor) -> None:
        self.values[key] = value


def test_what_the_store_drops_meanwhile_is_not_lost(encoder) -> None:
    store, rows = Forgetful(), [row(str(i), i % 4) for i in range(8)]
    first, _ = encode_images(encoder, rows, store=store, patches=True)
    assert len(store.values) == 8
    second, bad = encode_images(encoder, rows, store=store, patches=True)
    assert bad == []
    torch.testing.assert_close(first.values, second.values)


def test_memory_store_is_bounded_in_number_and_bytes() -> None:
    store = MemoryStore(capacity=3, max_bytes=1000)
    for i in range(10):
        store.put(str(i), torch.zeros(10))
    assert [store.get(str(i)) is not None for i in range(10)] == [False] * 7 + [True] * 3
    store.put("large", torch.zeros(240))
    assert store.get("large") is not None
    assert store.get("8") is None
    assert store.get("9") is not None
    for _ in range(5):
        store.put("large", torch.zeros(240))  # the same key again is no growth
    assert store.get("9") is not None


def test_memory_store_keeps_no_batches_alive() -> None:
    store, batch = MemoryStore(), torch.zeros(1000, 8)
    store.put("a", batch[0])
    kept = store.get("a")
    assert kept is not None
    assert kept.untyped_storage().nbytes() == 32


def test_a_stream_reads_only_a_little_ahead(encoder) -> None:
    taken = 0

    def endless():
        nonlocal taken
        for i in itertools.count():
            taken += 1
            yield row(str(i), i % 3)

    stream = stream_images(encoder, endless(), batch_size=4)
    next(stream)
    next(stream)
    assert taken <= 4 * 4
    stream.close()


def test_a_stream_needs_flat_memory(encoder) -> None:
    data = photo_bytes(0)
    rows = (LabelledImage(f"photo {i}", ImageReference(f"{i}.png", data=data)) for i in range(2000))
    stream = stream_images(encoder, rows, batch_size=50)
    for _ in range(20):
        next(stream)
    tracemalloc.start()
    for _ in stream:
        pass
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 400_000


def test_pixels_again(encoder, tmp_path: Path) -> None:
    rows = [row("a", 1), row("b", 2)]
    found = pixels(encoder, rows)
    assert torch.equal(found[1], encoder.preprocess(load_image(rows[1].image)))
    with pytest.raises(DataError, match="no images"):
        pixels(encoder, [])
    with pytest.raises(RowError, match="no such file"):
        pixels(encoder, [LabelledImage("a", ImageReference("a.png", path=tmp_path / "a.png"))])


def test_pixels_of_several_sizes(encoder) -> None:
    class Native(Counting):
        def __init__(self, encoder) -> None:
            super().__init__(encoder)
            sizes = itertools.count(4)
            self.preprocess = lambda image: torch.zeros(3, next(sizes), 4)

    with pytest.raises(DataError, match="different sizes"):
        pixels(Native(encoder), [row("a", 1), row("b", 2)])


def made(names: str, hashes: str) -> Features:
    images = tuple(LabelledImage(name, ImageReference(name, data=b"x")) for name in names)
    return Features(torch.eye(len(names)), images, tuple(hashes), "toy")


def test_no_overlap_passes() -> None:
    refuse_overlap(made("ab", "12"), made("cd", "34"), what=("shots", "test images"))


def test_overlap_names_both_files() -> None:
    with pytest.raises(LeakError, match=r"1 of the shots is .* test images, by content: b = c\."):
        refuse_overlap(made("ab", "12"), made("cd", "23"), what=("shots", "test images"))


def test_overlap_of_mappings_shows_ten() -> None:
    first = {str(i): f"photo{i}.jpg" for i in range(25)}
    with pytest.raises(LeakError, match=r"25 of the shots are .*photo9\.jpg and 15 more") as caught:
        refuse_overlap(first, first, what=("shots", "test images"))
    assert "photo10" not in str(caught.value)


def test_class_names_are_readable() -> None:
    assert class_name("_golden_retriever ") == "golden retriever"


@pytest.mark.parametrize("bad", [[3.0, 4.0], [0.0, 0.0], [float("nan"), 1.0], [1.01, 0.0]])
def test_vectors_that_are_no_unit_vectors_are_refused_by_name(bad: list[float]) -> None:
    images = tuple(LabelledImage(name, ImageReference(name, data=b"x")) for name in ("fine", "odd"))
    with pytest.raises(DataError, match=r"row 1 \(odd\)"):
        Features(torch.tensor([[1.0, 0.0], bad]), images, ("a", "b"), "toy")
    nearly = torch.tensor([[1.0, 0.0], [1.0005, 0.0]])
    assert len(Features(nearly, images, ("a", "b"), "toy")) == 2
