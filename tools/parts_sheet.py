"""Draws the contact sheet of the parts world that docs/data.md shows: every value, every defect, some scenes.

    python tools/parts_sheet.py                 # writes docs/figures/parts-world.png
    python tools/parts_sheet.py OTHER.png --size 128

Scenes are found by drawing until one shows what a row asks for, so the sheet shows the world as it is.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from awase.data._parts.scenes import Part
from awase.data.parts import DEFECTS, VALUES, World

_ROOT = Path(__file__).resolve().parent.parent
_GAP, _COLUMNS, _SEARCHED = 3, 12, 6000


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description="Contact sheet of the parts world.")
    parser.add_argument("output", nargs="?", type=Path, default=_ROOT / "docs/figures/parts-world.png")
    parser.add_argument("--size", type=int, default=64, help="pixels to a side of a scene")
    arguments = parser.parse_args()
    alone = World(seed=1, size=arguments.size, objects=(1, 1), textures=("plain",))
    rows = [
        *(_found(alone, _has("shape", VALUES["shape"], size)) for size in ("large", "medium", "small")),
        _found(World(seed=2, size=arguments.size, objects=(1, 1)), _looks()),
        _found(World(seed=3, size=arguments.size, objects=(1, 1), defects=1.0), _damaged()),
        World(seed=4, size=arguments.size, objects=(2, 3)).batch(range(_COLUMNS)),
        World(seed=5, size=arguments.size).batch(range(_COLUMNS)),
    ]
    step = arguments.size + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step + _GAP, len(rows) * step + _GAP), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            shown = Image.fromarray(picture.permute(1, 2, 0).numpy())
            sheet.paste(shown, (_GAP + x * step, _GAP + y * step))
    sheet.save(arguments.output, optimize=True)


Wanted = Callable[[Part, str], bool]


def _has(attribute: str, values: tuple[str, ...], size: str) -> list[Wanted]:
    return [lambda part, _, v=value: (getattr(part, attribute), part.size) == (v, size) for value in values]


def _looks() -> list[Wanted]:
    """Striped and dotted parts, on each background."""
    return [
        lambda part, background, b=name, t=texture: (background, part.texture) == (b, t) and part.size != "small"
        for name in VALUES["background"]
        for texture in ("striped", "dotted")
    ]


def _damaged() -> list[Wanted]:
    kinds = [(DEFECTS[0], shape) for shape in ("bolt", "nut", "washer", "triangle", "square", "crescent")]
    kinds += [(DEFECTS[1], "gear")] * 2 + [(DEFECTS[2], shape) for shape in ("bolt", "cross", "arrow", "T-piece")]
    return [lambda part, _, k=kind: (part.defect, part.shape) == k and part.size != "small" for kind in kinds]


def _found(world: World, wanted: list[Wanted]) -> object:
    """The first scene for each wish, none twice."""
    scenes = world.scenes(range(_SEARCHED))
    chosen: list[int] = []
    for wish in wanted:
        fits = (s.index for s in scenes if wish(s.parts[0], s.background) and s.index not in chosen)
        chosen.append(next(fits))
    return world.batch(chosen)


if __name__ == "__main__":
    main()
