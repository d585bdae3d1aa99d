"""The class of every photo, by a model that `awase tune fit` wrote.

IMAGES is a folder of photos, a folder of class folders, or a table with the column image. Writes a row per
photo (results.parquet, results.jsonl): the class, its probability, the next best ones, or an error code; and
summary.json. Where classes are known the accuracy is printed, over photos that the model did not learn from.

A run that was stopped or killed goes on when the same command is given again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o

RUNNER = "awase.cli._tune_predict"
EPILOG = """[bold]Examples[/]

awase tune predict photos/ --model tuned/ --output out/

awase tune predict flowers/test/ --model tuned/ --top 3 --json

awase tune predict parts.csv --images photos/ --model tuned/ --output out/ --cache vectors/"""


@dataclass(frozen=True)
class Options:
    """What `awase tune predict` can be told."""

    data: Annotated[
        str, typer.Argument(metavar="IMAGES", help="A folder of photos or of class folders, or a table.")
    ]
    model: Annotated[
        Path,
        typer.Option("--model", metavar="DIR", help="What awase tune fit wrote.", rich_help_panel=o.MODEL),
    ]
    images: o.Images = None
    reader: Annotated[
        str | None,
        typer.Option("--reader", help="How to read IMAGES. Default: found out.", rich_help_panel=o.DATA),
    ] = None
    image_column: o.ImageColumn = None
    label_column: o.LabelColumn = None
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="NAME",
            help="Where the model's encoder is, when it is no longer where the card says.",
            rich_help_panel=o.MODEL,
        ),
    ] = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    batch_size: o.BatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    interpolate: Annotated[
        float | None,
        typer.Option(
            "--interpolate",
            metavar="A",
            min=0.0,
            max=1.0,
            help="lora and full: how far to go from the old weights (0) to the new ones (1), as in WiSE-FT. "
            "Default: as it was fitted.",
            rich_help_panel=o.MODEL,
        ),
    ] = None
    top: Annotated[
        int, typer.Option("--top", min=1, help="How many classes a row lists.", rich_help_panel=o.OUTPUT)
    ] = 5
    output: o.OutputFolder = Path("awase-predict")
    fresh: o.Fresh = False
    retry_failed: o.RetryFailed = False
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: o.Seed = 0
    config: _command.Config = None
