"""The sigmoid loss of SigLIP (Zhai et al. 2023, arXiv 2303.15343): image and text judged two by two."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.functional.contrastive import sigmoid_loss
from awase.training.contrast import Contrast


@dataclass(frozen=True)
class Sigmoid:
    """`awase.functional.contrastive.sigmoid_loss` as an objective.

    Items of one group belong together; with a group for every pair it is the paper's. Logit scale and bias
    start as in the paper.

    Example:
        >>> Sigmoid(), Sigmoid.initial_bias
        (Sigmoid(), -10.0)
    """

    groups_apart: ClassVar[bool] = False
    initial_scale: ClassVar[float] = 10.0
    initial_bias: ClassVar[float] = -10.0

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """The sum over all texts, the mean over this device's images."""
        return sigmoid_loss(
            batch.image_features,
            batch.text_features,
            logit_scale=batch.logit_scale,
            logit_bias=batch.logit_bias,
            groups=batch.groups,
            image_bank=batch.image_bank,
            text_bank=batch.text_bank,
            group_bank=batch.group_bank,
            offset=batch.offset,
        )


METHOD = Sigmoid
