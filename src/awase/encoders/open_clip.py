"""Dual encoders of open_clip: `open_clip:ViT-B-32/laion2b_s34b_b79k`, `open_clip:hf-hub:ORG/NAME`, a local
folder.

Weights are `open_clip_model.safetensors` beside `open_clip_config.json`; a tag of the library's list is
looked up and fetched from the hub in that form. Left out: pickled checkpoints (among them tags that exist
only as such), text towers of transformers (use `hf:`), CoCa, blocks with scaled attention, and heat maps
for image towers other than the library's own vision transformer read at its class token.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn import functional

from awase.encoders import _hub
from awase.encoders._blocks import PreNormBlock
from awase.encoders._cleaning import clean
from awase.encoders._config import refuse_code
from awase.encoders._families import dtype_of
from awase.encoders._open_clip_tokens import PiecesBackend
from awase.encoders._preprocess import Preprocess
from awase.encoders._projections import require_tower
from awase.encoders._tokens import Tokenization, read_backend, special_token, token_settings
from awase.encoders._towers import Chain, TransformerImage, TransformerText, unchanged
from awase.errors import EncoderError, MissingExtraError
from awase.functional.attribution import encode
from awase.types import EncoderSpec, Threshold, TokenBatch

try:
    import ftfy
    import open_clip
except ImportError as error:
    raise MissingExtraError("open_clip", "open-clip") from error

_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_FILES = (_CONFIG, _WEIGHTS, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_RESAMPLE = {"bicubic": 3, "bilinear": 2, "nearest": 0}
_CHUNK = 256


class OpenClipEncoder:
    """An open_clip model as `Encoder`, `TokenEncoder` and `TrainableEncoder`."""

    default_template = "A photo depicts "
    default_threshold: Threshold | None = None

    def __init__(
        self,
        model: nn.Module,
        spec: EncoderSpec,
        preprocess: Preprocess,
        tokenization: Tokenization,
        text_tower: TransformerText,
    ) -> None:
        self.spec, self._model, self.text_tower = spec, model, text_tower
        self._preprocess, self._tokenization = preprocess, tokenization
        self._weight = next(model.parameters())
        self.logit_scale = float(model.logit_scale.detach().float().exp().reshape(-1)[0])  # type: ignore[operator]

    def __repr__(self) -> str:
        return f"open_clip.load({self.spec.name!r}, dtype={self.spec.dtype!r})"

    @property
    def module(self) -> nn.Module:
        return self._model

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        """None: queries, keys and values are packed in one parameter of each block.

        Raises:
            EncoderError: always.
        """
        require_tower(tower)
        raise EncoderError(
            f"open_clip packs the attention of the {tower} tower in one parameter a block, which takes no "
            "low-rank update; fine-tune it in full, or use a copy of the model under hf:."
        )

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        return self._preprocess(image)

    @torch.no_grad()
    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        model: Any = self._model
        return functional.normalize(model.encode_image(pixels.to(self._weight)).float(), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        if not texts:
            return self.encode_text([""])[:0]
        # the library always runs the whole context; our own pass stops behind the last end token
        batches = [self.tokenize(texts[i : i + _CHUNK]) for i in range(0, len(texts), _CHUNK)]
        return torch.cat([encode(self.text_tower, tokens) for tokens in batches])

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """Token ids with character ranges in the captions as given, on the model's device.

        Raises:
            RowError: a caption is not valid Unicode, or its cleaned form cannot be aligned with it.
        """
        tokens, device = self._tokenization(texts), self._weight.device
        return TokenBatch(
            ids=tokens.ids.to(device),
            mask=tokens.mask.to(device),
            row_weights=tokens.row_weights.to(device),
            spans=tokens.spans,
            truncated=tokens.truncated,
            is_padding=None if tokens.is_padding is None else tokens.is_padding.to(device),
        )


class OpenClipPatchEncoder(OpenClipEncoder):
    """The same where the image tower is open_clip's own vision transformer: also a `PatchEncoder`."""

    image_tower: TransformerImage


