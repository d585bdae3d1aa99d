"""What scenes are made of, as arrays over many scenes: drawn from the table of a world and from chance.

Places of the numbers of a scene: 0 count and background, 1 to 8 layout, 9 light, 10 and 11 the piece of
background, 12 whether its parts are alike, 13 on four of each part (attributes, turn, defect, which defect).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from awase.data._parts import layout
from awase.data._parts.chance import SCENE, uniform
from awase.data._parts.distribution import Distribution
from awase.data._parts.vocabulary import BENDABLE, SHAPES, TOOTHED

_PER_SCENE, _PER_PART, MOST = 13, 4, 3
_CAN_BEND = np.array([shape in BENDABLE for shape in SHAPES])
_HAS_TEETH = np.array([shape in TOOTHED for shape in SHAPES])


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """b scenes in numbers. Values are positions in the lists of `vocabulary`; -1 where there is no such part.

    Attributes:
        index: of the scenes.
        count: number of parts, 1 to 3.
        background: position in BACKGROUNDS.
        shape: position in SHAPES, likewise colour, size and texture.
        defect: position in DEFECTS, -1 for none.
        rotation: whole degrees, clockwise.
        x: centre from the left, as a share of the side; y from the top.
        radius: share of the side.
        light: factor on all colours.
        corner: where the piece of background begins, as shares of the side.
    """

    index: Int[np.ndarray, " b"]
    count: Int[np.ndarray, " b"]
    background: Int[np.ndarray, " b"]
    shape: Int[np.ndarray, "b 3"]
    colour: Int[np.ndarray, "b 3"]
    size: Int[np.ndarray, "b 3"]
    texture: Int[np.ndarray, "b 3"]
    defect: Int[np.ndarray, "b 3"]
    rotation: Int[np.ndarray, "b 3"]
    x: Float[np.ndarray, "b 3"]
    y: Float[np.ndarray, "b 3"]
    radius: Float[np.ndarray, "b 3"]
    light: Float[np.ndarray, " b"]
    corner: Float[np.ndarray, "b 2"]

    def __len__(self) -> int:
        return len(self.index)


def draw(
    indices: Int[np.ndarray, " b"],
    *,
    seed: int,
    distribution: Distribution,
    numbers: dict[str, Int[np.ndarray, " k"]],
    most: int,
    alike: float,
    defects: float,
    turn: int,
) -> Latents:
    """The scenes of these indices.

    Args:
        indices: from 0 up, in any order, repeats allowed.
        seed: of the world.
        distribution: of the attributes, over the values of this world.
        numbers: position of the world's values of each attribute among all values.
        most: largest number of parts in a scene of this world: it sets their size.
        alike: share of scenes whose parts have one shape and colour.
        defects: share of parts with a defect.
        turn: parts are turned by up to so many degrees either way.
    """
    at = uniform(seed, SCENE, indices, _PER_SCENE + MOST * _PER_PART)
    own = at[:, _PER_SCENE:].reshape(-1, MOST, _PER_PART)
    counts, backgrounds = distribution.draw_scenes(at[:, 0])
    # parts that are alike are one draw, so that held-out combinations hold for them as well
    choice = np.where((at[:, 12] < alike)[:, None], own[:, :1, 0], own[..., 0])
    drawn = distribution.draw_parts(counts, backgrounds, choice)
    number = np.array([int(value) for value in ("1", "2", "3")])[numbers["count"]][counts]
    shape, colour, size, texture = (
        numbers[name][values]
        for name, values in zip(("shape", "colour", "size", "texture"), drawn, strict=True)
    )
    is_there = np.arange(MOST)[None, :] < number[:, None]
    radius = layout.radii(most)[size]
    x, y = layout.place(number, radius, at[:, 1:9])
    return Latents(
        index=indices,
        count=number,
        background=numbers["background"][backgrounds],
        shape=np.where(is_there, shape, -1),
        colour=np.where(is_there, colour, -1),
        size=np.where(is_there, size, -1),
        texture=np.where(is_there, texture, -1),
        defect=np.where(is_there & (own[..., 2] < defects), _defect(shape, own[..., 3]), -1),
        rotation=np.floor(own[..., 1] * (2 * turn + 1)).astype(np.int64) - turn,
        x=x,
        y=y,
        radius=radius,
        light=0.86 + 0.24 * at[:, 9],
        corner=at[:, 10:12],
    )


def _defect(shape: Int[np.ndarray, "b 3"], at: Float[np.ndarray, "b 3"]) -> Int[np.ndarray, "b 3"]:
    """A scratch, or the defect that only this shape can have."""
    own = np.where(_CAN_BEND[shape], 2, np.where(_HAS_TEETH[shape], 1, 0))
    return np.where(at < 0.5, 0, own)
