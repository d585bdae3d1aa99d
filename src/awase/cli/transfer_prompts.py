"""Choose and weigh prompt templates on a few labelled photos, and measure what that gains on others.

DATA is a folder of class folders (DATA/cat/1.jpg, or DATA/train/cat/1.jpg with test/ or val/ beside it), or a
table with the columns image and label, and split where it has one. Draws a few labelled images of each class
from the training images, chooses templates, their weights and the names of classes on them, and measures the
gain with its interval on the test images, which have no say in the choice. Data without splits gets a test
part of its own.

Writes prompts.json, which [bold]awase transfer classify --templates[/] reads, metrics.json, card.md for
people who decide, figures (needs the extra plots), a row per image and per template.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o
from awase.cli._class_names_option import ClassNames

RUNNER = "awase.cli._transfer_prompts"
SEVERAL = ("--templates", "--search", "--baseline")
EPILOG = """[bold]Examples[/]

awase transfer prompts flowers/ --output out/

awase transfer prompts flowers/ --templates my-templates.txt photos living --search greedy --shots 8

awase transfer prompts parts.csv --images photos/ --wordings names.json --search single weights:per_class=true

[bold]More[/]

awase transfer classify flowers/ --templates out/prompts.json uses what was chosen."""


@dataclass(frozen=True)
class Options:
    """What `awase transfer prompts` can be told."""

    data: o.ClassData
    images: o.Images = None
    reader: o.ImageReader = None
    image_column: o.ImageColumn = None
    label_column: o.LabelColumn = None
    class_names: ClassNames = None
    wordings: Annotated[
        Path | None,
        typer.Option(
            "--wordings",
            metavar="FILE",
            help='JSON of labels and further names to try, {"sea_horse": ["seahorse", "hippocampus"]}.',
            rich_help_panel=o.DATA,
        ),
    ] = None
    train_split: Annotated[
        str | None,
        typer.Option(
            "--train-split",
            metavar="NAME",
            help="Split that the images to choose on are drawn from. Default: train.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    test_split: Annotated[
        str | None,
        typer.Option(
            "--test-split",
            metavar="NAME",
            help="Split that the gain is measured on. Default: test, else val.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    test_share: o.TestShare = 0.5
    shots: Annotated[
        int,
        typer.Option(
            "--shots",
            min=1,
            help="Photos of each class to choose on; a class with fewer gives what it has.",
            rich_help_panel=o.METHOD,
        ),
    ] = 16
    templates: Annotated[
        list[str] | None,
        typer.Option(
            "--templates",
            metavar="SET|TEXT|FILE",
            help="What to choose from: built-in sets (simple, photos, objects, living, textures, products, "
            "scenes, simple-ja, photos-ja, textures-ja, products-ja), texts with {}, or files with one a "
            "line. Several may follow. Default: every English set.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="SET|TEXT|FILE",
            help="What would be used without a search; the gain is over this. Default: simple.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="NAME[:SETTING=VALUE]",
            help="uniform, single, greedy, weights; such as greedy:most=5 or weights:per_class=true. With "
            "several the choice between them, and the baseline, is made on folds of the same images. "
            "Default: uniform single greedy weights weights:per_class=true.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            min=2,
            help="Parts of the images to choose on, for comparing searches and wordings.",
            rich_help_panel=o.METHOD,
        ),
    ] = 5
    draws: Annotated[
        int,
        typer.Option(
            "--draws",
            metavar="N",
            min=1,
            help="Choose on N draws of images, to see how much the gain owes to the draw; the prompts that "
            "are written are of the first.",
            rich_help_panel=o.METHOD,
        ),
    ] = 1
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.ImageBatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    output: o.OutputFolder = Path("awase-prompts")
    lang: o.CardLanguage = o.Speech.ENGLISH
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: Annotated[
        int,
        typer.Option(
            "--seed", min=0, help="Of the images drawn and of the intervals.", rich_help_panel=o.RUN
        ),
    ] = 0
    config: _command.Config = None
