"""Similarities of many images with many texts, a tile at a time, each the same to the last bit in any tile.

Equal vectors must give equal similarities wherever they stand, or ties would be broken by rounding. Matrix
products keep to that as long as they are not tiny (small ones go another way through BLAS), so tiny ones are
filled up with zeros. Half precision is widened block by block. Left out: what is done with a tile.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 16  # rows of a product, below which BLAS may add up in another order
_TOGETHER = 8  # tiles of images that are widened together, so that a block of texts is read less often


def tiles(
    images: Float[Tensor, "n d"], texts: Float[Tensor, "m d"], *, block_size: int
) -> Iterator[tuple[int, int, Float[Tensor, "b c"]]]:
    """First image, first text and similarity of every tile; the memory of a tile is used again by the next.

    For each image the texts come in order, and for each text the images.

    Example:
        >>> import torch
        >>> [(i, j, tuple(tile.shape)) for i, j, tile in tiles(torch.eye(3), torch.eye(3), block_size=2)]
        [(0, 0, (2, 2)), (2, 0, (1, 2)), (0, 2, (2, 1)), (2, 2, (1, 1))]
    """
    kind = wide_kind(images, texts)
    side = max(_LEAST, block_size)
    buffer = torch.empty(side * side, dtype=kind, device=images.device)
    for rows in blocks(len(images), _TOGETHER * block_size):
        wide_images = images[rows].to(kind)
        for columns in blocks(len(texts), block_size):
            wide_texts = texts[columns].to(kind)
            for part in blocks(len(wide_images), block_size):
                yield rows.start + part.start, columns.start, tile(wide_images[part], wide_texts, buffer)


def tile(
    images: Float[Tensor, "b d"], texts: Float[Tensor, "c d"], buffer: Float[Tensor, " s"] | None = None
) -> Float[Tensor, "b c"]:
    """Similarities of a few images with a few texts, both of one precision.

    Args:
        images: unit vectors.
        texts: unit vectors.
        buffer: memory to use, of 16 x 16 numbers at least and enough for the tile.

    Example:
        >>> import torch
        >>> tile(torch.eye(2), torch.eye(2)[:1])
        tensor([[1.],
                [0.]])
    """
    b, c = len(images), len(texts)
    images, texts = _filled(images), _filled(texts)
    shape = len(images), len(texts)
    out = None if buffer is None else buffer[: shape[0] * shape[1]].view(shape)
    return torch.mm(images, texts.T, out=out)[:b, :c]


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows and of nearly equal length, so that the last is not a small rest.

    Example:
        >>> list(blocks(5, 4))
        [slice(0, 3, None), slice(3, 5, None)]
    """
    if n == 0:
        return
    parts = -(-n // size)
    for start, end in pairwise(n // parts * part + min(part, n % parts) for part in range(parts + 1)):
        yield slice(start, end)


def wide_kind(images: Float[Tensor, "n d"], texts: Float[Tensor, "m d"]) -> torch.dtype:
    """The precision to multiply in: float32, or float64 where a side is.

    Example:
        >>> import torch
        >>> wide_kind(torch.eye(2).half(), torch.eye(2).bfloat16())
        torch.float32
    """
    return torch.promote_types(torch.promote_types(images.dtype, texts.dtype), torch.float32)


def _filled(rows: Tensor) -> Tensor:
    missing = _LEAST - len(rows)
    return rows if missing <= 0 else torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])
