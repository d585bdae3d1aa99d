"""What a tuning method is given and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import ShapeError
from awase.tune._frozen import Frozen
from awase.types import Evidence, Features


@runtime_checkable
class Tuned(Protocol):
    """A model after tuning. A frozen dataclass: `frozen` is the model before, every other field a plain
    value, a tensor or a mapping of tensors, which is how it is saved and loaded.
    """

    @property
    def frozen(self) -> Frozen:
        """The model before tuning."""
        ...

    @property
    def n_parameters(self) -> int:
        """How many numbers tuning has set."""
        ...

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """What it says of images that the frozen model's encoder has encoded.

        Args:
            images: features of the frozen encoder; a method that changes towers reads the pixels again.
            class_names: other classes than those it was tuned on; None for those.

        Raises:
            DataError: the method cannot speak of other classes, or the features are another encoder's.
        """
        ...

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        """Unit vectors of images as they are after tuning: for retrieval with free texts."""
        ...

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        """Unit vectors of free texts as they are after tuning; what was learned for class names stays out."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a method learns from.

    Attributes:
        frozen: the model before tuning, with the classes to learn.
        train: the shots, and the class of each, 0 .. k - 1.
        validation: other labelled images of the same classes, for choosing hyperparameters; may be empty,
            then defaults are kept.
    """

    frozen: Frozen
    train: Features
    train_labels: Int[Tensor, " n"]
    validation: Features
    validation_labels: Int[Tensor, " m"]

    def __post_init__(self) -> None:
        for features, labels in (
            (self.train, self.train_labels),
            (self.validation, self.validation_labels),
        ):
            if len(features) != len(labels):
                raise ShapeError(f"{len(features)} images came with {len(labels)} labels.")

    @property
    def shots(self) -> int:
        """The largest number of training images of one class."""
        return int(self.train_labels.bincount().max()) if len(self.train_labels) else 0


Progress = Callable[[int, int | None], None]


@runtime_checkable
class TuneMethod(Protocol):
    """One way to adapt. A frozen dataclass of settings, whose repr is provenance.

    `tuned` is the class of what `fit` returns. `zero` gives the settings that leave the model as it was, to
    the last bit: no steps, or no strength.
    """

    tuned: ClassVar[type]
    zero: ClassVar[Mapping[str, Any]]

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> Tuned:
        """Learn; equal seeds give equal weights on a CPU, also when `checkpoint` goes on from a killed run.

        Args:
            task: what to learn from.
            seed: of every draw.
            checkpoint: a folder of its own for what a killed run goes on from; None for none. Methods without
                a training loop ignore it.
            progress: told of steps done and steps in all.

        Raises:
            DataError: the task cannot be learned by this method, such as no images of a class.
            EncoderError: the encoder's towers cannot be trained.
        """
        ...
