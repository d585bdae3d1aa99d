"""What `awase ood score` does: images in, a row for each out, in parts that survive a crash."""

import json
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table
from rich.text import Text

from awase.cli._interrupt import stop_politely
from awase.cli._labelled_images import dataset_of, failed_line
from awase.cli._ood_fit import facts
from awase.cli._ood_model import Model, reopen
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli.ood_score import Options
from awase.engine.features import stream_images
from awase.engine.local import Counts, run_parts
from awase.errors import DataError
from awase.files import atomic_path, hash_file, write_atomic
from awase.ood._detector import Detector
from awase.ood._detector_file import FACTS, load
from awase.ood._judge import verdicts
from awase.ood._verdict import ABSTAIN, VERDICTS, Verdict, from_table, write_csv
from awase.protocols import ImageDataset
from awase.report.captions import visible
from awase.types import BadRow, LabelledImage

SUMMARY, RESULTS, CSV = "summary.json", "results.parquet", "results.csv"
_SHOWN = 10


def run(options: Options) -> int:
    """Score; 1 where --fail-over is exceeded, else 3 where rows failed."""
    if options.retry_failed and options.fresh:
        raise DataError("--retry-failed keeps an earlier run and --fresh forgets it: give one of them.")
    started = time.monotonic()
    detector = load(options.detector)
    dataset = dataset_of(options.source, options)
    if dataset.count() == 0:
        raise DataError(f"{options.source} holds no images.")
    model = reopen(options, detector)
    with stop_politely() as stop, progress_bar("scoring", quiet=options.quiet, unit="images") as progress:
        counts = run_parts(
            dataset,
            _Work(options, detector, model),
            folder=options.output,
            identity=_identity(options, dataset, model),
            form=VERDICTS,
            total=dataset.count(),
            progress=progress,
            stop=stop,
            retry_failed=options.retry_failed,
            fresh=options.fresh,
        )
    if counts.is_stopped:
        print(f"stopped, run the same command to go on ({counts.rows} rows are safe)", file=sys.stderr)
        return stop.exit_code
    survey = _survey(options.output / RESULTS)
    summary = _summary(options, detector, dataset, counts, survey, time.monotonic() - started)
    if options.csv:
        path = options.output / CSV
        with (
            atomic_path(path) as temporary,
            temporary.open("w", encoding="utf-8-sig", newline="") as stream,
        ):
            write_csv(read_verdicts(options.output / RESULTS), stream)
    write_atomic(options.output / SUMMARY, json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
    if options.json:
        print(json.dumps(summary, ensure_ascii=False, indent=1))
    elif not options.quiet:
        _show(options, summary, survey)
    return _exit_code(options, summary)


@dataclass(frozen=True)
class _Work:
    """Rows as a stream to verdicts, a batch at a time."""

    options: Options
    detector: Detector
    model: Model

    def __call__(self, rows: Iterable[LabelledImage | BadRow]) -> Iterator[Sequence[Verdict]]:
        waiting: deque[LabelledImage | BadRow] = deque()

        def watched() -> Iterator[LabelledImage | BadRow]:
            for row in rows:
                waiting.append(row)
                yield row

        batches = stream_images(
            self.model.encoder,
            watched(),
            batch_size=self.options.batch_size,
            workers=self.options.workers,
            patches=self.detector.needs_patches,
        )
        for features, failed in batches:
            # the stream reads ahead: the rows of this batch are the first that wait
            own = [waiting.popleft() for _ in range(len(features) + len(failed))]
            found = verdicts(
                self.detector,
                own,
                (features, failed),
                lambda images: self.model.evidence(self.detector.classes, images),
            )
            yield [replace(one, error=scrub(one.error)) if one.error is not None else one for one in found]


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """The rows of a results file as a stream."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            yield from from_table(pa.Table.from_batches([batch]))


@dataclass
class _Survey:
    """Counts over all rows, and the strangest images."""

    images: int
    abstained: int
    errors: Counter[str]
    classes: Counter[str]
    lowest: list[Verdict]
    failed: list[Verdict]


def _survey(path: Path) -> _Survey:
    found = _Survey(0, 0, Counter(), Counter(), [], [])
    for one in read_verdicts(path):
        found.images += 1
        if one.error_code is not None:
            found.errors[one.error_code] += 1
            if len(found.failed) < _SHOWN:
                found.failed.append(one)
            continue
        found.abstained += one.decision == ABSTAIN
        found.classes[str(one.label)] += one.decision != ABSTAIN
        if one.decision == ABSTAIN:
            found.lowest.append(one)
            if len(found.lowest) > 50 * _SHOWN:
                found.lowest = _first(found.lowest)
    found.lowest = _first(found.lowest)
    return found


def _first(rows: list[Verdict]) -> list[Verdict]:
    return list(islice(sorted(rows, key=lambda one: one.score or 0.0), _SHOWN))


def _identity(options: Options, dataset: ImageDataset, model: Model) -> dict[str, Any]:
    images = options.images
    return {
        "verb": "ood score",
        "detector": hash_file(options.detector.expanduser() / FACTS),
        "encoder": model.encoder.spec.fingerprint,
        "model": model.id,
        "data": dataset.fingerprint(),
        "images": None if images is None else scrub(images.resolve()),
        "columns": [options.image_column, options.label_column],
    }


def _summary(
    options: Options,
    detector: Detector,
    dataset: ImageDataset,
    counts: Counts,
    survey: _Survey,
    seconds: float,
) -> dict[str, Any]:
    errors = sum(survey.errors.values())
    return {
        "awase_ood_summary": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "higher_means": detector.higher_means,
        "counts": {
            "images": survey.images,
            "kept": survey.images - errors - survey.abstained,
            "abstained": survey.abstained,
            "errors": errors,
        },
        "error_codes": dict(sorted(survey.errors.items())),
        "kept_by_class": {name: n for name, n in sorted(survey.classes.items()) if n},
        "data": scrub({"source": options.source, "fingerprint": dataset.fingerprint()}),
        "detector": facts(detector),
        "device": options.device.value,
        "batch_size": options.batch_size,
        "seconds": round(seconds, 3),
        "rows_in_these_seconds": counts.new,
        "versions": versions(),
    }


def _show(options: Options, summary: dict[str, Any], survey: _Survey) -> None:
    console = console_for_output()
    if survey.lowest:
        table = Table(show_edge=False, pad_edge=False, header_style="bold")
        for name in ("score", "p-value"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("image the model does not know", overflow="fold")
        table.add_column("nearest class", overflow="fold")
        for one in survey.lowest:
            cells = (f"{one.score:.5g}", f"{one.p_value:.4f}", visible(one.id), visible(str(one.label)))
            table.add_row(*map(Text, cells))
        console.print(table)
    counts = summary["counts"]
    judged = max(counts["images"] - counts["errors"], 1)
    line = (
        f"{counts['images']} images, {counts['kept']} kept, {counts['abstained']} unknown "
        f"({counts['abstained'] / judged:.0%})"
    )
    if counts["errors"]:
        codes = ", ".join(f"{code} {n}" for code, n in summary["error_codes"].items())
        line += f", {counts['errors']} failed ({codes})"
    if summary["rows_in_these_seconds"]:
        line += f"; {summary['rows_in_these_seconds']} in {summary['seconds']:.1f} s"
    console.print(Text(line + "."))
    for one in survey.failed[:3]:
        console.print(Text(failed_line(one.id, one.error)), soft_wrap=True)
    if counts["errors"]:
        console.print(Text("To try the failed rows again: the same command with --retry-failed"))
    detector = summary["detector"]
    promise = (
        f"Of known images at most {100 * (1 - detector['keep']):g} % come out as unknown."
        if detector["threshold"] is not None
        else f"Nothing comes out as unknown: the detector had {detector['n_calibration']} calibration images."
    )
    console.print(Text(f"A higher score means in-distribution. {promise}"))
    names = [RESULTS, "results.jsonl", SUMMARY] + ([CSV] if options.csv else [])
    console.print(Text("Written: " + "  ".join(str(options.output / name) for name in names)), soft_wrap=True)


def _exit_code(options: Options, summary: dict[str, Any]) -> int:
    counts = summary["counts"]
    judged = counts["images"] - counts["errors"]
    if options.fail_over is not None and counts["abstained"] > options.fail_over * judged:
        print(
            f"awase: {counts['abstained'] / judged:.1%} of the images are unknown, more than --fail-over "
            f"{options.fail_over:.1%}",
            file=sys.stderr,
        )
        return 1
    return 3 if counts["errors"] else 0
