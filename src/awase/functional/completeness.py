"""How nearly scores depend on what the two modalities share, and on nothing else.

The (alpha, beta, gamma)-completeness of Chen et al. 2024 (arXiv 2310.00927), measured instead of assumed, for
pairs (x, y) of known shared feature z (a label, a class, or the identity of the image):

    alpha(gamma)   share of pairs i, j with z_i != z_j where not both cos(x_j, y_i) <= cos(x_i, y_i) - gamma
                   and cos(x_i, y_j) <= cos(x_i, y_i) - gamma; rises with gamma
    beta           mean variance of cos(x, y) over the images x of one label for a fixed text y, and the
                   reverse: how much what is unique to one modality moves the score

and the bound on the zero-shot error that the paper's main theorem ends in, which holds for any scores.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.margins import require_labelled, require_unit, wide

_SIDE = 2048  # rows and columns of a block
GAMMAS = tuple(round(-0.5 + 0.01 * step, 2) for step in range(151))  # -0.5 .. 1


class Completeness(NamedTuple):
    """The curve, the two variances, and how much they were taken over."""

    gammas: tuple[float, ...]
    alphas: tuple[float, ...]
    beta_images: float | None  # variance over images for a fixed text; None where each label has one image
    beta_texts: float | None  # over texts for a fixed image
    n_cross: int  # ordered pairs of pairs with different labels


class Bound(NamedTuple):
    """A bound on an error, and the error."""

    bound: float
    error: float


def completeness_curve(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    image_of_text: Int[Tensor, " m"] | None = None,
    groups: Int[Tensor, " n"] | None = None,
    gammas: Sequence[float] | None = None,
    block_size: int | None = None,
) -> Completeness:
    """alpha over gamma, and beta of both modalities.

    A text is one pair with its image, so an image of five captions is five pairs.

    Args:
        image_features: unit vectors.
        text_features: unit vectors.
        image_of_text: row of each text's image; None where row i belongs to row i.
        groups: the shared feature of each image; None takes every image as one of its own.
        gammas: margins in cosine units at which alpha is taken, in rising order; None for `GAMMAS`.
        block_size: rows and columns of a block; it changes values by rounding only.

    Raises:
        ShapeError: the sides do not fit.
        DataError: fewer than two groups, no rising gammas, an image without a text, or a vector that is no
            unit vector.

    Example:
        >>> import torch
        >>> found = completeness_curve(torch.eye(3), torch.eye(3), gammas=(0.5, 1.0, 1.5))
        >>> found.alphas, found.n_cross, found.beta_images is None
        ((0.0, 0.0, 1.0), 6, True)
    """
    owner = torch.arange(len(text_features)) if image_of_text is None else image_of_text
    own_groups = torch.arange(len(image_features)) if groups is None else groups
    gammas = GAMMAS if gammas is None else gammas
    _require(image_features, text_features, owner, own_groups, gammas, block_size)
    labels = own_groups[owner]
    alphas, n_cross = _violations(image_features, text_features, owner, labels, gammas, block_size or _SIDE)
    return Completeness(
        tuple(gammas),
        alphas,
        _variance_within(text_features, labels, image_features, own_groups),
        _variance_within(image_features, own_groups, text_features, labels),
        n_cross,
    )


def transfer_bound(
    similarity: Float[Tensor, "n k"],
    labels: Int[Tensor, " n"],
    *,
    temperature: float | int,
    r: int = 1,
) -> Bound:
    """A bound on the top-r error of zero-shot that holds for any scores at any temperature.

        mean log sum_k exp((cos_k - cos_true) / temperature) / log(1 + r)  >=  top-r error

    since an error means that at least r other classes score as high as the true one, so that the sum is at
    least 1 + r. A bound above 1 says nothing.

    Args:
        similarity: cosines of images and classes.
        labels: true class of each image.
        temperature: of the softmax, positive.
        r: how many answers are allowed, at least 1.

    Returns:
        The bound, and the share of images for which at least r other classes score as high as the true one or
        higher.

    Raises:
        ShapeError: there is not one label an image.
        DataError: a setting or a label is out of range, fewer than two classes, or a NaN.

    Example:
        >>> import torch
        >>> found = transfer_bound(torch.tensor([[0.5, 0.5]]), torch.tensor([0]), temperature=0.01)
        >>> found.bound, found.error  # a tie is an error, and the bound is met exactly
        (1.0, 1.0)
    """
    if not temperature > 0 or not math.isfinite(temperature):
        raise DataError(f"the temperature must be positive, got {temperature}.")
    if r < 1:
        raise DataError(f"r must be at least 1, got {r}.")
    require_labelled(similarity, labels)
    ahead = similarity.double()
    ahead = ahead - ahead.gather(1, labels[:, None])  # (n, k)
    loss = (ahead / temperature).logsumexp(dim=1).mean()
    at_least = (ahead >= 0).sum(dim=1) - 1  # the true class is one of them
    return Bound(float(loss) / math.log1p(r), float((at_least >= r).double().mean()))


def _violations(
    images: Tensor, texts: Tensor, owner: Tensor, labels: Tensor, gammas: Sequence[float], step: int
) -> tuple[tuple[float, ...], int]:
    """alpha at each gamma, and the number of ordered pairs behind it."""
    m = len(texts)
    own = torch.cat(
        [
            (wide(images[owner[start : start + step]]) * wide(texts[start : start + step])).sum(dim=1)
            for start in range(0, m, step)
        ]
    )
    # float32 rounding must not decide whether a margin of exactly gamma is kept
    slack = 16 * torch.finfo(own.dtype).eps
    edges = torch.tensor([gamma - slack for gamma in gammas], dtype=torch.float64)
    # a pair of pairs needs its place: the number of edges that its margin reaches
    reached = torch.zeros(len(edges) + 1, dtype=torch.long)
    for start in range(0, m, step):
        rows = slice(start, start + step)
        for other in range(start, m, step):
            columns = slice(other, other + step)
            one = wide(images[owner[rows]]) @ wide(texts[columns]).T  # image i with text j
            two = wide(texts[rows]) @ wide(images[owner[columns]]).T  # text i with image j
            highest = torch.maximum(one, two)
            is_cross = labels[rows][:, None] != labels[columns][None, :]
            reached += _places(own[rows][:, None] - highest, is_cross, edges)
            if other != start:  # the same two pairs with the other one as anchor
                reached += _places(own[columns][None, :] - highest, is_cross, edges)
    n_cross = int(reached.sum())
    # those that reach fewer than k + 1 edges violate edge k
    violating = reached.cumsum(dim=0)[:-1].double() / n_cross
    return tuple(violating.tolist()), n_cross


def _places(margin: Tensor, is_cross: Tensor, edges: Tensor) -> Tensor:
    # what does not count goes into a place of its own: picking the rest out would copy it
    place = torch.bucketize(margin, edges.to(margin.dtype), right=True, out_int32=True)
    place.masked_fill_(~is_cross, len(edges) + 1)
    return torch.bincount(place.flatten(), minlength=len(edges) + 2)[:-1]


def _variance_within(
    fixed: Tensor, fixed_labels: Tensor, varied: Tensor, varied_labels: Tensor
) -> float | None:
    """Mean over `fixed` of the variance of their cosine over the `varied` of their label, unbiased.

    The variance of u.w over u is w' Cov w; labels with one member have none and are left out.
    """
    order = varied_labels.argsort(stable=True)
    values, counts = torch.unique(varied_labels, return_counts=True)
    starts = counts.cumsum(dim=0) - counts
    of_fixed = torch.searchsorted(values, fixed_labels)
    by_label = of_fixed.argsort(stable=True)
    ends = torch.bincount(of_fixed, minlength=len(values)).cumsum(dim=0)
    total, used = 0.0, 0
    for label in (counts > 1).nonzero()[:, 0].tolist():
        members = order[int(starts[label]) : int(starts[label] + counts[label])]
        targets = by_label[int(ends[label - 1]) if label else 0 : int(ends[label])]
        some = varied[members].double()
        centred = some - some.mean(dim=0)
        for rows in torch.split(targets, _SIDE):
            moved = fixed[rows].double() @ centred.T  # (b, members)
            total += float(moved.square().sum()) / (len(members) - 1)
        used += len(targets)
    return total / used if used else None


def _require(
    images: Tensor,
    texts: Tensor,
    owner: Tensor,
    groups: Tensor,
    gammas: Sequence[float],
    block_size: int | None,
) -> None:
    n = len(images)
    if images.shape[1] != texts.shape[1] or len(owner) != len(texts) or len(groups) != n:
        raise ShapeError(
            f"{tuple(images.shape)} images do not fit {tuple(texts.shape)} texts with "
            f"{len(owner)} owners and {len(groups)} groups."
        )
    if n < 2 or bool((groups == groups[0]).all()):
        raise DataError("completeness compares at least two groups; with one there is nothing to keep apart.")
    if bool(((owner < 0) | (owner >= n)).any()) or not bool((torch.bincount(owner, minlength=n) > 0).all()):
        raise DataError("every image needs at least one text, and every text an image of the set.")
    if len(gammas) == 0 or any(a >= b for a, b in pairwise(gammas)):
        raise DataError("gammas must be at least one number, in rising order.")
    if block_size is not None and block_size < 1:
        raise DataError(f"block_size must be at least 1, got {block_size}.")
    for name, features in (("image", images), ("text", texts)):
        require_unit(features, name)
