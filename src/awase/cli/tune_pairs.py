"""Train on photos and their captions, contrastively.

DATA is anything that `awase check` reads: a table with image and caption, a folder, COCO captions, tar
shards. By default two small heads learn behind the frozen encoder, which takes seconds once the vectors are
there; --train text, image or both fine-tunes its towers, and --scratch small trains a small model from
nothing. Writes a model that every verb takes as --encoder tuned:DIR, with a card: settings, loss curve,
retrieval on the dev pairs before and after.

Dev pairs are measured on and choose nothing, unless --keep best asks for it. A run that was killed goes on to
the same weights when the same command is given again. Several devices: torchrun --nproc-per-node 2 -m awase
tune pairs.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o

RUNNER = "awase.cli._tune_pairs"
SEVERAL = ("--option", "--train", "--recipe", "--scratch-option")
EPILOG = """[bold]Examples[/]

awase tune pairs captions.tsv --images photos/ --dev-split dev --output tuned/

awase tune pairs captions.csv --objective regularized --option weight=0.3 --train heads text --epochs 5

awase tune pairs world.parts.json --scratch small --batch-size 512 --chunk 128 --steps 2000 --dev-split dev

[bold]More[/]

awase transfer retrieve DATA --encoder tuned:DIR measures; awase methods lists the objectives."""
LEARN = "Training"


class Group(StrEnum):
    """What makes two pairs the same thing."""

    IMAGE = "image"
    LABEL = "label"
    CAPTION = "caption"


class Keep(StrEnum):
    """Which weights are kept."""

    LAST = "last"
    BEST = "best"


class ReportTo(StrEnum):
    """Where numbers go while training."""

    NONE = "none"
    TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Options:
    """What `awase tune pairs` can be told."""

    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Pairs: a table, a folder, COCO captions, tar shards, ...")
    ]
    images: o.Images = None
    reader: o.PairReader = None
    image_column: o.ImageColumn = None
    caption_column: o.CaptionColumn = None
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Split to learn from. Default: train, where the data has splits.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    dev_split: Annotated[
        str | None,
        typer.Option(
            "--dev-split",
            metavar="NAME",
            help="Split to measure retrieval on, before and after. Default: none.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    group: Annotated[
        Group,
        typer.Option(
            "--group",
            help="What makes two pairs the same thing: one image (or one value of the column group), one "
            "label, one caption. Kept apart, or all right answers, as the objective wants it.",
            rich_help_panel=o.DATA,
        ),
    ] = Group.IMAGE
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="info_nce, regularized, multi_positive, soft_target, sigmoid, cyclip.",
            rich_help_panel=LEARN,
        ),
    ] = "info_nce"
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="A setting of the objective, such as weight=0.3; a name that does not exist lists "
            "those that do.",
            rich_help_panel=LEARN,
        ),
    ] = None
    train: Annotated[
        list[str] | None,
        typer.Option(
            "--train",
            metavar="PART",
            help="What learns: heads, text, image, both (towers); several may be named. Default: heads, with "
            "--scratch both.",
            rich_help_panel=LEARN,
        ),
    ] = None
    scratch: Annotated[
        str | None,
        typer.Option(
            "--scratch",
            metavar="NAME",
            help="Train a new model of this kind from nothing, instead of --encoder: small.",
            rich_help_panel=LEARN,
        ),
    ] = None
    scratch_option: Annotated[
        list[str] | None,
        typer.Option(
            "--scratch-option",
            metavar="NAME=VALUE",
            help="Size of the new model, such as size=64 width=128.",
            rich_help_panel=LEARN,
        ),
    ] = None
    epochs: Annotated[
        float,
        typer.Option("--epochs", min=0.0, help="Passes over the training pairs.", rich_help_panel=LEARN),
    ] = 10.0
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", min=0, help="Steps in all, instead of --epochs.", rich_help_panel=LEARN
        ),
    ] = None
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", min=2, help="Pairs that are told apart at once.", rich_help_panel=LEARN),
    ] = 256
    chunk: Annotated[
        int | None,
        typer.Option(
            "--chunk",
            metavar="N",
            min=1,
            help="Pairs in memory at once: the gradient stays that of the whole batch (cached gradients).",
            rich_help_panel=LEARN,
        ),
    ] = None
    temperature: Annotated[
        str,
        typer.Option(
            "--temperature",
            metavar="TEXT",
            help="learned, fixed (the encoder's own), or a number such as 0.05.",
            rich_help_panel=LEARN,
        ),
    ] = "learned"
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0.0,
            help="Learning rate of towers. Default: 1e-5, with --scratch 1e-3.",
            rich_help_panel=LEARN,
        ),
    ] = None
    head_rate: Annotated[
        float | None,
        typer.Option(
            "--head-rate", min=0.0, help="Learning rate of heads. Default: 1e-4.", rich_help_panel=LEARN
        ),
    ] = None
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="NAME=VALUE",
            help="A further setting, such as head=linear, hidden=1024, embedding=frozen, precision=bfloat16; "
            "a name that does not exist lists those that do.",
            rich_help_panel=LEARN,
        ),
    ] = None
    keep: Annotated[
        Keep,
        typer.Option(
            "--keep",
            help="Weights of the last step, or the best on the dev split, which then has chosen.",
            rich_help_panel=LEARN,
        ),
    ] = Keep.LAST
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    workers: o.Workers = 2
    cache: o.Cache = None
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the trained model.", rich_help_panel=o.OUTPUT
        ),
    ] = Path("awase-trained")
    lang: Annotated[
        o.Speech, typer.Option("--lang", help="Language of card and figures.", rich_help_panel=o.OUTPUT)
    ] = o.Speech.ENGLISH
    report_to: Annotated[
        ReportTo,
        typer.Option(
            "--report-to",
            help="Numbers while training: tensorboard writes DIR/runs (needs the extra train).",
            rich_help_panel=o.OUTPUT,
        ),
    ] = ReportTo.NONE
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Replace the model that DIR holds, and forget a killed run.",
            rich_help_panel=o.RUN,
        ),
    ] = False
    save_every: Annotated[
        int,
        typer.Option(
            "--save-every",
            metavar="N",
            min=1,
            help="Steps between two saves: what a crash costs at most.",
            rich_help_panel=o.RUN,
        ),
    ] = 200
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help="Of the batches and of every other draw.", rich_help_panel=o.RUN),
    ] = 1
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    config: _command.Config = None
