"""Options that the verbs of `awase ood` share."""

from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer

from awase.cli import _options as o

Tuned = Annotated[
    Path | None,
    typer.Option(
        "--tuned",
        metavar="DIR",
        help="A model that [bold]awase tune fit[/] has adapted, instead of the encoder as it came.",
        rich_help_panel=o.MODEL,
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        "-e",
        metavar="NAME",
        help="The encoder of the detector, where it lies elsewhere now. Default: as the detector says.",
        rich_help_panel=o.MODEL,
    ),
]
DtypeName = Annotated[
    o.Dtype | None,
    typer.Option(
        "--dtype", help="Precision of the towers. Default: as the detector says.", rich_help_panel=o.MODEL
    ),
]


@runtime_checkable
class Reopening(Protocol):
    """What a verb that uses a detector can be told of its model."""

    @property
    def encoder(self) -> str | None: ...

    @property
    def tuned(self) -> Path | None: ...

    @property
    def revision(self) -> str | None: ...

    @property
    def offline(self) -> bool: ...

    @property
    def device(self) -> o.Device: ...

    @property
    def dtype(self) -> o.Dtype | None: ...

    @property
    def cache(self) -> Path | None: ...
