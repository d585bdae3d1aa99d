"""TaskRes (Yu et al. 2023, arXiv 2211.10277): a residual on the class features, the images left alone.

    t'_k = norm(t_k + alpha x_k),   x = 0 at the start,   similarity_k = <f, t'_k>

Cross-entropy at the logit scale; Adam at 2e-3 (the paper: 2e-4 on ImageNet), batches of 256, one epoch of
warm-up and a cosine; 100 epochs for up to four shots, else 200. alpha is 0.5 (the paper: 1 for Flowers). No
epochs are zero-shot. Left out: the "enhanced base", another tuned model to start from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from awase.functional.similarity import normalize
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches
from awase.tune._classes import learned_rows, places, text_of
from awase.tune._frozen import Frozen, cosines
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import require_range, require_shots, run_identity, warm_cosine
from awase.types import Evidence, Features


def shifted(
    class_features: Float[Tensor, "k d"], residual: Float[Tensor, "k d"], alpha: float
) -> Float[Tensor, "k d"]:
    """norm(t + alpha x); a class without a residual keeps its vector to the last bit.

    Example:
        >>> shifted(torch.eye(2), torch.tensor([[0.0, 2.0], [0.0, 0.0]]), alpha=0.5)
        tensor([[0.7071, 0.7071],
                [0.0000, 1.0000]])
    """
    shift = alpha * residual
    # subtle: normalising a unit vector once more changes its last bit
    is_moved = (shift != 0).any(dim=1, keepdim=True)
    return torch.where(is_moved, normalize(class_features + shift), class_features)


@dataclass(frozen=True, eq=False)
class TaskResidual:
    """A frozen model with moved class features.

    Attributes:
        frozen: the model before.
        residual: x, one row a class.
        alpha: its weight.
    """

    frozen: Frozen
    residual: Float[Tensor, "k d"]
    alpha: float

    @property
    def n_parameters(self) -> int:
        return self.residual.numel()

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosines with the moved class features; a class that was not tuned on has its text alone."""
        self.frozen.require(images)
        residual = learned_rows(self.residual, places(self.frozen, class_names))
        class_features = shifted(text_of(self.frozen, class_names), residual, self.alpha)
        return cosines(images.values, class_features, images.patches)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.frozen.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.frozen.text_features(texts)


@dataclass(frozen=True)
class TaskRes:
    """Learn a residual for each class.

    Args:
        alpha: weight of the residual; 0 is zero-shot.
        epochs: over the shots; None takes 100 for up to four shots, else 200. 0 is zero-shot.
        rate: learning rate of Adam.
        batch_size: shots a step.

    Example:
        >>> TaskRes(alpha=1.0)
        TaskRes(alpha=1.0, epochs=None, rate=0.002, batch_size=256)
    """

    tuned: ClassVar[type] = TaskResidual
    zero: ClassVar[Mapping[str, Any]] = {"epochs": 0}
    alpha: float = 0.5
    epochs: int | None = None
    rate: float = 2e-3
    batch_size: int = 256

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> TaskResidual:
        """Train the residual.

        Raises:
            DataError: a class has no shots, or a setting is out of range.
        """
        require_shots(task)
        require_range("alpha", self.alpha, 0.0)
        require_range("epochs", self.epochs, 0)
        epochs = (100 if task.shots <= 4 else 200) if self.epochs is None else self.epochs
        base, images = task.frozen.class_features, task.train.values
        module = nn.ParameterDict({"residual": nn.Parameter(torch.zeros_like(base))})
        batches = ShuffledBatches(len(images), self.batch_size, seed)

        def loss(rows: Int[Tensor, " b"], step: int) -> Float[Tensor, ""]:
            class_features = normalize(base + self.alpha * module["residual"])
            logits = task.frozen.logit_scale * images[rows] @ class_features.T
            return functional.cross_entropy(logits, task.train_labels[rows])

        train(
            module,
            loss,
            batches=batches,
            n_steps=epochs * batches.per_epoch,
            # the authors' code sits on CoOp's library, whose Adam decays weights by 5e-4
            optimizer=torch.optim.Adam(module.parameters(), lr=self.rate, weight_decay=5e-4),
            schedule=warm_cosine(batches.per_epoch, epochs, rate=self.rate),
            checkpoint=checkpoint,
            identity=run_identity(self, task),
            progress=progress,
        )
        return TaskResidual(task.frozen, module["residual"].detach(), self.alpha)


METHOD = TaskRes
