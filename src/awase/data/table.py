"""Tables by column name: CSV, TSV, JSON lines, a JSON array, Parquet; `-` reads one from standard input.

The format is told by the first bytes. Several captions in one row (a list, in JSON or Parquet) become one
pair each. Tables without a line of column names and columns of URLs are not read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awase.data import _columns, _parquet, _sniff, _source, _table_rows
from awase.data._columns import Columns
from awase.data._rows import Record, RowMaker
from awase.errors import RowError
from awase.types import BadRow, Pair

_COUNTED = 64 * 1024 * 1024  # bytes; larger tables are not read once more only to be counted


@dataclass(frozen=True)
class TableDataset:
    """Pairs out of one or more files of one format with the same columns."""

    files: tuple[Path, ...]
    kind: str
    columns: Columns
    images: Path
    spool: _source.Spool | None = None

    def __iter__(self) -> Iterator[Pair | BadRow]:
        with RowMaker(self.images) as rows:
            for record in self.records():
                yield from rows.make(record)

    def records(self) -> Iterator[Record]:
        """The rows as found."""
        for file in self.files:
            place = "" if len(self.files) == 1 else f"{file.name}, "
            unit = "row" if self.kind in ("parquet", "json") else "line"
            for number, row in _table_rows.read(file, self.kind, self.columns.wanted()):
                where = f"{place}{unit} {number}"
                if isinstance(row, RowError):
                    yield Record(where, error=row)
                else:
                    yield _record(where, row, self.columns)

    def fingerprint(self) -> str:
        return _source.hash_files(self.files, self.kind, self.columns)

    def count(self) -> int | None:
        if self.kind == "parquet":
            kinds = [str(_parquet.schema(file).field(self.columns.caption).type) for file in self.files]
            if not any("list" in kind for kind in kinds):
                return sum(_parquet.count(file) for file in self.files)
        if sum(file.stat().st_size for file in self.files) > _COUNTED:
            return None
        return sum(_pairs_in(record) for record in self.records())


def fits(source: Path) -> bool:
    """Whether this looks like a table: `-`, a text or Parquet file, or a folder of Parquet files."""
    return _sniff.reader_for(str(source)) == "table"


def open_pairs(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    id_column: str | None = None,
) -> TableDataset:
    """A table as pairs; only its header is read here.

    Args:
        source: a file, a pattern or folder of Parquet files, or "-" for standard input.
        images: the folder that image names are relative to, and that none may leave; by default the folder
            of the table, for standard input the working folder.
        image_column: name of the column, by default image, filepath, file_name or the like.
        caption_column: likewise caption, title or text.
        id_column: likewise id; without one, ids are content hashes.

    Raises:
        DataError: no such table, it is empty, or the columns are not there.
    """
    spool = _source.standard_input() if str(source) == "-" else None
    files = [spool.path] if spool else _source.files(source, ".parquet")
    kind = _sniff.table_kind(files[0])
    shown = "standard input" if spool else str(source)
    columns = _columns.choose(
        _table_rows.column_names(files[0], kind, shown),
        shown,
        image=image_column,
        caption=caption_column,
        id=id_column,
    )
    root = images or (Path() if spool else files[0].parent)
    return TableDataset(tuple(files), kind, columns, root, spool)


def _record(where: str, row: Mapping[str, Any], columns: Columns) -> Record:
    def cell(name: str | None) -> Any:
        return None if name is None else row.get(name)

    return Record(
        where,
        image=cell(columns.image),
        captions=cell(columns.caption),
        id=cell(columns.id),
        label=cell(columns.label),
        group=cell(columns.group),
        split=cell(columns.split),
    )


def _pairs_in(record: Record) -> int:
    return max(1, len(record.captions)) if isinstance(record.captions, list) else 1
