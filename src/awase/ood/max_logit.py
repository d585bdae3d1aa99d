"""Max-logit: the best cosine (Hendrycks et al. 2022, arXiv 1911.11132; MS in Ming and Li 2023).

    score = max_k s_k

It compares no classes and so works with one; what it misses is an image that every class fits equally well.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.ood._protocol import HIGHER_MEANS
from awase.ood._rows import score_rows
from awase.types import Evidence


@dataclass(frozen=True)
class MaxLogit:
    """The largest similarity, in [-1, 1] for cosines; higher = in-distribution. No temperature.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.5, 0.125], [0.25, 0.0]]), torch.eye(2), torch.eye(2))
        >>> MaxLogit().score(evidence)
        tensor([0.5000, 0.2500], dtype=torch.float64)
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: a NaN.
        """
        return score_rows(evidence, lambda similarity: similarity.amax(dim=1))


METHOD = MaxLogit
