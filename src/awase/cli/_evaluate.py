"""What `awase check evaluate` does: a labelled data set in, figures with intervals out."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from awase.check._benchmarks import open_benchmark
from awase.check._calibration import Calibration, load_calibration
from awase.check._evaluate import evaluate
from awase.cli._criteria import Criterion, all_met, read_criteria
from awase.cli._encoders import open_encoder
from awase.cli._estimates import estimates_table
from awase.cli._methods import open_method
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli.check_evaluate import Options
from awase.files import write_atomic
from awase.types import Result


def run(options: Options) -> int:
    """Print the figures; 1 when one is lower than asked for, 3 when rows failed."""
    criteria = read_criteria(options.at_least)
    method = open_method(
        options.method,
        template=options.template,
        layers=options.layers,
        threshold=options.threshold,
        segmenter=options.segmenter,
        language=options.language,
    )
    benchmark = open_benchmark(
        options.format.replace("-", "_"),
        options.data,
        images=options.images,
        split=options.split,
        captions=options.captions,
    )
    encoder = open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
    with progress_bar("evaluating", quiet=options.quiet) as progress:
        result = evaluate(
            encoder,
            benchmark,
            method,
            rule=None if options.rule is None else options.rule.value,
            batch_size=options.batch_size,
            workers=options.workers,
            seed=options.seed,
            calibration=_calibration(options.threshold),
            progress=progress,
        )
    text = json.dumps(
        scrub({**result.summary(), "versions": versions()}), ensure_ascii=False, indent=1, default=str
    )
    if options.output is not None:
        write_atomic(options.output, text + "\n")
    if options.json:
        print(text)
    elif not options.quiet:
        _show(result, options)
    return _exit_code(result, criteria)


def _show(result: Result, options: Options) -> None:
    console = console_for_output()
    console.print(estimates_table(result.estimates))
    counts = ", ".join(f"{name} {count}" for name, count in result.provenance["counts"].items())
    rule, segmenter = (result.provenance.get(key) for key in ("rule", "segmenter"))
    console.print(Text(f"rows: {counts}; rule {rule}, segmenter {segmenter}, seed {options.seed}"))
    if options.output is not None:
        console.print(Text(f"Written: {options.output}"))


def _calibration(threshold: str | None) -> Calibration | None:
    """The whole calibration behind a threshold file: its rows must not be judged with it."""
    try:
        float(threshold or "0")
    except ValueError:
        return load_calibration(Path(threshold or "").expanduser())
    return None


def _exit_code(result: Result, criteria: Sequence[Criterion]) -> int:
    met = all_met(criteria, {estimate.name: estimate.value for estimate in result.estimates})
    counts = result.provenance["counts"]
    rows_failed = counts.get("failed", 0) + counts.get("bad_rows", 0)
    return 3 if met and rows_failed else 0 if met else 1
