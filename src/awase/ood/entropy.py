"""Entropy: how far the classes' probabilities are from equal.

    score = -H(p) = sum_k p_k log p_k,   p = softmax(s / temperature)

Ranks like the divergence from uniform, log k - H(p).
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


def negative_entropy(similarity: Float[Tensor, "b k"], temperature: float | int = 1) -> Float[Tensor, " b"]:
    """-H(softmax(x)) = sum_k p_k (x_k - max) - log sum_k exp(x_k - max), x = s / temperature, float64.

    Example:
        >>> import torch
        >>> negative_entropy(torch.zeros(1, 4)).exp()
        tensor([0.2500], dtype=torch.float64)
    """
    below = below_best(similarity, temperature)  # (b, k)
    weights = below.exp()
    total = weights.sum(dim=1, dtype=torch.float64)
    weighted = weights.mul_(below).sum(dim=1, dtype=torch.float64)
    return weighted / total - total.log()


@dataclass(frozen=True)
class Entropy:
    """Negative entropy of the softmax in nats, in [-log k, 0]; higher = in-distribution.

    Args:
        temperature: divides cosines; 1 as MCM has it.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.9, 0.1], [0.2, 0.2]]), torch.eye(2), torch.eye(2))
        >>> Entropy().score(evidence)
        tensor([-0.6191, -0.6931], dtype=torch.float64)
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
        return score_rows(evidence, lambda s: negative_entropy(s, self.temperature), least=2)


METHOD = Entropy
