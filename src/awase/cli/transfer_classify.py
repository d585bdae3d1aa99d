"""How well does a model tell classes apart by their names alone, and can its probabilities be believed?

DATA is a folder of class folders (DATA/cat/1.jpg), the same inside DATA/train and DATA/test or DATA/val, or a
table with the columns image and label. Prints top-k accuracy, the mean over classes, calibration error and a
bound on the error, with intervals. Writes a folder: metrics.json, card.md for people who decide, figures
(reliability, confidence, accuracy by class, confusion; needs the extra plots), a row per image and per class.

A temperature is fitted only on images that are not measured on: --calibrate-split names a split of the data,
--calibrate-share takes a share of the images away.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o
from awase.cli._class_names_option import ClassNames

RUNNER = "awase.cli._transfer_classify"
SEVERAL = ("--templates", "--top")
EPILOG = """[bold]Examples[/]

awase transfer classify flowers/ --output out/

awase transfer classify photos/ --templates photos --split val --calibrate-split train --lang ja

awase transfer classify parts.csv --images photos/ --class-names names.json --templates "a {}." "one {}."

awase transfer classify photos/ --templates prompts.json --at-least top_1_accuracy=0.8"""


@dataclass(frozen=True)
class Options:
    """What `awase transfer classify` can be told."""

    data: o.ClassData
    images: o.Images = None
    reader: o.ImageReader = None
    image_column: o.ImageColumn = None
    label_column: o.LabelColumn = None
    class_names: ClassNames = None
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Split to measure on. Default: test, else val, where there are splits.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    calibrate_split: Annotated[
        str | None,
        typer.Option(
            "--calibrate-split",
            metavar="NAME",
            help="Split to fit the temperature on. Default: none.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    calibrate_share: Annotated[
        float | None,
        typer.Option(
            "--calibrate-share",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Share of the images to fit the temperature on instead; they are not measured on.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.ImageBatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    templates: Annotated[
        list[str] | None,
        typer.Option(
            "--templates",
            metavar="SET|TEXT|FILE",
            help="Prompts, averaged: a built-in set (simple, photos, objects, living, textures, products, "
            "scenes, simple-ja, photos-ja, textures-ja, products-ja), a text with {}, or a file (one a line, "
            "JSON, or what [bold]awase transfer prompts[/] wrote). Several may follow. Default: simple.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    top: Annotated[
        list[int] | None,
        typer.Option(
            "--top",
            metavar="K",
            min=1,
            help="The k of top-k accuracy; several may follow. Default: 1 5.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    bins: Annotated[
        int,
        typer.Option("--bins", min=1, help="Bins of the calibration error.", rich_help_panel=o.METHOD),
    ] = 15
    binning: Annotated[
        str,
        typer.Option(
            "--binning",
            metavar="NAME",
            help="equal_width (as in the papers), or equal_mass: about as many images in each bin.",
            rich_help_panel=o.METHOD,
        ),
    ] = "equal_width"
    replicates: o.Replicates = 1000
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            "--at-least",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is lower, such as top_1_accuracy=0.8; may be repeated.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            "--at-most",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is higher, such as ece=0.1.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    output: o.OutputFolder = Path("awase-classify")
    lang: o.CardLanguage = o.Speech.ENGLISH
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: o.Seed = 0
    config: _command.Config = None
