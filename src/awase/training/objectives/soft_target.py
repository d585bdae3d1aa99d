"""InfoNCE towards a distribution: the items of a pair's group share the probability."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from awase.functional.contrastive import group_targets, require_form, require_share, soft_target_info_nce
from awase.training.contrast import Contrast


@dataclass(frozen=True)
class SoftTarget:
    """`awase.functional.contrastive.soft_target_info_nce` as an objective, with targets made of the groups.

    Args:
        share: of a row's probability that is spread evenly over its group, in [0, 1]; the rest stays with its
            own pair. 0 is `info_nce`.
        form: `mean` of both directions, or their `sum`.

    Example:
        >>> SoftTarget(share=0.5)
        SoftTarget(share=0.5, form='mean')
    """

    groups_apart: ClassVar[bool] = False
    initial_scale: ClassVar[float] = 1 / 0.07
    initial_bias: ClassVar[float] = 0.0
    share: float | int = 1.0
    form: str = "mean"

    def __post_init__(self) -> None:
        require_share(self.share)
        require_form(self.form)

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """The mean over this device's pairs."""
        targets = group_targets(
            batch.groups,
            share=self.share,
            group_bank=batch.group_bank,
            offset=batch.offset,
            dtype=torch.promote_types(batch.image_features.dtype, torch.float32),  # that of the logits
        )
        return soft_target_info_nce(
            batch.image_features,
            batch.text_features,
            logit_scale=batch.logit_scale,
            text_targets=targets,
            image_targets=targets,
            form=self.form,
            image_bank=batch.image_bank,
            text_bank=batch.text_bank,
        )


METHOD = SoftTarget
