"""The parts world: procedural scenes of workshop parts with captions, of which everything is known exactly.

In Python a `World` draws scenes by number. As a reader this module turns a settings file, `NAME.parts.json`,
into pairs: nothing is stored, pictures are drawn as they are read. Ground for checks of theory and for quick
tests; it does not stand in for real photos.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from awase.data import _sniff
from awase.data._parts import rows, settings
from awase.data._parts.distribution import Correlation
from awase.data._parts.edits import Edit
from awase.data._parts.scenes import Part, Scene
from awase.data._parts.vocabulary import DEFECTS, RELATIONS, VALUES
from awase.data._parts.world import SAID, Caption, Truth, World
from awase.errors import DataError
from awase.types import BadRow, Pair

__all__ = [
    "DEFECTS",
    "RELATIONS",
    "SAID",
    "VALUES",
    "Caption",
    "Correlation",
    "Edit",
    "Part",
    "PartsDataset",
    "Scene",
    "Truth",
    "World",
    "fits",
    "open_pairs",
]

_DRAWING = 1  # raised when the same settings draw other pictures or captions


@dataclass(frozen=True)
class PartsDataset:
    """Pairs of drawn scenes, a pair for every caption; a scene's captions share its group and its image.

    Example:
        >>> from awase.data._parts.settings import parse
        >>> pairs = list(PartsDataset(parse({"scenes": 2, "n_captions": 3})))
        >>> len(pairs), pairs[0].id, pairs[5].id, pairs[0].image is pairs[1].image
        (6, '0#0', '1#2', True)
    """

    settings: settings.Settings

    def __iter__(self) -> Iterator[Pair | BadRow]:
        for found in rows.drawn(self.settings, with_captions=True):
            index = str(found.scene.index)
            for k, caption in enumerate(found.captions):
                yield Pair(f"{index}#{k}", found.image, caption, found.label, index, found.split)

    def fingerprint(self) -> str:
        return hash_settings(self.settings)

    def count(self) -> int | None:
        return sum(split.n_scenes * split.world.n_captions for split in self.settings.splits)


def hash_settings(found: settings.Settings) -> str:
    """Hash of everything that decides about the scenes and their captions.

    Example:
        >>> from awase.data._parts.settings import parse
        >>> hash_settings(parse({"scenes": 2})) == hash_settings(parse({"scenes": 2, "seed": 0}))
        True
    """
    return hashlib.blake2b(f"{_DRAWING} {found!r}".encode(), digest_size=16).hexdigest()


def fits(source: Path) -> bool:
    """Whether this is a file of settings by its name, `NAME.parts.json`."""
    return _sniff.reader_for(str(source)) == "parts"


def open_pairs(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    id_column: str | None = None,
) -> PartsDataset:
    """The scenes of a settings file as pairs.

    Args:
        source: a file of settings, `NAME.parts.json`.
        images: for readers of files; naming it is an error here, as for the next three.
        image_column: see above.
        caption_column: see above.
        id_column: see above.

    Raises:
        DataError: there is no such file, its settings are not those of a world, or a folder or a column is
            named.
    """
    refuse(images=images, image_column=image_column, caption_column=caption_column, id_column=id_column)
    return PartsDataset(settings.read(Path(source)))


def refuse(**options: object) -> None:
    """Say that drawn scenes have no folder of images and no columns.

    Raises:
        DataError: one of the options is given.
    """
    for name, value in options.items():
        if value is not None:
            said = name.replace("_", "-")
            raise DataError(f"scenes of a parts world are drawn: leave out --{said} (got {value}).")
