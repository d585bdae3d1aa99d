"""Scenes of the parts world as labelled images: `NAME.parts.json`, labelled by any attribute.

The settings say which (`"label": "colour"`, or several: `["colour", "shape"]` gives "red gear"), or the
column of labels does. See `awase.data.parts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from awase.data import _sniff
from awase.data._parts import rows
from awase.data._parts.settings import LABELS, Settings, label_of, read
from awase.data.parts import hash_settings, refuse
from awase.errors import DataError
from awase.types import BadRow, LabelledImage


@dataclass(frozen=True)
class PartsImages:
    """Drawn scenes with their labels.

    Example:
        >>> from awase.data._parts.settings import parse
        >>> image = next(iter(PartsImages(parse({"scenes": 2, "label": "background"}))))
        >>> image.id, image.label
        ('0', 'paper')
    """

    settings: Settings

    def __iter__(self) -> Iterator[LabelledImage | BadRow]:
        for found in rows.drawn(self.settings, with_captions=False):
            yield LabelledImage(str(found.scene.index), found.image, found.label, found.split)

    def fingerprint(self) -> str:
        return hash_settings(self.settings)

    def count(self) -> int | None:
        return self.settings.n_scenes


def fits(source: Path) -> bool:
    """Whether this is a file of settings by its name, `NAME.parts.json`."""
    return _sniff.reader_for(str(source)) == "parts"


def open_images(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
) -> PartsImages:
    """The scenes of a settings file as labelled images.

    Args:
        source: a file of settings, `NAME.parts.json`.
        images: for readers of files; naming it is an error here, as for the next and the last.
        image_column: see above.
        label_column: the attribute to label by, or several joined by `+`; by default what the settings say.
        id_column: see above.

    Raises:
        DataError: there is no such file, its settings are not those of a world, or there is no label.
    """
    refuse(images=images, image_column=image_column, id_column=id_column)
    found = read(Path(source))
    if label_column is not None:
        found = replace(found, label=label_of(label_column.split("+"), found.splits))
    if not found.label:
        raise DataError(
            f'{source}: scenes of several parts have no label of their own; set "label" to count or '
            f'background, or "objects" to [1, 1] and the label to any of {", ".join(LABELS)}.'
        )
    return PartsImages(found)
