"""Variance: how unequal the classes' probabilities are (one of the scores in MCM's code).

score = 1/k sum_k (p_k - 1/k)^2,   p = softmax(s / temperature)
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from awase.ood._protocol import HIGHER_MEANS
from awase.ood._rows import score_rows
from awase.ood._softmax import below_best, require_temperature
from awase.types import Evidence


def softmax_variance(similarity: Float[Tensor, "b k"], temperature: float | int = 1) -> Float[Tensor, " b"]:
    """Variance over the classes of softmax(s / temperature), from the deviations themselves.

    Near-equal probabilities differ in their last digits; mean(p^2) - mean(p)^2 would lose them.

    Example:
        >>> import torch
        >>> softmax_variance(torch.tensor([[100.0, 0.0]]))
        tensor([0.2500], dtype=torch.float64)
    """
    k = similarity.shape[1]
    weights = below_best(similarity, temperature).exp_()
    total = weights.sum(dim=1, dtype=torch.float64)
    squares = weights.sub_((total / k).to(weights.dtype)[:, None]).square_().sum(dim=1)
    return squares.double() / k / total.square()


@dataclass(frozen=True)
class Variance:
    """Variance of the class probabilities, in [0, (k - 1) / k^2]; higher = in-distribution.

    Args:
        temperature: divides cosines; 1 as MCM has it.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.9, 0.1], [0.2, 0.2]]), torch.eye(2), torch.eye(2))
        >>> Variance().score(evidence)
        tensor([0.0361, 0.0000], dtype=torch.float64)
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float | int = 1.0

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: fewer than two classes, a NaN, or a temperature that is not positive.
        """
        require_temperature(self.temperature)
        return score_rows(evidence, lambda s: softmax_variance(s, self.temperature), least=2)


METHOD = Variance
