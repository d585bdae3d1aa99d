"""Draws the contact sheet of the parts world that docs/data.md shows: every value, every defect, some scenes.

    python tools/parts_sheet.py                 # writes docs/figures/parts-world.png
    python tools/parts_sheet.py OTHER.png --size 128

Scenes are found by drawing until one shows what a row asks for, so the sheet shows the world as it is.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image
from torch import Tensor

from awase.data.parts import VALUES, Scene, World

_ROOT = Path(__file__).resolve().parent.parent
_GAP, _COLUMNS, _SEARCHED = 3, 12, 6000
_SIZES = ("large", "medium", "small")


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description="Contact sheet of the parts world.")
    parser.add_argument("output", nargs="?", type=Path, default=_ROOT / "docs/figures/parts-world.png")
    parser.add_argument("--size", type=int, default=64, help="pixels to a side of a scene")
    arguments = parser.parse_args()
    alone = World(seed=1, size=arguments.size, objects=(1, 1), textures=("plain",))
    rows = [
        *(_found(alone, [Wish(shape=shape, size=size) for shape in VALUES["shape"]]) for size in _SIZES),
        _found(World(seed=2, size=arguments.size, objects=(1, 1)), _LOOKS),
        _found(World(seed=3, size=arguments.size, objects=(1, 1), defects=1.0), _DAMAGED),
        World(seed=4, size=arguments.size, objects=(2, 3)).batch(range(_COLUMNS)),
        World(seed=5, size=arguments.size).batch(range(_COLUMNS)),
    ]
    step = arguments.size + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step + _GAP, len(rows) * step + _GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            shown = Image.fromarray(picture.permute(1, 2, 0).numpy())
            sheet.paste(shown, (_GAP + x * step, _GAP + y * step))
    # 256 colours: a third of the bytes, and looks the same
    sheet.quantize(256, kmeans=3).save(arguments.output, optimize=True)


@dataclass(frozen=True)
class Wish:
    """What the only part of a scene is to be like; what is None may be anything."""

    shape: str | None = None
    size: str | None = None
    texture: str | None = None
    background: str | None = None
    defect: str | None = None

    def is_met_by(self, scene: Scene) -> bool:
        """Whether the scene shows it."""
        wanted = ((field.name, getattr(self, field.name)) for field in fields(self))
        return all(value is None or scene.value(name) == value for name, value in wanted)


_LOOKS = [
    Wish(size="large", background=b, texture=t) for b in VALUES["background"] for t in ("striped", "dotted")
]
_DAMAGED = [
    *(
        Wish(size="large", defect="scratch", shape=s)
        for s in ("bolt", "nut", "washer", "star", "square", "crescent")
    ),
    *[Wish(size="large", defect="missing tooth")] * 2,
    *(Wish(size="large", defect="bent", shape=s) for s in ("bolt", "cross", "arrow", "T-piece")),
]


def _found(world: World, wishes: Sequence[Wish]) -> Tensor:
    """The first scene for each wish, none twice."""
    scenes = world.scenes(range(_SEARCHED))
    chosen: list[int] = []
    for wish in wishes:
        chosen.append(next(s.index for s in scenes if s.index not in chosen and wish.is_met_by(s)))
    return world.batch(chosen)


if __name__ == "__main__":
    main()
