"""Pairs to `PairFeatures`: every photo encoded once, however many captions it has, and every caption.

Equal bytes are one image, whatever their names. A row that cannot be read becomes a `BadRow` and the run goes
on.
"""

from collections.abc import Callable, Iterable, Sequence

import torch

from awase.engine.features import encode_images
from awase.engine.texts import encode_texts
from awase.errors import DataError
from awase.protocols import Encoder, FeatureStore
from awase.types import BadRow, Features, ImageReference, LabelledImage, Pair, PairFeatures

Progress = Callable[[int, int | None], None]


def encode_pairs(
    encoder: Encoder,
    dataset: Iterable[Pair | BadRow],
    *,
    split: str | None = None,
    batch_size: int = 64,
    workers: int = 2,
    store: FeatureStore | None = None,
    progress: Progress | None = None,
) -> tuple[PairFeatures, list[BadRow]]:
    """The features of all pairs that can be read, and the rows that cannot.

    Args:
        encoder: the model.
        dataset: pairs, or bad rows that pass through; an image with five captions is five pairs.
        split: only the rows of this split; None for all.
        batch_size: images at a time.
        workers: threads that read them.
        store: see `stream_images`.
        progress: called with images done and images in all.

    Raises:
        DataError: no row of the split can be read.

    Example:
        >>> from PIL import Image
        >>> from awase.images import from_pixels
        >>> from awase.registry import load
        >>> photo = from_pixels(Image.new("RGB", (32, 32), "red"))
        >>> rows = [Pair("1", photo, "a red square"), Pair("2", photo, "nothing but red")]
        >>> pairs, bad = encode_pairs(load("encoder", "tiny").load("0"), rows)
        >>> pairs.image_features.shape, pairs.image_of_text.tolist(), bad
        (torch.Size([1, 24]), [0, 0], [])
    """
    pairs, bad = _of_split(dataset, split)
    references = list(dict.fromkeys(pair.image for pair in pairs))
    rows = [LabelledImage(str(i), reference) for i, reference in enumerate(references)]
    features, failed = encode_images(
        encoder, rows, batch_size=batch_size, workers=workers, store=store, progress=progress
    )
    errors = {references[int(row.id)]: row for row in failed}
    bad += [_failed(pair, errors[pair.image]) for pair in pairs if pair.image in errors]
    good = [pair for pair in pairs if pair.image not in errors]
    if not good:
        raise DataError(_nothing(split, bad))
    image_of, first = _by_content(features)
    owner = [image_of[pair.image] for pair in good]
    labels = _firsts(owner, [pair.label if pair.label is not None else pair.group for pair in good])
    names = _firsts(owner, [pair.image.name for pair in good])
    captions = tuple(pair.caption for pair in good)
    return PairFeatures(
        image_features=features.values[first],
        text_features=encode_texts(encoder, captions, folder=None).cpu(),
        image_of_text=torch.tensor(owner),
        images=tuple(names[row] for row in range(len(first))),
        captions=captions,
        labels=tuple(labels[row] for row in range(len(first))) if len(labels) == len(first) else None,
        encoder=encoder.spec.fingerprint,
        logit_scale=encoder.logit_scale,
    ), bad


def _of_split(dataset: Iterable[Pair | BadRow], split: str | None) -> tuple[list[Pair], list[BadRow]]:
    pairs: list[Pair] = []
    bad: list[BadRow] = []
    for row in dataset:
        if isinstance(row, BadRow):
            bad.append(row)
        elif split is None or row.split == split:
            pairs.append(row)
    return pairs, bad


def _by_content(features: Features) -> tuple[dict[ImageReference, int], list[int]]:
    """Number of each reference's image, and the first row of each number: equal bytes share one."""
    number: dict[str, int] = {}
    first: list[int] = []
    image_of: dict[ImageReference, int] = {}
    for row, (image, digest) in enumerate(zip(features.images, features.hashes, strict=True)):
        if digest not in number:
            number[digest] = len(first)
            first.append(row)
        image_of[image.image] = number[digest]
    return image_of, first


def _firsts(owner: Sequence[int], values: Sequence[str | None]) -> dict[int, str]:
    """The first value that each image has."""
    found: dict[int, str] = {}
    for image, value in zip(owner, values, strict=True):
        if value is not None:
            found.setdefault(image, value)
    return found


def _failed(pair: Pair, image: BadRow) -> BadRow:
    return BadRow(pair.id, pair.image.name, pair.caption, image.error_code, image.error)


def _nothing(split: str | None, bad: list[BadRow]) -> str:
    where = "the data" if split is None else f"split {split!r} of the data"
    why = f"; the first of {len(bad)} bad rows says: {bad[0].error}" if bad else ""
    return f"{where} holds no pair that can be read{why}."
