"""What `awase tune predict` does: the model by its card, images as a stream, a row each, and the accuracy."""

import json
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.text import Text

from awase.cli._encoders import open_encoder
from awase.cli._estimates import estimates_table
from awase.cli._image_inputs import open_images
from awase.cli._interrupt import stop_politely
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli.tune_predict import Options
from awase.engine.features import stream_images
from awase.engine.local import Counts, run_parts
from awase.errors import DataError
from awase.files import hash_file, write_atomic
from awase.functional.intervals import wilson_interval
from awase.protocols import Encoder
from awase.tune._card import CARD, Card, load_tuned, read_card
from awase.tune._interpolate import Interpolated, interpolate
from awase.tune._prediction import PREDICTIONS, Prediction, predict
from awase.tune._protocol import Tuned
from awase.types import BadRow, Estimate, LabelledImage

_Row = LabelledImage | BadRow
_SUMMARY = 1


def run(options: Options) -> int:
    """Write a row an image; 3 when images failed."""
    if options.retry_failed and options.fresh:
        raise DataError("--retry-failed keeps an earlier run and --fresh forgets it: give one of them.")
    started = time.monotonic()
    card = read_card(options.model)
    dataset = open_images(
        options.data,
        images=options.images,
        image_column=options.image_column,
        label_column=options.label_column,
        reader=options.reader,
    )
    encoder = _encoder(options, card)
    tuned = load_tuned(options.model, encoder)
    if options.interpolate is not None:
        if not isinstance(tuned, Interpolated):
            raise DataError(
                f"{card.method} has no way back to the old weights; --interpolate is for lora and full."
            )
        tuned = interpolate(tuned, options.interpolate)
    identity = {
        "model": hash_file(options.model / CARD),
        "data": dataset.fingerprint(),
        "top": options.top,
        "interpolate": options.interpolate,
        "columns": [options.image_column, options.label_column],
        "images": None if options.images is None else scrub(options.images.resolve()),
    }
    with stop_politely() as stop, progress_bar("predicting", quiet=options.quiet, unit="images") as progress:
        counts = run_parts(
            dataset,
            lambda rows: _work(options, rows, encoder, tuned, card),
            folder=options.output,
            identity=identity,
            form=PREDICTIONS,
            total=dataset.count(),
            progress=progress,
            stop=stop,
            retry_failed=options.retry_failed,
            fresh=options.fresh,
        )
    if counts.is_stopped:
        print(f"stopped, run the same command to go on ({counts.rows} rows are safe)", file=sys.stderr)
        return stop.exit_code
    summary = _summary(options, card, counts, dataset.fingerprint(), time.monotonic() - started)
    text = json.dumps(scrub(summary), ensure_ascii=False, indent=1)
    write_atomic(options.output / "summary.json", text + "\n")
    if options.json:
        print(text)
    elif not options.quiet:
        _show(options, summary)
    return 3 if counts.failed else 0


def _encoder(options: Options, card: Card) -> Encoder:
    """The encoder that the card names, or the one that --encoder says."""
    spec = card.encoder
    if options.encoder is None and spec is None:
        raise DataError(f"the card in {options.model} names no encoder; say with --encoder which one it was.")
    return open_encoder(
        options.encoder or (f"{spec.adapter}:{spec.name}" if spec is not None else ""),
        device=options.device.value,
        dtype=spec.dtype if spec is not None else "float32",
        revision=spec.revision if spec is not None and options.encoder is None else None,
        offline=options.offline,
        cache=options.cache,
    )


def _work(
    options: Options, rows: Iterable[_Row], encoder: Encoder, tuned: Tuned, card: Card
) -> Iterator[Sequence[Prediction]]:
    """One list of rows for each batch of images, in the order of the input."""
    seen = card.split.seen if card.split is not None else frozenset()
    waiting: deque[str] = deque()

    def watched() -> Iterator[_Row]:
        for row in rows:
            waiting.append(row.id)
            yield row

    for images, bad in stream_images(
        encoder, watched(), batch_size=options.batch_size, workers=options.workers
    ):
        made = {row.id: row for row in predict(tuned, images, card.labels, top=options.top, seen=seen)}
        made |= {row.id: Prediction.failed(replace(row, error=str(scrub(row.error)))) for row in bad}
        yield [made[waiting.popleft()] for _ in range(len(images) + len(bad))]


def _summary(options: Options, card: Card, counts: Counts, data: str, seconds: float) -> dict[str, Any]:
    found: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    hits = judged = seen = 0
    for row in _rows(options.output):
        if row["error_code"] is not None:
            codes[row["error_code"]] += 1
            continue
        found[row["class"]] += 1
        if row["label"] in card.labels and row["seen"]:
            seen += 1
        elif row["label"] in card.labels:
            judged += 1
            hits += row["class"] == row["label"]
    estimates = []
    if judged:
        share = wilson_interval(hits, judged)
        unit = "share of the photos whose class is known and that the model did not learn from"
        ends = (share.value, share.low, share.high)
        estimates.append(Estimate("accuracy", *ends, judged, unit, "more are right"))
    return {
        "awase_tune_predict": _SUMMARY,
        "model": {"folder": options.model, "method": card.method, "settings": dict(card.settings)},
        "interpolate": options.interpolate,
        "encoder": card.fingerprint,
        "data": {"source": options.data, "images": options.images, "fingerprint": data},
        "counts": {"images": counts.rows, "errors": counts.failed, "with_label": judged + seen, "seen": seen},
        "error_codes": dict(codes),
        "classes": {label: found[label] for label in card.labels},
        "estimates": [asdict(estimate) for estimate in estimates],
        "seconds": round(seconds, 3),
        "images_in_these_seconds": counts.new,
        "versions": versions(),
    }


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(folder / "results.parquet") as file:
        for batch in file.iter_batches(columns=["class", "label", "seen", "error_code"]):
            yield from batch.to_pylist()


def _show(options: Options, summary: dict[str, Any]) -> None:
    console = console_for_output()
    if summary["estimates"]:
        console.print(estimates_table([Estimate(**estimate) for estimate in summary["estimates"]]))
    counts = summary["counts"]
    classes = Counter(summary["classes"]).most_common(5)
    often = ", ".join(f"{label} {n}" for label, n in classes if n)
    lines = [f"{counts['images']} photos{f'; most often: {often}' if often else ''}."]
    if counts["seen"]:
        lines.append(f"{counts['seen']} of them the model has learned from; they do not count as accuracy.")
    if counts["errors"]:
        codes = ", ".join(f"{code} {n}" for code, n in summary["error_codes"].items())
        lines.append(f"{counts['errors']} failed ({codes}); --retry-failed tries them again.")
    files = ("results.parquet", "results.jsonl", "summary.json")
    lines.append("Written: " + "  ".join(str(options.output / name) for name in files))
    for line in lines:
        console.print(Text(line), soft_wrap=True)
