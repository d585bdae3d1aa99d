"""CyCLIP (Goel et al. 2022, arXiv 2205.14459): InfoNCE, and both sides as far apart within as across."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.functional.contrastive import cyclip_loss, require_form, require_weight
from awase.training.contrast import Contrast


@dataclass(frozen=True)
class Cyclip:
    """`awase.functional.contrastive.cyclip_loss` as an objective.

    Args:
        in_modal: weight of images being as far from each other as their texts; the authors' code has 0.25.
        cross_modal: weight of a similarity matrix that mirrors itself; likewise. Both 0 is `info_nce`.
        form: `mean` of both directions of InfoNCE (the paper's), or their `sum`.

    Example:
        >>> Cyclip()
        Cyclip(in_modal=0.25, cross_modal=0.25, form='mean')
    """

    groups_apart: ClassVar[bool] = True
    initial_scale: ClassVar[float] = 1 / 0.07
    initial_bias: ClassVar[float] = 0.0
    in_modal: float | int = 0.25
    cross_modal: float | int = 0.25
    form: str = "mean"

    def __post_init__(self) -> None:
        require_weight("in_modal", self.in_modal)
        require_weight("cross_modal", self.cross_modal)
        require_form(self.form)

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """The mean over this device's pairs."""
        return cyclip_loss(
            batch.image_features,
            batch.text_features,
            logit_scale=batch.logit_scale,
            in_modal=self.in_modal,
            cross_modal=self.cross_modal,
            form=self.form,
            image_bank=batch.image_bank,
            text_bank=batch.text_bank,
            offset=batch.offset,
        )


METHOD = Cyclip
