"""Measure how well scores tell known (ID) from unknown (OOD) images.

Either from files of scores (a column score; Parquet, CSV or JSON lines, such as results.parquet of awase ood
score), or with a detector on images: known ones with --id, unknown ones with --ood. Prints for each set of
unknown images AUROC, AUPR of either side and FPR at a TPR, with intervals, and with a detector also the
accuracy and what its threshold and its prediction sets deliver. A higher score means in-distribution.

FPR goes by three conventions, and the numbers differ: id_positive (default; the share of unknown images let
in when 95 % of the known are kept), ood_positive (the share of known images lost when 95 % of the unknown
are caught), mcm_nearest (as id_positive, at the point nearest to 95 %). The one used is printed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _ood_options as own
from awase.cli import _options as o

RUNNER = "awase.cli._ood_evaluate"
SEVERAL = ("--ood", "--ood-scores")
EPILOG = """[bold]Examples[/]

awase ood evaluate --detector detector/ --id pets/ --ood textures/ flowers=other/flowers/

awase ood evaluate --id-scores known.parquet --ood-scores unknown.parquet

awase ood evaluate --id-scores known.csv --ood-scores near=a.csv far=b.csv --convention ood_positive

awase ood evaluate --detector detector/ --id pets/ --ood textures/ --at-least auroc.textures=0.9"""


@dataclass(frozen=True)
class Options:
    """What `awase ood evaluate` can be told."""

    detector: Annotated[
        Path | None,
        typer.Option(
            "--detector",
            "-d",
            metavar="DIR",
            help="What [bold]awase ood fit[/] wrote; then give images with --id and --ood.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="DATA",
            help="Images of the known classes that the detector has not seen, with their classes.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    ood: Annotated[
        list[str] | None,
        typer.Option(
            "--ood",
            metavar="[NAME=]DIR",
            help="Images of none of the classes; several may follow.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    id_scores: Annotated[
        Path | None,
        typer.Option(
            "--id-scores",
            metavar="FILE",
            help="Scores of known images, instead of --detector and --id.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    ood_scores: Annotated[
        list[str] | None,
        typer.Option(
            "--ood-scores",
            metavar="[NAME=]FILE",
            help="Scores of unknown images; several may follow.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    score_column: Annotated[
        str,
        typer.Option(
            "--score-column",
            metavar="NAME",
            help="Column of the scores in the files; higher = in-distribution.",
            rich_help_panel=o.DATA,
        ),
    ] = "score"
    correct_column: Annotated[
        str | None,
        typer.Option(
            "--correct-column",
            metavar="NAME",
            help="Column of --id-scores that says whether the class was right, for the accuracy.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Split of --id to measure on. Default: test, else val, where there are splits.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    unseen: Annotated[
        bool,
        typer.Option(
            "--unseen",
            help="Leave out images of --id that the detector was made from, instead of refusing them.",
            rich_help_panel=o.DATA,
        ),
    ] = False
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
    convention: Annotated[
        str,
        typer.Option(
            "--convention",
            metavar="NAME",
            help="Of FPR: id_positive, ood_positive or mcm_nearest.",
            rich_help_panel=o.METHOD,
        ),
    ] = "id_positive"
    tpr: Annotated[
        float,
        typer.Option(
            "--tpr",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Share of the positive class to catch, at which FPR is read.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0.95
    replicates: o.Replicates = 1000
    at_least: o.AtLeast = None
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            "--at-most",
            metavar="NAME=VALUE",
            help="Exit with 1 when this figure is higher, such as fpr_at_tpr.textures=0.2.",
            rich_help_panel=o.RUN,
        ),
    ] = None
    output: o.FiguresFile = None
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: o.Seed = 0
    config: _command.Config = None
