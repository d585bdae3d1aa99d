"""What does each way of tuning give, and what does it cost elsewhere?

Tunes every method with every number of shots and every seed, and measures accuracy, detection of unknown
images under several scores, classes left out of tuning, and what the model could do before: retrieval and
zero-shot on other data. Writes one table (Parquet and Markdown, means with intervals over seeds) and a
figure. A stopped run goes on where it ended.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o

RUNNER = "awase.cli._tune_compare"
SEVERAL = ("--ood", "--shots", "--methods", "--scores", "--seeds", "--template")
EPILOG = """[bold]Examples[/]

awase tune compare --data flowers/ --ood textures/ --output out/

awase tune compare --data parts/ --ood scrap/ other=photos/ --shots 0 1 4 16 --methods tip_adapter_f coop

awase tune compare --data flowers/ --ood textures/ --scores mcm msp knn --retrieval pairs.csv --other pets/"""


@dataclass(frozen=True)
class Options:
    """What `awase tune compare` can be told."""

    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Labelled images: a folder of class folders (in train/ and test/ or val/, or without a "
            "split), or a table with image, label and split.",
            rich_help_panel=o.DATA,
        ),
    ]
    ood: Annotated[
        list[str] | None,
        typer.Option(
            "--ood",
            metavar="[NAME=]DIR",
            help="Images that belong to none of the classes; several may follow.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    other: Annotated[
        list[str] | None,
        typer.Option(
            "--other",
            metavar="[NAME=]DIR",
            help="Labelled images of other classes: zero-shot on them shows what was forgotten.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    retrieval: Annotated[
        list[str] | None,
        typer.Option(
            "--retrieval",
            metavar="[NAME=]PAIRS",
            help="Photos with captions, as for [bold]awase check[/]: recall at 1 shows what was forgotten.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    retrieval_images: Annotated[
        Path | None,
        typer.Option(
            "--retrieval-images",
            metavar="DIR",
            help="Folder of the photos of --retrieval. Default: the folder of the pairs.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    retrieval_split: Annotated[
        str | None,
        typer.Option(
            "--retrieval-split",
            metavar="NAME",
            help="Only the pairs of this split.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    images: o.Images = None
    class_names: Annotated[
        Path | None,
        typer.Option(
            "--class-names",
            metavar="FILE",
            help='JSON {"folder": "name as the model reads it"} for classes of --data.',
            rich_help_panel=o.DATA,
        ),
    ] = None
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            metavar="NAME[:SETTING=VALUE]",
            help="Ways of tuning, such as taskres, coop:epochs=50; several may follow. Default: those that "
            "work on vectors, and coop.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--scores",
            metavar="NAME[:SETTING=VALUE]",
            help="Scores of in-distribution, such as mcm, mcm:temperature=0.1, knn; several may follow. "
            "The first is drawn in the figure.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    shots: Annotated[
        list[int] | None,
        typer.Option(
            "--shots",
            metavar="N",
            help="Images of each class to learn from; several may follow, 0 is the model as it came. "
            "Default: 0 1 2 4 8 16.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    seeds: Annotated[
        list[int] | None,
        typer.Option(
            "--seeds",
            metavar="N",
            help="Draws of the shots; several may follow. Default: 1 2 3.",
            rich_help_panel=o.METHOD,
        ),
    ] = None
    template: o.Templates = None
    tpr: Annotated[
        float,
        typer.Option(
            "--tpr",
            min=0.0,
            max=1.0,
            help="Share of the known images kept, at which FPR is read.",
            rich_help_panel=o.METHOD,
        ),
    ] = 0.95
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.BatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help="At most N images of each set of --ood, --other and --retrieval, drawn by name: methods "
            "that change the image tower read them again for every fit.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    test_share: Annotated[
        float,
        typer.Option(
            "--test-share",
            min=0.0,
            max=1.0,
            help="Part of every class kept for the test where the data has no split of its own.",
            rich_help_panel=o.DATA,
        ),
    ] = 0.5
    allow_fewer: Annotated[
        bool,
        typer.Option(
            "--allow-fewer",
            help="Take what there is of a class with fewer images than shots.",
            rich_help_panel=o.DATA,
        ),
    ] = False
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for table and figure.", rich_help_panel=o.OUTPUT
        ),
    ] = Path("awase-compare")
    lang: Annotated[
        o.Speech, typer.Option("--lang", help="Language of the table.", rich_help_panel=o.OUTPUT)
    ] = o.Speech.ENGLISH
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    config: _command.Config = None
