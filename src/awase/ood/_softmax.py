"""What the scores over a softmax of similarities share."""

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError


def require_temperature(temperature: float | int) -> None:
    """Refuse a temperature that is not positive.

    Raises:
        DataError: it is zero, negative, infinite or NaN.
    """
    if not 0 < temperature < float("inf"):
        raise DataError(
            f"temperature must be positive, got {temperature}; MCM uses 1, a softmax of CLIP 0.01."
        )


def below_best(similarity: Float[Tensor, "b k"], temperature: float | int = 1) -> Float[Tensor, "b k"]:
    """(s - max_k s) / temperature: at most 0, so that no exponential overflows. A tensor of its own.

    Example:
        >>> import torch
        >>> below_best(torch.tensor([[0.5, 0.25]]), 0.5)
        tensor([[ 0.0000, -0.5000]])
    """
    below = similarity - similarity.amax(dim=1, keepdim=True)
    return below if temperature == 1 else below.div_(temperature)


def log_max_softmax(similarity: Float[Tensor, "b k"], temperature: float | int = 1) -> Float[Tensor, " b"]:
    """log max_k softmax(s / temperature)_k, in [-log k, 0], float64.

    Example:
        >>> import torch
        >>> log_max_softmax(torch.zeros(1, 4)).exp()
        tensor([0.2500], dtype=torch.float64)
    """
    # a float32 sum of a thousand near-equal numbers ties images that differ
    return below_best(similarity, temperature).exp_().sum(dim=1, dtype=torch.float64).log_().neg_()


def log_sum_exp(similarity: Float[Tensor, "b k"], temperature: float | int = 1) -> Float[Tensor, " b"]:
    """log sum_k exp(s_k / temperature), float64.

    Example:
        >>> import torch
        >>> log_sum_exp(torch.zeros(1, 4)).exp()
        tensor([4.], dtype=torch.float64)
    """
    return similarity.amax(dim=1).double() / temperature - log_max_softmax(similarity, temperature)
