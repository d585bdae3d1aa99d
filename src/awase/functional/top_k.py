"""The k items that stand first for every query, over any number of items, in blocks.

Ordered by similarity, the highest first; of equal similarities the lower index first, at the k-th place too.
The k best so far are kept, and of each block only the queries that it improves are looked at again. Exact;
left out is approximate search.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.tiles import blocks, tile, wide_kind

_QUERIES, _ITEMS = 512, 2048


class Top(NamedTuple):
    """The first k items of each query, best first."""

    scores: Float[Tensor, "q k"]
    indices: Int[Tensor, "q k"]


def top_k(
    queries: Float[Tensor, "q d"], items: Float[Tensor, "n d"], *, k: int, block_size: int = _ITEMS
) -> Top:
    """Scores and indices of the first k items.

    Args:
        queries: unit vectors; half precision is widened.
        items: unit vectors, which may lie in a mapped file.
        k: how many; all items where there are fewer.
        block_size: items at a time; no result depends on it.

    Raises:
        ShapeError: widths differ.
        DataError: k or block_size is not positive, there are no items, or a vector is not finite.

    Example:
        >>> import torch
        >>> items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> top_k(torch.tensor([[1.0, 0.0]]), items, k=2).indices
        tensor([[0, 2]])
    """
    if queries.shape[1] != items.shape[1]:
        raise ShapeError(f"queries have {queries.shape[1]} numbers and items {items.shape[1]}.")
    if k < 1 or block_size < 1 or len(items) == 0:
        raise DataError(f"k and block_size must be at least 1, and items there; got {k}, {block_size}.")
    k = min(k, len(items))
    kind = wide_kind(queries, items)
    scores = torch.empty(len(queries), k, dtype=kind, device=queries.device)
    index = torch.empty(len(queries), k, dtype=torch.long, device=queries.device)
    for rows in blocks(len(queries), _QUERIES):
        scores[rows], index[rows] = _first(queries[rows].to(kind), items, k, block_size)
    if not bool(scores.isfinite().all()):
        raise DataError("features hold a NaN or an infinity; leave out items without a vector.")
    return Top(scores, index)


def _first(queries: Tensor, items: Tensor, k: int, block_size: int) -> tuple[Tensor, Tensor]:
    scores = queries.new_full((len(queries), k), -torch.inf)
    index = torch.zeros(len(queries), k, dtype=torch.long, device=queries.device)
    for columns in blocks(len(items), block_size):
        similarity = tile(queries, items[columns].to(queries.dtype))
        # an equal one that comes later is no better; a NaN is, so that it reaches the end and is refused
        better = (~(similarity.amax(dim=1) <= scores[:, -1])).nonzero()[:, 0]
        if len(better) == 0:
            continue
        found = _best_of(similarity[better], k)
        merged_scores = torch.cat([scores[better], found.scores], dim=1)
        merged_index = torch.cat([index[better], columns.start + found.indices], dim=1)
        # what was kept stands before and has lower indices, so a stable sort keeps the rule
        order = merged_scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        scores[better], index[better] = merged_scores.gather(1, order), merged_index.gather(1, order)
    return scores, index


def _best_of(similarity: Tensor, k: int) -> Top:
    """The first k of one block, by the rule."""
    width = similarity.shape[1]
    if k >= width:
        return _sorted(similarity, k)
    values, index = similarity.topk(k + 1, dim=1)
    index, order = index[:, :k].sort(dim=1)  # topk leaves the order of equal ones open
    chosen = values[:, :k].gather(1, order)
    order = chosen.argsort(dim=1, descending=True, stable=True)
    scores, index = chosen.gather(1, order), index.gather(1, order)
    # where the k-th and the next are equal, topk took any of them
    open_ = (~(values[:, k] < values[:, k - 1])).nonzero()[:, 0]
    if len(open_):
        scores[open_], index[open_] = _sorted(similarity[open_], k)
    return Top(scores, index)


def _sorted(similarity: Tensor, k: int) -> Top:
    values, index = similarity.sort(dim=1, descending=True, stable=True)
    return Top(values[:, :k], index[:, :k])
