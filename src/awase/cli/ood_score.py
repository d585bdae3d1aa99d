"""Say for each image whether the model knows it: class, score, p-value, keep or abstain.

IMAGES is a folder of photos, a folder of class folders, or a table with a column image. Writes
results.parquet and results.jsonl with one row per image (id, image, class, score, p_value, decision,
prediction_set, error_code, error), and summary.json. A photo that cannot be read is a row with its error.
A higher score means in-distribution.

A run that was stopped or killed goes on when the same command is given again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _ood_options as own
from awase.cli import _options as o

RUNNER = "awase.cli._ood_score"
EPILOG = """[bold]Examples[/]

awase ood score photos/ --detector detector/ --output out/

awase ood score photos.csv --images photos/ --detector detector/ --output out/ --csv

awase ood score photos/ --detector detector/ --fail-over 0.1

[bold]The detector comes from[/]

awase ood fit DATA --output detector/"""


@dataclass(frozen=True)
class Options:
    """What `awase ood score` can be told."""

    source: Annotated[str, typer.Argument(metavar="IMAGES", help="A folder of photos, or a table.")]
    detector: Annotated[
        Path,
        typer.Option(
            "--detector",
            "-d",
            metavar="DIR",
            help="What [bold]awase ood fit[/] wrote.",
            rich_help_panel=o.METHOD,
        ),
    ]
    images: o.Images = None
    reader: o.ImageReader = None
    image_column: o.ImageColumn = None
    label_column: o.LabelColumn = None
    encoder: own.Encoder = None
    tuned: own.Tuned = None
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: own.DtypeName = None
    batch_size: o.ImageBatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    output: o.OutputFolder = Path("awase-ood")
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
            help="Exit with 1 when the detector abstains from more than this share of the images.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    retry_failed: o.RetryFailed = False
    fresh: o.Fresh = False
    config: _command.Config = None
