"""Which reader of labelled images fits what the user named, through the registry."""

from pathlib import Path
from typing import Any, cast

from awase import registry
from awase.cli._inputs import seen
from awase.errors import DataError
from awase.protocols import ImageDataset

_LAST = "images"  # the most general, so others are asked before it
_ACCEPTED = (
    "a folder of class folders (DIR/class/photo.jpg, or DIR/train/class/photo.jpg beside DIR/test), a table "
    "with columns image,label and perhaps split (CSV, TSV, JSON lines, Parquet; '-' for standard input), a "
    "folder of photos without labels, settings of a parts world (NAME.parts.json)"
)


def open_images(
    source: str,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
    reader: str | None = None,
) -> ImageDataset:
    """Labelled images from a folder of class folders, a table, or a folder of photos.

    Args:
        source: a path, a pattern of Parquet files, or `-`.
        images: the folder that image names are relative to.
        image_column: name of the image column; None for the reader's usual names, likewise the next two.
        reader: name of the reader to use; None to take the first that fits.

    Raises:
        DataError: no reader fits; the message says what was seen and what is accepted.
        UnknownMethodError: there is no reader of this name.
    """
    module = registry.load("image_reader", reader) if reader is not None else _first_that_fits(source)
    opened = module.open_images(
        source,
        images=images,
        image_column=image_column,
        label_column=label_column,
        id_column=id_column,
    )
    return cast(ImageDataset, opened)


def _first_that_fits(source: str) -> Any:
    for name in sorted(registry.names("image_reader"), key=lambda name: (name == _LAST, name)):
        module = registry.load("image_reader", name)
        if module.fits(Path(source)):
            return module
    raise DataError(
        f"{source!r} is {seen(source)}, and no reader of images fits. Accepted: {_ACCEPTED}. "
        "Hidden files and linked folders are passed over."
    )
