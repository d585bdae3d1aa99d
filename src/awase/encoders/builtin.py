"""The trained small dual encoder that ships with awase: no network, no transformers, under 40 MB.

A frozen EfficientNet-Lite with an attention-pooling layer on the image side, a causal transformer of
three layers read at its end token on the text side. What it was trained on, how well it does and where
it is blind stands in `_builtin/card.md`; the training is in `studies/builtin`.

Weights are safetensors in float16 and computed with in float32. Left out: other sizes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from awase.encoders._builtin.photo import PhotoTower
from awase.encoders._builtin.pixels import to_pixels
from awase.encoders._builtin.text import CausalTextTower
from awase.encoders._projections import linear_maps
from awase.encoders._tokens import Tokenization, read_backend
from awase.errors import EncoderError
from awase.types import EncoderSpec, Threshold, TokenBatch

FOLDER = Path(__file__).parent / "_builtin"
_CHUNK = 256  # texts in one forward pass


class BuiltinEncoder:
    """The built-in model as an `Encoder`, a `TokenEncoder`, a `PatchEncoder` and a `TrainableEncoder`.

    Example:
        >>> encoder = load("")
        >>> encoder.text_tower.causal, len(encoder.text_tower.layers)
        (True, 3)
        >>> encoder.tokenize(["A dog."]).spans
        (((0, 0), (0, 1), (2, 5), (5, 6), (0, 0)),)
    """

    def __init__(
        self,
        spec: EncoderSpec,
        config: Mapping[str, Any],
        text_tower: CausalTextTower,
        image_tower: PhotoTower,
        tokenization: Tokenization,
    ) -> None:
        self.spec, self.text_tower, self.image_tower = spec, text_tower, image_tower
        self._tokenization = tokenization
        self._size: int = config["preprocess"]["size"]
        self._unknown: int = config["tokens"]["unknown"]
        self.logit_scale: float = config["logit_scale"]
        self.default_template: str = config["template"]
        self.default_threshold: Threshold | None = Threshold(
            value=config["threshold"]["value"],
            encoder=spec.fingerprint,
            template=self.default_template,
            layers=config["threshold"]["layers"],
            source=config["threshold"]["source"],
            pair_value=config["threshold"]["f_clip_score"],
        )

    def __repr__(self) -> str:
        return f"builtin.load({self.spec.name!r}, dtype={self.spec.dtype!r})"

    @property
    def module(self) -> nn.Module:
        return nn.ModuleDict({"image": self.image_tower, "text": self.text_tower})

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        """Text: the fused maps of queries, keys and values. Image: where the pooling looks and what it reads.

        Raises:
            EncoderError: there is no such tower.
        """
        ends = ("query_key_value", "pooling.look", "pooling.value")
        return linear_maps(self.module, tower, prefix=f"{tower}.", ends=ends)

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        """The whole image squashed to a square, as the training photos were."""
        return to_pixels([image], size=self._size)[0]

    @torch.no_grad()
    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        """Unit vectors, float32."""
        if not len(pixels):
            return torch.empty(0, self.image_tower.dimension)
        reference = self.text_tower.positions
        embeddings = self.image_tower(pixels.to(reference.device, reference.dtype))
        return functional.normalize(embeddings.float(), dim=-1)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        """Unit vectors, float32."""
        features = [torch.empty(0, self.image_tower.dimension, device=self.text_tower.positions.device)]
        for start in range(0, len(texts), _CHUNK):
            embeddings = self.text_tower(self.tokenize(texts[start : start + _CHUNK]))
            features.append(functional.normalize(embeddings.float(), dim=-1))
        return torch.cat(features)

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """One token per word or mark; a word the model does not know has the range (0, 0)."""
        tokens = self._tokenization(texts)
        spans = tuple(
            tuple((0, 0) if unknown else span for span, unknown in zip(row, is_unknown, strict=True))
            for row, is_unknown in zip(tokens.spans, (tokens.ids == self._unknown).tolist(), strict=True)
        )
        reference = self.text_tower.positions
        return replace(
            tokens,
            ids=tokens.ids.to(reference.device),
            mask=tokens.mask.to(reference.device),
            row_weights=tokens.row_weights.to(reference),
            spans=spans,
        )


def load(
    name: str = "",
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> BuiltinEncoder:
    """The model in the wheel, or one that `studies/builtin` wrote.

    Args:
        name: "" for the model in the wheel, or a folder with config.json, model.safetensors and
            tokenizer.json of the same make.
        device: where it computes, as torch names it.
        dtype: float32 or float64.
        revision: not used; there is one revision per release.
        offline: not used; it never needs a network.

    Raises:
        EncoderError: the folder is not such a model, or the dtype or device cannot be used.
    """
    if dtype not in ("float32", "float64"):
        raise EncoderError(f"the built-in model computes in float32 or float64, got {dtype!r}.")
    folder = Path(name) if name else FOLDER
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
        backend = read_backend(folder)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{folder} does not hold a model of this kind: {error}") from error
    if backend is None or config.get("kind") != "awase-builtin":
        raise EncoderError(f"{folder} does not hold a model of this kind; leave the name empty.")
    # the towers are filled right away: random starts would only cost time
    with torch.device("meta"):
        image_tower = PhotoTower(**config["image"])
        text_tower = CausalTextTower(**config["text"])
    for prefix, tower in (("image.", image_tower), ("text.", text_tower)):
        state = {
            key.removeprefix(prefix): value.to(getattr(torch, dtype))
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        try:
            tower.load_state_dict(state, assign=True)
            tower.requires_grad_(False).eval().to(device)
        except (RuntimeError, AssertionError) as error:
            raise EncoderError(f"the weights in {folder} cannot be used: {error}") from error
    spec = EncoderSpec(
        adapter="builtin",
        name=name,
        revision=config["provenance"]["revision"],
        dtype=dtype,
        weights=_hash(folder, config),
        preprocess=hashlib.sha256(json.dumps(config["preprocess"]).encode()).hexdigest(),
    )
    tokens = config["tokens"]
    tokenization = Tokenization(
        backend=backend,
        context=config["text"]["context"],
        pooling="end",
        end_id=tokens["end"],
        pad_id=tokens["pad"],
    )
    return BuiltinEncoder(spec, config, text_tower, image_tower, tokenization)


def _hash(folder: Path, config: Mapping[str, Any]) -> str:
    """Hash of what decides the numbers; a new threshold does not make a new model."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", "tokenizer.json"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    decisive = {key: config[key] for key in ("image", "text", "preprocess", "tokens")}
    digest.update(json.dumps(decisive, sort_keys=True).encode())
    return digest.hexdigest()
