"""Make a detector that tells known from unknown images, with a threshold that keeps its promise.

DATA holds images of the known classes: a folder of class folders, with or without train/, calibrate/ and
test/ above them, or a table with the columns image, label and, if it likes, split. The detector learns its
threshold from calibration images, so that at least --keep of all known images stay above it, and sets of
classes that hold the true one for all but --alpha of them. Where DATA has no split named calibrate, part of
the train split (or of everything, where there are no splits) is taken for it, and recorded; images of other
splits, such as test and val, are not touched.

The detector is a folder with detector.safetensors and detector.json. It goes with one model and refuses
the vectors of any other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _ood_options as own
from awase.cli import _options as o
from awase.cli._class_names_option import ClassNames
from awase.cli._settings import Settings

RUNNER = "awase.cli._ood_fit"
SEVERAL = ("--template",)
EPILOG = """[bold]Examples[/]

awase ood fit pets/ --output detector/

awase ood fit pets/ --method knn --shots 16 --encoder hf:openai/clip-vit-base-patch32 --output detector/

awase ood fit labels.csv --images photos/ --method mcm --option temperature=0.1 --keep 0.99

awase ood fit pets/ --calibrate-split val --template "a photo of a {}, a kind of pet."

[bold]Then[/]

awase ood score --help, awase ood evaluate --help"""


@dataclass(frozen=True)
class Options:
    """What `awase ood fit` can be told."""

    data: Annotated[str, typer.Argument(metavar="DATA", help="Images of the known classes.")]
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
            help="Split to learn from, for methods that learn. Default: train, where there are splits.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    calibrate_split: Annotated[
        str | None,
        typer.Option(
            "--calibrate-split",
            metavar="NAME",
            help="Split for the threshold. Default: calibrate where there is one, else what is left of "
            "the train split.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            metavar="N",
            min=1,
            help="Images of each class to learn from. Default: all of the train split; half of each class "
            "where calibration images come from the same split.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    hold_out: Annotated[
        float | None,
        typer.Option(
            "--hold-out",
            metavar="SHARE",
            min=0.0,
            max=0.9,
            help="Leave this share of each class alone, for [bold]awase ood evaluate --unseen[/], where "
            "DATA has no test split.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    encoder: o.Encoder = "builtin"
    tuned: own.Tuned = None
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.ImageBatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help="The score: mcm, max_logit, energy, knn, mahalanobis, neglabel, ...; "
            "[bold]awase methods[/] lists all.",
            rich_help_panel=o.METHOD,
        ),
    ] = "mcm"
    option: Settings = None
    template: o.Templates = None
    keep: Annotated[
        float,
        typer.Option(
            "--keep",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Share of the known images that is to stay above the threshold.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0.95
    alpha: Annotated[
        float,
        typer.Option(
            "--alpha",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Share of the known images whose prediction set may miss the true class.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0.05
    sets: Annotated[
        str,
        typer.Option(
            "--sets",
            metavar="lac|aps",
            help="Prediction sets: lac (smallest) or aps (steadier from class to class, larger).",
            rich_help_panel=o.METHOD,
        ),
    ] = "lac"
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the detector.", rich_help_panel=o.OUTPUT
        ),
    ] = Path("awase-detector")
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="Of the draws: which images train and which calibrate.", rich_help_panel=o.RUN
        ),
    ] = 0
    config: _command.Config = None
