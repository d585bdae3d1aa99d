"""How well one score separates known (ID) from unknown (OOD) images: AUROC, AUPR, FPR at a TPR.

Exact with ties, and every number says which class is positive. Both sides are sorted on their own and looked
up in each other, so ten million scores take a few times their own memory. Infinite scores are ordered like
any other, and all are compared as float64. What is left out: choosing a threshold that carries a guarantee
(`awase.ood`), intervals (`detection_bootstrap.py`), and the metrics of samples that carry labels, which live
in `labelled_detection.py` and can be imported from here too.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.functional.labelled_detection import (
    DetectionCounts,
    aurocs,
    average_precision,
    average_precisions,
    count_detections,
    labelled_auroc,
    precision_recall_curve,
)

__all__ = [
    "CONVENTIONS",
    "DetectionCounts",
    "aupr",
    "auroc",
    "aurocs",
    "average_precision",
    "average_precisions",
    "count_detections",
    "fpr_at_tpr",
    "keep_count",
    "labelled_auroc",
    "precision_recall_curve",
    "require_convention",
]

CONVENTIONS = {
    "id_positive": "positive: in-distribution; threshold keeps at least the TPR",
    "ood_positive": "positive: out-of-distribution; threshold catches at least the TPR of it",
    "mcm_nearest": "positive: in-distribution; operating point nearest to the TPR, as in MCM's code",
}
_BLOCK = 1 << 20  # scores looked up at once: temporaries stay small beside ten million scores


def auroc(*, id_scores: Float[Tensor, " n"], ood_scores: Float[Tensor, " m"]) -> float:
    """Probability that a known image scores above an unknown one; a tie counts half (Mann-Whitney).

        AUROC = P(S_id > S_ood) + P(S_id = S_ood) / 2

    The trapezoidal area under the ROC curve. Exchanging the sides gives 1 - AUROC.

    Args:
        id_scores: one score per known image; any unit, higher = more in-distribution.
        ood_scores: the same score for unknown images.

    Returns:
        A number in [0, 1], higher = better; 0.5 for constant scores.

    Raises:
        DataError: a side is empty or holds a NaN.

    Example:
        >>> import torch
        >>> known = torch.tensor([0.9, 0.8, 0.7, 0.7])
        >>> unknown = torch.tensor([0.7, 0.6, 0.95])
        >>> f"{auroc(id_scores=known, ood_scores=unknown):.5f}"
        '0.58333'

    Relates to:
        labelled_auroc: the same of scores with labels; None where a class is missing.
    """
    known, unknown = _ascending(id_scores, ood_scores)
    halves = 0  # wins count 2 and ties 1, in Python's integers: exact for any n * m
    for block in torch.split(known, _BLOCK):
        halves += int(_below(unknown, block).sum()) + int(_up_to(unknown, block).sum())
    return halves / (2 * len(known) * len(unknown))


def aupr(*, id_scores: Float[Tensor, " n"], ood_scores: Float[Tensor, " m"], positive: str = "id") -> float:
    """Step-wise average precision of finding the known ("id", AUPR-in) or the unknown ("ood", AUPR-out).

        AUPR = sum_k (R_k - R_{k-1}) * P_k        over the distinct scores

    No interpolation: a straight line between two points of the curve, as OpenOOD draws, is optimistic. A
    random score gives the share of the positive class, so print the two counts beside it.

    Args:
        id_scores: one score per known image; any unit, higher = more in-distribution.
        ood_scores: the same score for unknown images.
        positive: the class to be found, "id" from the highest score down or "ood" from the lowest up.

    Returns:
        A number in (0, 1], higher = better.

    Raises:
        DataError: a side is empty or holds a NaN, or positive is neither "id" nor "ood".

    Example:
        >>> import torch
        >>> sides = {"id_scores": torch.tensor([0.9, 0.7]), "ood_scores": torch.tensor([0.8])}
        >>> f"{aupr(**sides):.3f} {aupr(**sides, positive='ood'):.3f}"
        '0.833 0.500'

    Relates to:
        average_precision: the same of scores with labels.
    """
    known, unknown = _ascending(id_scores, ood_scores)
    if positive == "id":
        wanted, others = known, unknown
    elif positive == "ood":
        wanted, others = -unknown.flip(0), -known.flip(0)
    else:
        raise DataError(f'positive must be "id" or "ood", got {positive!r}.')
    area = 0.0
    for block in torch.split(wanted, _BLOCK):
        # every positive adds the precision at its own score; the steps of the curve are 1 / n each
        hits = len(wanted) - _below(wanted, block)
        alarms = len(others) - _below(others, block)
        area += float((hits.double() / (hits + alarms)).sum())
    return area / len(wanted)


def fpr_at_tpr(
    *,
    id_scores: Float[Tensor, " n"],
    ood_scores: Float[Tensor, " m"],
    tpr: float | int = 0.95,
    convention: str = "id_positive",
) -> tuple[float, float]:
    """Share of one class that passes for the other, at the threshold that finds `tpr` of the positive one.

    Three conventions go by this one name, and their numbers differ:

        id_positive    threshold = the ceil(tpr * n)-th largest of id_scores
                       fpr       = #{ood_scores >= threshold} / m
        ood_positive   threshold = the ceil(tpr * m)-th smallest of ood_scores
                       fpr       = #{id_scores <= threshold} / n
        mcm_nearest    threshold = the pooled score at which the share of id_scores >= threshold is nearest to
                       tpr: of two equally near shares the larger, of the scores with that share the lowest
                       (the highest where it is 1)
                       fpr       = #{ood_scores >= threshold} / m

    id_positive is what the papers after Ming et al. 2022 (MCM, arXiv 2211.13445) describe, mcm_nearest what
    their code computes; OpenOOD and pytorch-ood take out-of-distribution as positive.

    Args:
        id_scores: one score per known image; any unit, higher = more in-distribution.
        ood_scores: the same score for unknown images.
        tpr: share of the positive class to find, in (0, 1].
        convention: one of `CONVENTIONS`.

    Returns:
        fpr, lower = better, and threshold, in the unit of the scores. A tie at the threshold counts as a
        false positive, so fpr is never flattered.

    Raises:
        DataError: a side is empty or holds a NaN, tpr lies outside (0, 1], or there is no such convention.

    Example:
        >>> import torch
        >>> known = torch.tensor([0.9, 0.8, 0.7, 0.7])
        >>> unknown = torch.tensor([0.7, 0.6, 0.95])
        >>> fpr, threshold = fpr_at_tpr(id_scores=known, ood_scores=unknown)
        >>> f"{fpr:.3f} at {threshold:.1f}"
        '0.667 at 0.7'
        >>> fpr_at_tpr(id_scores=known, ood_scores=unknown, convention="ood_positive")[0]
        1.0

    Relates to:
        auroc: the same question over all thresholds at once.
        awase.ood: conformal thresholds, which hold in finite samples.
    """
    require_tpr(tpr)
    require_convention(convention)
    known, unknown = _ascending(id_scores, ood_scores)
    if convention == "ood_positive":
        threshold = float(unknown[keep_count(tpr, len(unknown)) - 1])
        return _count_up_to(known, threshold) / len(known), threshold
    threshold = float(known[-keep_count(tpr, len(known))])
    if convention == "mcm_nearest":
        threshold = _nearest(known, unknown, threshold, tpr)
    return (len(unknown) - _count_below(unknown, threshold)) / len(unknown), threshold


def keep_count(share: float | int, n: int) -> int:
    """How many of n make up at least this share, at least 1.

    Example:
        >>> keep_count(0.55, 100), keep_count(0.95, 3)
        (55, 3)
    """
    # 0.55 * 100 is 55.00000000000001 in floating point: a bare ceil would keep one image too many
    return max(1, math.ceil(share * n - 1e-9))


def require_tpr(tpr: float | int) -> None:
    """Refuse a share outside (0, 1].

    Raises:
        DataError: as said.
    """
    if not 0 < tpr <= 1:
        raise DataError(f"tpr must lie in (0, 1], got {tpr}; 0.95 keeps 95 % of the known images.")


def require_convention(convention: str) -> None:
    """Refuse a convention that is not in `CONVENTIONS`.

    Raises:
        DataError: as said; the message lists them.
    """
    if convention not in CONVENTIONS:
        raise DataError(f"there is no convention {convention!r}; there are: {', '.join(CONVENTIONS)}.")


def _nearest(
    known: Float[Tensor, " n"], unknown: Float[Tensor, " m"], value: float, tpr: float | int
) -> float:
    """The threshold of mcm_nearest; `value` is the known score at which the share first reaches tpr."""
    n = len(known)
    below, up_to = _count_below(known, value), _count_up_to(known, value)
    share, share_above = (n - below) / n, (n - up_to) / n
    unknown_above = unknown[_count_up_to(unknown, value) :]
    # a share is on offer only where some pooled score reaches it: a share of 0 needs an unknown one on top
    if abs(share_above - tpr) < abs(share - tpr) and (up_to < n or len(unknown_above)):
        return min(float(side[0]) for side in (known[up_to:], unknown_above) if len(side))
    if below == 0:
        return value
    # subtle: the authors walk up from the lowest score, so unknown ones just under `value` pass as well
    lower = unknown[_count_up_to(unknown, float(known[below - 1])) :]
    return min(value, float(lower[0])) if len(lower) else value


def _ascending(
    id_scores: Float[Tensor, " n"], ood_scores: Float[Tensor, " m"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """Both sides in float64 from the lowest score up, checked."""
    for name, scores in (("id_scores", id_scores), ("ood_scores", ood_scores)):
        if len(scores) == 0:
            raise DataError(f"{name} must hold at least one score, got none.")
        if bool(scores.isnan().any()):
            n_bad = int(scores.isnan().sum())
            raise DataError(
                f"{name} must hold no NaN, got {n_bad} in {len(scores)}; leave rows without a score out."
            )
    return id_scores.double().sort().values, ood_scores.double().sort().values


def _below(ascending: Float[Tensor, " n"], values: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """For each value, how many lie under it."""
    return torch.searchsorted(ascending, values)


def _up_to(ascending: Float[Tensor, " n"], values: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """For each value, how many lie under it or on it."""
    return torch.searchsorted(ascending, values, right=True)


def _count_below(ascending: Float[Tensor, " n"], value: float) -> int:
    return int(torch.searchsorted(ascending, value))


def _count_up_to(ascending: Float[Tensor, " n"], value: float) -> int:
    return int(torch.searchsorted(ascending, value, right=True))
