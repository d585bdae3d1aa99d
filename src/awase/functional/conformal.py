"""Conformal p-values and prediction sets: statements that hold in finite samples, whatever the model.

They need one thing only: calibration rows that are exchangeable with the rows asked about, so drawn alike and
used for nothing else, above all not for the shots. p-values as in Vovk et al. 2005 and Bates et al. 2023
(arXiv 2104.08279); sets as LAC (Sadinle et al. 2019, arXiv 1609.00451) and APS (Romano et al. 2020, arXiv
2006.02544). The guarantee is on average over calibration sets and rows, not for one class or one image.
What is left out: class-wise and weighted forms, and RAPS.
"""

import math
import warnings

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError


def p_values(*, calibration_scores: Float[Tensor, " n"], scores: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """How unusual a score is among known images: the share of calibration scores that are as low.

        p = (1 + #{calibration <= S}) / (n + 1)

    A known image has p <= alpha with a chance of at most alpha, for every alpha and every n; ties only make
    p larger. Few rows cannot speak of small alphas: no p lies under 1 / (n + 1).

    Args:
        calibration_scores: of known images; any unit, higher = more in-distribution.
        scores: the same score of the images asked about.

    Returns:
        float64 in (0, 1]; small = unlike the known ones.

    Raises:
        DataError: a score is NaN, or there is no calibration score.

    Example:
        >>> import torch
        >>> p_values(calibration_scores=torch.tensor([0.1, 0.2, 0.3]), scores=torch.tensor([0.0, 0.2, 0.9]))
        tensor([0.2500, 0.7500, 1.0000], dtype=torch.float64)

    Relates to:
        awase.ood: the threshold under which p <= alpha.
    """
    _require_scores("calibration_scores", calibration_scores)
    if bool(scores.isnan().any()):
        raise DataError("scores hold a NaN; leave rows without a score out.")
    ascending = calibration_scores.double().sort().values
    as_low = torch.searchsorted(ascending, scores.double().contiguous(), right=True)
    return (1 + as_low).double() / (len(ascending) + 1)


def rejectable(alpha: float, n: int) -> int:
    """How many places of the n + 1 have p <= alpha: the calibration scores that lie in the tail, and one.

    0 where n is too small for alpha, which means that nothing can be rejected.

    Raises:
        DataError: alpha lies outside (0, 1).

    Example:
        >>> rejectable(0.05, 99), rejectable(0.05, 19), rejectable(0.05, 18)
        (5, 1, 0)
    """
    _require_alpha(alpha)
    # compared as p itself is: 0.29 * 100 is 28.999999999999996, and 29 / 100 <= 0.29 all the same
    nearby = round(alpha * (n + 1))
    return next(places for places in (nearby + 1, nearby, nearby - 1) if places / (n + 1) <= alpha)


def quantile(scores: Float[Tensor, " n"], *, alpha: float) -> float:
    """The bound that a further score stays under with a chance of at least 1 - alpha.

        the ceil((n + 1) (1 - alpha))-th smallest of the n scores

    Args:
        scores: nonconformity of calibration rows (`lac_scores`, `aps_scores`); higher = stranger.
        alpha: chance of a miss, in (0, 1).

    Returns:
        A number in the unit of the scores; infinite, with a warning, where n < ceil(1 / alpha) - 1: no bound
        over fewer rows keeps the promise, so every set is full.

    Raises:
        DataError: a score is NaN, there is none, or alpha lies outside (0, 1).

    Example:
        >>> import torch
        >>> quantile(torch.arange(1.0, 20.0), alpha=0.1)
        18.0
    """
    _require_scores("scores", scores)
    n = len(scores)
    beyond = rejectable(alpha, n)  # of the n + 1 places, so the bound is the (n + 1 - beyond)-th smallest
    if beyond == 0:
        warnings.warn(too_few(n, alpha, "every prediction set holds all classes"), stacklevel=2)
        return math.inf
    return float(scores.double().sort().values[n - beyond])


def too_few(n: int, alpha: float, consequence: str) -> str:
    """What to say where n rows cannot carry alpha.

    Example:
        >>> too_few(9, 0.05, "nothing is rejected")
        'alpha 0.05 needs at least 19 calibration rows and there are 9: nothing is rejected.'
    """
    needed = next(rows for rows in range(max(1, math.floor(1 / alpha) - 2), 2**62) if rejectable(alpha, rows))
    return f"alpha {alpha:g} needs at least {needed} calibration rows and there are {n}: {consequence}."


def lac_scores(probabilities: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Nonconformity of LAC: 1 minus the probability of the true class, in [0, 1].

    Raises:
        DataError: a probability lies outside [0, 1] or is NaN, or a label outside 0 .. k - 1.
        ShapeError: not one label a row.

    Example:
        >>> import torch
        >>> lac_scores(torch.tensor([[0.75, 0.25]]), torch.tensor([1]))
        tensor([0.7500], dtype=torch.float64)
    """
    _require_probabilities(probabilities)
    return _of_labels(1 - probabilities.double(), labels)


def lac_sets(probabilities: Float[Tensor, "n k"], bound: float) -> Bool[Tensor, "n k"]:
    """The classes whose probability is at least 1 - bound: the smallest sets on average.

    Args:
        probabilities: one row an image.
        bound: `quantile` of `lac_scores` of the calibration rows.

    Returns:
        True where the class is in the set. It holds the true class with a chance of at least 1 - alpha. A set
        is empty where no class is likely enough, which is a sign of an unknown image.

    Raises:
        DataError: a probability lies outside [0, 1] or is NaN.

    Example:
        >>> import torch
        >>> lac_sets(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), 0.5)
        tensor([[ True, False],
                [ True,  True]])
    """
    _require_probabilities(probabilities)
    # the same subtraction as in lac_scores: p >= 1 - bound would round differently
    return 1 - probabilities.double() <= bound


def aps_scores(
    probabilities: Float[Tensor, "n k"],
    labels: Int[Tensor, " n"],
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " n"]:
    """Nonconformity of APS: the probability of all classes that are likelier than the true one, and its own.

        score = sum of the likelier + u * p_label        u uniform in [0, 1), or 1 without a generator

    Of equal probabilities the lower index counts as likelier.

    Args:
        probabilities: one row an image.
        labels: its true class, 0 .. k - 1.
        generator: source of u, which makes the coverage exact instead of at least; None for the form without
            chance, whose sets are larger. Use the same form for the sets.

    Returns:
        float64 in [0, 1].

    Raises:
        DataError: a probability lies outside [0, 1] or is NaN, or a label outside 0 .. k - 1.
        ShapeError: not one label a row.

    Example:
        >>> import torch
        >>> aps_scores(torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([1]))
        tensor([0.7500], dtype=torch.float64)
    """
    return _of_labels(_cumulative(probabilities, generator), labels)


def aps_sets(
    probabilities: Float[Tensor, "n k"], bound: float, *, generator: torch.Generator | None = None
) -> Bool[Tensor, "n k"]:
    """The likeliest classes, as many as the bound on their mass takes: sets that grow with the doubt.

    Args:
        probabilities: one row an image.
        bound: `quantile` of `aps_scores` of the calibration rows.
        generator: source of u; None for the form without chance.

    Returns:
        True where the class is in the set. It holds the true class with a chance of at least 1 - alpha.
        Without a generator the likeliest class is always in it; with one a set may be empty.

    Raises:
        DataError: a probability lies outside [0, 1] or is NaN.

    Example:
        >>> import torch
        >>> aps_sets(torch.tensor([[0.5, 0.375, 0.125], [0.9375, 0.0625, 0.0]]), 0.875)
        tensor([[ True,  True, False],
                [ True, False, False]])
    """
    inside = _cumulative(probabilities, generator) <= bound
    if generator is None:
        # a set may only grow by this; without it the surest images would get empty sets
        inside[torch.arange(len(inside)), probabilities.argmax(dim=1)] = True
    return inside


def _cumulative(
    probabilities: Float[Tensor, "n k"], generator: torch.Generator | None
) -> Float[Tensor, "n k"]:
    """For each class, the mass of the likelier ones and u times its own."""
    _require_probabilities(probabilities)
    ranked, order = probabilities.double().sort(dim=1, descending=True, stable=True)
    mass = ranked.cumsum(dim=1)
    if generator is not None:
        u = torch.rand(len(mass), 1, generator=generator, dtype=torch.float64)
        mass = mass - (1 - u) * ranked
    return torch.empty_like(mass).scatter_(1, order, mass)


def _of_labels(scores: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    n, k = scores.shape
    if len(labels) != n:
        raise ShapeError(f"one label a row is needed, got {len(labels)} labels for {n} rows.")
    if bool(((labels < 0) | (labels >= k)).any()):
        raise DataError(f"labels must lie in 0 .. {k - 1}, got {int(labels.min())} .. {int(labels.max())}.")
    return scores.gather(1, labels.long()[:, None])[:, 0]


def _require_probabilities(probabilities: Float[Tensor, "n k"]) -> None:
    # asked the other way round, a NaN is refused too; softmax in float32 may end a little above 1
    if not bool(((probabilities >= 0) & (probabilities <= 1 + 1e-5)).all()):
        raise DataError("probabilities must lie in [0, 1]; give a softmax of the similarities.")


def _require_scores(name: str, scores: Float[Tensor, " n"]) -> None:
    if len(scores) == 0 or bool(scores.isnan().any()):
        n_bad = int(scores.isnan().sum())
        raise DataError(f"{name} must hold at least one score and no NaN, got {len(scores)}, {n_bad} NaN.")


def _require_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise DataError(f"alpha must lie in (0, 1), got {alpha}; 0.05 misses one in twenty.")
