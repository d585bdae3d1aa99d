"""Images for the verbs that know classes: which rows of a data set are wanted, and their vectors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from awase.cli._image_inputs import open_images
from awase.engine.features import encode_images
from awase.errors import DataError
from awase.protocols import Encoder, ImageDataset
from awase.report.captions import visible
from awase.types import BadRow, Features, LabelledImage

Progress = Callable[[int, int | None], None]


@runtime_checkable
class Reading(Protocol):
    """What a verb can be told of how images are found and read."""

    @property
    def images(self) -> Path | None: ...

    @property
    def reader(self) -> str | None: ...

    @property
    def image_column(self) -> str | None: ...

    @property
    def label_column(self) -> str | None: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def workers(self) -> int: ...


@dataclass(frozen=True)
class Read:
    """Vectors of the images that could be read, and the rows that could not."""

    features: Features
    failed: tuple[BadRow, ...]


def dataset_of(source: str, options: Reading) -> ImageDataset:
    """The data set that was named.

    Raises:
        DataError: no reader fits; the message says what was seen and what is accepted.
    """
    return open_images(
        source,
        images=options.images,
        image_column=options.image_column,
        label_column=options.label_column,
        reader=options.reader,
    )


def encode(
    encoder: Encoder,
    rows: Sequence[LabelledImage | BadRow],
    options: Reading,
    *,
    what: str,
    progress: Progress | None = None,
) -> Read:
    """Vectors of all of these images, in memory.

    Args:
        encoder: makes the vectors.
        rows: which.
        options: how many at a time.
        what: they are, for the message.
        progress: told of images done.

    Raises:
        DataError: not one of them can be read; the message says why the first cannot.
    """
    features, failed = encode_images(
        encoder,
        rows,
        batch_size=options.batch_size,
        workers=options.workers,
        progress=progress,
    )
    if len(features) == 0:
        why = (
            f"the first fails with {failed[0].error_code}: {failed[0].error}" if failed else "there are none"
        )
        raise DataError(f"{what}: no image can be read; {why}")
    return Read(features, tuple(failed))


def in_splits(
    rows: Iterable[LabelledImage | BadRow], splits: set[str | None]
) -> Iterator[LabelledImage | BadRow]:
    """The images of these splits, and every row that could not be read as one."""
    for row in rows:
        if isinstance(row, BadRow) or row.split in splits:
            yield row


def require_labels(rows: Iterable[LabelledImage | BadRow], source: str) -> tuple[str, ...]:
    """The classes of labelled images, sorted.

    Raises:
        DataError: an image has no class, or there is no image.
    """
    labels: set[str] = set()
    for row in rows:
        if isinstance(row, BadRow):
            continue
        if row.label is None:
            raise DataError(
                f"{source}: {row.id} has no class; put the photos of each class into a folder of its name "
                "(DATA/cat/1.jpg), or give a table with the columns image and label. A single class needs "
                "--reader class_folders."
            )
        labels.add(row.label)
    if not labels:
        raise DataError(f"{source} holds no images of any class.")
    return tuple(sorted(labels))


def failed_line(id: str, error: str | None) -> str:
    """An image that could not be read, with its name once.

    Example:
        >>> failed_line("a/b.jpg", "a/b.jpg: is empty."), failed_line("7", "b.jpg: is empty.")
        ('a/b.jpg: is empty.', '7: b.jpg: is empty.')
    """
    said = visible(error or "")
    return said if said.startswith(visible(id)) else f"{visible(id)}: {said}"
