"""InfoNCE in both directions, as CLIP is trained: every other pair of the batch counts as wrong."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.functional.contrastive import info_nce, require_form
from awase.training.contrast import Contrast


@dataclass(frozen=True)
class InfoNce:
    """`awase.functional.contrastive.info_nce` as an objective.

    Args:
        form: `mean` of both directions (open_clip), or their `sum` (Chen et al. 2024).

    Example:
        >>> InfoNce()
        InfoNce(form='mean')
    """

    groups_apart: ClassVar[bool] = True
    initial_scale: ClassVar[float] = 1 / 0.07
    initial_bias: ClassVar[float] = 0.0
    form: str = "mean"

    def __post_init__(self) -> None:
        require_form(self.form)

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """The mean over this device's pairs."""
        return info_nce(
            batch.image_features,
            batch.text_features,
            logit_scale=batch.logit_scale,
            form=self.form,
            image_bank=batch.image_bank,
            text_bank=batch.text_bank,
            offset=batch.offset,
        )


METHOD = InfoNce
