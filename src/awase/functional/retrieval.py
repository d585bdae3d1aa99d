"""Retrieval between images and texts, several texts an image: recall at k, median rank, mAP@R, rsum.

An image finds its texts when the best of them is among its first k; a text finds its one image. Of equal
similarities the lower index wins, whatever the block size. Nothing here holds a similarity matrix: what is
counted, and how, is in `awase.functional.placements`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.placements import placements


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
        image_features: unit vectors; half precision is widened block by block.
        text_features: unit vectors.
        image_of_text: index of each text's image.

    Raises:
        ShapeError: widths differ, or there is not one owner a text.
        DataError: an image has no text, an index is out of range, or a vector is not finite.

    Example:
        >>> import torch
        >>> ranks(torch.eye(2), torch.eye(2), image_of_text=torch.tensor([0, 1])).text_to_image
        tensor([0, 0])

    Relates to:
        awase.functional.placements.placements: the same pass with scores, ties and all right texts.
    """
    found = placements(image_features, text_features, image_of_text=image_of_text)
    return Ranks(found.image_to_text.ranks, found.text_to_image.ranks)


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


def median_rank(found: Int[Tensor, " q"]) -> float:
    """Median place of the best right item, counted from 1: 1 is the best there is.

    Of an even number of queries it is the mean of the two in the middle.

    Args:
        found: one side of `ranks`.

    Raises:
        DataError: there are no queries.

    Example:
        >>> import torch
        >>> median_rank(torch.tensor([0, 3, 9, 4]))
        4.5
    """
    if len(found) == 0:
        raise DataError("a median rank needs at least one query.")
    ordered = found.sort().values.double() + 1
    return float((ordered[(len(found) - 1) // 2] + ordered[len(found) // 2]) / 2)


def average_precision_at_r(
    found: Int[Tensor, " r"], *, query: Int[Tensor, " r"], n: int
) -> Float[Tensor, " n"]:
    """For every query, how well its R right items fill its first R places, in [0, 1].

        AP@R = 1/R sum_{i=1}^{R} [item i is right] * (right items among the first i) / i

    Musgrave et al. 2020, arXiv 2003.08505; of image-text retrieval Chun et al. 2022, arXiv 2204.03359 (ECCV
    Caption), who find that it follows human judgement better than recall at 1. With one right item it is the
    hit at 1.

    Args:
        found: of every right item, how many items stand before it in the ranking of its query.
        query: the query that each is right for.
        n: number of queries; each has one right item at least.

    Raises:
        ShapeError: the two differ in length.
        DataError: a query has no right item, or is out of range.

    Example:
        >>> import torch
        >>> ranks = torch.tensor([0, 2, 7, 1])  # the first query has three right items
        >>> average_precision_at_r(ranks, query=torch.tensor([0, 0, 0, 1]), n=2)
        tensor([0.5556, 0.0000], dtype=torch.float64)
    """
    if len(found) != len(query):
        raise ShapeError(f"{len(found)} ranks came with {len(query)} queries; give one a right item.")
    if len(query) and not 0 <= int(query.min()) <= int(query.max()) < n:
        raise DataError(f"queries must lie in 0 .. {n - 1}.")
    size = torch.bincount(query, minlength=n)
    if not bool((size > 0).all()):
        raise DataError("every query needs at least one right item.")
    order = found.argsort(stable=True)
    order = order[query[order].argsort(stable=True)]  # by query, then rank
    ranked, owner = found[order], query[order]
    starts = size.cumsum(0) - size
    nth = torch.arange(len(order), device=found.device) - starts[owner] + 1  # right items up to this one
    precision = torch.where(ranked < size[owner], nth.double() / (ranked + 1), 0.0)
    total = torch.zeros(n, dtype=torch.float64, device=found.device).index_add_(0, owner, precision)
    return total / size


def map_at_r(found: Int[Tensor, " r"], *, query: Int[Tensor, " r"], n: int) -> Float[Tensor, ""]:
    """Mean of `average_precision_at_r` over the queries, in [0, 1].

    Args:
        found: of every right item, how many items stand before it, such as `Placements.text_ranks`.
        query: the query that each is right for, such as image_of_text.
        n: number of queries.

    Raises:
        ShapeError: found and query differ in length.
        DataError: a query has no right item, or there are no queries.

    Example:
        >>> import torch
        >>> map_at_r(torch.tensor([0, 1, 1]), query=torch.tensor([0, 0, 1]), n=2)
        tensor(0.5000, dtype=torch.float64)
    """
    if n < 1:
        raise DataError("mAP@R needs at least one query.")
    return average_precision_at_r(found, query=query, n=n).mean()


def rsum(found: Ranks, *, ks: Sequence[int] = (1, 5, 10)) -> float:
    """Sum of recall at k over both directions, in percent as papers print it: 600 at best with three k.

    Args:
        found: ranks of both directions.
        ks: the k to sum over.

    Raises:
        DataError: there is no k, one is not positive, or a direction has no queries.

    Example:
        >>> import torch
        >>> rsum(Ranks(torch.tensor([0, 9]), torch.tensor([0, 0])))
        500.0
    """
    if not ks:
        raise DataError("rsum needs at least one k.")
    return 100 * sum(float(recall_at_k(side, k=k)) for side in found for k in ks)
