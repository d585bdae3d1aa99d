"""Full fine-tuning of either tower or both: every weight learns, by cross-entropy against the class prompts.

There is no classifier layer: the class vectors are the text tower's own, encoded anew at every step where it
learns and fixed where it does not. AdamW, constant warm-up, cosine. `embedding="frozen"` leaves what lies
before the first attention layer as it was (patch embedding, token embeddings; all convolutions of the
built-in model), after Kumar et al. 2022 (arXiv 2211.09359); it is the one that a CPU does in a minute.
`strength` moves back towards the original weights (WiSE-FT, arXiv 2109.01903).

The frozen encoder is never touched; towers stay in evaluation mode, so there is no dropout, and batch norms
keep their statistics. Left out: crops and flips (each image is one fixed view), learning the logit scale.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from awase.errors import DataError
from awase.functional.image_tower import image_prefix, run_image, run_prefix
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.protocols import Encoder, ImageTower
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches
from awase.training.schedule import cosine
from awase.tune._frozen import Frozen
from awase.tune._interpolate import chosen_strength, require_strength
from awase.tune._matching import ImageFeatures, features_of_prefixes, matching_loss
from awase.tune._prefix import GIBIBYTE, PrefixCache, image_tower_of, on_device
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import require_range, require_shots, run_identity
from awase.tune._select import accuracy
from awase.tune._towers import TunedTowers, chosen_towers, prefix_of, trainable, with_weights
from awase.types import Evidence, Features

_RATES = (1e-5, 1e-4, 5e-4)
_WARMUP = 0.1  # of all steps, at a tenth of the rate


@dataclass(frozen=True, eq=False)
class FullTuned:
    """A model with other weights, put into a copy of its encoder when it is first asked.

    Attributes:
        frozen: the model before.
        image_weights: the tuned weights of the image tower, by their names in the encoder's module.
        text_weights: those of the text tower.
        keeps_prefix: whether no weight before the image tower's first attention layer is among them.
        rate: the learning rate they were learned with.
        strength: place between the original weights (0) and these (1).
    """

    frozen: Frozen
    image_weights: Mapping[str, Float[Tensor, "..."]]
    text_weights: Mapping[str, Float[Tensor, "..."]]
    keeps_prefix: bool
    rate: float
    strength: float = 1.0

    @property
    def n_parameters(self) -> int:
        return sum(value.numel() for value in (*self.image_weights.values(), *self.text_weights.values()))

    @cached_property
    def towers(self) -> TunedTowers:
        """The towers at this strength."""
        return with_weights(
            self.frozen,
            image=self._between(self.image_weights),
            text=self._between(self.text_weights),
            keeps_prefix=self.keeps_prefix,
        )

    @property
    def encoder(self) -> Encoder:
        """The tuned encoder; its fingerprint is its own, unless nothing changed."""
        return self.towers.encoder

    def at_strength(self, strength: float) -> "FullTuned":
        """The same weights at another strength."""
        require_strength(strength)
        return replace(self, strength=strength)

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosines after tuning; the pixels are read again where the image tower changed."""
        return self.towers.evidence(images, class_names)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.towers.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.towers.text_features(texts)

    def _between(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.strength == 0:
            return {}
        original = dict(trainable(self.frozen.reader()).module.named_parameters())
        if missing := sorted(weights.keys() - original.keys()):
            raise DataError(f"the encoder has no weight {missing[0]}; the weights are another model's.")
        return {
            name: value
            if self.strength == 1  # exactly, where 0 * infinity would not be 0
            else (1 - self.strength) * original[name].detach().to(value) + self.strength * value
            for name, value in weights.items()
        }


@dataclass(frozen=True)
class Full:
    """Full fine-tuning.

    Args:
        towers: `both`, `image` or `text`.
        embedding: `trained`, or `frozen` for what lies before the first attention layer of a tower.
        epochs: passes over the training images.
        rate: of AdamW, after the warm-up. None learns with 1e-5 (what suits CLIP), 1e-4 and 5e-4 (what suits
            the built-in model), in three times the time, and keeps the one with the best validation accuracy;
            without validation images 1e-5.
        weight_decay: of AdamW.
        batch_size: images in a step.
        strength: place between the original weights (0) and the tuned ones (1); None chooses 0, 1/4, 1/2, 3/4
            or 1 on the validation images.

    Example:
        >>> Full(towers="text").epochs
        20
    """

    tuned: ClassVar[type] = FullTuned
    zero: ClassVar[Mapping[str, Any]] = {"epochs": 0}
    towers: str = "both"
    embedding: str = "trained"
    epochs: int = 20
    rate: float | None = None
    weight_decay: float = 0.1
    batch_size: int = 32
    strength: float | None = 1.0

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> FullTuned:
        """Learn the weights.

        Raises:
            DataError: a setting is out of range, or a class has no image.
            EncoderError: the encoder's weights cannot be changed.
            RowError: a training photo can no longer be read.
        """
        self._require()
        require_shots(task)
        best: FullTuned | None = None
        best_accuracy = -1.0
        rates = self._rates(task)
        for i, rate in enumerate(rates):
            folder = checkpoint
            if checkpoint is not None and len(rates) > 1:
                folder = checkpoint / f"rate-{rate:g}"  # a run each
            tuned = replace(self, rate=rate)._learned(
                task, seed, rate, folder, _part(progress, i, len(rates))
            )
            tuned = tuned.at_strength(chosen_strength(tuned, self.strength, task))
            if len(rates) == 1:
                return tuned
            reached = accuracy(tuned.evidence(task.validation).similarity, task.validation_labels)
            if best is None or reached > best_accuracy:  # a tie goes to the smaller rate
                best, best_accuracy = tuned, reached
        assert best is not None  # there is at least one rate
        return best

    def _rates(self, task: Task) -> tuple[float, ...]:
        if self.rate is not None:
            return (self.rate,)
        return _RATES if len(task.validation) and self.epochs else _RATES[:1]

    def _learned(
        self, task: Task, seed: int, rate: float, checkpoint: Path | None, progress: Progress | None
    ) -> FullTuned:
        frozen, chosen = task.frozen, chosen_towers(self.towers)
        encoder: Any = copy.deepcopy(trainable(frozen.reader()))
        is_frozen = self.embedding == "frozen"
        names = {
            tower: weights_of(encoder, tower, behind_embedding=is_frozen, prompt=frozen.templates[0])
            for tower in chosen
        }
        parameters = dict(encoder.module.named_parameters())
        learned = {name: parameters[name] for tower in chosen for name in names[tower]}
        before = {name: value.detach().clone() for name, value in learned.items()}
        for value in learned.values():
            value.requires_grad_(True)

        images = self._images(task, encoder) if "image" in chosen else None
        batches = ShuffledBatches(len(task.train), self.batch_size, seed)
        n_steps = self.epochs * batches.per_epoch
        train(
            encoder.module,
            matching_loss(task, encoder, images=images, learns_text="text" in chosen),
            batches=batches,
            n_steps=n_steps,
            optimizer=torch.optim.AdamW(learned.values(), lr=rate, weight_decay=self.weight_decay),
            schedule=cosine(n_steps, warmup_steps=round(_WARMUP * n_steps), warmup=0.1),
            checkpoint=checkpoint,
            identity=run_identity(self, task),
            progress=progress,
        )
        changed = {
            name: value.detach().cpu().clone()
            for name, value in learned.items()
            if not torch.equal(value, before[name])
        }
        return FullTuned(
            frozen,
            image_weights={name: changed[name] for name in names.get("image", ()) if name in changed},
            text_weights={name: changed[name] for name in names.get("text", ()) if name in changed},
            keeps_prefix=is_frozen,
            rate=rate,
        )

    def _images(self, task: Task, encoder: Encoder) -> ImageFeatures:
        """Unit vectors of training images, from the frozen embedding or from the pixels on."""
        if self.embedding == "frozen":
            prefix = prefix_of(task.frozen, capacity=2 * GIBIBYTE)
            return features_of_prefixes(task, encoder, prefix)
        kept = PrefixCache(task.frozen.reader(), capacity=2 * GIBIBYTE, compute=_pixels_alone)

        def image_features(rows: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
            pixels = on_device(encoder, kept.rows(task.train.select(rows.tolist())))
            return normalize(run_image(image_tower_of(encoder), pixels).float())

        return image_features

    def _require(self) -> None:
        if self.embedding not in ("trained", "frozen"):
            raise DataError(f"embedding must be trained or frozen, got {self.embedding!r}.")
        require_range("epochs", self.epochs, 0)
        require_range("rate", self.rate, 0)
        require_range("weight_decay", self.weight_decay, 0)
        if self.strength is not None:
            require_strength(self.strength)


def weights_of(
    encoder: Any, tower: str, *, behind_embedding: bool, prompt: str = "a photo"
) -> tuple[str, ...]:
    """Names of the weights that a tower's embedding depends on, whichever library holds them.

    Found by running the tower once and asking which weights a gradient reaches.

    Args:
        encoder: a copy whose weights may be asked for gradients; they are frozen again afterwards.
        tower: `image` or `text`.
        behind_embedding: leave out those before the first attention layer.
        prompt: any text.
    """
    module: nn.Module = encoder.module
    parameters = dict(module.named_parameters())
    for value in parameters.values():
        value.requires_grad_(True)
    try:
        if tower == "image":
            first, last = _image_stages(encoder)
        else:
            tokens = encoder.tokenize([prompt])
            first = encoder.text_tower.embed(tokens)
            last = run_text(encoder.text_tower, tokens, first)
        reached = _reached(parameters, last)
        embedding = _reached(parameters, first) if behind_embedding else set()
    finally:
        for value in parameters.values():
            value.requires_grad_(False)
    return tuple(name for name in parameters if name in reached - embedding)


def _image_stages(encoder: Any) -> tuple[Tensor, Tensor]:
    tower = image_tower_of(encoder)
    picture = encoder.preprocess(Image.new("RGB", (64, 64), (128, 128, 128)))
    prefix = image_prefix(tower, on_device(encoder, picture[None]))
    return prefix, run_prefix(tower, prefix)


def _reached(parameters: Mapping[str, Tensor], output: Tensor) -> set[str]:
    gradients = torch.autograd.grad(
        output.sum(), list(parameters.values()), retain_graph=True, allow_unused=True
    )
    return {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}


def _part(progress: Progress | None, place: int, parts: int) -> Progress | None:
    """Progress of one of several runs of equal length."""
    if progress is None:
        return None
    whole = progress

    def told(done: int, total: int | None) -> None:
        whole(done + place * (total or 0), None if total is None else total * parts)

    return told


def _pixels_alone(tower: ImageTower, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
    return pixels


METHOD = Full
