"""Dual encoders of Hugging Face transformers, by hub id or local folder: `hf:openai/clip-vit-base-patch32`.

CLIP, CLIPSeg and MetaCLIP 2 (causal text, read at the end token), SigLIP and SigLIP 2 of fixed resolution
(fixed length, read at the last position), Chinese-CLIP, AltCLIP, ALIGN and VisionTextDualEncoder (read at
the first token), GroupViT. Safetensors only, no remote code, no network for a local folder. Left out:
NaFlex checkpoints, pickled weights, and heat maps for image towers that are not plain vision transformers
(ALIGN, GroupViT, DeiT).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn import functional

from awase.encoders import _families, _hub
from awase.encoders import _transformers as library
from awase.encoders._config import read_config
from awase.encoders._preprocess import Preprocess, from_settings
from awase.encoders._projections import linear_maps, require_tower
from awase.encoders._tokens import (
    Tokenization,
    add_lowercase,
    read_backend,
    set_ends,
    special_token,
    token_settings,
)
from awase.encoders._towers import TransformerImage, TransformerText
from awase.errors import EncoderError
from awase.types import EncoderSpec, Threshold, TokenBatch

_CHUNK = 256  # texts in one forward pass


class HfEncoder:
    """A transformers dual encoder as `Encoder`, `TokenEncoder` and `TrainableEncoder`."""

    default_threshold: Threshold | None = None

    def __init__(
        self,
        model: nn.Module,
        kind: str,
        spec: EncoderSpec,
        preprocess: Preprocess,
        tokenization: Tokenization,
    ) -> None:
        self.spec, self._model, self._kind = spec, model, kind
        self._preprocess, self._tokenization = preprocess, tokenization
        self._device = next(model.parameters()).device
        self.logit_scale = library.logit_scale(model)
        # the English template does not suit a Chinese text tower
        self.default_template = "" if kind == "chinese_clip" else "A photo depicts "

    def __repr__(self) -> str:
        return f"hf.load({self.spec.name!r}, dtype={self.spec.dtype!r})"

    @property
    def text_tower(self) -> TransformerText:
        # put together anew each time: parts of the model may have been exchanged for wrapped ones
        return _families.text_tower(self._model, self._kind)

    @property
    def module(self) -> nn.Module:
        return self._model

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        """Queries, keys and values of every block; the pooling head of SigLIP, which packs them, is left out.

        Raises:
            EncoderError: there is no such tower, or its attention is not known here.
        """
        require_tower(tower)
        part = library.text_encoder if tower == "text" else library.image_encoder
        encoder = part(self._model)
        prefix = next(f"{name}." for name, module in self._model.named_modules() if module is encoder)
        return linear_maps(self._model, tower, prefix=prefix, ends=_families.PROJECTIONS)

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        return self._preprocess(image)

    @torch.no_grad()
    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        model: Any = self._model
        moved = pixels.to(self._device, next(model.parameters()).dtype)
        return functional.normalize(
            library.pooled(model.get_image_features(pixel_values=moved)).float(), dim=-1
        )

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        if not texts:
            return self.encode_text([""])[:0]
        model: Any = self._model
        features = []
        for start in range(0, len(texts), _CHUNK):
            tokens = self.tokenize(texts[start : start + _CHUNK])
            # a causal tower sees nothing behind the token that is read, and SigLIP attends to its padding
            mask = None if tokens.mask.all() or self.text_tower.causal else tokens.mask.long()
            features.append(
                library.pooled(model.get_text_features(input_ids=tokens.ids, attention_mask=mask))
            )
        return functional.normalize(torch.cat(features).float(), dim=-1)

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """Token ids with character ranges, on the model's device.

        Raises:
            RowError: a text is not valid Unicode, or its tokens cannot be located in it.
        """
        tokens = self._tokenization(texts)
        if self._device.type == "cpu":
            return tokens
        return TokenBatch(
            ids=tokens.ids.to(self._device),
            mask=tokens.mask.to(self._device),
            row_weights=tokens.row_weights.to(self._device),
            spans=tokens.spans,
            truncated=tokens.truncated,
            is_padding=None if tokens.is_padding is None else tokens.is_padding.to(self._device),
        )


class HfPatchEncoder(HfEncoder):
    """The same where the image tower is a vision transformer: also a `PatchEncoder`."""

    @property
    def image_tower(self) -> TransformerImage:
        tower = _families.image_tower(self._model, self._kind)
        assert tower is not None  # `load` makes this class only where there is one
        return tower


def load(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> HfEncoder:
    """A dual encoder from the Hugging Face hub or from a local folder.

    Args:
        name: ORG/MODEL, or the path of a folder with config.json, model.safetensors, a tokenizer and
            preprocessor_config.json.
        device: where it computes, as torch names it.
        dtype: float32, float64, bfloat16 or float16, for weights and towers; features are float32.
        revision: branch, tag or commit of a hub model; the commit is recorded in `spec`.
        offline: take a hub model from the local cache only; HF_HUB_OFFLINE=1 does the same.

    Returns:
        An `HfPatchEncoder` where heat maps are possible, else an `HfEncoder`.

    Raises:
        EncoderError: the model is of an unknown type, its files ask for code, its weights are pickles or
            incomplete, or it cannot be found.
        MissingExtraError: transformers is not installed.
    """
    folder, commit = _hub.resolve(name, revision=revision, offline=offline)
    checked = read_config(folder)
    files = _hub.weight_files(folder)
    kind: str = checked["model_type"]
    preprocess = from_settings(_hub.image_settings(folder))
    config = library.build_config(checked)
    tokenization = _tokenization(folder, config, kind)
    saved_as = checked.get("architectures")
    model = library.load_model(folder, config, _families.dtype_of(dtype), saved_as)
    spec = EncoderSpec(
        adapter="hf",
        name=name,
        revision=commit,
        dtype=dtype,
        weights=_hub.content_hash(
            files, json.dumps(library.declared(checked), sort_keys=True), tokenization.backend.to_str()
        ),
        preprocess=preprocess.fingerprint,
    )
    try:
        model = model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(f"the device {device!r} cannot be used: {error}") from error
    has_patches = _families.image_tower(model, kind) is not None
    encoder_class = HfPatchEncoder if has_patches else HfEncoder
    return encoder_class(model, kind, spec, preprocess, tokenization)


def tokenization_of(folder: Path, checked: Mapping[str, Any]) -> Tokenization:
    """How the text tower in a folder wants its tokens, from its already checked config.json.

    Raises:
        EncoderError: there is no tokenizer, or it belongs to another model.
    """
    return _tokenization(folder, library.build_config(checked), checked["model_type"])


def _tokenization(folder: Path, config: Any, kind: str) -> Tokenization:
    text, settings = config.text_config, token_settings(folder)
    backend = read_backend(folder) or library.load_tokenizer(folder, config)
    if backend.get_vocab_size(with_added_tokens=False) > text.vocab_size:
        raise EncoderError(
            f"{folder}: the tokenizer knows more tokens than the model; it is another model's."
        )
    if kind == "siglip":
        add_lowercase(backend)  # both generations were trained on lower case
        if str(settings.get("tokenizer_class", "")).startswith(("Gemma", "Siglip2")):
            first = special_token(settings, "bos_token") if settings.get("add_bos_token") else None
            last = special_token(settings, "eos_token") if settings.get("add_eos_token", True) else None
            set_ends(backend, first=first, last=last)
    context = int(text.max_position_embeddings)
    if getattr(text, "model_type", "") in ("roberta", "xlm-roberta", "camembert") or kind == "altclip":
        context -= int(text.pad_token_id) + 1  # positions are counted from behind the padding index
    limit = settings.get("model_max_length")
    if isinstance(limit, int | float) and 0 < limit < context:
        context = int(limit)
    pad = special_token(settings, "pad_token")
    pad_id = backend.token_to_id(pad) if pad is not None else None
    end_id = getattr(text, "eos_token_id", None)
    return Tokenization(
        backend=backend,
        context=context,
        pooling=_families.pooling(kind),
        end_id=None if kind in _families.LEGACY_END and end_id == 2 else end_id,
        pad_id=int(pad_id if pad_id is not None else text.pad_token_id or 0),
        fixed=kind == "siglip",
        pad_left=kind == "siglip" and settings.get("padding_side") == "left",
    )
