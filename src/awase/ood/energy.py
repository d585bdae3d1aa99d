"""Energy: the soft maximum of all classes (Liu et al. 2020, arXiv 2010.03759), with its sign turned.

    score = temperature * logsumexp_k(s_k / temperature)

At a temperature of 1, as in MCM's code, cosines hardly bend the exponential: the score is nearly mean(s) plus
a constant and ignores the peak. Towards 0 it becomes `max_logit`; 0.01, CLIP's own, lies near that.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.ood._protocol import HIGHER_MEANS
from awase.ood._rows import score_rows
from awase.ood._softmax import log_sum_exp, require_temperature
from awase.types import Evidence


@dataclass(frozen=True)
class Energy:
    """Negative free energy, between max(s) and max(s) + temperature * log k; higher = in-distribution.

    Args:
        temperature: divides cosines; 1 as in MCM's code, 0.01 is sensible too.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.5, 0.0], [0.0, 0.0]]), torch.eye(2), torch.eye(2))
        >>> Energy().score(evidence)
        tensor([0.9741, 0.6931], dtype=torch.float64)
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float | int = 1.0

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: a NaN, or a temperature that is not positive.
        """
        require_temperature(self.temperature)
        return score_rows(evidence, lambda s: self.temperature * log_sum_exp(s, self.temperature))


METHOD = Energy
