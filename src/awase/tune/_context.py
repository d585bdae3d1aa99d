"""What CoOp, CoCoOp and LoCoOp share: the training run, and the model with a learned context."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from awase.engine.prototypes import encode_classes
from awase.errors import DataError
from awase.training.loop import Loss, train
from awase.training.sampler import ShuffledBatches, seeded
from awase.tune._frozen import Frozen, cosines
from awase.tune._prompts import ContextEncoder, Prompt
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import coop_sgd, require_range, require_shots, run_identity, warm_cosine
from awase.types import Evidence, Features

_DEVIATION = 0.02  # of a context that starts from noise
_START = -1  # index of the draw of the start, beside the steps of training


@dataclass(frozen=True, eq=False)
class LearnedContext:
    """A model whose prompts carry a learned context, the same for every class and image.

    Attributes:
        frozen: the model before.
        shift: what is added to the input embeddings of the m context tokens.
        before: text of the prompt before the name, such as "a photo of a ".
        after: context behind the name, "" where the name comes last.
        suffix: what ends the prompt, unlearned.
    """

    frozen: Frozen
    shift: Float[Tensor, "m w"]
    before: str
    after: str
    suffix: str

    @property
    def prompt(self) -> Prompt:
        return Prompt(self.before, self.after, self.suffix)

    @property
    def n_parameters(self) -> int:
        return self.shift.numel()

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosines of the frozen model's images with the classes in the learned context, of any names.

        Raises:
            DataError: features of another encoder, or a prompt that is too long.
        """
        self.frozen.require(images)
        return cosines(images.values, self.class_features(class_names), images.patches)

    def class_features(self, class_names: Sequence[str] | None = None) -> Float[Tensor, "k d"]:
        """Unit vectors of the classes, its own (None) or others."""
        if class_names is None or tuple(class_names) == self.frozen.class_names:
            return self._own
        return contextual(self.frozen, self.prompt, self.shift, class_names)

    @cached_property
    def _own(self) -> Float[Tensor, "k d"]:
        return contextual(self.frozen, self.prompt, self.shift, self.frozen.class_names)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.frozen.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.frozen.text_features(texts)


def contextual(
    frozen: Frozen, prompt: Prompt, shift: Float[Tensor, "m w"], class_names: Sequence[str]
) -> Float[Tensor, "k d"]:
    """Unit vectors of classes in a learned context; the frozen model's own, to the last bit, for shift 0."""
    if not bool(shift.any()):
        if prompt.template == frozen.templates[0]:
            return frozen.features_of(class_names)
        return encode_classes(frozen.reader(), class_names, [prompt.template])
    encode = ContextEncoder(frozen.reader(), prompt, class_names)
    with torch.no_grad():
        features = encode.class_features(fitting(shift, encode)[None])[0]
    return features.float().to(frozen.class_features.device)


def fitting(shift: Float[Tensor, "m w"], encode: ContextEncoder) -> Float[Tensor, "m w"]:
    """The shift, if these prompts have as many context tokens of this width.

    Raises:
        DataError: they have not.
    """
    if shift.shape != (encode.n_tokens, encode.width):
        raise DataError(
            f"a learned context of {tuple(shift.shape)} does not fit prompts with {encode.n_tokens} context "
            f"tokens of width {encode.width}; it was learned on another encoder."
        )
    return shift


def starting_shift(encode: ContextEncoder, *, context: str, seed: int) -> Float[Tensor, "m w"]:
    """Zero for a context of words, noise of N(0, 0.02^2) for `random`."""
    shift = torch.zeros(encode.n_tokens, encode.width, dtype=encode.precision)
    if context == "random":
        shift.normal_(0.0, _DEVIATION, generator=seeded(seed, _START))
    return shift


def prepare(task: Task, prompt: Prompt) -> ContextEncoder:
    """The prompts of a task, once it is clear that they can be learned from it.

    Raises:
        EncoderError: the encoder's text tower cannot be taken apart.
        DataError: no encoder, features of another one, a class without an image, a prompt that is too long.
    """
    encode = ContextEncoder(task.frozen.reader(), prompt, task.frozen.class_names)
    task.frozen.require(task.train)
    require_shots(task)
    return encode


def descend(
    module: nn.Module,
    loss: Loss,
    task: Task,
    *,
    method: Any,
    epochs: int,
    seed: int,
    checkpoint: Path | None,
    progress: Progress | None,
) -> list[float]:
    """CoOp's training (`awase.tune._recipe`) of whatever the module holds; the loss of every step.

    Args:
        module: what is learned.
        loss: mean loss of a batch of rows of the shots.
        task: the shots.
        method: the settings, with batch_size and learning_rate.
        epochs: passes over the shots; 0 changes nothing.
        seed: of the order of the shots.
        checkpoint: folder to go on from.
        progress: told of the steps.

    Raises:
        DataError: settings outside their range.
    """
    require_range("epochs", epochs, 0.0)
    require_range("learning_rate", method.learning_rate, 1e-12)
    batches = ShuffledBatches(n_rows=len(task.train), batch_size=method.batch_size, seed=seed)
    rate = method.learning_rate
    return train(
        module,
        loss,
        batches=batches,
        n_steps=epochs * batches.per_epoch,
        optimizer=coop_sgd(module.parameters(), rate=rate),
        schedule=warm_cosine(batches.per_epoch, epochs, rate=rate),
        checkpoint=checkpoint,
        identity=run_identity(method, task),
        progress=progress,
    )
