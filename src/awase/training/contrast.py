"""What a contrastive objective reads of one step, and the port that it offers.

An objective is one file of `awase.training.objectives`: a frozen dataclass whose fields are its settings. It
says how training starts (`initial_scale`, `initial_bias`) and which batches it can bear (`groups_apart`).
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """One batch of pairs as the towers see it, and all of it where it is spread over several devices.

    Attributes:
        image_features: unit vectors of this device's images.
        text_features: unit vectors of their texts, row by row.
        logit_scale: 1 / temperature, with gradient where it learns.
        logit_bias: added to scaled cosines by the sigmoid loss, with gradient where it learns; 0 for others.
        groups: equal numbers are the same thing: captions of one image, images of one class.
        image_bank: unit vectors of all devices' images, with gradient; None on one device.
        text_bank: those of the texts.
        group_bank: their groups.
        offset: row of the banks at which this device's rows begin.
    """

    image_features: Float[Tensor, "b d"]
    text_features: Float[Tensor, "b d"]
    logit_scale: Float[Tensor, ""]
    logit_bias: Float[Tensor, ""]
    groups: Int[Tensor, " b"]
    image_bank: Float[Tensor, "n d"] | None = None
    text_bank: Float[Tensor, "n d"] | None = None
    group_bank: Int[Tensor, " n"] | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if not len(self.image_features) == len(self.text_features) == len(self.groups):
            raise ShapeError(
                f"{len(self.image_features)} images came with {len(self.text_features)} texts and "
                f"{len(self.groups)} groups."
            )
        banks = (self.image_bank, self.text_bank, self.group_bank)
        if any(bank is None for bank in banks) and any(bank is not None for bank in banks):
            raise ShapeError("image_bank, text_bank and group_bank come together.")


@runtime_checkable
class Objective(Protocol):
    """A contrastive objective.

    groups_apart: whether two pairs of one group must not meet in a batch, since it would count them as wrong
    for each other. initial_scale, initial_bias: what a learned logit scale and bias start from.
    """

    groups_apart: ClassVar[bool]
    initial_scale: ClassVar[float]
    initial_bias: ClassVar[float]

    def loss(self, batch: Contrast) -> Float[Tensor, ""]:
        """Nats, lower is better; the mean over devices is the loss of the whole batch."""
        ...
