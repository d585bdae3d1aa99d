"""What a score of in-distribution is, and what one that learns may learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from awase.protocols import TextEncoder
from awase.types import Evidence

HIGHER_MEANS = "in_distribution"


@runtime_checkable
class Scorer(Protocol):
    """One score a row, higher = more in-distribution. A frozen dataclass whose fields are plain values,
    tensors or mappings of tensors: the repr of its plain values is its provenance, and it is saved field by
    field.
    """

    higher_means: ClassVar[str]
    needs_patches: ClassVar[bool]

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """float32 or wider, each row from its own evidence alone, so that blocks give what the whole gives.

        Raises:
            DataError: fewer than two classes for a softmax, a temperature that is not positive, a NaN.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a score may learn from: in-distribution images with their classes, and the words of the classes.

    Attributes:
        evidence: of the training images (the shots), never of calibration or test images.
        labels: class of each, 0 .. k - 1.
        class_names: the k names.
        encoder: reads texts; None where only vectors are at hand.
        template: the prompt that class names were put into, such as "a photo of a {}".
    """

    evidence: Evidence
    labels: Int[Tensor, " n"]
    class_names: Sequence[str]
    encoder: TextEncoder | None = None
    template: str = "{}"


@runtime_checkable
class Learner(Protocol):
    """A score that has to learn first. `scorer` is the class of what `fit` returns, for loading it again."""

    scorer: ClassVar[type]
    needs_patches: ClassVar[bool]

    def fit(self, known: Known) -> Scorer:
        """The score, fitted: another type, so that "not fitted yet" cannot happen."""
        ...
