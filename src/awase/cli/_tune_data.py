"""Labelled images for tuning: which rows may be learned from, and which are the test."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from awase.engine.features import encode_images
from awase.errors import DataError
from awase.functional.splits import class_index
from awase.protocols import Encoder, ImageDataset
from awase.tune._protocol import Progress
from awase.tune._split import keep_test
from awase.types import BadRow, Features, LabelledImage

_TEST_NAMES = ("test", "val", "validation", "valid", "dev")
_TEST_SEED = 0
# of a class, at least: shots are drawn from these, so that a million images need not be read for a few
_CANDIDATES = 128


@dataclass(frozen=True)
class Sides:
    """Images of both sides, as the encoder sees them.

    Attributes:
        labels: the classes, sorted.
        pool: what shots and validation images are drawn from.
        test: what is measured on.
        made_test: the data had no splits, so the test part was drawn.
        bad: rows that failed.
        counts: images of the data by split, "" where there is none.
    """

    labels: tuple[str, ...]
    pool: Features
    test: Features
    made_test: bool
    bad: tuple[BadRow, ...]
    counts: dict[str, int]


def read_sides(
    encoder: Encoder,
    dataset: ImageDataset,
    *,
    train_split: str | None,
    test_split: str | None,
    test_share: float,
    wanted: int,
    seed: int,
    batch_size: int,
    workers: int,
    progress: Progress | None = None,
) -> Sides:
    """Read and encode both sides.

    Args:
        encoder: the model.
        dataset: labelled images.
        train_split: where shots come from; None for train.
        test_split: what is measured on; None for test, else val.
        test_share: kept out of each class where the data has no splits.
        wanted: images per class that will be drawn.
        seed: of the draw of candidates where a class has very many images.
        batch_size: images at a time.
        workers: threads that read them.
        progress: told of images done and in all.

    Raises:
        DataError: no labels, no such split, fewer than two classes, or nothing left to test on.
    """
    rows = list(dataset)
    bad = tuple(row for row in rows if isinstance(row, BadRow))
    images = [row for row in rows if isinstance(row, LabelledImage)]
    if not images:
        reason = f"; the first of {len(bad)} bad rows says: {bad[0].error}" if bad else ""
        raise DataError(f"the data holds no image that can be read{reason}.")
    unlabelled = sum(image.label is None for image in images)
    if unlabelled:
        raise DataError(
            f"{unlabelled} of {len(images)} images have no class; give a folder with one folder for each "
            "class, two at least, or a table with a column of classes (--label-column)."
        )
    counts = dict(Counter(image.split or "" for image in images))
    chosen = images
    names = split_names(counts, train_split, test_split)
    if names is not None:
        learned, tested = names
        pool = [image for image in images if image.split in learned]
        chosen = _candidates(pool, wanted, seed) + [image for image in images if image.split == tested]
    features, failed = encode_images(
        encoder, chosen, batch_size=batch_size, workers=workers, progress=progress
    )
    labels = _classes([image for image in features.images if names is None or image.split in names[0]])
    rest, kept, is_made = split_rows(features, labels, share=test_share, train=train_split, test=test_split)
    if not kept:
        raise DataError("no test image is left that can be read; accuracy could not be measured.")
    return Sides(labels, features.select(rest), features.select(kept), is_made, (*bad, *failed), counts)


def split_rows(
    features: Features,
    labels: Sequence[str],
    *,
    share: float = 0.5,
    train: str | None = None,
    test: str | None = None,
) -> tuple[list[int], list[int], bool]:
    """Rows to learn from, rows to measure on, and whether the latter had to be drawn.

    Args:
        features: labelled images of the data, all of them or those of both splits.
        labels: the classes.
        share: of each class for the test, where the data has no splits. The draw depends on the images alone,
            so that every method, number of shots and seed is measured on the same ones.
        train: name of the training split; None for train, else all that is not the test.
        test: name of the test split; None for test, else val.

    Raises:
        DataError: a split that is not there, or a label that is none of the classes.
    """
    names = split_names(Counter(image.split or "" for image in features.images), train, test)
    if names is None:
        numbers = class_index(features.labels, labels).tolist()
        rest, kept = keep_test(numbers, features.hashes, share=share, seed=_TEST_SEED)
        return rest, kept, True
    rest = [row for row, image in enumerate(features.images) if image.split in names[0]]
    return rest, [row for row, image in enumerate(features.images) if image.split == names[1]], False


def split_names(
    counts: Mapping[str, int], train: str | None = None, test: str | None = None
) -> tuple[frozenset[str], str] | None:
    """Which splits are learned from and which one is measured on; None where the data has no splits.

    Args:
        counts: images by split, "" where there is none.
        train: as asked for.
        test: as asked for.

    Raises:
        DataError: a split that is asked for is not there, or both are the same.

    Example:
        >>> split_names({"train": 50, "val": 40})
        (frozenset({'train'}), 'val')
    """
    if not counts.keys() - {""}:
        if train or test:
            raise DataError(
                "the data has no splits, so --train-split and --test-split name nothing; a test part is "
                "drawn, see --test-share."
            )
        return None
    there = ", ".join(f"{name or '(none)'} {n}" for name, n in sorted(counts.items()))
    tested = test or next((name for name in _TEST_NAMES if name in counts and name != train), "test")
    learned = train or ("train" if "train" in counts else None)
    for name, option in ((learned, "--train-split"), (tested, "--test-split")):
        if name is not None and name not in counts:
            raise DataError(f"the data has no split {name!r}; it has: {there}. Choose with {option}.")
    if learned == tested:
        raise DataError(f"{tested!r} cannot be both --train-split and --test-split.")
    names = frozenset({learned}) if learned is not None else frozenset(counts.keys() - {tested})
    if not names:
        raise DataError(f"the data has only the split {tested!r}, so nothing is left to learn from.")
    return names, tested


def _candidates(images: Sequence[LabelledImage], wanted: int, seed: int) -> list[LabelledImage]:
    """The images, of every class at most a few more than will be drawn; seed and ids say which."""
    most = max(_CANDIDATES, 2 * wanted)
    if all(n <= most for n in Counter(image.label for image in images).values()):
        return list(images)
    taken: Counter[str | None] = Counter()
    kept = set()
    for image in sorted(images, key=lambda image: hashlib.sha256(f"{seed} {image.id}".encode()).digest()):
        if taken[image.label] < most:
            taken[image.label] += 1
            kept.add(image.id)
    return [image for image in images if image.id in kept]


def _classes(images: Iterable[LabelledImage]) -> tuple[str, ...]:
    labels = tuple(sorted({image.label for image in images if image.label is not None}))
    if len(labels) < 2:
        raise DataError(
            f"tuning needs at least two classes, got {', '.join(labels) or 'none'}; the folder must hold one "
            "folder for each class."
        )
    return labels
