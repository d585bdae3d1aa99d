"""Findings as rows: the Parquet schema of results, and its JSON Lines and CSV forms.

Parquet and JSONL hold the text as it is. CSV is for spreadsheets, which run cells that begin like a
formula, so those get an apostrophe there. Reading and writing stream: one part is in memory at a time.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from awase.errors import DataError
from awase.types import Finding, Word

WORD = pa.struct(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("flagged", pa.bool_(), nullable=False),
    ]
)

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("clip_score", pa.float64()),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("error_code", pa.string()),
        pa.field("error", pa.string()),
        pa.field("words", pa.list_(pa.field("item", WORD, nullable=False)), nullable=False),
        pa.field("padding_score", pa.float64()),
    ]
)
"""A row per pair. `start` and `end` are half-open character offsets into `caption`; scores are raw."""


@runtime_checkable
class Row(Protocol):
    """What every row of results has, whatever verb wrote it; error_code is None for a row that went well."""

    @property
    def id(self) -> str: ...

    @property
    def error_code(self) -> str | None: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Form(Generic[R]):
    """How rows of one kind are kept: what a run in parts needs to know of them.

    Attributes:
        schema: of the Parquet file.
        to_table: rows as a table of this schema.
        from_table: the rows again.
        to_json_line: one row as a line of JSON, without the line end.
    """

    schema: pa.Schema
    to_table: Callable[[Iterable[R]], pa.Table]
    from_table: Callable[[pa.Table], list[R]]
    to_json_line: Callable[[R], str]


_SURROGATE = re.compile("[\ud800-\udfff]")
_CSV_COLUMNS = ("id", "image", "caption", "score", "clip_score", "truncated", "error_code", "wrong_words")


def to_table(findings: Iterable[Finding]) -> pa.Table:
    """Findings as an Arrow table with `SCHEMA`.

    Lone surrogates (a file name or a caption that is no valid text) are written as U+FFFD, since neither
    Parquet nor JSON can hold them.

    Example:
        >>> to_table([Finding("1", "a.jpg", "a dog")]).num_rows
        1
    """
    return pa.Table.from_pylist([_row(finding) for finding in findings], schema=SCHEMA)


def from_table(table: pa.Table) -> list[Finding]:
    """The findings of a table (or of a part of one) that has the columns of `SCHEMA`.

    Raises:
        DataError: a column is missing.
    """
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise DataError(
            f"the table lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}."
        )
    return [_finding(row) for row in table.select(SCHEMA.names).to_pylist()]


def read_parquet(path: str | Path, *, batch_size: int = 1024) -> Iterator[Finding]:
    """The findings of a results file as a stream.

    Raises:
        DataError: there is no such file, or it is no Parquet file with these columns.
    """
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read as a results file: {error}.") from error
    with file:
        for batch in file.iter_batches(batch_size=batch_size):
            yield from from_table(pa.Table.from_batches([batch]))


def to_json_line(finding: Finding) -> str:
    """One row as one line of JSON, without the line end; keys in the order of `SCHEMA`.

    Example:
        >>> to_json_line(Finding("1", "a.jpg", "a dog", score=0.5))[:41]
        '{"id": "1", "image": "a.jpg", "caption": '
    """
    return json.dumps(_row(finding), ensure_ascii=False, allow_nan=False)


FINDINGS: Form[Finding] = Form(SCHEMA, to_table, from_table, to_json_line)
"""The rows of `awase check`."""


def from_json_line(line: str) -> Finding:
    """The finding of one line.

    Raises:
        DataError: the line is no JSON object with the columns of `SCHEMA`.
    """
    try:
        return _finding(json.loads(line))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"not a row of results: {line[:80]!r} ({error}).") from error


def write_csv(findings: Iterable[Finding], stream: TextIOBase) -> None:
    """A spreadsheet view: one line a pair, the wrong words joined, formulas made harmless.

    Args:
        findings: read as a stream.
        stream: a text stream opened with newline="".
    """
    writer = csv.writer(stream)
    writer.writerow(_CSV_COLUMNS)
    for finding in findings:
        wrong = "; ".join(word.text for word in finding.flagged_words)
        row = {**_row(finding), "wrong_words": wrong}
        writer.writerow([csv_cell(row[name]) for name in _CSV_COLUMNS])


def csv_cell(value: Any) -> Any:
    """The value as a spreadsheet may safely open it: text that would run as a formula gets an apostrophe.

    Example:
        >>> csv_cell("=1+1"), csv_cell("a dog"), csv_cell(-0.5), csv_cell(None)
        ("'=1+1", 'a dog', -0.5, '')
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"
    return value


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "id": _text(finding.id),
        "image": _text(finding.image),
        "caption": _text(finding.caption),
        "score": _number(finding.score, finding.id),
        "clip_score": _number(finding.clip_score, finding.id),
        "truncated": finding.truncated,
        "error_code": finding.error_code,
        "error": None if finding.error is None else _text(finding.error),
        "words": _words(finding.words, finding.id),
        "padding_score": _number(finding.padding_score, finding.id),
    }


def _words(words: Sequence[Word], row: str) -> list[dict[str, Any]]:
    return [
        {
            "text": _text(word.text),
            "start": word.start,
            "end": word.end,
            "score": _number(word.score, row),
            "flagged": word.flagged,
        }
        for word in words
    ]


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(
        id=row["id"],
        image=row["image"],
        caption=row["caption"],
        score=row["score"],
        clip_score=row["clip_score"],
        words=tuple(Word(**word) for word in row["words"]),
        truncated=row["truncated"],
        error_code=row["error_code"],
        error=row["error"],
        padding_score=row["padding_score"],
    )


def _number(value: float | None, row: str) -> float | None:
    if value is not None and not math.isfinite(value):
        raise DataError(f"row {row!r} has a score of {value}: a method must give a number or an error code.")
    return value


def _text(value: str) -> str:
    # one character for one: the offsets of the words stay right
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
