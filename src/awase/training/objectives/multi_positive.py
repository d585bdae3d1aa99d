"""InfoNCE in which all of a pair's group are right answers: captions of one image, images of one class."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.functional.contrastive import multi_positive_info_nce, require_form
from awase.training.contrast import Contrast


@dataclass(frozen=True)
class MultiPositive:
    """`awase.functional.contrastive.multi_positive_info_nce` as an objective.

    It asks that the group as a whole is found, and is content with any one of it; `soft_target` asks for
    each.

    Args:
        form: `mean` of both directions, or their `sum`.

    Example:
        >>> MultiPositive()
        MultiPositive(form='mean')
    """

    groups_apart: ClassVar[bool] = False
    initial_scale: ClassVar[float] = 1 / 0.07
    initial_bias: ClassVar[float] = 0.0
    form: str = "mean"

    def __post_init__(self) -> None:
        require_form(self.form)

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """The mean over this device's pairs."""
        return multi_positive_info_nce(
            batch.image_features,
            batch.text_features,
            logit_scale=batch.logit_scale,
            groups=batch.groups,
            form=self.form,
            image_bank=batch.image_bank,
            text_bank=batch.text_bank,
            group_bank=batch.group_bank,
            offset=batch.offset,
        )


METHOD = MultiPositive
