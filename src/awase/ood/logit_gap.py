"""LogitGap: the best class against the mean of those behind it (LogitGap, arXiv 2510.20134).

    score = s_(1) - 1/(N - 1) sum_{j=2..N} s_(j)        s_(1) >= s_(2) >= ...,  N = share of the k classes

N is rounded and at least 2, which gives the gap between the best two: the limit of MCM at temperature 0. Over
all classes (share 1) it ranks like MCM at temperature 1 and above. Choosing N on labelled outliers, as the
paper's LogitGap* does, is left out.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError
from awase.ood._protocol import HIGHER_MEANS
from awase.ood._rows import score_rows
from awase.types import Evidence


def logit_gap(similarity: Float[Tensor, "b k"], n: int) -> Float[Tensor, " b"]:
    """Best minus the mean of the second to the n-th best.

    Example:
        >>> import torch
        >>> logit_gap(torch.tensor([[0.1, 0.5, 0.2]]), 3)
        tensor([0.3500], dtype=torch.float64)
    """
    # numpy's vectorised selection takes a third of the time of torch's, which carries indices along
    ranked = np.partition(similarity.detach().cpu().numpy(), -n, axis=1)[:, -n:]
    best = torch.from_numpy(ranked.max(axis=1)).double()
    total = torch.from_numpy(ranked.sum(axis=1, dtype=np.float64))
    return (best - (total - best) / (n - 1)).to(similarity.device)


@dataclass(frozen=True)
class LogitGap:
    """Gap between the best class and the next N - 1, in cosines, at least 0; higher = in-distribution.

    Args:
        share: N as a share of the classes, in (0, 1]; 0.2 as in the paper.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> evidence = Evidence(torch.tensor([[0.5, 0.25], [0.25, 0.25]]), torch.eye(2), torch.eye(2))
        >>> LogitGap().score(evidence)
        tensor([0.2500, 0.0000], dtype=torch.float64)
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    share: float | int = 0.2

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: fewer than two classes, a NaN, or a share outside (0, 1].
        """
        if not 0 < self.share <= 1:
            raise DataError(f"share must lie in (0, 1], got {self.share}; the paper uses 0.2.")
        n = max(2, round(self.share * evidence.similarity.shape[1]))
        return score_rows(evidence, lambda s: logit_gap(s, n), least=2)


METHOD = LogitGap
