"""Where the right items stand in the ranking of every query, both ways, in one pass over blocks.

A similarity is looked at once for both directions and forgotten: no similarity matrix, no sort. The
similarity of each text with its own image is computed first; then it is enough to count what lies above it.
Items are ordered by similarity, the highest first, and of equal ones the lower index first; how many wrong
items are exactly as similar as the right one is counted, because there the order says nothing.

Half precision is widened block by block, so that features may lie in a mapped file; sums are in float32 or
wider. Left out: several images a text, approximate search.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.tiles import blocks, tile, tiles, wide_kind

_BLOCK = 512  # images and texts of a tile: two of its float32 buffers fit into the cache of one core


class Placed(NamedTuple):
    """One direction of the search, a value a query.

    Attributes:
        ranks: how many items stand before the best right one; 0 is a hit at 1.
        right: index of the best right item.
        right_scores: its similarity.
        first: index of the item that stands first.
        first_scores: its similarity.
        ties: wrong items whose similarity equals that of the best right one, to the last bit.
    """

    ranks: Int[Tensor, " q"]
    right: Int[Tensor, " q"]
    right_scores: Float[Tensor, " q"]
    first: Int[Tensor, " q"]
    first_scores: Float[Tensor, " q"]
    ties: Int[Tensor, " q"]


class Placements(NamedTuple):
    """Both directions.

    Attributes:
        image_to_text: images as queries; any of their texts is right.
        text_to_image: texts as queries.
        text_ranks: for every text how many texts stand before it when its own image is the query; None where
            that was not asked for.
    """

    image_to_text: Placed
    text_to_image: Placed
    text_ranks: Int[Tensor, " m"] | None = None


def placements(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    image_of_text: Int[Tensor, " m"],
    every: bool = False,
    block_size: int = _BLOCK,
) -> Placements:
    """Ranks, scores and ties of every query in both directions.

    Args:
        image_features: unit vectors; float16 and bfloat16 are widened.
        text_features: unit vectors.
        image_of_text: row of each text's image; every image has one at least.
        every: also the rank of every right text of an image, not of its best alone, as mAP@R needs it; counts
            as often as an image has texts.
        block_size: images and texts at a time. Memory is about 3 * block_size^2 + 9 * block_size * d numbers
            beside the features; no result depends on it.

    Raises:
        ShapeError: widths differ, or there is not one owner a text.
        DataError: an image has no text, an index is out of range, or a vector is not finite.

    Example:
        >>> import torch
        >>> images = torch.eye(2)
        >>> texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
        >>> found = placements(images, texts, image_of_text=torch.tensor([0, 1, 1]), every=True)
        >>> found.text_to_image.ranks, found.text_to_image.first_scores
        (tensor([0, 0, 1]), tensor([1.0000, 1.0000, 0.8000]))
        >>> found.text_ranks
        tensor([0, 0, 1])
    """
    _require(image_features, text_features, image_of_text, block_size)
    kind = wide_kind(image_features, text_features)
    own = _own_scores(image_features, text_features, image_of_text, kind, block_size)
    levels = _levels(own, image_of_text, len(image_features), every=every)
    image_first, text_first = _First(len(image_features), own), _First(len(text_features), own)
    texts = _Counter(torch.arange(len(text_features), device=own.device), own, image_of_text)
    owners = image_of_text.sort(stable=True)
    for images_from, texts_from, similarity in tiles(image_features, text_features, block_size=block_size):
        _put_own(similarity, images_from, texts_from, own, owners.values, owners.indices)
        scratch = torch.empty_like(similarity)
        for level in levels:
            level.see(similarity, images_from, texts_from, scratch)
        image_first.see(similarity, images_from, texts_from)
        texts.see(similarity.T, texts_from, images_from, scratch.T)
        text_first.see(similarity.T, texts_from, images_from)
    return Placements(
        _placed(levels[0], image_first, _equal_to_best(levels[0], own, image_of_text)),
        _placed(texts, text_first, torch.ones_like(image_of_text)),
        _text_ranks(levels, image_of_text) if every else None,
    )


class _Counter:
    """How many items stand before one right item of each query."""

    def __init__(self, queries: Tensor, threshold: Tensor, place: Tensor) -> None:
        self.queries = queries  # ascending; a level of an image's second text leaves out images with one
        self.threshold = threshold  # similarity of the right item
        self.place = place  # its index
        self.before = torch.zeros_like(queries)
        self.equal = torch.zeros_like(queries)  # the right one among them

    def see(self, similarity: Tensor, queries_from: int, items_from: int, scratch: Tensor) -> None:
        """Count in one tile (queries, items)."""
        ends = torch.tensor((queries_from, queries_from + len(similarity)), device=self.queries.device)
        start, end = torch.searchsorted(self.queries, ends).tolist()
        if end - start < len(similarity):
            if start == end:
                return
            similarity = similarity[self.queries[start:end] - queries_from]
            scratch = torch.empty_like(similarity)
        threshold = self.threshold[start:end, None]
        # as numbers, not as truth values: comparing and adding up is then several times as fast
        above = torch.gt(similarity, threshold, out=scratch).sum(dim=1).long()
        level = torch.ge(similarity, threshold, out=scratch).sum(dim=1).long() - above
        self.before[start:end] += above
        self.equal[start:end] += level
        tied = level.nonzero()[:, 0]  # at least where the right item itself lies in this tile
        if len(tied):
            items = items_from + torch.arange(similarity.shape[1], device=similarity.device)
            is_earlier = items < self.place[start:end][tied][:, None]
            self.before[start + tied] += ((similarity[tied] == threshold[tied]) & is_earlier).sum(dim=1)


class _First:
    """The item that stands first for each query."""

    def __init__(self, n: int, like: Tensor) -> None:
        self.scores = like.new_full((n,), -torch.inf)
        self.place = torch.zeros(n, dtype=torch.long, device=like.device)

    def see(self, similarity: Tensor, queries_from: int, items_from: int) -> None:
        """Compare with one tile; tiles come in the order of the items, so an equal one later is no better."""
        queries = slice(queries_from, queries_from + len(similarity))
        best = similarity.amax(dim=1)
        better = (best > self.scores[queries]).nonzero()[:, 0]
        if len(better):
            is_best = similarity[better] == best[better, None]
            self.scores[queries_from + better] = best[better]
            self.place[queries_from + better] = items_from + is_best.int().argmax(dim=1)


def _own_scores(
    images: Tensor, texts: Tensor, image_of_text: Tensor, kind: torch.dtype, block_size: int
) -> Tensor:
    """Similarity of each text with its own image, by the same product that makes the tiles."""
    order = image_of_text.argsort(stable=True)
    own = torch.empty(len(texts), dtype=kind, device=images.device)
    for part in blocks(len(order), min(block_size, 128)):
        rows = order[part]
        owners, place = torch.unique(image_of_text[rows], return_inverse=True)
        similarity = tile(images[owners].to(kind), texts[rows].to(kind))
        own[rows] = similarity[place, torch.arange(len(rows), device=own.device)]
    return own


def _put_own(
    similarity: Tensor, images_from: int, texts_from: int, own: Tensor, owners: Tensor, order: Tensor
) -> None:
    """Set a text and its own image to the score that is compared with: a pair must equal itself."""
    ends = torch.tensor((images_from, images_from + len(similarity)), device=owners.device)
    start, end = torch.searchsorted(owners, ends).tolist()
    texts = order[start:end]
    columns = texts - texts_from
    here = ((columns >= 0) & (columns < similarity.shape[1])).nonzero()[:, 0]
    similarity[owners[start:end][here] - images_from, columns[here]] = own[texts[here]]


def _levels(own: Tensor, image_of_text: Tensor, n: int, *, every: bool) -> list[_Counter]:
    """For each image its best text, its second, and so on; equal ones by index."""
    order = own.argsort(descending=True, stable=True)
    order = order[image_of_text[order].argsort(stable=True)]  # by image, then score, then index
    counts = torch.bincount(image_of_text, minlength=n)
    starts = counts.cumsum(0) - counts
    levels = []
    for level in range(int(counts.max()) if every else 1):
        queries = (counts > level).nonzero()[:, 0]
        place = order[starts[queries] + level]
        levels.append(_Counter(queries, own[place], place))
    return levels


def _equal_to_best(best: _Counter, own: Tensor, image_of_text: Tensor) -> Tensor:
    """How many right texts are as similar as an image's best one, itself included."""
    is_equal = own == best.threshold[image_of_text]
    return torch.bincount(image_of_text[is_equal], minlength=len(best.queries))


