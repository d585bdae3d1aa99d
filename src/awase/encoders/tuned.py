"""A model trained on pairs by `awase tune pairs`: `tuned:DIR`.

The base is loaded through its own adapter, checked to be the very one that was trained on, and given the
changed weights of its towers. A head lies behind its tower: attribution and heat maps run through it like
through every other part. Where nothing changed, everything is the base's own to the last bit, its fingerprint
too.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from awase import registry
from awase.encoders._tuned_file import TunedFile, digest_of, read_config, read_tuned, write_tuned
from awase.errors import EncoderError
from awase.functional.heads import residual_head
from awase.functional.similarity import normalize
from awase.protocols import (
    AttentionLayer,
    Encoder,
    ImageTower,
    PatchEncoder,
    TextTower,
    TokenEncoder,
    TrainableEncoder,
)
from awase.types import EncoderSpec, Threshold, TokenBatch

__all__ = ["TunedEncoder", "apply", "load", "read_config", "write_tuned"]

Heads = Mapping[str, Mapping[str, Tensor]]  # by side, `image` or `text`


class TunedEncoder:
    """The base with other weights and with heads; `apply` picks the class that offers what it does."""

    def __init__(self, base: Encoder, spec: EncoderSpec, heads: Heads, logit_scale: float) -> None:
        self._base, self.spec, self.logit_scale = base, spec, logit_scale
        self._heads = {side: dict(head) for side, head in heads.items()}

    def __repr__(self) -> str:
        return f"tuned.load({self.spec.name!r}, dtype={self.spec.dtype!r})"

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        return self._base.preprocess(image)

    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        return self._behind("image", self._base.encode_image(pixels))

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self._behind("text", self._base.encode_text(texts))

    @torch.no_grad()
    def _behind(self, side: str, features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        if side not in self._heads:
            return features
        return normalize(_through(self._heads[side], features))


class _Tokens(TunedEncoder):
    """Also a `TokenEncoder`."""

    def __init__(self, base: Encoder, spec: EncoderSpec, heads: Heads, logit_scale: float) -> None:
        super().__init__(base, spec, heads, logit_scale)
        tokens = cast(TokenEncoder, base)
        self.default_template: str = tokens.default_template
        # a threshold holds for the very weights it was calibrated on
        is_same = spec.fingerprint == base.spec.fingerprint
        self.default_threshold: Threshold | None = tokens.default_threshold if is_same else None

    @property
    def text_tower(self) -> TextTower:
        tower = cast(TokenEncoder, self._base).text_tower
        return _TextTower(tower, self._heads["text"]) if "text" in self._heads else tower

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        return cast(TokenEncoder, self._base).tokenize(texts)


class _Patches(TunedEncoder):
    """Also a `PatchEncoder`."""

    @property
    def image_tower(self) -> ImageTower:
        return _image_tower(self._base, self._heads)


class _Both(_Tokens):
    """A `TokenEncoder` and a `PatchEncoder`."""

    @property
    def image_tower(self) -> ImageTower:
        return _image_tower(self._base, self._heads)


class _Trainable(_Tokens):
    """A `TokenEncoder` and a `TrainableEncoder`; what may be trained on are the towers, not the heads."""

    @property
    def module(self) -> nn.Module:
        return cast(TrainableEncoder, self._base).module

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        return cast(TrainableEncoder, self._base).attention_projections(tower)


class _TrainableWithPatches(_Trainable):
    """All three."""

    @property
    def image_tower(self) -> ImageTower:
        return _image_tower(self._base, self._heads)


class _TextTower:
    """A text tower with a head behind it."""

    def __init__(self, tower: TextTower, weights: Mapping[str, Tensor]) -> None:
        self.causal, self._tower, self._weights = tower.causal, tower, weights

    @property
    def layers(self) -> Sequence[AttentionLayer]:
        return self._tower.layers

    def embed(self, tokens: TokenBatch) -> Float[Tensor, "b n w"]:
        return self._tower.embed(tokens)

    def head(self, hidden: Float[Tensor, "b n w"], row_weights: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        return _through(self._weights, normalize(self._tower.head(hidden, row_weights)))


class _ImageTower:
    """An image tower with a head behind it."""

    def __init__(self, tower: ImageTower, weights: Mapping[str, Tensor]) -> None:
        self.grid, self.first_patch = tower.grid, tower.first_patch
        self._tower, self._weights = tower, weights

    @property
    def layers(self) -> Sequence[AttentionLayer]:
        return self._tower.layers

    def embed(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b n w"]:
        return self._tower.embed(pixels)

    def head(self, hidden: Float[Tensor, "b q w"]) -> Float[Tensor, "b d"]:
        return _through(self._weights, normalize(self._tower.head(hidden)))

    def row_weights(self, rows: int) -> Float[Tensor, " q"]:
        return self._tower.row_weights(rows)


def apply(
    base: Encoder,
    *,
    weights: Mapping[str, Tensor],
    heads: Heads,
    logit_scale: float,
    name: str = "",
) -> TunedEncoder:
    """An encoder of which nobody else holds a part, with other weights and heads.

    Args:
        base: is changed in place; give a copy where it is used elsewhere.
        weights: by their names in its module.
        heads: by side.
        logit_scale: 1 / temperature.
        name: of the folder.

    Raises:
        EncoderError: the base has no such weights, or its vectors are of another width than a head.
    """
    if weights:
        if not isinstance(base, TrainableEncoder):
            raise EncoderError(f"the weights of {base.spec.adapter}:{base.spec.name} cannot be changed.")
        parameters = dict(base.module.named_parameters())
        with torch.no_grad():
            for key, value in weights.items():
                if key not in parameters or parameters[key].shape != value.shape:
                    raise EncoderError(f"the base has no weight {key} of shape {tuple(value.shape)}.")
                parameters[key].copy_(value)
    if heads:
        width = base.encode_text(["a"]).shape[-1]
        for side, head in heads.items():
            if not any(len(value) == width for value in head.values()):
                raise EncoderError(f"the {side} head does not fit vectors of width {width}.")
    changed = base.spec.weights
    if digest := digest_of(weights, heads):
        changed = hashlib.sha256(f"{base.spec.weights} {digest}".encode()).hexdigest()
    spec = replace(base.spec, adapter="tuned", name=name, revision=None, weights=changed)
    return _class_for(base)(base, spec, heads, logit_scale)


def load(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> TunedEncoder:
    """A model that `awase tune pairs` wrote.

    Args:
        name: its folder.
        device: passed on to the base's adapter, as are dtype and offline.
        dtype: see above.
        revision: not used; the folder says which revision of the base it rests on.
        offline: see above.

    Raises:
        EncoderError: the folder holds no such model, or its base cannot be found or is another one now.
        UnknownMethodError: the base's adapter is not known.
        MissingExtraError: the base needs a library that is not installed.
    """
    if not name:
        raise EncoderError("tuned takes the folder of a model that `awase tune pairs` wrote: tuned:DIR.")
    found = read_tuned(Path(name).expanduser())
    module = registry.load("encoder", found.base.adapter)
    base: Encoder = module.load(
        str(Path(found.place).expanduser()) if found.place.startswith("~") else found.place,
        device=device,
        dtype=dtype,
        revision=found.base.revision if found.base.adapter in _OF_A_HUB else None,
        offline=offline,
    )
    _require_same(found, base, name)
    return apply(
        base,
        weights=found.weights,
        heads={side: _moved(head, device) for side, head in found.heads.items()},
        logit_scale=found.logit_scale,
        name=name,
    )


_OF_A_HUB = ("hf", "open_clip", "onnx")


def _require_same(found: TunedFile, base: Encoder, name: str) -> None:
    there, wanted = base.spec, found.base
    if (there.weights, there.preprocess) != (wanted.weights, wanted.preprocess):
        raise EncoderError(
            f"{name} was trained on {wanted.adapter}:{wanted.name} ({wanted.fingerprint}), and what lies "
            f"there now is another model ({there.fingerprint}); put the old one back, or train again."
        )


def _class_for(base: Encoder) -> type[TunedEncoder]:
    has_tokens, has_patches = isinstance(base, TokenEncoder), isinstance(base, PatchEncoder)
    if has_tokens and isinstance(base, TrainableEncoder):
        return _TrainableWithPatches if has_patches else _Trainable
    if has_tokens:
        return _Both if has_patches else _Tokens
    return _Patches if has_patches else TunedEncoder


def _image_tower(base: Encoder, heads: Heads) -> ImageTower:
    tower = cast(PatchEncoder, base).image_tower
    return _ImageTower(tower, heads["image"]) if "image" in heads else tower


def _through(head: Mapping[str, Tensor], features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    return residual_head(features, {name: value.to(features) for name, value in head.items()})


def _moved(head: Mapping[str, Any], device: str) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in head.items()}
