"""The scores of a results file, of this toolkit or another: one column of Parquet, CSV, TSV or JSON Lines.

Read a stretch at a time and only the columns that are wanted, so ten million rows take the memory of their
scores and little more. Rows with an error code are left out and counted. A row without a score and without an
error code, or one that cannot be read, ends the reading: a figure over the rows that happened to be readable
would be another figure.
"""

import json
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from awase.errors import DataError

KINDS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_Batches = Generator[pa.RecordBatch, None, None]
_ROWS = 1 << 16
_MAX_HEADER = 1 << 20  # bytes
_JSON_BYTES = 1 << 22
_SHOWN = 20
_SHOWN_REASON = 160  # characters


@dataclass(frozen=True, slots=True, eq=False)
class ScoreFile:
    """What a file of scores holds.

    Attributes:
        scores: of the rows without an error code, in their order; float64.
        correct: whether the class of each was right, None where that was not asked for.
        errors: how many rows were left out, by error code.
    """

    scores: Float[Tensor, " n"]
    correct: Bool[Tensor, " n"] | None = None
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_failed(self) -> int:
        """How many rows carry an error code."""
        return sum(self.errors.values())


def read_scores(
    path: str | Path,
    *,
    column: str = "score",
    correct_column: str | None = None,
    error_column: str = "error_code",
) -> ScoreFile:
    """The scores of a file.

    Args:
        path: ends in .parquet, .csv, .tsv, .jsonl or .ndjson.
        column: holds the scores: numbers, higher = more in-distribution.
        correct_column: holds true and false; None where nothing is to be read.
        error_column: rows in which it is not empty are left out; it need not be there.

    Raises:
        DataError: no such file, another format, a column that is not there or is there twice, cells that are
            not numbers, or a row with neither a score nor an error code. The message says which.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "scores.csv"
        ...     _ = path.write_text("id,score,error_code\\na,0.5,\\nb,,missing_image\\n")
        ...     found = read_scores(path)
        >>> found.scores.tolist(), found.errors
        ([0.5], {'missing_image': 1})
    """
    source = Path(path)
    kind = KINDS.get(source.suffix.lower())
    if kind is None:
        raise DataError(
            f"{source}: scores are read from {', '.join(KINDS)}, not from {source.suffix or 'this'}."
        )
    if not source.is_file():
        raise DataError(f"{source}: there is no such file.")
    collected = _Collected(source, column, correct_column, error_column)
    try:
        names = _names(source, kind)
        wanted = {column: pa.float64(), error_column: pa.string()}
        if correct_column is not None:
            wanted[correct_column] = pa.bool_()
        _require_columns(source, names, [column] if correct_column is None else [column, correct_column])
        wanted = {name: dtype for name, dtype in wanted.items() if name in names}
        with closing(_READERS[kind](source, wanted)) as batches:
            for batch in batches:
                collected.add(batch)
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        # the end says what is wrong; a long beginning says the path again
        shown = reason if len(reason) <= _SHOWN_REASON else f"... {reason[-_SHOWN_REASON:]}"
        place = f" beyond row {collected.n_rows}" if collected.n_rows else ""
        raise DataError(f"{source}: cannot be read as {kind}{place}: {shown}") from error
    return collected.file()


