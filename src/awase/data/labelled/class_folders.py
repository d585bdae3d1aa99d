"""A folder of class folders: `DIR/cat/1.jpg`, or `DIR/train/cat/1.jpg` with a folder a split on top.

The first level is splits when every folder there is named like one (train, val, test, calibrate, ...) and
they hold folders. Photos anywhere below a class folder belong to it. The name of the folder is the label,
as it is; `awase.engine.prototypes.class_name` makes a name to read of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from awase.data._rows import Record
from awase.data.labelled import _walk
from awase.data.labelled._rows import make_rows
from awase.errors import DataError, RowError
from awase.types import BadRow, LabelledImage

SPLITS = frozenset(
    {"train", "val", "valid", "validation", "test", "calibrate", "calibration", "select", "dev"}
)


@dataclass(frozen=True)
class ClassFolders:
    """Labelled images of a folder; `root` is the folder that links may not lead out of."""

    folder: Path
    root: Path
    has_splits: bool

    def __iter__(self) -> Iterator[LabelledImage | BadRow]:
        return make_rows(self.records(), self.root)

    def records(self) -> Iterator[Record]:
        """The rows as found."""
        for below, record in _walk.photo_records(self.folder, self.root):
            yield self._labelled(below, record)

    def fingerprint(self) -> str:
        return _walk.hash_names(self.folder)

    def count(self) -> int | None:
        return _walk.count_photos(self.folder)

    def _labelled(self, below: tuple[str, ...], record: Record) -> Record:
        if record.error is not None:
            return record
        split = below[0].lower() if self.has_splits and below else None
        classes = below[1:] if self.has_splits else below
        if not classes:
            wanted = "DIR/split/class/photo.jpg" if self.has_splits else "DIR/class/photo.jpg"
            return replace(
                record, error=RowError("bad_row", f"lies in no class folder; {wanted} is expected.")
            )
        return replace(record, label=classes[0], split=split)


def fits(source: Path) -> bool:
    """Whether two or more folders with photos lie here or below folders of splits, and no photos beside them.

    One folder alone says nothing of classes: it is how many keep photos (`DIR/images/1.jpg`).
    """
    if not source.is_dir():
        return False
    top = _walk.listing(source)
    if top.photos:
        return False
    places = [source / name for name in top.folders] if _has_splits(source, top) else [source]
    return len({name for place in places for name in _class_names(place)}) > 1


def open_images(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
) -> ClassFolders:
    """A folder of class folders as labelled images.

    Args:
        source: the folder.
        images: a folder above it that links may lead to; by default links stay within the folder.
        image_column: for tables; naming one is an error here, as for the other two.
        label_column: see above.
        id_column: see above.

    Raises:
        DataError: there is no such folder, it holds no folders, or a column is named.
    """
    folder = _walk.require_folder(source)
    _walk.refuse_columns(source, image_column=image_column, label_column=label_column, id_column=id_column)
    top = _walk.listing(folder)
    if top.error is not None:
        raise DataError(f"{source}: {top.error}")
    if not top.folders:
        raise DataError(
            f"{source}: holds no class folders, but {len(top.photos)} photos; "
            "DIR/class/photo.jpg is expected."
        )
    return ClassFolders(folder, images or folder, _has_splits(folder, top))


def _has_splits(folder: Path, top: _walk.Listing) -> bool:
    """Whether the first level is splits; a class may be called `test` too, but then it holds photos only."""
    if not top.folders or not all(name.lower() in SPLITS for name in top.folders):
        return False
    return any(_walk.listing(folder / name).folders for name in top.folders)


def _class_names(folder: Path) -> list[str]:
    return [name for name in _walk.listing(folder).folders if _walk.listing(folder / name).photos]
