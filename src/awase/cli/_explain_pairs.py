"""What `awase transfer explain` explains: pairs with captions, classes with prompts, or vectors of files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from awase import registry
from awase.cli._class_names import names_of, read_class_names
from awase.cli._encoders import open_encoder
from awase.cli._inputs import open_source
from awase.cli._labelled_images import dataset_of, encode, in_splits, require_labels
from awase.cli._progress import progress_bar
from awase.cli.transfer_explain import Options
from awase.engine.feature_files import IMAGES, OWNERS, TEXTS, open_features, open_pair_features
from awase.engine.pairs import encode_pairs
from awase.errors import DataError, ShapeError
from awase.functional.splits import class_index
from awase.protocols import Encoder
from awase.transfer._class_vectors import class_vectors
from awase.transfer._templates import prompts_of
from awase.types import BadRow, LabelledImage, PairFeatures

_MAX_LABELS = 256 * 2**20
_LOOKED_AT = 10_000  # files below a folder that are looked at for captions


@dataclass(frozen=True)
class Explained:
    """The pairs, the rows that failed, and what repeats the reading."""

    pairs: PairFeatures
    bad: tuple[BadRow, ...]
    facts: Mapping[str, Any]


def read_pairs(options: Options) -> Explained:
    """Read what was named, one of three ways.

    Raises:
        DataError: nothing was named, too much was, or it cannot be read.
    """
    files = [options.features, options.image_features, options.text_features]
    if (options.data is None) == all(file is None for file in files):
        raise DataError("give DATA, or vectors with --features (or --image-features and --text-features).")
    if options.data is None:
        found = Explained(_of_files(options), (), _files(options))
    elif _are_classes(options):
        found = _of_classes(options, options.data)
    else:
        found = _of_captions(options, options.data)
    if options.labels is None:
        return found
    return replace(found, pairs=_labelled(found.pairs, read_labels(options.labels, found.pairs.images)))


def read_labels(path: Path, images: tuple[str, ...]) -> tuple[str, ...]:
    """The class of each image: lines in the order of the images, or JSON of image name and class.

    Raises:
        DataError: the file cannot be read, or does not have one class for each image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "labels.txt"
        ...     _ = path.write_text("dog\\ncat\\n")
        ...     read_labels(path, ("a.jpg", "b.jpg"))
        ('dog', 'cat')
    """
    place = path.expanduser()
    try:
        if place.stat().st_size > _MAX_LABELS:
            raise DataError(f"--labels {place} is too large for a file of classes.")
        text = place.read_text("utf-8-sig")
        content = json.loads(text) if place.suffix == ".json" else text.splitlines()
    except OSError as error:
        raise DataError(f"--labels {place} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"--labels {place} cannot be read: {str(error)[:200]}.") from error
    if isinstance(content, dict):
        if missing := [name for name in images if name not in content]:
            raise DataError(
                f"--labels {place} has no class for {len(missing)} images, such as {missing[0]!r}."
            )
        content = [content[name] for name in images]
    if not isinstance(content, list) or len(content) != len(images):
        n = len(content) if isinstance(content, list) else 0
        raise DataError(f"--labels {place} must have one class for each of {len(images)} images, got {n}.")
    return tuple(str(label).strip() for label in content)


def _labelled(pairs: PairFeatures, labels: tuple[str, ...]) -> PairFeatures:
    return PairFeatures(
        pairs.image_features,
        pairs.text_features,
        pairs.image_of_text,
        pairs.images,
        captions=pairs.captions,
        labels=labels,
        encoder=pairs.encoder,
        logit_scale=pairs.logit_scale,
    )


def _of_files(options: Options) -> PairFeatures:
    if options.features is not None:
        if options.image_features is not None or options.text_features is not None:
            raise DataError("--features holds both sides; leave out --image-features and --text-features.")
        return open_pair_features(options.features.expanduser())
    if options.image_features is None or options.text_features is None:
        missing = "--image-features" if options.image_features is None else "--text-features"
        raise DataError(f"{missing} FILE is missing: images and texts are compared.")
    images = open_features(options.image_features.expanduser(), IMAGES)
    texts = open_features(options.text_features.expanduser(), TEXTS)
    owners = _owners(options.text_features.expanduser())
    if images.shape[1] != texts.shape[1]:
        raise ShapeError(
            f"--image-features has vectors of width {images.shape[1]}, --text-features of {texts.shape[1]}; "
            "both must come from one model."
        )
    if owners is None:
        if len(images) != len(texts):
            raise ShapeError(
                f"--image-features has {len(images)} rows and --text-features {len(texts)}: pairs need as "
                f"many, or {OWNERS} beside the texts, the row of each text's image."
            )
        owners = torch.arange(len(texts))
    return PairFeatures(images, texts, owners, tuple(map(str, range(len(images)))))


def _owners(path: Path) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            if OWNERS not in file.keys():  # noqa: SIM118
                return None
            owners: Tensor = file.get_tensor(OWNERS)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as safetensors: {error}") from error
    if owners.ndim != 1 or owners.is_floating_point() or owners.dtype is torch.bool:
        raise DataError(f"{path}: {OWNERS} must be one whole number a text.")
    return owners.long()


def _files(options: Options) -> dict[str, Any]:
    files = {
        "features": options.features,
        "image_features": options.image_features,
        "text_features": options.text_features,
    }
    return {"data": {name: file for name, file in files.items() if file is not None}}


def _are_classes(options: Options) -> bool:
    """Whether DATA is classes: prompts were given, or it is class folders without a caption in them."""
    if options.templates or options.class_names is not None:
        return True
    if options.reader is not None:
        return options.reader not in registry.names("reader")
    place = Path(str(options.data))
    if not registry.load("image_reader", "class_folders").fits(place):
        return False
    seen = islice(place.rglob("*"), _LOOKED_AT)
    return not any(path.suffix.lower() == ".txt" or path.stem == "metadata" for path in seen)


def _of_captions(options: Options, data: str) -> Explained:
    dataset = open_source(
        data,
        images=options.images,
        image_column=options.image_column,
        caption_column=options.caption_column,
        reader=options.reader,
    )
    encoder = _encoder(options)
    with progress_bar("reading", quiet=options.quiet, unit="images") as progress:
        pairs, bad = encode_pairs(
            encoder,
            dataset,
            split=options.split,
            batch_size=options.batch_size,
            workers=options.workers,
            progress=progress,
        )
    facts = {"source": data, "images": options.images, "split": options.split}
    return Explained(pairs, tuple(bad), {"data": {**facts, "fingerprint": dataset.fingerprint()}})


def _of_classes(options: Options, data: str) -> Explained:
    """Each image with the prompts of its class as its caption."""
    prompts = prompts_of(options.templates or ["simple"])
    given = read_class_names(options.class_names)
    dataset = dataset_of(data, options)
    rows = list(dataset)
    labels = require_labels(rows, data)
    if len(labels) < 2:
        raise DataError(
            f"{data} has one class, {labels[0]!r}: zero-shot tells classes apart and needs two or more."
        )
    if options.split is not None:
        there = sorted({row.split for row in rows if isinstance(row, LabelledImage) and row.split})
        if options.split not in there:
            has = f"has the splits {', '.join(there)}" if there else "has no splits"
            raise DataError(f"--split names {options.split!r}, and {data} {has}.")
        rows = list(in_splits(rows, {options.split}))
    encoder = _encoder(options)
    with progress_bar("reading", quiet=options.quiet, unit="images") as progress:
        read = encode(encoder, rows, options, what=data, progress=progress)
    vectors = class_vectors(encoder, names_of(labels, given), prompts, labels=labels).cpu()
    features = read.features
    pairs = PairFeatures(
        features.values,
        vectors[class_index(features.labels, labels)],
        torch.arange(len(features)),
        tuple(image.id for image in features.images),
        labels=tuple(str(label) for label in features.labels),
        encoder=features.encoder,
        logit_scale=encoder.logit_scale,
    )
    facts = {"source": data, "images": options.images, "split": options.split, "classes": len(labels)}
    return Explained(
        pairs,
        read.failed,
        {
            "data": {**facts, "fingerprint": dataset.fingerprint()},
            "prompts": {"templates": prompts.templates},
        },
    )


def _encoder(options: Options) -> Encoder:
    return open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
