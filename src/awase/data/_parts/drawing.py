"""Scenes to pixels, many at a time: tables of distances are looked up in every part's own frame.

Edges are smoothed over one pixel by the distance to them. Sums, products and look-ups only, no sine and no
fused steps, so that a scene has the same bytes in any batch and on any machine.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from awase.data._parts import backgrounds, shapes
from awase.data._parts.latents import Latents
from awase.data._parts.vocabulary import DEFECTS, SHAPES

_BLOCK = 64  # scenes drawn at a time: their pixels stay in the cache
_SCRATCH = 3  # its place among the patterns
_BORDER = 0.06  # width of the line around a part, in radii, but at least _THINNEST pixels
_THINNEST = 0.7

# colour of a part, of the pattern on it, of the line around it, of a scratch in it
_PALETTE = np.array(
    [
        [(214, 40, 40), (120, 14, 18), (84, 10, 14), (250, 205, 200)],
        [(246, 208, 40), (168, 116, 0), (120, 84, 0), (92, 60, 0)],
        [(38, 160, 70), (14, 88, 40), (8, 62, 26), (205, 245, 205)],
        [(42, 92, 214), (16, 40, 122), (12, 28, 84), (205, 220, 255)],
        [(134, 58, 178), (74, 22, 104), (52, 14, 74), (236, 210, 250)],
        [(250, 140, 186), (190, 62, 118), (140, 40, 84), (110, 18, 60)],
        [(248, 248, 248), (150, 152, 158), (128, 130, 136), (60, 60, 66)],
        [(30, 30, 34), (124, 128, 138), (172, 174, 180), (240, 240, 240)],
    ],
    np.float32,
)
_SINE = np.array([math.sin(math.radians(degree)) for degree in range(360)], np.float32)
_COSINE = np.array([math.cos(math.radians(degree)) for degree in range(360)], np.float32)
_VARIANT = np.array([[shapes.variant_of(shape, defect) for defect in (*DEFECTS, None)] for shape in SHAPES])


@dataclass(frozen=True, slots=True, eq=False)
class _Touched:
    """The pixels that parts cover at least in part.

    place: flat position in (scenes, size, size); part: row among the parts; cell: flat position in a table;
    distance: to the edge of the part in pixels, below 0.5.
    """

    place: Int[np.ndarray, " t"]
    part: Int[np.ndarray, " t"]
    cell: Int[np.ndarray, " t"]
    distance: Float[np.ndarray, " t"]


def draw(latents: Latents, size: int) -> UInt8[np.ndarray, "b size size 3"]:
    """Pictures of scenes, RGB."""
    pictures = np.empty((len(latents), size, size, 3), np.uint8)
    for start in range(0, len(latents), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(latents)))
        canvas = _canvas(latents, rows, size)
        for scenes, places in _by_radius(latents, rows):
            touched = _touched(latents, scenes, places, scenes - start, size)
            _paint(canvas, latents, scenes, places, touched, size)
        pictures[rows] = canvas + np.float32(0.5)  # colours are within 0 to 255, so this rounds
    return pictures


def coverage(latents: Latents, size: int) -> Float[np.ndarray, "b 3 size size"]:
    """Share of every pixel that each part covers, 0 for parts that are not there."""
    covered = np.zeros((len(latents) * 3, size * size), np.float32)
    rows = np.arange(len(latents))
    for scenes, places in _by_radius(latents, rows):
        touched = _touched(latents, scenes, places, scenes * 3 + places, size)
        covered.reshape(-1)[touched.place] = np.minimum(np.float32(0.5) - touched.distance, 1)
    return covered.reshape(-1, 3, size, size)


def _canvas(latents: Latents, rows: Int[np.ndarray, " b"], size: int) -> Float[np.ndarray, "b size size 3"]:
    """The backgrounds, each lit as its scene is."""
    tiles = backgrounds.tiles(size)
    corners = np.floor(latents.corner[rows] * size).astype(np.int64)
    canvas = np.empty((len(rows), size, size, 3), np.float32)
    for row, (kind, (left, top)) in enumerate(zip(latents.background[rows], corners, strict=True)):
        light = np.float32(latents.light[rows[row]])
        np.multiply(tiles[kind, top : top + size, left : left + size], light, out=canvas[row])
    return np.minimum(canvas, np.float32(255), out=canvas)


def _by_radius(
    latents: Latents, rows: Int[np.ndarray, " b"]
) -> list[tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]]:
    """Scene and place of the parts of each size, since a small part needs a small window."""
    found = [np.nonzero(latents.size[rows] == size) for size in range(3)]
    return [(rows[scene], place) for scene, place in found]


def _touched(
    latents: Latents,
    scenes: Int[np.ndarray, " p"],
    places: Int[np.ndarray, " p"],
    canvases: Int[np.ndarray, " p"],
    size: int,
) -> _Touched:
    """Which pixels these parts cover; their distances are looked up in windows around them."""
    resolution = 512 if size <= 112 else 1024
    table = shapes.tables(resolution).reshape(-1)
    if not len(scenes):
        nothing = np.zeros(0, np.int64)
        return _Touched(nothing, nothing, nothing, np.zeros(0, np.float32))
    radius = (latents.radius[scenes, places] * size).astype(np.float32)
    x = (latents.x[scenes, places] * size).astype(np.float32)
    y = (latents.y[scenes, places] * size).astype(np.float32)
    window = math.ceil(2 * float(radius[0])) + 3
    left, top = np.floor(x - window / 2).astype(np.int64), np.floor(y - window / 2).astype(np.int64)
    steps = np.arange(window)
    dx = (left[:, None] + steps + np.float32(0.5)).astype(np.float32) - x[:, None]  # (p, window)
    dy = (top[:, None] + steps + np.float32(0.5)).astype(np.float32) - y[:, None]

    degrees = latents.rotation[scenes, places] % 360
    scale = np.float32(resolution / (2 * shapes.EXTENT)) / radius
    sine, cosine = (_SINE[degrees] * scale)[:, None], (_COSINE[degrees] * scale)[:, None]
    middle = np.float32(resolution / 2)
    # the part is turned clockwise, so a pixel is turned back to be looked up
    u = (cosine * dx + middle)[:, None, :] + (sine * dy)[:, :, None]  # (p, window, window)
    v = (cosine * dy + middle)[:, :, None] - (sine * dx)[:, None, :]
    top_cell = np.float32(resolution - 1)
    column = np.clip(u, 0, top_cell).astype(np.int32)
    cell = np.clip(v, 0, top_cell).astype(np.int32) * np.int32(resolution) + column
    variant = _VARIANT[latents.shape[scenes, places], latents.defect[scenes, places]]
    offset = (variant * resolution**2).astype(np.int32)
    distance = table.take(cell + offset[:, None, None]) * radius[:, None, None]

    kept = np.flatnonzero(distance < 0.5)
    part, within = kept // window**2, kept % window**2
    row, column = top[part] + within // window, left[part] + within % window
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)  # windows may stick out
    if not inside.all():
        kept, part, row, column = kept[inside], part[inside], row[inside], column[inside]
    place = (canvases[part] * size + row) * size + column
    return _Touched(place, part, cell.reshape(-1)[kept], distance.reshape(-1)[kept])


def _paint(
    canvas: Float[np.ndarray, "b size size 3"],
    latents: Latents,
    scenes: Int[np.ndarray, " p"],
    places: Int[np.ndarray, " p"],
    touched: _Touched,
    size: int,
) -> None:
    """Lay the parts over the background; parts never share a pixel."""
    if not len(touched.place):
        return
    radius = (latents.radius[scenes, places] * size).astype(np.float32)
    light = latents.light[scenes].astype(np.float32)
    palette = np.minimum(_PALETTE[latents.colour[scenes, places]] * light[:, None, None], np.float32(255))
    part, px = touched.part, radius[touched.part]
    face, pattern, line, scratch = (palette[part, k] for k in range(4))
    half = np.float32(0.5)

    resolution = 512 if size <= 112 else 1024
    table = shapes.pattern_tables(resolution).reshape(-1)
    texture = latents.texture[scenes, places].astype(np.int32) * np.int32(resolution**2)
    share = _soft(table.take(touched.cell + texture[part]) * px)
    colour = face + (pattern - face) * share[:, None]
    is_scratched = (latents.defect[scenes, places] == 0)[part]
    if is_scratched.any():
        cells = touched.cell[is_scratched] + np.int32(_SCRATCH * resolution**2)
        share = _soft(table.take(cells) * px[is_scratched])
        colour[is_scratched] += (scratch[is_scratched] - colour[is_scratched]) * share[:, None]
    share = np.clip(touched.distance + np.maximum(_BORDER * px, np.float32(_THINNEST)) + half, 0, 1).astype(
        np.float32
    )
    colour += (line - colour) * share[:, None]

    flat = canvas.reshape(-1, 3)
    below = flat[touched.place]
    flat[touched.place] = below + (colour - below) * np.minimum(half - touched.distance, 1)[:, None]


def _soft(distance: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Share of a pixel that lies inside, from its distance to an edge."""
    return np.clip(np.float32(0.5) - distance, 0, 1)
