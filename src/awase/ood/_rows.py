"""Row by row over similarities, in blocks that stay in the processor's cache.

A score reads every similarity several times (maximum, exponential, sum); in blocks of half a megabyte only
the first reading comes from memory. Sums over a row are taken in float64: over a thousand near-equal
probabilities, as MCM has them, float32 sums would tie images that differ.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError
from awase.types import Evidence

_ELEMENTS = 2**17  # float32 numbers in a block: half a megabyte, which fits into the cache of one core


def blocks(n: int, width: int, *, elements: int = _ELEMENTS) -> Iterator[slice]:
    """Slices of n rows, each of about `elements` numbers where a row has `width`; at least one row.

    Example:
        >>> list(blocks(5, 100, elements=200))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, elements // max(1, width))
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def wide(values: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """float32 where it was narrower; else itself."""
    return values if values.dtype.itemsize >= 4 else values.float()


def score_rows(
    evidence: Evidence, score: Callable[[Tensor], Tensor], *, least: int = 1, elements: int = _ELEMENTS
) -> Float[Tensor, " n"]:
    """score(similarity) block by block, in float64.

    Args:
        evidence: its similarity is read, nothing else.
        score: from (b, k) similarities, float32 or wider, to (b,) scores; must not write into them.
        least: the number of classes below which the score says nothing.
        elements: similarities in a block.

    Raises:
        DataError: fewer classes than `least`, or a score that is not finite, as a NaN makes it.
    """
    n, k = evidence.similarity.shape
    require_classes(k, least)
    scores = torch.empty(n, dtype=torch.float64, device=evidence.similarity.device)
    for rows in blocks(n, k, elements=elements):
        scores[rows] = score(wide(evidence.similarity[rows]))
    return finite(scores)


def require_classes(k: int, least: int) -> None:
    """Refuse too few classes.

    Raises:
        DataError: as said.
    """
    if k < least:
        raise DataError(
            f"this score compares classes and needs at least {least}, got {k}; "
            "with one class use max_logit, energy, knn, mahalanobis or neglabel."
        )


def finite(scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The scores, all of them finite. Cheaper than looking for a NaN among the similarities before.

    Raises:
        DataError: a score is NaN or infinite.
    """
    if bool(scores.isfinite().all()):
        return scores
    bad = (~scores.isfinite()).nonzero()[:, 0]
    raise DataError(
        f"{len(bad)} of {len(scores)} images have no finite score, the first is row {int(bad[0])}: "
        "similarities or features hold a NaN or an infinity; leave out images without a vector."
    )
