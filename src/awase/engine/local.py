"""Run work over many rows on one machine, in parts that survive a crash.

Rows stream through the work in input order; every `part_size` rows a part is written whole and entered in
the manifest. After `kill -9`, a full disk or a power cut the same call goes on behind the last whole part;
after a polite stop it goes on at the very next row. Memory does not grow with the number of rows.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from awase.engine import _lock, _manifest, _parts
from awase.engine._manifest import Identity, Manifest, Part
from awase.errors import AwaseError, DataError
from awase.files import readable_errors, remove_leftovers
from awase.rows import FINDINGS, Form, R
from awase.types import BadRow, Finding, Pair


@runtime_checkable
class Identified(Protocol):
    """What goes in: anything with an id, which the row that comes out repeats."""

    @property
    def id(self) -> str: ...


I = TypeVar("I", bound=Identified)  # noqa: E741
Steps = Callable[[Iterable[I]], Iterator[Sequence[R]]]
"""Takes the input as a stream and gives one list of rows a batch: one row for each that went in, in order."""

Row = Pair | BadRow
Work = Steps[Row, Finding]
"""The same for pairs and findings."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did.

    Attributes:
        rows: rows in the folder now.
        failed: how many of them carry an error code.
        new: rows worked on by this call; the others were there already.
        is_stopped: the run was asked to stop before the end.
    """

    rows: int
    failed: int
    new: int
    is_stopped: bool = False


def run_parts(
    rows: Iterable[I],
    work: Steps[I, R],
    *,
    folder: Path,
    identity: Identity,
    form: Form[R] = FINDINGS,  # type: ignore[assignment] # the default belongs to R = Finding
    part_size: int = 512,
    total: int | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    retry_failed: bool = False,
    fresh: bool = False,
) -> Counts:
    """Work on every row that is not done yet and merge all of them into results.parquet and results.jsonl.

    Args:
        rows: the whole input, always in the same order; rows that are done are skipped.
        work: see `Steps`. Each call may read ahead.
        folder: where parts, manifest and results go; one process at a time.
        identity: everything that decides the numbers (encoder, method, data), JSON values. The entry
            `data` may change between a run and its retry, since repairing a bad image changes it.
        form: how the rows that come out are kept.
        part_size: rows in a part, at least; a part ends with a batch. A crash loses at most one part.
        total: number of rows where it is known, for `progress`.
        progress: called after each batch with rows done and total.
        stop: asked after each batch; True ends the run, what was done is kept.
        retry_failed: first work again on the rows that failed. All other rows stay byte-equal.
        fresh: forget what the folder holds from earlier runs.

    Returns:
        Counts; `new` is 0 when everything was there already.

    Raises:
        DataError: the folder holds a run with another identity or is in use, or the disk is full.
    """
    with readable_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    run = _Run(folder, form, part_size, total, progress or _ignore, stop or _never)
    with _lock.hold(folder):
        if fresh:
            clear(folder)
        manifest = _open(folder, _manifest.normal(identity), is_retry=retry_failed)
        for place in (folder, folder / _parts.FOLDER):
            remove_leftovers(place)
        _parts.remove_unnamed(folder, manifest)
        new = run.retry(rows, work, manifest) if retry_failed and manifest.failed else 0
        if retry_failed:
            manifest.change_identity(_manifest.normal(identity))
            _parts.remove_unnamed(folder, manifest)
        if not manifest.is_finished and not run.is_stopped:
            new += run.go_on(rows, work, manifest)
        if run.is_stopped:
            return Counts(manifest.rows, manifest.failed, new, is_stopped=True)
        if not _parts.is_merged(folder, manifest):
            _parts.merge(folder, form, manifest)
        return Counts(manifest.rows, manifest.failed, new)


def state(folder: Path) -> Counts | None:
    """What a folder holds, without touching it; None where no run was started."""
    manifest = _manifest.read(folder)
    if manifest is None:
        return None
    return Counts(manifest.rows, manifest.failed, new=0, is_stopped=not manifest.is_finished)


def clear(folder: Path) -> None:
    """Remove what a run of awase left in the folder, and nothing else.

    The manifest goes first: parts without one are never trusted.
    """
    for name in (_manifest.NAME, _parts.RESULTS, _parts.LINES):
        (folder / name).unlink(missing_ok=True)
    parts = folder / _parts.FOLDER
    for path in [*parts.glob("part-*.parquet"), parts / _parts.OPEN]:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # somebody else's files may lie there
        parts.rmdir()


def _open(folder: Path, identity: Identity, *, is_retry: bool) -> Manifest:
    before = _manifest.read(folder)
    if before is None and (folder / _parts.RESULTS).exists():
        raise DataError(
            f"{folder} holds a {_parts.RESULTS} but no {_manifest.NAME}, so it cannot be continued; "
            "replace it with --fresh, or choose another folder with --output."
        )
    if before is not None:
        known = dict(before.identity)
        if is_retry and before.failed:
            known["data"] = identity.get("data")
        if differing := _manifest.differences(known, identity):
            raise DataError(
                f"{folder} holds another run: {'; '.join(differing)}. "
                "Start over with --fresh, or choose another folder with --output."
            )
    return _manifest.open_or_create(folder, identity)


class _Run(Generic[R]):
    """One call of `run_parts`: what its two passes share."""

    def __init__(
        self,
        folder: Path,
        form: Form[R],
        part_size: int,
        total: int | None,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        self.folder, self.form, self.part_size, self.total = folder, form, part_size, total
        self.progress, self.stop = progress, stop
        self.is_stopped = False

    def go_on(self, rows: Iterable[I], work: Steps[I, R], manifest: Manifest) -> int:
        """Work on the rows behind the last part. Returns how many."""
        number, start = len(manifest.parts), manifest.rows
        part = _parts.load_open(self.folder, self.form, number)
        done = start + len(part)
        self.progress(done, self.total)
        try:
            for batch in _in_order(islice(rows, done, None), work):
                part += batch
                self.progress(start + len(part), self.total)
                if len(part) >= self.part_size:
                    manifest.add(_parts.write_part(self.folder, self.form, number, start, part))
                    number, start, part = number + 1, start + len(part), []
                if self.stop():
                    self.is_stopped = True
                    return start + len(part) - done
            if part:
                manifest.add(_parts.write_part(self.folder, self.form, number, start, part))
                start, part = start + len(part), []
            manifest.finish()
        finally:
            with suppress(AwaseError, OSError):  # the disk may be full: these rows are then done again
                _parts.save_open(self.folder, self.form, number, part)
        return start - done

    def retry(self, rows: Iterable[I], work: Steps[I, R], manifest: Manifest) -> int:
        """Work again on the failed rows; a part is replaced as soon as all of its failed rows are done."""
        failed = list(_parts.failed_rows(self.folder, self.form, manifest))
        expected_rows = manifest.rows if manifest.is_finished else None
        done = 0
        with closing(_flat(_in_order(_pick(rows, failed, expected_rows), work))) as results:
            for part in [part for part in manifest.parts if part.failed]:
                kept = self.form.from_table(_parts.read_part(self.folder, part))
                for index in [index for owner, index, _ in failed if owner is part]:
                    kept[index - part.start] = next(results)
                    done += 1
                    self.progress(done, len(failed))
                    if self.stop():  # rows of this part that were not reached keep their old error
                        self.is_stopped = True
                        break
                manifest.add(_parts.replace_part(self.folder, self.form, part, kept))
                if self.is_stopped:
                    return done
            for _ in results:  # lets the reader reach its end, where it compares the number of rows
                raise RuntimeError("the work returned more rows than it was given")
        return done


def _in_order(rows: Iterable[I], work: Steps[I, R]) -> Iterator[Sequence[R]]:
    """The work's batches, checked: one row for each that went in, in the same order."""
    expected: deque[str] = deque()

    def watched() -> Iterator[I]:
        for row in rows:
            expected.append(row.id)
            yield row

    stream = work(watched())
    try:
        for batch in stream:
            for row in batch:
                if not expected or row.id != expected.popleft():
                    raise RuntimeError(f"the work returned row {row.id!r} out of order")
            yield batch
    finally:
        if isinstance(stream, Generator):  # ends its threads now rather than whenever it is collected
            stream.close()
    if expected:
        raise RuntimeError(f"the work returned no row for {expected[0]!r}")


def _pick(
    rows: Iterable[I], failed: Sequence[tuple[Part, int, str]], expected_rows: int | None
) -> Iterator[I]:
    """The failed rows out of the input, checked to be the same rows at the same places as before."""
    start_over = "start over with --fresh, or choose another folder with --output"
    wanted = {index: id for _, index, id in failed}
    count = 0
    for index, row in enumerate(rows):
        count += 1
        if index in wanted:
            if row.id != wanted[index]:
                raise DataError(
                    f"row {index + 1} was {wanted[index]!r} when it failed and is {row.id!r} now: rows were "
                    f"added, removed or moved; {start_over}."
                )
            yield row
    if count <= max(wanted, default=-1) or (expected_rows is not None and count != expected_rows):
        raise DataError(f"the data has {count} rows now and had {expected_rows} before; {start_over}.")


def _flat(batches: Iterable[Sequence[R]]) -> Generator[R, None, None]:
    for batch in batches:
        yield from batch


def _ignore(done: int, total: int | None) -> None:
    pass


def _never() -> bool:
    return False
