"""Labelled images to `Features`: as a stream in flat memory, or all at once.

Images are read ahead in threads while the model computes, equal contents are encoded once, and a feature
store serves every run. An image that cannot be read becomes a `BadRow` and the run goes on.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from awase.engine._images import Encoded, ImageLoader, MemoryStore
from awase.errors import DataError, RowError
from awase.functional.patches import patch_features
from awase.images import load_image
from awase.protocols import Encoder, FeatureStore, ImageDataset, ImageEncoder, PatchEncoder, StoringEncoder
from awase.types import BadRow, Features, LabelledImage

_READ_AHEAD = 2  # batches whose images are being read while the model works

Row = LabelledImage | BadRow


def stream_images(
    encoder: Encoder,
    dataset: Iterable[LabelledImage | BadRow],
    *,
    batch_size: int = 64,
    workers: int = 2,
    store: FeatureStore | None = None,
    patches: bool = False,
) -> Generator[tuple[Features, list[BadRow]], None, None]:
    """Features batch by batch, in order; memory does not grow with the number of images.

    Args:
        encoder: the model.
        dataset: images, or bad rows that pass through.
        batch_size: rows a batch. It changes speed, and values by rounding only.
        workers: threads that read and decode images.
        store: where vectors are kept; None takes the encoder's own, else the latest in memory.
        patches: also make the vectors of the patches.

    Yields:
        For every batch of rows the features of those that could be read, and the others. A batch of bad rows
        alone comes with features of 0 images.

    Raises:
        DataError: batch_size is not positive.
        EncoderError: patches are asked for and the encoder's image tower cannot be taken apart.

    Example:
        >>> from awase.images import from_pixels
        >>> from awase.registry import load
        >>> rows = [LabelledImage(c, from_pixels(Image.new("RGB", (32, 32), c)), c) for c in ("red", "blue")]
        >>> rows.append(BadRow("green", "green.jpg", "", "missing_image", "no such file"))
        >>> for features, bad in stream_images(load("encoder", "tiny").load("0"), rows, batch_size=2):
        ...     features.labels, [row.id for row in bad]
        (('red', 'blue'), [])
        ((), ['green'])
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}.")
    if store is None:
        store = encoder.store if isinstance(encoder, StoringEncoder) else MemoryStore()
    loader = ImageLoader(encoder, store, workers, patches=patches)
    return _batches(encoder, loader, dataset, batch_size, patches)


