"""What is trained: towers of a copy of the encoder, heads behind them, the logit scale and the bias.

A side whose tower does not learn gives its frozen vectors, so only its head (where there is one) is run.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from awase.errors import EncoderError
from awase.functional.heads import head_start, residual_head
from awase.functional.image_tower import image_prefix, run_image, run_prefix
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.protocols import Encoder, TextTower
from awase.registry import load
from awase.training.precision import autocast
from awase.training.sampler import seeded
from awase.tune._prefix import image_tower_of, on_device
from awase.tune._towers import trainable
from awase.tune.full import weights_of
from awase.tune.pairs._images import Compute, Photos
from awase.tune.pairs._recipe import PairRecipe
from awase.tune.pairs._rows import PairRows
from awase.tune.pairs._texts import Tokens, tokenize

LARGEST_SCALE = 100.0  # as CLIP clamps it
_CHUNK = 64  # images or texts in one pass without gradient


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What the sides of a model read for one set of pairs: frozen vectors, or photos and tokens."""

    image_of_text: Int[Tensor, " m"]
    images: Float[Tensor, "n d"] | Photos
    texts: Float[Tensor, "m d"] | Tokens


class Head(nn.Module):
    """`awase.functional.heads.residual_head` with weights that learn; it starts as no change.

    Args:
        recipe: its kind and sizes.
        width: of the vectors.
        generator: of the start.
    """

    def __init__(self, recipe: PairRecipe, width: int, generator: torch.Generator) -> None:
        super().__init__()
        start = head_start(recipe.head, width=width, hidden=recipe.hidden, generator=generator)
        self._names = tuple(start)
        self.dropout = float(recipe.dropout)
        for name, value in start.items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(value))

    @property
    def weights(self) -> dict[str, Tensor]:
        """By the names of `residual_head`."""
        return {name: getattr(self, name.replace(".", "_")) for name in self._names}

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Unit vectors; with dropout in training mode."""
        dropout = self.dropout if self.training else 0.0
        return normalize(residual_head(features, self.weights, dropout=dropout))


class PairModel(nn.Module):
    """The model while it is trained.

    Args:
        encoder: the base; it is copied where a tower learns and never touched.
        recipe: what learns.
        scale: logit scale at the start.
        bias: logit bias at the start; learned where it is not 0.
        seed: of the heads' start.

    Raises:
        EncoderError: a tower shall learn and cannot.
    """

    def __init__(self, encoder: Encoder, recipe: PairRecipe, *, scale: float, bias: float, seed: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder: Any = encoder
        self.towers: nn.Module | None = None
        if recipe.towers:
            self.encoder = copy.deepcopy(trainable(encoder))
            self.towers = self.encoder.module
        self.learned: dict[str, tuple[str, ...]] = {}
        for tower in recipe.towers:
            if tower == "image":
                image_tower_of(self.encoder)
            self.learned[tower] = weights_of(
                self.encoder, tower, behind_embedding=recipe.embedding == "frozen"
            )
        parameters = dict(self.towers.named_parameters()) if self.towers is not None else {}
        self._before = {
            name: parameters[name].detach().clone() for names in self.learned.values() for name in names
        }
        for name in self._before:
            parameters[name].requires_grad_(True)
        self.heads = nn.ModuleDict()
        if "heads" in recipe.parts:
            width = encoder.encode_text(["a"]).shape[-1]
            for place, side in enumerate(("image", "text")):
                self.heads[side] = Head(recipe, width, seeded(seed, -1 - place))
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(scale)), requires_grad=recipe.temperature == "learned"
        )
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=bias != 0)
        self.to(self.device)
        self.towers_eval()

    def towers_eval(self) -> None:
        """Heads in training mode, towers as they always are here: no dropout, fixed statistics."""
        self.train()
        if self.towers is not None:
            self.towers.eval()

    @property
    def device(self) -> torch.device:
        if self.towers is not None:
            return next(self.towers.parameters()).device
        return torch.device("cpu")

    @property
    def logit_scale(self) -> Tensor:
        """1 / temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Keep the logit scale at or below 100, in place: a clamp in the graph would stop its gradient."""
        if self.log_scale.requires_grad:
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def compute(self) -> Compute | None:
        """What `Photos` are to keep: rows behind a frozen embedding, or None for pixels."""
        if self.recipe.embedding != "frozen":
            return None
        return lambda pixels: image_prefix(image_tower_of(self.encoder), on_device(self.encoder, pixels))

    def sources(self, rows: PairRows, *, workers: int = 2, capacity: int = 2**30) -> Sources:
        """What the sides read of these pairs.

        Raises:
            EncoderError: vectors are needed and the rows came without.
        """
        if "image" in self.recipe.towers:
            images: Float[Tensor, "n d"] | Photos = Photos(
                self.encoder, rows.images, compute=self.compute(), capacity=capacity, workers=workers
            )
        else:
            images = _there(rows.image_features, "photos").to(self.device)
        texts: Float[Tensor, "m d"] | Tokens
        if "text" in self.recipe.towers:
            texts = tokenize(self.encoder, rows.captions)
        else:
            texts = _there(rows.text_features, "captions").to(self.device)
        return Sources(rows.image_of_text, images, texts)

    def image_features(
        self, sources: Sources, numbers: Int[Tensor, " b"], *, heads: bool = True
    ) -> Float[Tensor, "b d"]:
        """Unit vectors of photos by number.

        Args:
            sources: of this model.
            numbers: of the photos.
            heads: False for what the encoder says without its head.
        """
        if isinstance(sources.images, Photos):
            rows = sources.images.rows(numbers).to(next(self.encoder.module.parameters()))
            run = run_image if self.recipe.embedding == "trained" else run_prefix
            with autocast(self.recipe.precision, self.device.type):
                embeddings = run(image_tower_of(self.encoder), rows)
            features = normalize(embeddings.float())
        else:
            features = sources.images[numbers]
        return self.heads["image"](features) if heads and "image" in self.heads else features

    def text_features(
        self, sources: Sources, numbers: Int[Tensor, " b"], *, heads: bool = True
    ) -> Float[Tensor, "b d"]:
        """Unit vectors of captions by number; arguments as above."""
        if isinstance(sources.texts, Tokens):
            tower: TextTower = self.encoder.text_tower
            tokens = sources.texts.batch(numbers)
            with autocast(self.recipe.precision, self.device.type):
                embeddings = run_text(tower, tokens, tower.embed(tokens))
            features = normalize(embeddings.float())
        else:
            features = sources.texts[numbers]
        return self.heads["text"](features) if heads and "text" in self.heads else features

    def embed(
        self, sources: Sources, rows: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """Both sides of some pairs, with gradient."""
        return self.image_features(sources, sources.image_of_text[rows]), self.text_features(sources, rows)

    @torch.no_grad()
    def all_features(
        self, sources: Sources, *, heads: bool = True
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
        """All photos and all captions, on the CPU, without dropout."""
        self.eval()
        try:
            images = [
                self.image_features(sources, part, heads=heads).cpu() for part in _parts(sources.images)
            ]
            texts = [self.text_features(sources, part, heads=heads).cpu() for part in _parts(sources.texts)]
        finally:
            self.towers_eval()
        return torch.cat(images), torch.cat(texts)

    def changed_weights(self) -> dict[str, Tensor]:
        """Weights of the towers that training has changed, by their names in the encoder's module."""
        if self.towers is None:
            return {}
        parameters = dict(self.towers.named_parameters())
        return {
            name: parameters[name].detach().cpu().clone()
            for name, before in self._before.items()
            if not torch.equal(parameters[name].detach(), before)
        }

    def changed_heads(self) -> dict[str, dict[str, Tensor]]:
        """Weights of the heads by side; a head that still changes nothing is left out."""
        found = {}
        for side, head in self.heads.items():
            weights = {name: value.detach().cpu().clone() for name, value in cast(Head, head).weights.items()}
            if any(bool(value.any()) for name, value in weights.items() if not name.startswith("widen.")):
                found[side] = weights
        return found

    def tuned(self, base: Encoder, logit_scale: float) -> Encoder:
        """An encoder that says what the model says now; the base is copied where weights of it changed."""
        weights = self.changed_weights()
        encoder: Encoder = load("encoder", "tuned").apply(
            copy.deepcopy(base) if weights else base,
            weights=weights,
            heads=self.changed_heads(),
            logit_scale=logit_scale,
        )
        return encoder


def _parts(values: Tensor | Photos | Tokens) -> list[Int[Tensor, " b"]]:
    return list(torch.split(torch.arange(len(values)), _CHUNK))


def _there(features: Tensor | None, what: str) -> Tensor:
    if features is None:
        raise EncoderError(f"vectors of the {what} are needed, and the pairs were read without them.")
    return features
