"""Why does a model carry over to this data, or not?

DATA is photos with captions, in any form that awase reads (a table, a folder, COCO, tar shards), or a folder
of class folders, whose captions are then prompts of the classes; vectors made elsewhere are read with
--features. Prints margins of right over wrong items, false negatives in a batch and the loss that they cost,
the largest safe temperature, completeness, alignment, uniformity, modality gap, effective rank, and a bound
on the error. Writes a folder: metrics.json, card.md for people who decide, a figure for each (needs the extra
plots), and pairs.parquet with the margins and nearest wrong items of every pair.

Temperature and batch size are those of the training that is thought about: --temperature (default: the
model's own) and --batch-size-trained.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o
from awase.cli._class_names_option import ClassNames

RUNNER = "awase.cli._transfer_explain"
SEVERAL = ("--templates", "--diagnostic", "--proxy", "--top")
EPILOG = """[bold]Examples[/]

awase transfer explain captions.csv --images photos/ --output out/

awase transfer explain flowers/ --templates photos --lang ja

awase transfer explain captions.csv --batch-size-trained 4096 --temperature 0.01 --delta 0.1

awase transfer explain --features vectors.safetensors --labels labels.txt --diagnostic margins geometry"""


@dataclass(frozen=True)
class Options:
    """What `awase transfer explain` can be told."""

    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Photos with captions, or a folder of class folders."),
    ] = None
    images: o.Images = None
    reader: o.PairReader = None
    image_column: o.ImageColumn = None
    caption_column: o.CaptionColumn = None
    label_column: o.LabelColumn = None
    split: o.Split = None
    features: o.FeaturesFile = None
    image_features: Annotated[
        Path | None,
        typer.Option(
            "--image-features",
            metavar="FILE",
            help="The same in two files: unit vectors of the images,",
            rich_help_panel=o.DATA,
        ),
    ] = None
    text_features: Annotated[
        Path | None,
        typer.Option(
            "--text-features",
            metavar="FILE",
            help="and of their texts, row by row, or with image_of_text.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Class of each image: a line for each in their order, or JSON of image name and class. "
            "Default: as DATA says, if it does.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    class_names: ClassNames = None
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
            help="Take DATA as classes, with these prompts: as for [bold]awase transfer classify[/]; several "
            "may follow. Default for a folder of class folders: simple.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    diagnostic: Annotated[
        list[str] | None,
        typer.Option(
            "--diagnostic",
            metavar="NAME",
            help="margins, temperature, false_negatives, loss_floor, completeness, geometry, bound; several "
            "may follow. Default: all.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="NUMBER",
            help="Of the softmax, 1 / logit scale. Default: the model's own.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    batch_size_trained: Annotated[
        int,
        typer.Option(
            "--batch-size-trained",
            metavar="B",
            min=1,
            help="Pairs in a batch of the contrastive training that is asked about.",
            rich_help_panel=o.METHOD,
        ),
    ] = 512
    delta: Annotated[
        float,
        typer.Option(
            "--delta",
            metavar="SHARE",
            help="Loss that wrong items may cause, and the quantile of the margin, for the safe temperature.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0.05
    top: Annotated[
        list[int] | None,
        typer.Option(
            "--top",
            metavar="R",
            min=1,
            help="The r of the bound on the top-r error; several may follow. Default: 1 5.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--proxy",
            metavar="NAME",
            help="What counts as a false negative: labels, equal_captions, similar_captions, nouns, "
            "outscored; several may follow. Default: labels where there are any, else all the others.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    similar: Annotated[
        float,
        typer.Option(
            "--similar",
            metavar="COSINE",
            help="Cosine of two captions from which they count as similar.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0.95
    uniformity_pairs: Annotated[
        int,
        typer.Option(
            "--uniformity-pairs",
            metavar="N",
            min=0,
            help="Draw so many pairs for uniformity; 0 for all, which costs n^2.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0
    replicates: Annotated[
        int,
        typer.Option(
            "--replicates",
            metavar="N",
            min=0,
            help="Bootstrap draws of images behind the intervals; 0 for none.",
            rich_help_panel=o.METHOD,
        ),
    ] = 1000
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            "--at-least",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is lower, such as margin_q50.image_to_text=0; repeatable.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            "--at-most",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is higher, such as any_false_negative.labels=0.1.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    output: o.OutputFolder = Path("awase-explain")
    lang: o.CardLanguage = o.Speech.ENGLISH
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: o.Seed = 0
    config: _command.Config = None