def encode_images(
    encoder: Encoder,
    dataset: Iterable[LabelledImage | BadRow],
    *,
    batch_size: int = 64,
    workers: int = 2,
    store: FeatureStore | None = None,
    patches: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[Features, list[BadRow]]:
    """The features of all images that can be read, in order, and the rows that cannot.

    Args:
        encoder: the model; the other arguments are those of `stream_images`.
        dataset: see there.
        batch_size: see there.
        workers: see there.
        store: see there.
        patches: see there; they stay in memory, some 100 to 400 kB an image.
        progress: called with rows done and rows in all, where known.

    Raises:
        DataError: batch_size is not positive, or an id appears twice.
        EncoderError: patches are asked for and the encoder's image tower cannot be taken apart.

    Example:
        >>> from awase.images import from_pixels
        >>> from awase.registry import load
        >>> row = LabelledImage("a", from_pixels(Image.new("RGB", (32, 32), "red")))
        >>> features, bad = encode_images(load("encoder", "tiny").load("0"), [row])
        >>> features.values.shape, len(features.hashes[0]), bad
        (torch.Size([1, 24]), 32, [])
    """
    parts: list[Features] = []
    failed: list[BadRow] = []
    ids: set[str] = set()
    total = _total(dataset) if progress is not None else None
    stream = stream_images(
        encoder, dataset, batch_size=batch_size, workers=workers, store=store, patches=patches
    )
    for features, bad in stream:
        for id in [image.id for image in features.images] + [row.id for row in bad]:
            if id in ids:
                raise DataError(f"two images have the id {id!r}; give every image an id of its own.")
            ids.add(id)
        if len(features):
            parts.append(features)
        failed += bad
        if progress is not None:
            progress(len(ids), total)
    return _joined(parts) if parts else _features(encoder, [], [], patches), failed


def pixels(encoder: ImageEncoder, images: Sequence[LabelledImage]) -> Float[Tensor, "b 3 y x"]:
    """Preprocessed pixels of a few images, read again: for what features do not hold.

    Raises:
        RowError: an image can no longer be read.
        DataError: there are no images, or the encoder gives them different sizes.

    Example:
        >>> from awase.images import from_pixels
        >>> from awase.registry import load
        >>> row = LabelledImage("a", from_pixels(Image.new("RGB", (32, 32), "red")))
        >>> pixels(load("encoder", "tiny").load("0"), [row]).shape
        torch.Size([1, 3, 32, 32])
    """
    if not images:
        raise DataError("pixels of no images were asked for.")
    read = [encoder.preprocess(load_image(image.image)) for image in images]
    if len({values.shape for values in read}) > 1:
        raise DataError("the encoder gives images of different sizes; ask for one at a time.")
    return torch.stack(read)


@dataclass(frozen=True, slots=True)
class _Started:
    """A batch whose good rows are being read."""

    good: list[LabelledImage]
    rows: list[Row]
    reading: list[Future[Any]]


def _batches(
    encoder: Encoder, loader: ImageLoader, dataset: Iterable[Row], batch_size: int, patches: bool
) -> Generator[tuple[Features, list[BadRow]], None, None]:
    source = iter(dataset)
    ahead: deque[_Started] = deque()
    try:
        while True:
            while len(ahead) < _READ_AHEAD and (batch := list(islice(source, batch_size))):
                good = [row for row in batch if isinstance(row, LabelledImage)]
                ahead.append(_Started(good, batch, loader.start([row.image for row in good])))
            if not ahead:
                return
            yield _finished(encoder, loader, ahead.popleft(), patches)
    finally:
        loader.close()


def _finished(
    encoder: Encoder, loader: ImageLoader, started: _Started, patches: bool
) -> tuple[Features, list[BadRow]]:
    found = iter(loader.finish(started.reading))
    images: list[LabelledImage] = []
    encoded: list[Encoded] = []
    bad: list[BadRow] = []
    for row in started.rows:
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        item = next(found)
        if isinstance(item, RowError):
            bad.append(BadRow(row.id, row.image.name, "", item.code, str(item)))
        else:
            images.append(row)
            encoded.append(item)
    return _features(encoder, images, encoded, patches), bad


def _features(
    encoder: Encoder, images: Sequence[LabelledImage], encoded: Sequence[Encoded], patches: bool
) -> Features:
    fingerprint = encoder.spec.fingerprint
    if not encoded:
        return _empty(encoder, patches)
    return Features(
        torch.stack([item.value for item in encoded]),
        tuple(images),
        tuple(item.hash for item in encoded),
        fingerprint,
        torch.stack([item.patches for item in encoded if item.patches is not None]) if patches else None,
    )


def _empty(encoder: Encoder, patches: bool) -> Features:
    """No images, with the axes that images would have: a grey one tells the sizes."""
    grey = encoder.preprocess(Image.new("RGB", (64, 64), "grey")).unsqueeze(0)
    dense = (
        patch_features(encoder.image_tower, grey) if patches and isinstance(encoder, PatchEncoder) else None
    )
    return Features(
        encoder.encode_image(grey).cpu()[:0],
        (),
        (),
        encoder.spec.fingerprint,
        None if dense is None else dense.cpu()[:0],
    )


def _joined(parts: Sequence[Features]) -> Features:
    patches = [part.patches for part in parts if part.patches is not None]
    return Features(
        torch.cat([part.values for part in parts]),
        tuple(image for part in parts for image in part.images),
        tuple(hash for part in parts for hash in part.hashes),
        parts[0].encoder,
        torch.cat(patches) if patches else None,
    )


def _total(dataset: Iterable[Row]) -> int | None:
    if isinstance(dataset, ImageDataset):
        return dataset.count()
    return len(dataset) if isinstance(dataset, Sequence) else None
