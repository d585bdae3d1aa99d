"""MSP: the largest class probability (Hendrycks and Gimpel 2017, arXiv 1610.02136). In log space.

    score = log max_k softmax(s / temperature)_k,   temperature 0.01: CLIP's own logits are 100 s

The same formula as MCM, which only takes another temperature (1): the two are one axis. Towards 0 it ranks by
the gap between the best two classes.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.ood._protocol import HIGHER_MEANS
from awase.ood.mcm import Mcm
from awase.types import Evidence


@dataclass(frozen=True)
class Msp:
    """log of the largest softmax probability, in [-log k, 0]; higher = in-distribution.

    Args:
        temperature: divides cosines; 0.01 is 1 / logit_scale of CLIP. 1 gives MCM.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.25, 0.24], [0.2, 0.2]]), torch.eye(2), torch.eye(2))
        >>> [f"{p:.3f}" for p in Msp().score(evidence).exp()]
        ['0.731', '0.500']
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float | int = 0.01

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: fewer than two classes, a NaN, or a temperature that is not positive.
        """
        return Mcm(temperature=float(self.temperature)).score(evidence)


METHOD = Msp
