"""Find the words of captions that do not fit their photos.

Reads pairs of photo and caption (a CSV, TSV, JSONL or Parquet table, a folder with captions beside the
photos, COCO captions, WebDataset shards, a Hugging Face dataset, img2dataset output, or - for a table on
standard input), scores every word, and writes results.parquet, results.jsonl, summary.json and report.html.

A run that was stopped or killed goes on when the same command is given again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o

RUNNER = "awase.cli._check"
EPILOG = """[bold]Examples[/]

awase check pairs.csv --images photos/ --output out/

awase check pairs.csv --images photos/ --encoder hf:openai/clip-vit-base-patch32 --threshold threshold.json

awase check captions_val2017.json --images val2017/ --fail-over 0.05

awase check pairs.jsonl --image-column filepath --caption-column title --language ja

awase check pairs.csv --output out/ --retry-failed

[bold]More[/]

awase check calibrate --help, awase check evaluate --help, awase check heatmap --help

(a file of such a name: awase check ./calibrate)"""


@dataclass(frozen=True)
class Options:
    """What `awase check` can be told."""

    pairs: Annotated[
        str,
        typer.Argument(metavar="PAIRS", help="A table, folder, COCO file, shard or dataset; - for stdin."),
    ]
    images: o.Images = None
    reader: Annotated[
        str | None,
        typer.Option("--reader", help="How to read PAIRS. Default: found out.", rich_help_panel=o.DATA),
    ] = None
    image_column: o.ImageColumn = None
    caption_column: o.CaptionColumn = None
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id-column",
            metavar="NAME",
            help="Column of the ids. Default: id, else a hash of the content.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.BatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    method: o.Method = "clip4dm"
    threshold: o.ThresholdText = None
    rule: o.RuleName = None
    template: o.Template = None
    layers: o.Layers = None
    segmenter: o.Segmenter = None
    language: o.CaptionLanguage = None
    output: o.OutputFolder = Path("awase-check")
    limit_report: Annotated[
        int,
        typer.Option(
            "--limit-report",
            metavar="N",
            min=0,
            help="Pairs on the page, worst first.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = 200
    lang: Annotated[
        o.Speech, typer.Option("--lang", help="Language of the page.", rich_help_panel=o.OUTPUT)
    ] = o.Speech.ENGLISH
    csv: o.Csv = False
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    fail_over: Annotated[
        float | None,
        typer.Option(
            "--fail-over",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Exit with 1 when more than this share of the pairs is flagged, such as 0.05.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that fails.", rich_help_panel=o.RUN)
    ] = False
    retry_failed: o.RetryFailed = False
    fresh: o.Fresh = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done; write nothing.", rich_help_panel=o.RUN),
    ] = False
    seed: Annotated[
        int,
        typer.Option("--seed", help="Only recorded: check draws no random numbers.", rich_help_panel=o.RUN),
    ] = 0
    config: _command.Config = None
