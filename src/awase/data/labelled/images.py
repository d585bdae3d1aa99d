"""A folder of photos at any depth, without labels: `DIR/2024/05/1.jpg`.

Read in sorted order; memory holds the names of one folder at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from awase.data._rows import Record
from awase.data.labelled import _walk, class_folders
from awase.data.labelled._rows import make_rows
from awase.types import BadRow, LabelledImage


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder; `root` is the folder that links may not lead out of."""

    folder: Path
    root: Path

    def __iter__(self) -> Iterator[LabelledImage | BadRow]:
        return make_rows(self.records(), self.root)

    def records(self) -> Iterator[Record]:
        """The rows as found."""
        for _, record in _walk.photo_records(self.folder, self.root):
            yield record

    def fingerprint(self) -> str:
        return _walk.hash_names(self.folder)

    def count(self) -> int | None:
        return _walk.count_photos(self.folder)


def fits(source: Path) -> bool:
    """Whether this is a folder with photos that are not sorted into class folders."""
    return source.is_dir() and not class_folders.fits(source) and _walk.has_photos(source)


def open_images(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
) -> ImageFolder:
    """A folder as images without labels.

    Args:
        source: the folder.
        images: a folder above it that links may lead to; by default links stay within the folder.
        image_column: for tables; naming one is an error here, as for the other two.
        label_column: see above.
        id_column: see above.

    Raises:
        DataError: there is no such folder, or a column is named.
    """
    folder = _walk.require_folder(source)
    _walk.refuse_columns(source, image_column=image_column, label_column=label_column, id_column=id_column)
    return ImageFolder(folder, images or folder)
