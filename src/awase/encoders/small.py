"""A small dual encoder that is trained from nothing, on a CPU, on pairs of one's own.

`create` writes one with random weights, `awase tune pairs` trains it, `load` reads either. The image tower is
convolutions with attention pooling, for squares of 32 to 128 pixels; the text tower is the causal
transformer of the built-in model, over words of the training captions. Both have what word attribution,
heat maps, LoRA and training need. With random weights its vectors say nothing.

Weights are safetensors in float32. Left out: training itself, larger images, subwords.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from awase.encoders._builtin.pixels import MEAN, SCALE, to_pixels
from awase.encoders._builtin.text import CausalTextTower
from awase.encoders._builtin.text import initialise as initialise_text
from awase.encoders._projections import linear_maps
from awase.encoders._small.image import STRIDE, SmallImageTower
from awase.encoders._small.image import initialise as initialise_image
from awase.encoders._small.vocabulary import END, PAD, UNKNOWN, learn_words
from awase.encoders._tokens import Tokenization, read_backend
from awase.errors import DataError, EncoderError, ShapeError
from awase.files import atomic_path, write_atomic
from awase.types import EncoderSpec, Threshold, TokenBatch

_KIND = "awase-small"
_CHUNK = 256  # texts in one forward pass
_FIRST_SCALE = 1 / 0.07  # what contrastive training starts from
_SMALLEST, _LARGEST = 32, 128  # side of the image
_TOKEN_DEVIATION = 0.5


class SmallEncoder:
    """The small model as an `Encoder`, a `TokenEncoder`, a `PatchEncoder` and a `TrainableEncoder`."""

    def __init__(
        self,
        spec: EncoderSpec,
        config: Mapping[str, Any],
        text_tower: CausalTextTower,
        image_tower: SmallImageTower,
        tokenization: Tokenization,
    ) -> None:
        self.spec, self.text_tower, self.image_tower = spec, text_tower, image_tower
        self._config, self._tokenization = config, tokenization
        self.size: int = config["image"]["size"]
        self.logit_scale: float = config["logit_scale"]
        self.default_template = ""
        self.default_threshold: Threshold | None = None

    def __repr__(self) -> str:
        return f"small.load({self.spec.name!r}, dtype={self.spec.dtype!r})"

    @property
    def module(self) -> nn.Module:
        return nn.ModuleDict({"image": self.image_tower, "text": self.text_tower})

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        """Text: the fused maps of queries, keys and values. Image: keys and values of the pooling.

        Raises:
            EncoderError: there is no such tower.
        """
        ends = ("query_key_value", "pooling.key", "pooling.value")
        return linear_maps(self.module, tower, prefix=f"{tower}.", ends=ends)

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        """The whole image squashed to the model's square."""
        return to_pixels([image], size=self.size)[0]

    def pixels_of(self, levels: UInt8[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
        """What `preprocess` makes of images that have the model's size already: for scenes drawn in batches.

        Raises:
            ShapeError: they are of another size.
        """
        if tuple(levels.shape[2:]) != (self.size, self.size):
            raise ShapeError(
                f"images must be {self.size} x {self.size}, got {tuple(levels.shape[2:])}; use `preprocess`."
            )
        return levels.float().div(255).sub(MEAN).div(SCALE)

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
            for row, is_unknown in zip(tokens.spans, (tokens.ids == UNKNOWN).tolist(), strict=True)
        )
        reference = self.text_tower.positions
        return replace(
            tokens,
            ids=tokens.ids.to(reference.device),
            mask=tokens.mask.to(reference.device),
            row_weights=tokens.row_weights.to(reference.device, reference.dtype),
            spans=spans,
        )


def create(
    folder: str | Path,
    captions: Iterable[str],
    *,
    size: int = 64,
    width: int = 128,
    dimension: int = 128,
    depth: int = 1,
    layers: int = 3,
    context: int = 32,
    vocabulary: int = 8000,
    least: int = 1,
    seed: int = 0,
) -> SmallEncoder:
    """Write a model with random weights: config.json, model.safetensors, tokenizer.json.

    Args:
        folder: made where it is missing; a model that is there is replaced.
        captions: what the vocabulary is taken from: captions of the training split alone.
        size: side of the square images, 32 to 128 pixels and a multiple of 8.
        width: channels of both towers, a multiple of 8.
        dimension: of the vectors.
        depth: residual blocks on each of the two grids of the image tower.
        layers: of the text tower.
        context: tokens of a text at most, start and end included.
        vocabulary: number of token ids at most.
        least: how often a word must occur to be one of them.
        seed: of the weights.

    Raises:
        DataError: a setting is out of range, or the captions hold no words.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     encoder = create(name, ["a red bolt", "a blue nut"], size=32, width=16)
        ...     files = sorted(path.name for path in Path(name).iterdir())
        >>> files
        ['config.json', 'model.safetensors', 'tokenizer.json']
        >>> encoder.tokenize(["a red nut"]).spans
        (((0, 0), (0, 1), (2, 5), (6, 9), (0, 0)),)
        >>> encoder.encode_text(["a red nut"]).shape
        torch.Size([1, 128])
    """
    if size % STRIDE or not _SMALLEST <= size <= _LARGEST:
        raise DataError(f"size must be a multiple of {STRIDE} from {_SMALLEST} to {_LARGEST}, got {size}.")
    if width < 8 or width % 8 or min(dimension, depth, layers) < 1 or context < 4 or least < 1:
        raise DataError(
            f"width must be a multiple of 8, context at least 4, and dimension, depth, layers and least "
            f"at least 1; got {width}, {context}, {dimension}, {depth}, {layers} and {least}."
        )
    tokenizer = learn_words(captions, size=vocabulary, least=least)
    heads = next(count for count in range(max(1, width // 32), 0, -1) if width % count == 0)
    config = {
        "kind": _KIND,
        "image": {
            "size": size,
            "width": width,
            "depth": depth,
            "heads": 2 * heads,
            "dimension": dimension,
        },
        "text": {
            "vocabulary": tokenizer.get_vocab_size(),
            "width": width,
            "heads": heads,
            "layers": layers,
            "hidden": 2 * width,
            "context": context,
            "dimension": dimension,
        },
        "preprocess": {"size": size, "resize": "squash, bicubic, antialiased", "mean": MEAN, "scale": SCALE},
        "logit_scale": _FIRST_SCALE,
        "seed": seed,
    }
    image_tower, text_tower = _towers(config)
    generator = torch.Generator().manual_seed(seed)
    image_tower, text_tower = image_tower.to_empty(device="cpu"), text_tower.to_empty(device="cpu")
    initialise_image(image_tower, generator=generator)
    _initialise_text(text_tower, generator)
    _write(Path(folder), config, image_tower, text_tower, tokenizer.to_str())
    return load(str(folder))


def save(encoder: SmallEncoder, folder: str | Path, *, logit_scale: float | None = None) -> None:
    """Write a model as it is now, trained or not, so that `load` reads it.

    Args:
        encoder: the model.
        folder: made where it is missing; a model that is there is replaced.
        logit_scale: what training arrived at; None leaves the model's own.

    Raises:
        DataError: the logit scale is not a positive number, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     encoder = create(name, ["a red bolt"], size=32, width=16)
        ...     save(encoder, name, logit_scale=50.0)
        ...     load(name).logit_scale
        50.0
    """
    scale = encoder.logit_scale if logit_scale is None else logit_scale
    if not 0 < scale < float("inf"):
        raise DataError(f"the logit scale must be a positive number, got {scale}.")
    config = {**encoder._config, "logit_scale": scale}
    words = encoder._tokenization.backend.to_str()
    _write(Path(folder), config, encoder.image_tower, encoder.text_tower, words)


def load(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> SmallEncoder:
    """The model in a folder that `create` or `awase tune pairs --scratch small` wrote.

    Args:
        name: the folder.
        device: where it computes, as torch names it.
        dtype: float32 or float64.
        revision: not used; a folder has one.
        offline: not used; it never needs a network.

    Raises:
        EncoderError: the folder is not such a model, or the dtype or device cannot be used.
    """
    if dtype not in ("float32", "float64"):
        raise EncoderError(f"the small model computes in float32 or float64, got {dtype!r}.")
    folder = Path(name)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
        backend = read_backend(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise EncoderError(f"{folder} does not hold a small model: {error}") from error
    if backend is None or not isinstance(config, dict) or config.get("kind") != _KIND:
        raise EncoderError(
            f"{folder} does not hold a small model; `awase tune pairs DATA --scratch small` makes one."
        )
    try:
        image_tower, text_tower = _towers(config)
        for prefix, tower in (("image.", image_tower), ("text.", text_tower)):
            state = {
                key.removeprefix(prefix): value.to(getattr(torch, dtype))
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
            tower.load_state_dict(state, assign=True)
            tower.requires_grad_(False).eval().to(device)
        context, preprocess = config["text"]["context"], json.dumps(config["preprocess"])
        scale = float(config["logit_scale"])
    except (RuntimeError, AssertionError, KeyError, TypeError, ValueError) as error:
        raise EncoderError(f"the weights in {folder} cannot be used: {error}") from error
    spec = EncoderSpec(
        adapter="small",
        name=name,
        revision=None,
        dtype=dtype,
        weights=_hash(folder, config),
        preprocess=hashlib.sha256(preprocess.encode()).hexdigest(),
    )
    tokenization = Tokenization(backend=backend, context=context, pooling="end", end_id=END, pad_id=PAD)
    return SmallEncoder(spec, {**config, "logit_scale": scale}, text_tower, image_tower, tokenization)


def _initialise_text(tower: CausalTextTower, generator: torch.Generator) -> None:
    initialise_text(tower, generator=generator)
    # large beside the layers' writing: vectors of 0.02 have gradients so steep that training collapses
    nn.init.normal_(tower.tokens.weight, 0.0, _TOKEN_DEVIATION, generator=generator)
    for name, value in tower.named_parameters():
        if value.ndim < 2:  # what the other function leaves alone
            nn.init.constant_(value, 1.0 if "norm" in name and name.endswith("weight") else 0.0)


def _towers(config: Mapping[str, Any]) -> tuple[SmallImageTower, CausalTextTower]:
    # constructors would draw from the global generator, and are filled right away
    with torch.device("meta"):
        return SmallImageTower(**config["image"]), CausalTextTower(**config["text"])


def _write(
    folder: Path, config: Mapping[str, Any], image: SmallImageTower, text: CausalTextTower, words: str
) -> None:
    tensors = {f"image.{name}": value for name, value in image.state_dict().items()}
    tensors |= {f"text.{name}": value for name, value in text.state_dict().items()}
    whole = {name: value.detach().cpu().float().contiguous() for name, value in tensors.items()}
    write_atomic(folder / "tokenizer.json", words)
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(whole, temporary)
    write_atomic(folder / "config.json", json.dumps(config, indent=1) + "\n")


def _hash(folder: Path, config: Mapping[str, Any]) -> str:
    """Hash of what decides the vectors."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", "tokenizer.json"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    decisive = {key: config[key] for key in ("image", "text", "preprocess")}
    digest.update(json.dumps(decisive, sort_keys=True).encode())
    return digest.hexdigest()
