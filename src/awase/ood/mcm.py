"""MCM: how peaked the match with the classes is (Ming et al. 2022, arXiv 2211.13445). In log space.

    score = log max_k softmax(s / temperature)_k = max_k s_k / temperature - logsumexp_k(s_k / temperature)

The logarithm ranks like MCM itself, and keeps apart what MCM over a thousand classes squeezes into the last
digits of float32. At a temperature of 1 it ranks like the best cosine minus the mean of all (`logit_gap` over
all classes), towards 0 like the gap between the best two; 0.01 is the usual softmax of CLIP (`msp`).
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.ood._protocol import HIGHER_MEANS
from awase.ood._rows import score_rows
from awase.ood._softmax import log_max_softmax, require_temperature
from awase.types import Evidence


@dataclass(frozen=True)
class Mcm:
    """log of the largest softmax probability, in [-log k, 0]; higher = in-distribution.

    Args:
        temperature: divides cosines; 1 as in the paper.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.3, 0.1], [0.2, 0.2]]), torch.eye(2), torch.eye(2))
        >>> Mcm().score(evidence).exp()
        tensor([0.5498, 0.5000], dtype=torch.float64)
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float | int = 1.0

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row, float64.

        Raises:
            DataError: fewer than two classes, a NaN, or a temperature that is not positive.
        """
        require_temperature(self.temperature)
        return score_rows(evidence, lambda s: log_max_softmax(s, self.temperature), least=2)


METHOD = Mcm
