"""How far ahead of the best wrong item the right one is: margins of pairs and of zero-shot, in blocks.

    m_i = cos_ii - max_{j wrong for i} cos_ij

in cosine units, both directions, after Chen et al. 2024 (arXiv 2310.00927). An image is ahead where the best
of its captions is. One pass over blocks of the similarity matrix serves both directions; the matrix is never
held. Left out: ranks beyond the first, which are `awase.functional.retrieval`.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.tiles import blocks

_SIDE = 2048  # rows and columns of a block: 16 MB of similarities


class Side(NamedTuple):
    """The queries of one direction. A margin of 0 is a tie: the right and a wrong item score alike."""

    margin: Float[Tensor, " q"]  # in [-2, 2], higher is better; 0 where only rounding is between the two
    own: Float[Tensor, " q"]  # cosine with the right item, the best one where there are several
    nearest_wrong: Int[Tensor, " q"]  # the wrong item with the highest cosine, the first of equal ones


class Margins(NamedTuple):
    """Margins of both directions."""

    image_to_text: Side
    text_to_image: Side


def margins(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    image_of_text: Int[Tensor, " m"] | None = None,
    groups: Int[Tensor, " n"] | None = None,
    block_size: int | None = None,
) -> Margins:
    """Margins of images among texts, and of texts among images.

    The share of margins of 0 or less is 1 - R@1 with ties counted as misses.

    Args:
        image_features: unit vectors; half precision is multiplied in float32, float64 stays.
        text_features: unit vectors.
        image_of_text: row of each text's image; None where row i belongs to row i.
        groups: what each image shows. Items of one group are not wrong for each other, so that no true
            positive counts as a negative; None where every other image is wrong.
        block_size: rows and columns of a block; it changes memory and speed, and values by rounding only.

    Raises:
        ShapeError: the sides do not fit.
        DataError: fewer than two images or two groups, an image without a text, a vector that is no unit
            vector, or a block size below 1.

    Example:
        >>> import torch
        >>> found = margins(torch.eye(3), torch.eye(3))
        >>> found.image_to_text.margin, found.text_to_image.nearest_wrong
        (tensor([1., 1., 1.]), tensor([1, 0, 0]))
    """
    owner = _owners(image_features, text_features, image_of_text)
    _require(image_features, text_features, owner, groups, block_size)
    text_groups = None if groups is None else groups[owner]
    images = _Best.empty(len(image_features), image_features)
    texts = _Best.empty(len(text_features), image_features)
    for columns in blocks(len(text_features), block_size or _SIDE):
        wanted = wide(text_features[columns])
        for rows in blocks(len(image_features), block_size or _SIDE):
            similarity = wide(image_features[rows]) @ wanted.T  # (b, c)
            is_own = (owner[columns] >= rows.start) & (owner[columns] < rows.stop)
            place = is_own.nonzero()[:, 0]
            line = owner[columns][place] - rows.start
            own = similarity[line, place]
            texts.own[columns][place] = own
            images.own[rows].scatter_reduce_(0, line, own, "amax")
            similarity[line, place] = -torch.inf
            if groups is not None and text_groups is not None:
                same = groups[rows][:, None] == text_groups[columns][None, :]
                similarity.masked_fill_(same, -torch.inf)
            images.update(rows, similarity.max(dim=1), columns.start)
            texts.update(columns, similarity.max(dim=0), rows.start)
    return Margins(images.side(), texts.side())


def zero_shot_margins(
    similarity: Float[Tensor, "n k"],
    labels: Int[Tensor, " n"],
) -> Side:
    """Margins of images among classes: cosine with the true class less the highest other one.

    The share of margins of 0 or less is the top-1 error with ties counted as errors.

    Args:
        similarity: cosines of images and classes.
        labels: true class of each image.

    Raises:
        ShapeError: there is not one label an image.
        DataError: fewer than two classes, no images, a NaN, or a label that is no class.

    Example:
        >>> import torch
        >>> zero_shot_margins(torch.tensor([[0.5, 0.25], [0.5, 0.5]]), torch.tensor([0, 1])).margin
        tensor([0.2500, 0.0000])
    """
    require_labelled(similarity, labels)
    values = wide(similarity)
    own = values.gather(1, labels[:, None])[:, 0]
    best = values.scatter(1, labels[:, None], -torch.inf).max(dim=1)
    return Side(_snapped(own - best.values), own, best.indices)


def largest_safe_temperature(margin: float | int, batch_size: int, delta: float | int) -> float | None:
    """The temperature up to which a margin keeps the loss from wrong pairs below delta.

        tau = margin / log(2 B / delta)

    Of a batch of B pairs with this margin, exp(-margin / tau) is what one wrong item weighs against the right
    one; at this tau the B of them in each of the two directions add up to delta.

    Args:
        margin: in cosine units, such as a low quantile of measured margins.
        batch_size: B of training, at least 1.
        delta: in (0, 1).

    Returns:
        None where the margin is not positive: then no temperature is safe.

    Raises:
        DataError: the batch size or delta is out of range, or the margin is no number.

    Example:
        >>> round(largest_safe_temperature(0.2, 512, 0.05), 4), largest_safe_temperature(-0.1, 512, 0.05)
        (0.0201, None)
    """
    if batch_size < 1 or not 0 < delta < 1:
        raise DataError(f"batch_size must be at least 1 and delta in (0, 1), got {batch_size} and {delta}.")
    if math.isnan(margin):
        raise DataError("the margin is NaN; leave out pairs without vectors.")
    return None if margin <= 0 else margin / math.log(2 * batch_size / delta)


def wide(values: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """float32 of half precisions, whose sums would overflow or lose; others as they are.

    Example:
        >>> import torch
        >>> wide(torch.ones(1, dtype=torch.float16)).dtype
        torch.float32
    """
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def require_labelled(similarity: Tensor, labels: Tensor) -> None:
    """Refuse similarities of which nothing about zero-shot can be said.

    Raises:
        ShapeError: there is not one label an image.
        DataError: fewer than two classes, no images, a NaN, or a label that is no class.
    """
    n, k = similarity.shape
    if len(labels) != n:
        raise ShapeError(f"{n} images came with {len(labels)} labels.")
    if n == 0 or k < 2:
        raise DataError(f"zero-shot needs images and at least two classes, got {n} images and {k} classes.")
    if bool(((labels < 0) | (labels >= k)).any()):
        raise DataError(f"labels must lie in 0 .. {k - 1}.")
    if bool(similarity.isnan().any()):
        raise DataError("similarities hold a NaN; leave out images without a vector.")


class _Best(NamedTuple):
    """What is known of every query so far."""

    own: Tensor
    wrong: Tensor
    nearest: Tensor

    @staticmethod
    def empty(n: int, like: Tensor) -> "_Best":
        lowest = wide(like.new_zeros(1)).new_full((n,), -torch.inf)
        return _Best(lowest.clone(), lowest, torch.full((n,), -1, dtype=torch.long, device=like.device))

    def update(self, rows: slice, found: "torch.return_types.max", start: int) -> None:
        """A block further: of equal maxima the earlier block keeps its index."""
        is_higher = found.values > self.wrong[rows]
        self.nearest[rows] = torch.where(is_higher, found.indices + start, self.nearest[rows])
        self.wrong[rows] = torch.where(is_higher, found.values, self.wrong[rows])

    def side(self) -> Side:
        return Side(_snapped(self.own - self.wrong), self.own, self.nearest)


def _snapped(margin: Tensor) -> Tensor:
    """Margins that are rounding alone are ties: products of equal vectors may differ in the last bits."""
    return margin.masked_fill(margin.abs() <= 16 * torch.finfo(margin.dtype).eps, 0.0)


def _owners(images: Tensor, texts: Tensor, image_of_text: Tensor | None) -> Tensor:
    if images.shape[1] != texts.shape[1]:
        raise ShapeError(f"image vectors have width {images.shape[1]}, text vectors {texts.shape[1]}.")
    if image_of_text is not None:
        if len(image_of_text) != len(texts):
            raise ShapeError(f"{len(texts)} texts came with {len(image_of_text)} owners.")
        return image_of_text
    if len(images) != len(texts):
        raise ShapeError(
            f"{len(images)} images came with {len(texts)} texts; image_of_text says which belongs to which."
        )
    return torch.arange(len(texts), device=texts.device)


def _require(
    images: Tensor, texts: Tensor, owner: Tensor, groups: Tensor | None, block_size: int | None
) -> None:
    n = len(images)
    if n < 2:
        raise DataError(f"a margin needs at least two images, got {n}: with one there is no wrong item.")
    if bool(((owner < 0) | (owner >= n)).any()) or not bool((torch.bincount(owner, minlength=n) > 0).all()):
        raise DataError("every image needs at least one text, and every text an image of the set.")
    if groups is not None:
        if len(groups) != n:
            raise ShapeError(f"{n} images came with {len(groups)} groups.")
        if bool((groups == groups[0]).all()):
            raise DataError("a margin needs at least two groups: in one alone nothing is wrong.")
    if block_size is not None and block_size < 1:
        raise DataError(f"block_size must be at least 1, got {block_size}.")
    for name, features in (("image", images), ("text", texts)):
        require_unit(features, name)


def require_unit(features: Float[Tensor, "n d"], what: str) -> None:
    """Refuse vectors of another length than 1, with the first rows that have it.

    Raises:
        DataError: a vector is zero, NaN or not normalised.

    Example:
        >>> import torch
        >>> require_unit(torch.eye(2), "image")
    """
    bad: list[int] = []
    for rows in blocks(len(features), 65_536):
        length = wide(features[rows]).norm(dim=-1)
        off = (~((length - 1).abs() <= 1e-3)).nonzero()[:, 0]  # NaN compares false
        bad += [rows.start + int(row) for row in off]
        if len(bad) > 5:
            break
    if bad:
        raise DataError(
            f"{what} features must be unit vectors, and some are not: rows {', '.join(map(str, bad[:5]))}"
            f"{', ...' * (len(bad) > 5)}; normalise them, and leave out zero vectors and NaN."
        )