def load(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> OpenClipEncoder:
    """An open_clip model.

    Args:
        name: MODEL/TAG of the library's list, hf-hub:ORG/NAME, or a folder with open_clip_config.json and
            open_clip_model.safetensors.
        device: where it computes, as torch names it.
        dtype: float32, float64, bfloat16 or float16.
        revision: branch, tag or commit of a hub model.
        offline: take a hub model from the local cache only.

    Raises:
        EncoderError: no such model, only pickled weights, or a kind of tower that is not supported.
        MissingExtraError: open_clip is not installed.
    """
    folder, commit = _hub.resolve(
        _place(name), revision=revision, offline=offline, first=_CONFIG, files=_FILES
    )
    config = _hub.read_json(folder / _CONFIG)
    settings = _checked(config, folder / _CONFIG)
    weights = folder / _WEIGHTS
    if not weights.is_file():
        _hub.weight_files(folder)  # says what is there instead
        raise EncoderError(f"{folder} has no {_WEIGHTS}.")
    model = _model(folder, weights).to(dtype_of(dtype))
    try:
        model = model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(f"the device {device!r} cannot be used: {error}") from error
    preprocess = _preprocess(config.get("preprocess_cfg", {}), model)
    tokenization = _tokenization(folder, settings["text_cfg"], model)
    facts = json.dumps(settings, sort_keys=True)
    spec = EncoderSpec(
        adapter="open_clip",
        name=name,
        revision=commit,
        dtype=dtype,
        weights=_hub.content_hash([weights], facts, tokenization.backend.to_str()),
        preprocess=preprocess.fingerprint,
    )
    text_tower, image_tower = _text_tower(model), _image_tower(model)
    if image_tower is None:
        return OpenClipEncoder(model, spec, preprocess, tokenization, text_tower)
    encoder = OpenClipPatchEncoder(model, spec, preprocess, tokenization, text_tower)
    encoder.image_tower = image_tower
    return encoder


def _place(name: str) -> str:
    """The folder or hub id of a name."""
    if name.startswith("hf-hub:"):
        return name.removeprefix("hf-hub:")
    model, _, tag = name.rpartition("/")
    if Path(name).expanduser().is_dir() or model not in open_clip.list_models():
        return name
    published = open_clip.get_pretrained_cfg(model, tag)
    if not published:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise EncoderError(f"open_clip knows no weights {tag!r} for {model}; it knows: {tags}.")
    hub = str(published.get("hf_hub", "")).rstrip("/")
    if hub.count("/") != 1:
        raise EncoderError(
            f"{name} is published as a pickle only, which is not read; try a hub model by hf-hub:."
        )
    return hub


def _checked(config: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """The model's part of the configuration, if it is of a kind that is supported."""
    refuse_code(config, source)
    model = config.get("model_cfg")
    if not isinstance(model, dict) or not all(
        isinstance(model.get(part), dict) for part in ("text_cfg", "vision_cfg")
    ):
        raise EncoderError(f"{source} has no model_cfg with text_cfg and vision_cfg.")
    text, vision = model["text_cfg"], model["vision_cfg"]
    if text.get("hf_model_name"):
        raise EncoderError(f"{source}: text towers of transformers are not supported here; use hf: instead.")
    if "multimodal_cfg" in model or text.get("embed_cls"):
        raise EncoderError(f"{source}: CoCa models are not supported.")
    if ":" in str(vision.get("timm_model_name", "")):
        raise EncoderError(f"{source}: an image tower from another place is refused.")
    if text.get("use_pad_mask") or text.get("tokenizer_mode") or text.get("text_mask"):
        raise EncoderError(f"{source}: this handling of text padding is not supported.")
    return model


def _model(folder: Path, weights: Path) -> nn.Module:
    """The architecture of a local folder, filled from safetensors only."""
    try:
        model = open_clip.create_model(
            f"local-dir:{folder}", load_weights=False, pretrained_text=False, pretrained_image=False
        )
        open_clip.load_checkpoint(model, str(weights), strict=True)
    except Exception as error:  # bad configurations fail in many ways
        raise EncoderError(f"open_clip cannot load {folder}: {error}") from error
    result: nn.Module = model.eval().requires_grad_(False)
    return result


def _preprocess(settings: Mapping[str, Any], model: Any) -> Preprocess:
    """open_clip's evaluation transform; unlike the hub's processors it rounds half to even in the crop."""
    mode, kind = settings.get("resize_mode") or "shortest", settings.get("interpolation") or "bicubic"
    size = settings.get("size") or model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if (
        kind not in _RESAMPLE
        or mode not in ("shortest", "squash")
        or (mode == "shortest" and height != width)
    ):
        raise EncoderError(f"resizing by {mode!r} and {kind!r} to {height} x {width} is not supported.")
    mean = tuple(float(x) for x in settings.get("mean") or open_clip.OPENAI_DATASET_MEAN)
    std = tuple(float(x) for x in settings.get("std") or open_clip.OPENAI_DATASET_STD)
    return Preprocess(
        shortest_edge=height if mode == "shortest" else None,
        size=None if mode == "shortest" else (height, width),
        crop=(height, width) if mode == "shortest" else None,
        half="even",
        resample=_RESAMPLE[kind],
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
    )


def _tokenization(folder: Path, text: Mapping[str, Any], model: Any) -> Tokenization:
    tower = getattr(model, "text", model)
    options = dict(text.get("tokenizer_kwargs") or {})
    style = str(options.pop("clean", "whitespace" if text.get("hf_tokenizer_name") else "lower"))
    if options.pop("reduction_mask", "") or options.pop("strip_sep_token", False) or options:
        raise EncoderError(
            f"{folder}: these tokenizer options are not supported: {text['tokenizer_kwargs']}."
        )
    rule = str(getattr(model, "text_pool_type", None) or tower.pool_type)
    known: dict[str, Literal["end", "first", "last"]] = {
        "argmax": "end",
        "eos": "end",
        "first": "first",
        "last": "last",
    }
    if rule not in known:
        raise EncoderError(f"{folder}: text pooling by {rule!r} is not supported.")
    settings = token_settings(folder)
    if text.get("hf_tokenizer_name"):
        backend = read_backend(folder)
        if backend is None:
            raise EncoderError(f"{folder} has no tokenizer.json, which its open_clip_config.json asks for.")
        pad = special_token(settings, "pad_token")
        pad_id = backend.token_to_id(pad) if pad is not None else 0
    else:
        backend, pad_id = PiecesBackend(open_clip.SimpleTokenizer()), 0
    return Tokenization(
        backend=backend,
        context=int(tower.context_length),
        pooling=known[rule],
        end_id=int(getattr(model, "text_eos_id", None) or tower.eos_id) if rule == "eos" else None,
        pad_id=int(pad_id or 0),
        fixed=known[rule] != "end",
        cleaning=partial(clean, style=style, repair=ftfy.fix_text),
    )


def _text_tower(model: Any) -> TransformerText:
    tower = getattr(model, "text", model)
    weight = tower.text_projection
    if weight is None:
        projection: Any = unchanged
    else:
        projection = weight if isinstance(weight, nn.Module) else partial(_times, weight)
    return TransformerText(
        causal=tower.attn_mask is not None,
        embedding=partial(_embed_text, tower),
        layers=tuple(_block(block) for block in tower.transformer.resblocks),
        norm=tower.ln_final,
        projection=projection,
    )


def _image_tower(model: Any) -> TransformerImage | None:
    tower = model.visual
    own = type(tower).__name__ == "VisionTransformer" and type(tower).__module__ == "open_clip.transformer"
    if not own or tower.attn_pool is not None or tower.pool_type != "tok":
        return None
    return TransformerImage(
        grid=(int(tower.grid_size[0]), int(tower.grid_size[1])),
        first_patch=1,
        embedding=tower._embeds,
        layers=tuple(_block(block) for block in tower.transformer.resblocks),
        norm=tower.ln_post,
        projection=unchanged if tower.proj is None else partial(_times, tower.proj),
    )


def _block(block: Any) -> PreNormBlock:
    if type(block).__name__ != "ResidualAttentionBlock":
        raise EncoderError(f"blocks of the kind {type(block).__name__} are not supported.")
    attention = block.attn
    query, key, value = (partial(_packed, attention, part) for part in range(3))
    return PreNormBlock(
        heads=attention.num_heads,
        norm_1=block.ln_1,
        query=query,
        key=key,
        value=value,
        out=Chain(attention.out_proj, block.ls_1),
        norm_2=block.ln_2,
        mlp=Chain(block.mlp, block.ls_2),
    )


def _packed(attention: Any, part: int, states: Tensor) -> Tensor:
    # cut when it runs, not when the tower is made: a view taken before training has no gradient
    weight, bias = attention.in_proj_weight.chunk(3)[part], attention.in_proj_bias.chunk(3)[part]
    return functional.linear(states, weight, bias)


def _embed_text(tower: Any, ids: Tensor) -> Tensor:
    embedded: Tensor = tower.token_embedding(ids) + tower.positional_embedding[: ids.shape[1]]
    return embedded


def _times(weight: Tensor, states: Tensor) -> Tensor:
    return states @ weight
