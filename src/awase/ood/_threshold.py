"""Where to draw the line between known and unknown, from scores of known calibration images.

Two lines, one reading: an image is kept when its score is at least the threshold.

    threshold_keeping    keeps the wanted share of the calibration images themselves, as FPR at a TPR does
    conformal_threshold  keeps a further known image with the wanted chance, for every number of rows; it
                         keeps exactly those whose conformal p-value lies above alpha

They differ by about one row. Nothing is said of unknown images: how many are let in is for `_evaluate`.
"""

import math
import warnings

from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError
from awase.functional.conformal import rejectable, too_few
from awase.functional.detection import keep_count

FEW = 20


def threshold_keeping(scores: Float[Tensor, " n"], keep: float | int = 0.95) -> float:
    """The ceil(keep * n)-th largest score: the highest threshold that keeps this share of the scores.

    Args:
        scores: of known calibration images; any unit, higher = more in-distribution.
        keep: share to keep, in (0, 1].

    Returns:
        A threshold in the unit of the scores; an image is kept when its score is at least that. Fewer than
        20 scores give a warning: 5 % of them is less than one image.

    Raises:
        DataError: there is no score, one is NaN, or keep lies outside (0, 1].

    Example:
        >>> import torch
        >>> threshold_keeping(torch.arange(100.0), 0.95)
        5.0

    Relates to:
        awase.functional.detection.fpr_at_tpr: the same rule on test images.
    """
    if not 0 < keep <= 1:
        raise DataError(f"the share to keep must lie in (0, 1], got {keep}; 0.95 is usual.")
    ascending = _ascending(scores)
    warn_few(len(scores))
    return float(ascending[-keep_count(keep, len(scores))])


def conformal_threshold(scores: Float[Tensor, " n"], alpha: float = 0.05) -> float:
    """The threshold under which a further known image falls with a chance of at most alpha.

        the floor(alpha * (n + 1))-th smallest score: S < threshold  <=>  p(S) <= alpha

    Args:
        scores: of known calibration images; any unit, higher = more in-distribution.
        alpha: share of known images that may be rejected, in (0, 1).

    Returns:
        A threshold in the unit of the scores; -inf, with a warning, where there are too few scores for alpha:
        then nothing is ever rejected.

    Raises:
        DataError: there is no score, one is NaN, or alpha lies outside (0, 1).

    Example:
        >>> import torch
        >>> conformal_threshold(torch.arange(99.0))
        4.0

    Relates to:
        awase.functional.conformal.p_values: the p-value itself.
    """
    ascending = _ascending(scores)
    places = rejectable(alpha, len(scores))
    if places == 0:
        warnings.warn(too_few(len(scores), alpha, "nothing is rejected"), stacklevel=2)
        return -math.inf
    return float(ascending[places - 1])


def warn_few(n_id: int) -> None:
    """Say that a share of so few scores means little."""
    if n_id < FEW:
        warnings.warn(
            f"{n_id} in-distribution scores are fewer than {FEW}: a threshold that keeps 95 % of them, and "
            "the FPR at it, mean little.",
            stacklevel=3,
        )


def _ascending(scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    if len(scores) == 0 or bool(scores.isnan().any()):
        raise DataError("calibration needs at least one score and no NaN; leave failed images out.")
    return scores.double().sort().values
