"""A scene as values to read: its parts with everything that is true of them, and how they lie.

Made from `Latents`; nothing is drawn here.
"""

from dataclasses import dataclass

import numpy as np

from awase.data._parts import layout
from awase.data._parts.latents import Latents
from awase.data._parts.vocabulary import BACKGROUNDS, COLOURS, DEFECTS, SHAPES, SIZES, TEXTURES


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        rotation: degrees clockwise.
        x: centre from the left as a share of the side; y from the top.
        radius: share of the side; the part lies within it of its centre.
    """

    shape: str
    colour: str
    size: str
    texture: str
    defect: str | None
    rotation: int
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is true of one picture.

    Attributes:
        index: which scene of its world.
        parts: one to three.
        background: what they lie on.
        light: factor on all colours.
    """

    index: int
    parts: tuple[Part, ...]
    background: str
    light: float

    @property
    def relations(self) -> tuple[tuple[int, str, int], ...]:
        """(first, word, second) for every ordered pair of parts where a word is clearly right."""
        found = []
        for first, one in enumerate(self.parts):
            for second, other in enumerate(self.parts):
                word = None if first == second else layout.relation(one.x - other.x, one.y - other.y)
                if word is not None:
                    found.append((first, word, second))
        return tuple(found)

    def value(self, attribute: str, part: int = 0) -> str:
        """The value of count, background, or of a part's shape, colour, size, texture or defect ("none")."""
        if attribute == "count":
            return str(len(self.parts))
        if attribute == "background":
            return self.background
        return str(getattr(self.parts[part], attribute) or "none")


def from_latents(latents: Latents) -> list[Scene]:
    """Numbers to values."""
    columns = [latents.shape, latents.colour, latents.size, latents.texture, latents.defect, latents.rotation]
    numbers = np.stack(columns, axis=-1).tolist()  # (b, 3, 6)
    places = np.stack([latents.x, latents.y, latents.radius], axis=-1).tolist()
    scenes = zip(
        latents.index.tolist(),
        latents.count.tolist(),
        latents.background.tolist(),
        latents.light.tolist(),
        numbers,
        places,
        strict=True,
    )
    return [
        Scene(
            index,
            tuple(_part(*parts[k], *where[k]) for k in range(count)),
            BACKGROUNDS[background],
            light,
        )
        for index, count, background, light, parts, where in scenes
    ]


def _part(
    shape: int,
    colour: int,
    size: int,
    texture: int,
    defect: int,
    turn: int,
    x: float,
    y: float,
    radius: float,
) -> Part:
    return Part(
        SHAPES[shape],
        COLOURS[colour],
        SIZES[size],
        TEXTURES[texture],
        None if defect < 0 else DEFECTS[defect],
        turn,
        x,
        y,
        radius,
    )
