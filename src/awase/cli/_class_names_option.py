"""The option for names of classes: apart from what reads the file, so that `--help` need not wait for it."""

from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _options as o

ClassNames = Annotated[
    Path | None,
    typer.Option(
        "--class-names",
        metavar="FILE",
        help='JSON of the labels in the data and their names as the model reads them, {"n02102040": "English '
        'springer"}. Default: the label, with spaces for underscores.',
        rich_help_panel=o.DATA,
    ),
]
"""The option itself, for the `Options` of a verb: `class_names: ClassNames = None`."""
