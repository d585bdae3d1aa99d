"""Adapt a model with a few photos of each class.

DATA is a folder of class folders (DIR/cat/1.jpg, or DIR/train/cat/1.jpg with test/ or val/ beside it), or a
table with the columns image and label, and split where it has one. Draws the shots and a validation split
from the training images, fits, and measures accuracy on the test images, beside the model as it came. Data
without splits gets a test part of its own, which is never learned from. Writes tuned.safetensors and
card.json (and card.md to read).

A run that was killed goes on when the same command is given again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o
from awase.cli._class_names_option import ClassNames
from awase.cli._settings import Settings

RUNNER = "awase.cli._tune_fit"
SEVERAL = ("--option", "--template")
EPILOG = """[bold]Examples[/]

awase tune fit flowers/ --method tip_adapter_f --shots 16 --output tuned/

awase tune fit flowers/ --method coop --shots 4 --seed 2 --option epochs=20 --output tuned/

awase tune fit parts.csv --images photos/ --method lora --interpolate 0.5 --encoder hf:./my-clip

[bold]More[/]

awase methods lists the ways of tuning; awase tune predict uses what was tuned.

awase tune compare measures several ways side by side."""


@dataclass(frozen=True)
class Options:
    """What `awase tune fit` can be told."""

    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A folder of class folders, or a table with image and label."),
    ]
    images: o.Images = None
    reader: o.ImageReader = None
    image_column: o.ImageColumn = None
    label_column: o.LabelColumn = None
    class_names: ClassNames = None
    train_split: Annotated[
        str | None,
        typer.Option(
            "--train-split",
            metavar="NAME",
            help="Split that shots and validation images are drawn from. Default: train.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    test_split: Annotated[
        str | None,
        typer.Option(
            "--test-split",
            metavar="NAME",
            help="Split that is measured on. Default: test, else val.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    test_share: o.TestShare = 0.5
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            help="zero_shot, linear_probe, tip_adapter, tip_adapter_f, clip_adapter, taskres (on vectors), "
            "coop, cocoop, locoop (prompts), lora, full (weights).",
            rich_help_panel=o.METHOD,
        ),
    ] = "tip_adapter_f"
    shots: Annotated[
        int,
        typer.Option("--shots", min=1, help="Photos of each class to learn from.", rich_help_panel=o.METHOD),
    ] = 16
    validation: Annotated[
        int | None,
        typer.Option(
            "--validation",
            metavar="N",
            min=0,
            help="Photos of each class to choose settings on. Default: as many as shots, at most 4.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    allow_fewer: Annotated[
        bool,
        typer.Option(
            "--allow-fewer",
            help="Take what there is of a class with too few photos, and record it.",
            rich_help_panel=o.METHOD,
        ),
    ] = False
    template: o.Templates = None
    option: Settings = None
    interpolate: Annotated[
        float | None,
        typer.Option(
            "--interpolate",
            metavar="A",
            min=0.0,
            max=1.0,
            help="lora and full: how far to go from the old weights (0) to the new ones (1), as in WiSE-FT.",
            rich_help_panel=o.METHOD,
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
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the tuned model.", rich_help_panel=o.OUTPUT
        ),
    ] = Path("awase-tuned")
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Replace the model that DIR holds.", rich_help_panel=o.RUN),
    ] = False
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help="Of the shots and of every other draw.", rich_help_panel=o.RUN),
    ] = 1
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    config: _command.Config = None
