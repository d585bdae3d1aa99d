"""Recall at k between images and texts, several texts an image, in blocks: no full similarity matrix.

An image finds its texts when the best of them is among its first k; a text finds its one image. Of equal
similarities the lower index wins, whatever the block size.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError

_CELLS = 8_000_000  # similarities held at once: 32 MB


class Ranks(NamedTuple):
    """For every query how many items stand before its best right one; 0 is a hit at 1."""

    image_to_text: Int[Tensor, " n"]
    text_to_image: Int[Tensor, " m"]


def ranks(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    image_of_text: Int[Tensor, " m"],
) -> Ranks:
    """Ranks in both directions.

    Args:
        image_features: unit vectors.
        text_features: unit vectors.
        image_of_text: index of each text's image.

    Raises:
        DataError: an image has no text, an index is out of range, or there is a NaN.

    Example:
        >>> import torch
        >>> ranks(torch.eye(2), torch.eye(2), image_of_text=torch.tensor([0, 1])).text_to_image
        tensor([0, 0])
    """
    n = len(image_features)
    counts = torch.bincount(image_of_text, minlength=n) if len(image_of_text) else torch.zeros(n)
    if len(counts) != n or not bool((counts > 0).all()):
        raise DataError("every image needs at least one text, and every text an image of the set.")
    if bool(image_features.isnan().any()) or bool(text_features.isnan().any()):
        raise DataError("features hold a NaN; leave out images without a vector.")
    is_right = (
        image_of_text[None, :] == torch.arange(n)[:, None] if n * len(image_of_text) <= _CELLS else None
    )
    forward, backward = [], []
    for rows in torch.split(torch.arange(n), max(1, _CELLS // max(1, len(text_features)))):
        similarity = image_features[rows] @ text_features.T  # (b, m)
        right = is_right[rows] if is_right is not None else image_of_text[None, :] == rows[:, None]
        forward.append(_before(similarity, right))
    for columns in torch.split(torch.arange(len(text_features)), max(1, _CELLS // max(1, n))):
        similarity = text_features[columns] @ image_features.T  # (b, n)
        own = image_of_text[columns][:, None]
        best = similarity.gather(1, own)
        earlier = torch.arange(n)[None, :] < own
        backward.append(((similarity > best) | ((similarity == best) & earlier)).sum(dim=1))
    return Ranks(torch.cat(forward), torch.cat(backward))


def recall_at_k(found: Int[Tensor, " q"], *, k: int) -> Float[Tensor, ""]:
    """Share of the queries whose best right item is among the first k, in [0, 1].

    Args:
        found: one side of `ranks`.
        k: how many items are looked at.

    Raises:
        DataError: k is not positive, or there are no queries.

    Example:
        >>> import torch
        >>> recall_at_k(torch.tensor([0, 3, 9]), k=5)
        tensor(0.6667, dtype=torch.float64)
    """
    if k < 1 or len(found) == 0:
        raise DataError(f"recall needs k of at least 1 and queries, got k={k} and {len(found)} queries.")
    return (found < k).double().mean()


def _before(similarity: Float[Tensor, "b m"], right: Bool[Tensor, "b m"]) -> Int[Tensor, " b"]:
    """Items before the best right one: higher, or as high with a lower index."""
    best, place = similarity.masked_fill(~right, -torch.inf).max(dim=1)
    # max names any of equal maxima: take the first right one
    first = ((similarity == best[:, None]) & right).int().argmax(dim=1)
    place = torch.minimum(place, first)
    earlier = torch.arange(similarity.shape[1])[None, :] < place[:, None]
    ahead = (similarity > best[:, None]) | ((similarity == best[:, None]) & earlier)
    return ahead.sum(dim=1)
