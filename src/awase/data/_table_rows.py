"""Rows of a table of any kind by column name: CSV, TSV, JSON lines, a JSON array, Parquet.

What the columns mean is the reader's business (`table` for captions, `labelled.image_table` for classes).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from awase.data import _delimited, _json, _parquet, _text
from awase.errors import DataError, RowError


def column_names(file: Path, kind: str, shown: str) -> list[str]:
    """The names of the columns, in their order.

    Args:
        file: the table.
        kind: what `_sniff.table_kind` says of it.
        shown: what error messages call it.

    Raises:
        DataError: it holds no rows with named columns.
    """
    if kind == "parquet":
        return [str(name) for name in _parquet.schema(file).names]
    with _text.open_text(file) as stream:
        if kind == "delimited":
            for _, cells in _delimited.read(stream, _delimiter(file)):
                if isinstance(cells, RowError):
                    raise DataError(f"{shown}: the first line is no header: {cells}")
                return [cell.strip() for cell in cells]
        elif kind == "json":
            first = next((value for _, value in _json.elements(stream)), None)
            if isinstance(first, dict):
                return list(first)
        else:
            for _, value in _json.lines(stream):
                if isinstance(value, dict):
                    return list(value)
    raise DataError(f"{shown}: holds no rows with named columns.")


def read(file: Path, kind: str, wanted: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any] | RowError]]:
    """Line or row number and cells by name of every row; an error for a row that is damaged.

    Args:
        file: the table.
        kind: what `_sniff.table_kind` says of it.
        wanted: the columns that are needed; of other kinds than Parquet all come.
    """
    if kind == "parquet":
        yield from _parquet.read(file, wanted)
        return
    with _text.open_text(file) as stream:
        if kind == "delimited":
            yield from _delimited_rows(_delimited.read(stream, _delimiter(file)))
        elif kind == "json":
            yield from _array_rows(stream)
        else:
            for number, value in _json.lines(stream):
                yield number, _checked(value)


def _delimited_rows(
    records: Iterator[tuple[int, list[str] | RowError]],
) -> Iterator[tuple[int, dict[str, str] | RowError]]:
    header: list[str] = []
    for number, cells in records:
        if isinstance(cells, RowError):
            yield number, cells
        elif not header:
            header = [cell.strip() for cell in cells]
        else:
            while len(cells) > len(header) and not cells[-1].strip():
                cells.pop()
            if len(cells) == len(header):
                # reversed: of two columns with one name the first counts
                yield number, dict(zip(reversed(header), reversed(cells), strict=True))
            else:
                yield (
                    number,
                    RowError(
                        "bad_row",
                        f"has {len(cells)} cells and the header {len(header)}; "
                        "a cell that holds the separator must stand in quotes.",
                    ),
                )


def _array_rows(stream: Any) -> Iterator[tuple[int, Mapping[str, Any] | RowError]]:
    number = 0
    try:
        for number, (_, value) in enumerate(_json.elements(stream), start=1):
            yield number, _checked(value)
    except DataError as error:
        yield number + 1, RowError("bad_row", f"cannot be read from here on: {error}")


def _checked(value: Any) -> Mapping[str, Any] | RowError:
    if isinstance(value, dict | RowError):
        return value
    return RowError("bad_row", f"a JSON object is expected, not {type(value).__name__}.")


def _delimiter(file: Path) -> str:
    with _text.open_text(file) as stream:
        return _delimited.guess_delimiter(stream.readline(_delimited.MAX_LINE))