class _Collected:
    """Scores, row by row as they come, without the rows that failed."""

    def __init__(self, source: Path, column: str, correct: str | None, error: str) -> None:
        self._source, self._column, self._correct, self._error = source, column, correct, error
        self._scores: list[Tensor] = []
        self._hits: list[Tensor] = []
        self._errors: Counter[str] = Counter()
        self.n_rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        first_row, self.n_rows = self.n_rows + 1, self.n_rows + len(batch)
        failed = self._failed(batch)
        cells = batch.column(self._column).cast(pa.float64())
        scores = torch.from_numpy(cells.to_numpy(zero_copy_only=False).copy())
        self._refuse(scores.isnan() & ~failed, first_row, self._column, "no number")
        self._scores.append(scores[~failed])
        if self._correct is not None:
            cells = batch.column(self._correct).cast(pa.bool_())
            empty = torch.from_numpy(cells.is_null().to_numpy(zero_copy_only=False).copy())
            self._refuse(empty & ~failed, first_row, self._correct, "neither true nor false")
            hits = torch.from_numpy(cells.fill_null(False).to_numpy(zero_copy_only=False).copy())
            self._hits.append(hits[~failed])

    def file(self) -> ScoreFile:
        scores = torch.cat([torch.zeros(0, dtype=torch.float64), *self._scores])
        self._scores.clear()
        hits = torch.cat([torch.zeros(0, dtype=torch.bool), *self._hits])
        return ScoreFile(scores, None if self._correct is None else hits, dict(self._errors))

    def _failed(self, batch: pa.RecordBatch) -> Bool[Tensor, " b"]:
        if self._error not in batch.schema.names:
            return torch.zeros(len(batch), dtype=torch.bool)
        codes = batch.column(self._error).cast(pa.string())
        is_code = pc.fill_null(pc.not_equal(codes, ""), False)
        for count in codes.filter(is_code).value_counts().to_pylist():
            self._errors[count["values"]] += count["counts"]
        return torch.from_numpy(is_code.to_numpy(zero_copy_only=False).copy())

    def _refuse(self, bad: Bool[Tensor, " b"], first_row: int, column: str, what: str) -> None:
        if bool(bad.any()):
            row = first_row + int(bad.nonzero()[0, 0])
            raise DataError(
                f"{self._source}: row {row} has {what} in the column {column!r} and no code in "
                f"{self._error!r}; give it one of the two."
            )


def _names(source: Path, kind: str) -> list[str]:
    if kind == "parquet":
        with pq.ParquetFile(source) as file:
            return [str(name) for name in file.schema_arrow.names]
    if kind == "csv":
        with arrow_csv.open_csv(source, parse_options=_parsing(source)) as reader:
            return [str(name) for name in reader.schema.names]
    return _keys(source)


def _keys(source: Path) -> list[str]:
    """The keys of the first lines; what is no object is left to the reader, which says what is wrong."""
    keys: dict[str, None] = {}
    with source.open("rb") as file:
        for line in file.readlines(_MAX_HEADER):
            with suppress(ValueError, RecursionError):
                found = json.loads(line)
                keys.update(dict.fromkeys(found if isinstance(found, dict) else ()))
    return list(keys)


def _require_columns(source: Path, names: list[str], needed: list[str]) -> None:
    shown = ", ".join(repr(name[:60]) for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    for name in needed:
        if names.count(name) != 1:
            what = "more than one column" if name in names else "no column"
            raise DataError(f"{source}: there is {what} {name!r}; found: {shown}.")


def _parquet(source: Path, wanted: Mapping[str, pa.DataType]) -> _Batches:
    with pq.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False) as file:
        for name, dtype in wanted.items():
            found = file.schema_arrow.field(name).type
            if _is_text(found) != _is_text(dtype) and not pa.types.is_null(found):
                raise DataError(f"{source}: the column {name!r} holds {found}, and {dtype} is expected.")
        yield from file.iter_batches(_ROWS, columns=list(wanted), use_threads=False)


def _is_text(dtype: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(dtype) or types.is_large_string(dtype) or types.is_dictionary(dtype))


def _csv(source: Path, wanted: Mapping[str, pa.DataType]) -> _Batches:
    conversion = arrow_csv.ConvertOptions(
        column_types=dict(wanted), include_columns=list(wanted), strings_can_be_null=True
    )
    with arrow_csv.open_csv(source, parse_options=_parsing(source), convert_options=conversion) as reader:
        yield from reader


def _parsing(source: Path) -> arrow_csv.ParseOptions:
    with source.open("rb") as file:
        header = file.readline(_MAX_HEADER)
    # a text file in the spreadsheets of half of Europe is separated by semicolons
    separators = (b"\t",) if source.suffix.lower() == ".tsv" else (b",", b";")
    delimiter = max(separators, key=header.count).decode()
    return arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)


def _jsonl(source: Path, wanted: Mapping[str, pa.DataType]) -> _Batches:
    # a dataset of JSON would guess the types of all other fields too, and fail where they differ between rows
    schema = pa.schema(list(wanted.items()))
    parsing = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    reading = arrow_json.ReadOptions(use_threads=False, block_size=_JSON_BYTES)
    with source.open("rb") as file:
        while lines := file.readlines(_JSON_BYTES):
            text = b"".join(lines)
            if not text.isspace():
                table = arrow_json.read_json(pa.BufferReader(text), reading, parsing)
                yield from table.select(list(wanted)).to_batches()


_READERS = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}
