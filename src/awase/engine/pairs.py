"""Pairs to `PairFeatures`: every photo encoded once, however many captions it has, and every caption.

Equal bytes are one image, whatever their names. A row that cannot be read becomes a `BadRow` and the run goes
on.
"""

from collections.abc import Callable, Iterable

import torch

from awase.engine.features import encode_images
from awase.engine.texts import encode_texts
from awase.errors import DataError
from awase.protocols import Encoder, FeatureStore
from awase.types import BadRow, ImageReference, LabelledImage, Pair, PairFeatures

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
    bad: list[BadRow] = []
    pairs: list[Pair] = []
    references: dict[ImageReference, int] = {}
    for row in dataset:
        if isinstance(row, BadRow):
            bad.append(row)
        elif split is None or row.split == split:
            pairs.append(row)
            references.setdefault(row.image, len(references))
    rows = [LabelledImage(str(i), reference) for reference, i in references.items()]
    features, failed = encode_images(
        encoder, rows, batch_size=batch_size, workers=workers, store=store, progress=progress
    )
    errors = {int(row.id): row for row in failed}
    place: dict[str, int] = {}  # content hash -> row of the images
    first: list[int] = []
    of_reference: dict[int, int] = {}
    for i, (image, digest) in enumerate(zip(features.images, features.hashes, strict=True)):
        if digest not in place:
            place[digest] = len(place)
            first.append(i)
        of_reference[int(image.id)] = place[digest]
    good: list[Pair] = []
    for pair in pairs:
        reference = references[pair.image]
        if reference in errors:
            error = errors[reference]
            bad.append(BadRow(pair.id, pair.image.name, pair.caption, error.error_code, error.error))
        else:
            good.append(pair)
    if not good:
        raise DataError(_nothing(split, bad))
    owner = [of_reference[references[pair.image]] for pair in good]
    names: dict[int, str] = {}
    labels: dict[int, str] = {}
    for image_row, pair in zip(owner, good, strict=True):
        names.setdefault(image_row, pair.image.name)
        if (label := pair.label if pair.label is not None else pair.group) is not None:
            labels.setdefault(image_row, label)
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


def _nothing(split: str | None, bad: list[BadRow]) -> str:
    where = "the data" if split is None else f"split {split!r} of the data"
    why = f"; the first of {len(bad)} bad rows says: {bad[0].error}" if bad else ""
    return f"{where} holds no pair that can be read{why}."
