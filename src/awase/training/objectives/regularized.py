"""InfoNCE with a pull on the positive pairs that does not fade (Chen et al. 2024, ICLR, arXiv 2310.00927)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from awase.functional.contrastive import regularized_info_nce, require_form, require_part, require_weight
from awase.training.contrast import Contrast


@dataclass(frozen=True)
class Regularized:
    """`awase.functional.contrastive.regularized_info_nce` as an objective.

    Args:
        weight: lambda. The paper publishes no code and its value is not known for certain; 0.1 is merely
            where to begin, so sweep 0, 0.01, 0.03, 0.1, 0.3, 1. 0 is `info_nce`.
        part: what is regularised: `positives` (the paper's), `negatives`, `both`.
        form: `mean` of both directions, or their `sum`; the weight means the same in either.

    Example:
        >>> Regularized(weight=0.3)
        Regularized(weight=0.3, part='positives', form='mean')
    """

    groups_apart: ClassVar[bool] = True
    initial_scale: ClassVar[float] = 1 / 0.07
    initial_bias: ClassVar[float] = 0.0
    weight: float | int = 0.1
    part: str = "positives"
    form: str = "mean"

    def __post_init__(self) -> None:
        require_weight("weight", self.weight)
        require_part(self.part)
        require_form(self.form)

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """The mean over this device's pairs; the regulariser reads them alone and is not multiplied."""
        return regularized_info_nce(
            batch.image_features,
            batch.text_features,
            logit_scale=batch.logit_scale,
            weight=self.weight,
            part=self.part,
            form=self.form,
            image_bank=batch.image_bank,
            text_bank=batch.text_bank,
            offset=batch.offset,
        )


METHOD = Regularized
