"""Parts: Parquet files of rows in input order, written whole, and merged into the results as a stream."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from awase.engine._manifest import Manifest, Part
from awase.errors import DataError
from awase.files import atomic_path, hash_file
from awase.rows import Form, R

FOLDER = "parts"
OPEN = "open.parquet"
RESULTS = "results.parquet"
LINES = "results.jsonl"
_GROUP = 8192  # rows in a row group: the writer keeps some 10 kB of statistics of each until the end
_DIGEST = b"awase.parts"
_NUMBER = b"awase.part"


def write_part(folder: Path, form: Form[R], number: int, start: int, rows: Sequence[R]) -> Part:
    """Write part `number` (from 0) whole; its first row is row `start` of the input."""
    return _write(folder, form, f"part-{number:06d}.parquet", number, start, rows)


def replace_part(folder: Path, form: Form[R], part: Part, rows: Sequence[R]) -> Part:
    """Write other results for the same rows, under a name of its own.

    The old file stays whole beside it, so the manifest speaks the truth whichever of the two it names.
    """
    before = re.fullmatch(r".*-retry(\d+)\.parquet", part.file)
    retry = int(before[1]) + 1 if before else 1
    name = f"part-{part.number:06d}-retry{retry}.parquet"
    return _write(folder, form, name, part.number, part.start, rows)


def remove_unnamed(folder: Path, manifest: Manifest) -> None:
    """Delete part files that the manifest no longer names, or never did."""
    named = {part.file for part in manifest.parts}
    for path in (folder / FOLDER).glob("part-*.parquet"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def read_part(folder: Path, part: Part) -> pa.Table:
    """The table of one part.

    Raises:
        DataError: the file is missing or is not what the manifest says.
    """
    path = folder / FOLDER / part.file
    if not path.is_file() or hash_file(path) != part.sha256:
        raise DataError(
            f"{path} is missing or was changed; start over with --fresh, or choose another folder "
            "with --output."
        )
    return pq.read_table(path)


def failed_rows(folder: Path, form: Form[R], manifest: Manifest) -> Iterator[tuple[Part, int, str]]:
    """(part, index in the input, id) of every failed row, in input order."""
    for part in manifest.parts:
        if part.failed:
            for offset, row in enumerate(form.from_table(read_part(folder, part))):
                if row.error_code is not None:
                    yield part, part.start + offset, row.id


def save_open(folder: Path, form: Form[R], number: int, rows: Sequence[R]) -> None:
    """Keep the rows of a part that is not full yet, so that a stop loses nothing; no rows, no file."""
    if not rows:
        (folder / FOLDER / OPEN).unlink(missing_ok=True)
        return
    with atomic_path(folder / FOLDER / OPEN) as temporary:
        table = form.to_table(rows).replace_schema_metadata({_NUMBER: str(number).encode()})
        pq.write_table(table, temporary)


def load_open(folder: Path, form: Form[R], number: int) -> list[R]:
    """The rows that were kept for part `number`; none where what was kept is of an earlier part."""
    path = folder / FOLDER / OPEN
    if not path.is_file():
        return []
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return []
    kept = (table.schema.metadata or {}).get(_NUMBER, b"")
    return form.from_table(table) if kept == str(number).encode() else []


def is_merged(folder: Path, manifest: Manifest) -> bool:
    """Whether the results are there and were made of exactly the manifest's parts."""
    path = folder / RESULTS
    if not path.is_file() or not (folder / LINES).is_file():
        return False
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(metadata.get(_DIGEST, b"").decode("ascii", "replace") == manifest.digest())


def merge(folder: Path, form: Form[R], manifest: Manifest) -> None:
    """Write results.jsonl and results.parquet from the parts, a bounded number of rows at a time.

    The Parquet file comes last and holds the digest of the parts: where it is right, both are.
    """
    own = form.schema.metadata or {}
    schema = form.schema.with_metadata({**own, _DIGEST: manifest.digest().encode()})
    with (
        atomic_path(folder / RESULTS) as parquet,
        atomic_path(folder / LINES) as lines,
        pq.ParquetWriter(parquet, schema) as writer,
        lines.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        waiting: list[pa.Table] = []
        for part in manifest.parts:
            table = read_part(folder, part)
            stream.writelines(f"{form.to_json_line(row)}\n" for row in form.from_table(table))
            waiting.append(table)
            if sum(len(table) for table in waiting) >= _GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def _write(folder: Path, form: Form[R], name: str, number: int, start: int, rows: Sequence[R]) -> Part:
    path = folder / FOLDER / name
    with atomic_path(path) as temporary:
        pq.write_table(form.to_table(rows), temporary)
    failed = sum(row.error_code is not None for row in rows)
    return Part(number, name, start, len(rows), failed, hash_file(path))
