"""Run a check method over pairs: a stream in, findings out in the same order, one per row.

A row that cannot be processed becomes a Finding with an error code. Memory does not grow with the number of
rows. Writing, resuming and merging are the engine's business (`awase.engine`).
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from awase.check._settings import segmenter_named
from awase.check._words import split_warning
from awase.engine._images import ImageLoader, MemoryStore
from awase.errors import DataError, RowError
from awase.images import from_pixels
from awase.protocols import CheckMethod, Encoder, FeatureStore, StoringEncoder
from awase.registry import load
from awase.types import BadRow, Finding, ImageReference, Pair, Result

_READ_AHEAD = 2  # batches whose images are being read while the model works

Photo = str | Path | bytes | Image
Row = Pair | BadRow


def check_pairs(
    encoder: Encoder,
    pairs: Iterable[Row | tuple[Photo, Any]],
    method: str | CheckMethod = "clip4dm",
    *,
    batch_size: int = 64,
    store: FeatureStore | None = None,
    workers: int = 2,
    progress: Callable[[int, int | None], None] | None = None,
) -> Result:
    """Judge pairs and keep all findings in memory; `check_stream` is the same without keeping them.

    Args:
        encoder: what `awase.registry.load("encoder", ...).load(...)` returns.
        pairs: `Pair`s from a reader, or tuples of an image (path, bytes or Pillow image) and a caption.
        method: a method object, or its name with default settings.
        batch_size: pairs a batch. It changes speed, and scores by rounding only.
        store: where image vectors are kept; None keeps the latest in memory.
        workers: threads that read and decode images.
        progress: called with rows done and rows in all, where known.

    Returns:
        A Result with one Finding a row in order; its provenance holds encoder, settings and counts.

    Raises:
        UnknownMethodError: there is no method of that name.
        EncoderError: the encoder cannot do what the method needs.

    Example:
        >>> from PIL import Image
        >>> encoder = load("encoder", "tiny").load("0")
        >>> result = check_pairs(encoder, [(Image.new("RGB", (32, 32), "red"), "a red square")])
        >>> [word.text for word in result.findings[0].words]
        ['a', 'red', 'square']
    """
    chosen = _method(method)
    total = len(pairs) if isinstance(pairs, Sequence) else None
    findings: list[Finding] = []
    rows = (_as_row(item, number) for number, item in enumerate(pairs))
    for batch in check_stream(encoder, rows, chosen, batch_size=batch_size, store=store, workers=workers):
        findings.extend(batch)
        if progress is not None:
            progress(len(findings), total)
    return Result(repr(chosen), tuple(findings), provenance=provenance(encoder, chosen, findings))


def check_stream(
    encoder: Encoder,
    rows: Iterable[Row],
    method: CheckMethod,
    *,
    batch_size: int = 64,
    store: FeatureStore | None = None,
    workers: int = 2,
) -> Generator[list[Finding], None, None]:
    """Judge rows batch by batch, in order, reading images ahead of the model.

    Args:
        encoder: the model.
        rows: pairs, or bad rows that pass through with their error.
        method: what judges.
        batch_size: rows a batch.
        store: where image vectors are kept; None takes the encoder's own, else the latest in memory.
        workers: threads that read and decode images.

    Yields:
        One list of findings for each batch of rows.

    Raises:
        DataError: batch_size is not positive.
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}.")
    if store is None:
        store = encoder.store if isinstance(encoder, StoringEncoder) else MemoryStore()
    loader = ImageLoader(encoder, store, workers)
    source = iter(rows)
    ahead: deque[_Started] = deque()
    try:
        while True:
            while len(ahead) < _READ_AHEAD and (batch := list(islice(source, batch_size))):
                ahead.append(_start(loader, batch))
            if not ahead:
                return
            yield _judge(encoder, loader, method, ahead.popleft())
    finally:
        loader.close()


