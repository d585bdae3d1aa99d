"""MCM: how peaked the match with the classes is (Ming et al. 2022, arXiv 2211.13445). In log space.

    score = log max_k softmax(s / temperature)_k = max_k s_k / temperature - logsumexp_k(s_k / temperature)

The logarithm ranks like MCM itself, and keeps apart in float32 what MCM over a thousand classes squeezes
into its last digits. At a temperature of 1 it ranks like the best cosine minus the mean of all (`logit_gap`
over all classes), towards 0 like the gap between the best two; 0.01 is the usual softmax of CLIP (`msp`).
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.ood._protocol import HIGHER_MEANS
from awase.ood._softmax import scaled
from awase.types import Evidence


def log_max_softmax(scaled_similarity: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """log max_k softmax(x)_k, at most 0.

    Example:
        >>> import torch
        >>> log_max_softmax(torch.zeros(1, 4)).exp()
        tensor([0.2500])
    """
    return scaled_similarity.amax(dim=1) - scaled_similarity.logsumexp(dim=1)


@dataclass(frozen=True)
class Mcm:
    """log of the largest softmax probability, in (-log k, 0]; higher = in-distribution.

    Args:
        temperature: divides cosines; 1 as in the paper.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.3, 0.1], [0.2, 0.2]]), torch.eye(2), torch.eye(2))
        >>> Mcm().score(evidence).exp()
        tensor([0.5498, 0.5000])
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float = 1.0

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: fewer than two classes, a NaN, or a temperature that is not positive.
        """
        return log_max_softmax(scaled(evidence, self.temperature))


METHOD = Mcm
