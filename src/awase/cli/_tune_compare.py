"""What `awase tune compare` does: every method, number of shots and seed; one table and one figure."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.text import Text

from awase import registry
from awase.cli._bench import open_bench
from awase.cli._encoders import open_encoder
from awase.cli._ood_measure import open_scores
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._settings import build
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli.tune_compare import Options
from awase.errors import DataError, MissingExtraError
from awase.files import atomic_path, write_atomic
from awase.report.tradeoff import Means, Measured, markdown, means, table
from awase.tune._compare import Row, cells_of
from awase.tune._compare import run as run_cells
from awase.tune._protocol import TuneMethod

METHODS = ("zero_shot", "linear_probe", "tip_adapter", "tip_adapter_f", "clip_adapter", "taskres", "coop")
SCORES = ("mcm", "mcm:temperature=0.1", "mcm:temperature=0.01", "max_logit", "energy", "logit_gap", "knn")
SHOTS = (0, 1, 2, 4, 8, 16)
SEEDS = (1, 2, 3)


def run(options: Options) -> int:
    """Measure and write; 3 when a method could not be measured."""
    names = tuple(options.methods or METHODS)
    methods = open_methods(names)
    scores = open_scores(options.scores or SCORES)
    shots = tuple(SHOTS if options.shots is None else options.shots)
    if any(n < 0 for n in shots):
        raise DataError(f"--shots takes numbers from 0 on, got {', '.join(map(str, shots))}.")
    cells = cells_of(names, shots, tuple(options.seeds or SEEDS))
    encoder = open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
    with progress_bar("encoding", quiet=options.quiet, unit="images") as progress:
        opened = open_bench(options, encoder, scores, progress=progress)
    with progress_bar("comparing", quiet=options.quiet, unit="fits") as progress:
        rows = run_cells(opened.bench, cells, methods, options.output, progress=progress)
    measured = [_plain(row) for row in rows]
    found = means(measured)
    figure = _draw(found, options, scores[0].text)
    _write_tables(measured, found, options.output)
    page = markdown(
        measured,
        scores=[score.text for score in scores] if options.ood else [],
        tpr=options.tpr,
        tested=opened.tested,
        classes=opened.classes,
        figure=figure,
        notes=opened.notes,
        language=options.lang.value,
    )
    write_atomic(options.output / "comparison.md", page)
    summary = {
        "encoder": asdict(encoder.spec) | {"fingerprint": encoder.spec.fingerprint},
        "data": scrub(options.data),
        **opened.facts,
        "notes": list(opened.notes),
        "methods": {name: repr(method) for name, method in methods.items()},
        "scores": {score.text: repr(score.method) for score in scores},
        "higher_means": "in_distribution",
        "convention": "id_positive",
        "tpr": options.tpr,
        "shots": list(shots),
        "seeds": list(options.seeds or SEEDS),
        "failed": [
            f"{row.method}, {row.shots} shots, seed {row.seed}: {row.error}" for row in measured if row.error
        ],
        "versions": versions(),
    }
    text = json.dumps(scrub(summary), ensure_ascii=False, indent=1, default=str)
    write_atomic(options.output / "summary.json", text + "\n")
    if options.json:
        print(text)
    elif not options.quiet:
        console = console_for_output()
        console.print(Text(page.split("\n## ")[1].split("\n", 2)[2]), soft_wrap=True)
        console.print(Text(f"Written: {options.output / 'comparison.md'}"))
    failed = [row for row in measured if row.error]
    for row in failed:
        print(f"awase: {row.method}, {row.shots} shots, seed {row.seed}: {row.error}", file=sys.stderr)
    return 3 if failed else 0


def open_methods(texts: Sequence[str]) -> dict[str, TuneMethod]:
    """Methods from NAME or NAME:SETTING=VALUE,SETTING=VALUE; the model as it came is always there.

    Raises:
        UnknownMethodError: there is no such method.
        DataError: there is no such setting, or two methods are the same.
    """
    if len(set(texts)) < len(texts):
        raise DataError(f"--methods names a method twice: {', '.join(texts)}.")
    found = {}
    for text in ("zero_shot", *texts):
        name, _, settings = text.partition(":")
        given = [part for part in settings.split(",") if part]
        found[text] = build(registry.load("tune", name), given, name=name, flag="--methods")
    return found


def _plain(row: Row) -> Measured:
    return Measured(row.cell.method, row.cell.shots, row.cell.seed, row.figures, row.error)


def _draw(found: Means, options: Options, score: str) -> str | None:
    """The figure's file name; None where there is nothing to draw or nothing to draw with."""
    if not options.ood:
        return None
    try:
        from awase.report.tradeoff_figure import draw
    except MissingExtraError as error:
        print(f"awase: no figure: {error}", file=sys.stderr)
        return None
    title = f"{Path(options.data).name}: tuned with few images (bars: 95 % over seeds)"
    try:
        write_atomic(options.output / "comparison.svg", draw(found, score=score, kind="svg", title=title))
        write_atomic(options.output / "comparison.png", draw(found, score=score, kind="png", title=title))
    except DataError as error:
        print(f"awase: no figure: {error}", file=sys.stderr)
        return None
    return "comparison.svg"


def _write_tables(rows: Sequence[Measured], found: Means, folder: Path) -> None:
    """comparison.parquet: the means; runs.parquet: every figure of every fit."""
    fits = [
        {"method": row.method, "shots": row.shots, "seed": row.seed, "figure": name, "value": value}
        for row in rows
        for name, value in row.figures.items()
    ]
    schema = pa.schema(
        [
            ("method", pa.string()),
            ("shots", pa.int64()),
            ("seed", pa.int64()),
            ("figure", pa.string()),
            ("value", pa.float64()),
        ]
    )
    for name, content in (("comparison", table(found)), ("runs", pa.Table.from_pylist(fits, schema=schema))):
        with atomic_path(folder / f"{name}.parquet") as temporary:
            pq.write_table(content, temporary)