def provenance(encoder: Encoder, method: CheckMethod, findings: Iterable[Finding] = ()) -> dict[str, Any]:
    """Encoder, method and its settings as plain values, with counts and warnings over the findings."""
    settings = getattr(method, "settings", None)
    findings = list(findings)
    counts = {"pairs": 0, "flagged": 0, "errors": 0, "truncated": 0}
    for finding in findings:
        counts["pairs"] += 1
        counts["flagged"] += any(word.flagged for word in finding.words)
        counts["errors"] += finding.error_code is not None
        counts["truncated"] += finding.truncated
    return {
        "encoder": {**asdict(encoder.spec), "fingerprint": encoder.spec.fingerprint},
        "method_name": type(method).__module__.rpartition(".")[2],
        "rule": getattr(method, "rule", None),
        **(asdict(settings(encoder)) if settings is not None else {}),
        "counts": counts,
        "warnings": warnings(method, (finding.caption for finding in findings)),
    }


def warnings(method: CheckMethod, captions: Iterable[str]) -> list[str]:
    """What went less well than it could, once for all captions: a script that the segmenter cannot cut."""
    choice = getattr(method, "segmenter", None)
    if choice is None:
        return []
    segmenter = segmenter_named(choice)
    said = (split_warning(caption, segmenter) for caption in captions)
    return list(islice((warning for warning in said if warning is not None), 1))


@dataclass(frozen=True, slots=True)
class _Started:
    """A batch whose good rows are being read. errors and pairs together make up the rows."""

    rows: list[Row]
    errors: dict[int, RowError]  # by position in rows
    pairs: list[int]
    images: "list[Future[Any]]"


def _start(loader: ImageLoader, rows: list[Row]) -> _Started:
    errors: dict[int, RowError] = {}
    for position, row in enumerate(rows):
        try:
            _require_caption(row)
        except RowError as error:
            errors[position] = error
    pairs = [position for position in range(len(rows)) if position not in errors]
    references = [row.image for position in pairs if isinstance(row := rows[position], Pair)]
    return _Started(rows, errors, pairs, loader.start(references))


def _require_caption(row: Row) -> None:
    if isinstance(row, BadRow):
        raise RowError(row.error_code, row.error)
    if not row.caption.strip():
        raise RowError("empty_caption", "the caption is empty.")


def _judge(encoder: Encoder, loader: ImageLoader, method: CheckMethod, started: _Started) -> list[Finding]:
    found: dict[int, Finding] = {}
    errors = dict(started.errors)
    usable: list[tuple[int, Pair, torch.Tensor]] = []
    for position, value in zip(started.pairs, loader.features(started.images), strict=True):
        row = started.rows[position]
        if isinstance(value, RowError):
            errors[position] = value
        elif isinstance(row, Pair):
            usable.append((position, row, value))
    if usable:
        features = torch.stack([value for _, _, value in usable])
        judged = _findings(encoder, method, features, [pair for _, pair, _ in usable])
        found.update(zip((position for position, _, _ in usable), judged, strict=True))
    found.update((position, _failed(started.rows[position], error)) for position, error in errors.items())
    return [found[position] for position in range(len(started.rows))]


def _findings(
    encoder: Encoder, method: CheckMethod, features: torch.Tensor, pairs: Sequence[Pair]
) -> list[Finding]:
    """What the method says of a batch; when one caption cannot be read, each pair is judged by itself."""
    try:
        return method.check(encoder, features, pairs)
    except RowError as error:
        if len(pairs) == 1:
            return [_failed(pairs[0], error)]
        alone = ((features[i : i + 1], [pair]) for i, pair in enumerate(pairs))
        return [finding for part in alone for finding in _findings(encoder, method, *part)]


def _failed(row: Row, error: RowError) -> Finding:
    name = row.image.name if isinstance(row, Pair) else row.image
    return Finding(row.id, name, row.caption, error_code=error.code, error=str(error))


def _method(method: str | CheckMethod) -> CheckMethod:
    if isinstance(method, str):
        made: CheckMethod = load("check", method)()
        return made
    return method


def _as_row(item: Row | tuple[Photo, Any], number: int) -> Row:
    if isinstance(item, Pair | BadRow):
        return item
    image, caption = item
    reference = _as_reference(image, number)
    if not isinstance(caption, str):
        error = f"the caption must be text, got {type(caption).__name__}."
        return BadRow(str(number), reference.name, str(caption), "bad_caption", error)
    return Pair(str(number), reference, caption)


def _as_reference(image: Photo, number: int) -> ImageReference:
    if isinstance(image, Image):
        return from_pixels(image)
    if isinstance(image, bytes):
        return ImageReference(f"bytes:{number}", data=image)
    return ImageReference(str(image), path=Path(image))