def _placed(found: _Counter, first: _First, n_right: Tensor) -> Placed:
    return Placed(
        found.before, found.place, found.threshold, first.place, first.scores, found.equal - n_right
    )


def _text_ranks(levels: list[_Counter], image_of_text: Tensor) -> Tensor:
    ranks = torch.empty_like(image_of_text)
    for level in levels:
        ranks[level.place] = level.before
    return ranks


def _require(images: Tensor, texts: Tensor, image_of_text: Tensor, block_size: int) -> None:
    n, m = len(images), len(texts)
    if images.shape[1] != texts.shape[1]:
        raise ShapeError(f"image vectors have {images.shape[1]} numbers and text vectors {texts.shape[1]}.")
    if len(image_of_text) != m:
        raise ShapeError(f"{m} texts came with {len(image_of_text)} owners; name the image of every text.")
    if block_size < 1:
        raise DataError(f"block_size must be at least 1, got {block_size}.")
    in_range = m > 0 and int(image_of_text.min()) >= 0 and int(image_of_text.max()) < n
    if not in_range or not bool((torch.bincount(image_of_text, minlength=n) > 0).all()):
        raise DataError("every image needs at least one text, and every text an image of the set.")
    for features in (images, texts):
        for part in blocks(len(features), 16 * block_size):
            # the sum of finite halves may overflow, so look at each number
            if not bool(features[part].isfinite().all()):
                raise DataError("features hold a NaN or an infinity; leave out images without a vector.")
