"""How well does a model find the captions of a photo, and the photo of a caption?

DATA is photos with captions, in any form that awase reads (a table, a folder, COCO, tar shards); a photo may
have several captions. Vectors made elsewhere are read with --features. Prints recall at k, median rank, mAP@R
and rsum in both directions, with intervals over photos. Exact: of equal similarities the first row wins, and
ties are counted. A million rows need no more memory than their ranks.

Writes a folder: metrics.json, card.md for people who decide, a figure (needs the extra plots), images.parquet
and captions.parquet with the rank, score and first answer of every query.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o

RUNNER = "awase.cli._transfer_retrieve"
SEVERAL = ("-k", "--at")
EPILOG = """[bold]Examples[/]

awase transfer retrieve captions.csv --images photos/ --output out/

awase transfer retrieve captions.tsv --split test -k 1 5 10 --encoder hf:openai/clip-vit-base-patch32

awase transfer retrieve --features vectors.safetensors --lang ja

awase transfer retrieve captions.csv --save-features vectors.safetensors --at-least rsum=400"""


@dataclass(frozen=True)
class Options:
    """What `awase transfer retrieve` can be told."""

    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A table, folder, COCO file or shards of photos and captions."),
    ] = None
    images: o.Images = None
    reader: o.PairReader = None
    image_column: o.ImageColumn = None
    caption_column: o.CaptionColumn = None
    split: o.Split = None
    features: o.FeaturesFile = None
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.ImageBatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    at: Annotated[
        list[int] | None,
        typer.Option(
            "--at",
            "-k",
            metavar="K",
            min=1,
            help="The k of recall at k; several may follow. Default: 1 5 10.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    replicates: o.Replicates = 1000
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            "--at-least",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is lower, such as recall_at_1.text_to_image=0.5; may be "
            "repeated.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            "--at-most",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is higher, such as median_rank.text_to_image=3.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    output: o.OutputFolder = Path("awase-retrieve")
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            min=0,
            help="Also write the first N answers of every query, with their scores.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = 0
    examples: Annotated[
        int,
        typer.Option(
            "--examples",
            metavar="N",
            min=0,
            help="Worst queries on the card, each direction.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = 10
    save_features: Annotated[
        Path | None,
        typer.Option(
            "--save-features",
            metavar="FILE",
            help="Keep the vectors here, for --features.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = None
    lang: o.CardLanguage = o.Speech.ENGLISH
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: o.Seed = 0
    config: _command.Config = None
