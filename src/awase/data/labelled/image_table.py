"""Tables of images with classes: CSV, TSV, JSON lines, a JSON array, Parquet, with image, label and split.

A table without a column of labels gives images without labels. Paths are relative to the table's folder, or
to another that is named, and lead nowhere else; URLs are not read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from awase.data import _columns, _parquet, _sniff, _source, _table_rows
from awase.data._columns import LabelColumns
from awase.data._rows import Record
from awase.data.labelled._rows import make_rows
from awase.errors import RowError
from awase.types import BadRow, LabelledImage

_COUNTED = 64 * 1024 * 1024  # bytes; larger tables are not read once more only to be counted


@dataclass(frozen=True)
class ImageTable:
    """Labelled images out of one or more files of one format with the same columns."""

    files: tuple[Path, ...]
    kind: str
    columns: LabelColumns
    images: Path
    spool: _source.Spool | None = None

    def __iter__(self) -> Iterator[LabelledImage | BadRow]:
        return make_rows(self.records(), self.images)

    def records(self) -> Iterator[Record]:
        """The rows as found."""
        unit = "row" if self.kind in ("parquet", "json") else "line"
        image, label, split, id = (
            self.columns.image,
            self.columns.label,
            self.columns.split,
            self.columns.id,
        )
        for file in self.files:
            place = "" if len(self.files) == 1 else f"{file.name}, "
            for number, row in _table_rows.read(file, self.kind, self.columns.wanted()):
                where = f"{place}{unit} {number}"
                if isinstance(row, RowError):
                    yield Record(where, error=row)
                else:
                    cells = [None if name is None else row.get(name) for name in (image, label, split, id)]
                    yield Record(where, image=cells[0], label=cells[1], split=cells[2], id=cells[3])

    def fingerprint(self) -> str:
        return _source.hash_files(self.files, self.kind, self.columns)

    def count(self) -> int | None:
        if self.kind == "parquet":
            return sum(_parquet.count(file) for file in self.files)
        if sum(file.stat().st_size for file in self.files) > _COUNTED:
            return None
        return sum(1 for _ in self.records())


def fits(source: Path) -> bool:
    """Whether this looks like a table: `-`, a text or Parquet file, or a folder of Parquet files."""
    return _sniff.reader_for(str(source)) == "table"


def open_images(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
) -> ImageTable:
    """A table as labelled images; only its header is read here.

    Args:
        source: a file, a pattern or folder of Parquet files, or "-" for standard input.
        images: the folder that image names are relative to, and that none may leave; by default the folder
            of the table, for standard input the working folder.
        image_column: name of the column, by default image, filepath, file_name or the like.
        label_column: likewise label, class or category.
        id_column: likewise id; without one, the image names are the ids.

    Raises:
        DataError: no such table, it is empty, or a column is not there.
    """
    spool = _source.standard_input() if str(source) == "-" else None
    files = [spool.path] if spool else _source.files(source, ".parquet")
    kind = _sniff.table_kind(files[0])
    shown = "standard input" if spool else str(source)
    columns = _columns.choose_labelled(
        _table_rows.column_names(files[0], kind, shown),
        shown,
        image=image_column,
        label=label_column,
        id=id_column,
    )
    root = images or (Path() if spool else files[0].parent)
    return ImageTable(tuple(files), kind, columns, root, spool)
