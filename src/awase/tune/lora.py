"""Low-rank updates of the attention of either tower or both: CLIP-LoRA (Zanella and Ben Ayed 2024).

    W' = W + strength * alpha / r * B A,   A (r, in) uniform at random, B (out, r) = 0 at the start

on queries, keys and values of every layer (on the fused map where a model has one), as in the paper (arXiv
2405.18541): r = 2, alpha = 1, dropout 0.25 on what goes into A, AdamW at 2e-4 with weight decay 1e-2, a
cosine to 1e-6, batches of 32. The paper takes 500 steps a shot on a GPU; `steps_per_shot` says how many.
`strength` scales the update afterwards, back towards the original weights (WiSE-FT, arXiv 2109.01903).

The updates are peft's, put into a copy of the encoder; the frozen one is never touched. Left out: random
crops and flips (each image is one fixed view), and attention kept in packed parameters (open_clip).
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from awase.errors import DataError, EncoderError, MissingExtraError
from awase.protocols import Encoder
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches, seeded
from awase.training.schedule import cosine
from awase.tune._frozen import Frozen
from awase.tune._interpolate import chosen_strength, require_strength
from awase.tune._matching import features_of_prefixes, matching_loss
from awase.tune._prefix import GIBIBYTE
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import require_range, require_shots, run_identity
from awase.tune._towers import TunedTowers, chosen_towers, prefix_of, trainable, with_weights
from awase.types import Evidence, Features

try:
    import peft
    from peft.tuners.lora import LoraLayer
except ImportError as error:
    raise MissingExtraError("peft", "tune") from error

_ADAPTER = "default"
_LAST_RATE = 1e-6


@dataclass(frozen=True, eq=False)
class LoraTuned:
    """A model with low-rank updates, merged into a copy of its encoder when it is first asked.

    Attributes:
        frozen: the model before.
        image_updates: `NAME.lora_A` (r, in) and `NAME.lora_B` (out, r) of the image tower's maps.
        text_updates: those of the text tower.
        scaling: alpha / r.
        strength: share of the update, in [0, 1]; 0 is the frozen model to the last bit.
    """

    frozen: Frozen
    image_updates: Mapping[str, Float[Tensor, "..."]]
    text_updates: Mapping[str, Float[Tensor, "..."]]
    scaling: float
    strength: float = 1.0

    @property
    def n_parameters(self) -> int:
        updates = (*self.image_updates.values(), *self.text_updates.values())
        return sum(value.numel() for value in updates)

    @cached_property
    def towers(self) -> TunedTowers:
        """The towers with the updates merged in."""
        return with_weights(
            self.frozen,
            image=self._merged(self.image_updates),
            text=self._merged(self.text_updates),
            keeps_prefix=True,
        )

    @property
    def encoder(self) -> Encoder:
        """The tuned encoder; its fingerprint is its own, unless nothing changed."""
        return self.towers.encoder

    def at_strength(self, strength: float) -> "LoraTuned":
        """The same updates at another strength."""
        require_strength(strength)
        return replace(self, strength=strength)

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosines after tuning; the pixels are read again where the image tower changed."""
        return self.towers.evidence(images, class_names)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.towers.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.towers.text_features(texts)

    def _merged(self, updates: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.strength == 0:
            return {}
        weights = dict(trainable(self.frozen.reader()).module.named_parameters())
        merged = {}
        for key in updates:
            name, _, kind = key.rpartition(".")
            if kind != "lora_A":
                continue
            if f"{name}.weight" not in weights or f"{name}.lora_B" not in updates:
                raise DataError(f"the encoder has no map {name} to update; the updates are another model's.")
            original = weights[f"{name}.weight"].detach()
            update = updates[f"{name}.lora_B"] @ updates[key]
            merged[f"{name}.weight"] = original + self.strength * self.scaling * update.to(original)
        return merged


@dataclass(frozen=True)
class Lora:
    """CLIP-LoRA.

    Args:
        towers: `both`, `image` or `text`.
        rank: r.
        alpha: the update is scaled by alpha / r.
        dropout: on what goes into A, while training.
        steps_per_shot: steps are this many times the shots; the paper's 500 take long without a GPU.
        rate: of AdamW, at the start of the cosine. The paper's suits CLIP and many steps; the built-in model
            learns in 20 steps a shot with 1e-2.
        weight_decay: of AdamW.
        batch_size: images in a step.
        strength: share of the update that is kept, in [0, 1]; None chooses 0, 1/4, 1/2, 3/4 or 1 on the
            validation images.

    Example:
        >>> Lora(towers="text").rank
        2
    """

    tuned: ClassVar[type] = LoraTuned
    zero: ClassVar[Mapping[str, Any]] = {"steps_per_shot": 0}
    towers: str = "both"
    rank: int = 2
    alpha: float = 1.0
    dropout: float = 0.25
    steps_per_shot: int = 500
    rate: float = 2e-4
    weight_decay: float = 1e-2
    batch_size: int = 32
    strength: float | None = 1.0

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> LoraTuned:
        """Learn the updates.

        Raises:
            DataError: a setting is out of range, or a class has no image.
            EncoderError: the encoder's attention takes no such updates.
            RowError: a training photo can no longer be read.
        """
        self._require()
        require_shots(task)
        frozen = task.frozen
        original = trainable(frozen.reader())
        names = {tower: original.attention_projections(tower) for tower in chosen_towers(self.towers)}
        # refuses an image tower that cannot be run in parts, too
        prefix = prefix_of(frozen, capacity=2 * GIBIBYTE) if "image" in names else None

        encoder: Any = copy.deepcopy(original)
        layers = inject(encoder.module, [name for tower in names.values() for name in tower], self, seed)
        images = None if prefix is None else features_of_prefixes(task, encoder, prefix)
        n_steps = self.steps_per_shot * task.shots
        learned = [value for value in encoder.module.parameters() if value.requires_grad]
        train(
            encoder.module,
            matching_loss(task, encoder, images=images, learns_text="text" in names),
            batches=ShuffledBatches(len(task.train), self.batch_size, seed),
            n_steps=n_steps,
            optimizer=torch.optim.AdamW(learned, lr=self.rate, weight_decay=self.weight_decay),
            schedule=cosine(n_steps, floor=min(1.0, _LAST_RATE / self.rate)),
            checkpoint=checkpoint,
            identity=run_identity(self, task),
            progress=progress,
        )
        tuned = LoraTuned(
            frozen,
            image_updates=_updates(layers, names.get("image", ())),
            text_updates=_updates(layers, names.get("text", ())),
            scaling=float(self.alpha) / self.rank,
        )
        return tuned.at_strength(chosen_strength(tuned, self.strength, task))

    def _require(self) -> None:
        require_range("rank", self.rank, 1)
        require_range("dropout", self.dropout, 0, 1)
        require_range("steps_per_shot", self.steps_per_shot, 0)
        require_range("rate", self.rate, _LAST_RATE)
        require_range("weight_decay", self.weight_decay, 0)
        if self.strength is not None:
            require_strength(self.strength)


def inject(module: nn.Module, names: Sequence[str], settings: Lora, seed: int) -> dict[str, LoraLayer]:
    """Put updates around the named maps, in place: A uniform as torch starts a linear map, B zero.

    Everything else of the module stays frozen and in evaluation mode; only the dropout of the updates is
    switched on.

    Returns:
        The wrapped maps by name.

    Raises:
        EncoderError: peft wrapped other maps than those named.
    """
    alpha: Any = settings.alpha  # peft says int, and takes any number
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=alpha,
        lora_dropout=settings.dropout,
        target_modules=list(names),
        bias="none",
    )
    with torch.random.fork_rng(devices=[]):  # peft draws a start of its own, which is replaced below
        peft.inject_adapter_in_model(config, module, adapter_name=_ADAPTER)
    module.eval()
    layers = {name: part for name, part in module.named_modules() if isinstance(part, LoraLayer)}
    if set(layers) != set(names):
        raise EncoderError(f"low-rank updates were put on {sorted(layers)} instead of {sorted(names)}.")
    generator = seeded(seed, -1)
    for name in names:
        layer: Any = layers[name]
        first, second = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
        bound = 1 / math.sqrt(first.shape[1])
        with torch.no_grad():
            drawn = torch.empty(first.shape).uniform_(-bound, bound, generator=generator)
            first.copy_(drawn)
            second.zero_()
        layer.lora_dropout.train()
    return layers


def _updates(layers: Mapping[str, LoraLayer], names: Sequence[str]) -> dict[str, Tensor]:
    updates = {}
    for name in names:
        for kind in ("lora_A", "lora_B"):
            updates[f"{name}.{kind}"] = getattr(layers[name], kind)[_ADAPTER].weight.detach().cpu().clone()
    return updates


METHOD = Lora
