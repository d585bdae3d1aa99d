"""CLIP-Adapter (Gao et al. 2023, arXiv 2110.04544): a small network on the image features, mixed in.

    A(f) = relu(W_2 relu(W_1 f)),   f' = norm(ratio A(f) + (1 - ratio) f),   similarity_k = <f', t_k>

W_1 narrows to d / 4, and nothing has a bias, so A(c f) = c A(f): the paper's raw features and the unit
vectors here give the same f'. Cross-entropy at the logit scale with CoOp's optimiser, schedule and epochs.
The ratio is 0.2, the paper's for ImageNet, where there is no validation split; where there is one, an adapter
is trained for 0.6 too, its best on fine-grained data, and the better kept. Ratio 0 is zero-shot. Left out:
the adapter on the text side, and random crops, as features are given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from awase.errors import DataError
from awase.functional.similarity import normalize
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches, seeded
from awase.tune._classes import text_of
from awase.tune._frozen import Frozen, cosines
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import (
    coop_sgd,
    epochs_by_shots,
    require_range,
    require_shots,
    run_identity,
    warm_cosine,
)
from awase.tune._select import Tried, choose
from awase.types import Evidence, Features

RATIO = 0.2


def adapt(
    image_features: Float[Tensor, "n d"],
    down: Float[Tensor, "*r h d"],
    up: Float[Tensor, "*r d h"],
    ratio: float | Float[Tensor, "r 1 1"],
) -> Float[Tensor, "*r n d"]:
    """norm(ratio relu(up relu(down f)) + (1 - ratio) f), for one adapter or a stack of them.

    Example:
        >>> adapt(torch.eye(2), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0], [1.0]]), 0.5)
        tensor([[0.7071, 0.7071],
                [0.0000, 1.0000]])
    """
    hidden = functional.relu(image_features @ down.mT)
    adapted = functional.relu(hidden @ up.mT)
    return normalize(ratio * adapted + (1 - ratio) * image_features)


@dataclass(frozen=True, eq=False)
class ClipAdapted:
    """A frozen model with an adapter on its images.

    Attributes:
        frozen: the model before.
        down: W_1.
        up: W_2.
        ratio: share of the adapted in the mixture.
        tried: ratios with their validation accuracy.
    """

    frozen: Frozen
    down: Float[Tensor, "h d"]
    up: Float[Tensor, "d h"]
    ratio: float
    tried: Tried

    @property
    def n_parameters(self) -> int:
        return self.down.numel() + self.up.numel()

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosines of adapted images with any classes. Patches are not adapted: it never saw one."""
        return cosines(self.image_features(images), text_of(self.frozen, class_names), images.patches)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        """The adapted ones."""
        self.frozen.require(images)
        if self.ratio == 0:  # subtle: normalising a unit vector once more changes its last bit
            return images.values
        return adapt(images.values, self.down, self.up, self.ratio)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.frozen.text_features(texts)


@dataclass(frozen=True)
class ClipAdapter:
    """Learn an adapter on the image features.

    Args:
        ratio: share of the adapted in the mixture; None chooses among `ratios`. 0 is zero-shot.
        ratios: candidates; the smaller wins a tie.
        epochs: over the shots; None takes CoOp's: 50, 100 or 200 by the shots.
        rate: learning rate of SGD.
        batch_size: shots a step.

    Example:
        >>> ClipAdapter(ratio=0.2).ratio
        0.2
    """

    tuned: ClassVar[type] = ClipAdapted
    zero: ClassVar[Mapping[str, Any]] = {"ratio": 0.0}
    ratio: float | None = None
    ratios: tuple[float, ...] = (0.2, 0.6)
    epochs: int | None = None
    rate: float = 2e-3
    batch_size: int = 32

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> ClipAdapted:
        """Train an adapter for each ratio in question, and keep the one that validates best.

        Raises:
            DataError: a class has no shots, or a setting is out of range.
        """
        require_shots(task)
        ratios = self._candidates(len(task.validation_labels) > 0)
        require_range("epochs", self.epochs, 0)
        down, up = _initial(task.train.values.shape[1], task.train.values, seed)
        # one adapter a ratio, side by side in one run: their gradients do not meet
        module = nn.ParameterDict(
            {
                "down": nn.Parameter(down.repeat(len(ratios), 1, 1)),  # (r, h, d)
                "up": nn.Parameter(up.repeat(len(ratios), 1, 1)),  # (r, d, h)
            }
        )
        if ratios != (0.0,):  # no gradient would reach the adapter
            self._train(task, module, ratios, seed, checkpoint, progress)
        stack = {
            ratio: ClipAdapted(task.frozen, module["down"][i].detach(), module["up"][i].detach(), ratio, {})
            for i, ratio in enumerate(ratios)
        }
        best, tried = choose(
            "ratio",
            ratios,
            lambda ratio: stack[ratio].evidence(task.validation).similarity,
            task.validation_labels,
            default=RATIO,
        )
        return ClipAdapted(task.frozen, stack[best].down, stack[best].up, best, tried)

    def _candidates(self, can_choose: bool) -> tuple[float, ...]:
        require_range("ratio", self.ratio, 0.0, 1.0)
        for ratio in self.ratios:
            require_range("each of ratios", ratio, 0.0, 1.0)
        if self.ratio is not None:
            return (self.ratio,)
        if not can_choose:
            return (RATIO,)
        if not self.ratios:
            raise DataError("ratios is empty; give a ratio, or some to choose from.")
        return tuple(sorted(set(self.ratios)))

    def _train(
        self,
        task: Task,
        module: nn.ParameterDict,
        ratios: tuple[float, ...],
        seed: int,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> None:
        images, labels = task.train.values, task.train_labels
        class_features = task.frozen.logit_scale * task.frozen.class_features
        shares = torch.tensor(ratios, dtype=images.dtype)[:, None, None]

        def loss(rows: Int[Tensor, " b"], step: int) -> Float[Tensor, ""]:
            logits = adapt(images[rows], module["down"], module["up"], shares) @ class_features.T
            # the sum over adapters of each one's mean: every adapter has the gradient it has alone
            repeated = labels[rows].repeat(len(ratios))
            return functional.cross_entropy(logits.flatten(0, 1), repeated) * len(ratios)

        batches = ShuffledBatches(len(images), self.batch_size, seed)
        epochs = epochs_by_shots(task.shots) if self.epochs is None else self.epochs
        train(
            module,
            loss,
            batches=batches,
            n_steps=epochs * batches.per_epoch,
            optimizer=coop_sgd(module.parameters(), rate=self.rate),
            schedule=warm_cosine(batches.per_epoch, epochs, rate=self.rate),
            checkpoint=checkpoint,
            identity={**run_identity(self, task), "ratios": list(ratios)},
            progress=progress,
        )


def _initial(
    d: int, like: Float[Tensor, "n d"], seed: int
) -> tuple[Float[Tensor, "h d"], Float[Tensor, "d h"]]:
    """Weights as `torch.nn.Linear` draws them: uniform within 1 / sqrt(inputs)."""
    h = max(1, d // 4)
    generator = seeded(seed, 0)
    down = (2 * torch.rand(h, d, generator=generator) - 1) / d**0.5
    up = (2 * torch.rand(d, h, generator=generator) - 1) / h**0.5
    return down.to(like.dtype), up.to(like.dtype)


METHOD = ClipAdapter
