"""A toy dual encoder made from a seed: no files, no training, a few milliseconds. For tests and examples.

The towers have the shape of the real ones (a small ViT with a class token, a text transformer cut into
`AttentionLayer`s), so everything that runs on a real model runs here; what they say means nothing.

    tiny:0                 causal text tower, read at the end token (the first one, as in CLIP)
    tiny:bidirectional-0   no causal mask, mean over the valid tokens
    tiny:cls-0             no causal mask, read at the first token
"""

import hashlib
import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image, Resampling
from torch import Tensor, nn
from torch.nn import functional

from awase.encoders._projections import linear_maps
from awase.errors import EncoderError
from awase.types import EncoderSpec, Threshold, TokenBatch

_WIDTH, _HEADS, _TEXT_LAYERS, _IMAGE_LAYERS, _DIMENSION = 32, 4, 4, 3, 24
_SIDE, _PATCH = 32, 8
_CONTEXT, _VOCABULARY, _FIRST_PIECE = 48, 1024, 3
_PAD, _START, _END = 0, 1, 2
_PREPROCESS = "tiny: resize 32x32 bicubic, [-1, 1], 1"
_POOLING = {"causal": "end", "bidirectional": "mean", "cls": "first"}
# a run of at most four ASCII letters or digits, or one other character that is not white space
_PIECE = re.compile(r"[A-Za-z0-9]{1,4}|\S")


class _Block(nn.Module):
    """A pre-norm transformer block with the two halves of `awase.protocols.AttentionLayer`."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.qkv, self.out = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.widen, self.narrow = nn.Linear(_WIDTH, 2 * _WIDTH), nn.Linear(2 * _WIDTH, _WIDTH)

    def project(
        self, hidden: Float[Tensor, "b n w"]
    ) -> tuple[Float[Tensor, "b h n c"], Float[Tensor, "b h n c"], Float[Tensor, "b h n c"]]:
        q, k, v = self.qkv(self.norm_1(hidden)).unflatten(-1, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v  # (b, h, n, c) each

    def merge(
        self, hidden: Float[Tensor, "b q w"], attended: Float[Tensor, "b h q c"]
    ) -> Float[Tensor, "b q w"]:
        hidden = hidden + self.out(attended.transpose(1, 2).flatten(2))
        output: Tensor = hidden + self.narrow(functional.gelu(self.widen(self.norm_2(hidden))))
        return output


class TinyTextTower(nn.Module):
    """Four layers of width 32 over hashed pieces of words."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.pieces = nn.Embedding(_VOCABULARY, _WIDTH)
        self.positions = nn.Embedding(_CONTEXT, _WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(_TEXT_LAYERS))
        self.norm, self.projection = nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, _DIMENSION, bias=False)

    @property
    def layers(self) -> list[_Block]:
        return list(self.blocks)  # type: ignore[arg-type]

    def embed(self, tokens: TokenBatch) -> Float[Tensor, "b n w"]:
        positions = torch.arange(tokens.ids.shape[1], device=tokens.ids.device)
        embedded: Tensor = self.pieces(tokens.ids) + self.positions(positions)
        return embedded

    def head(self, hidden: Float[Tensor, "b n w"], row_weights: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        read = (row_weights.to(hidden.dtype)[:, None] @ self.norm(hidden)).squeeze(1)  # (b, w)
        output: Tensor = self.projection(read)
        return output


class TinyImageTower(nn.Module):
    """A ViT of 4 x 4 patches with a class token in front."""

    grid = (_SIDE // _PATCH, _SIDE // _PATCH)
    first_patch = 1

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, _WIDTH, _PATCH, stride=_PATCH)
        self.start = nn.Parameter(torch.empty(1, 1, _WIDTH))
        self.positions = nn.Parameter(torch.empty(1, 1 + self.grid[0] * self.grid[1], _WIDTH))
        self.blocks = nn.ModuleList(_Block() for _ in range(_IMAGE_LAYERS))
        self.norm, self.projection = nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, _DIMENSION, bias=False)

    @property
    def layers(self) -> list[_Block]:
        return list(self.blocks)  # type: ignore[arg-type]

    def embed(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b n w"]:
        patches = self.patches(pixels.to(self.positions)).flatten(2).transpose(1, 2)  # (b, 16, w)
        return torch.cat((self.start.expand(pixels.shape[0], -1, -1), patches), dim=1) + self.positions

    def head(self, hidden: Float[Tensor, "b q w"]) -> Float[Tensor, "b d"]:
        output: Tensor = self.projection(self.norm(hidden[:, 0]))
        return output

    def row_weights(self, rows: int) -> Float[Tensor, " q"]:
        return functional.one_hot(torch.tensor(0), rows).to(self.positions)


class TinyEncoder:
    """The toy as an `Encoder`, a `TokenEncoder`, a `PatchEncoder` and a `TrainableEncoder`.

    Example:
        >>> encoder = load("0")
        >>> encoder.tokenize(["a dog"]).spans
        (((0, 0), (0, 1), (2, 5), (0, 0)),)
        >>> encoder.encode_text(["a dog", "a cat"]).shape
        torch.Size([2, 24])
    """

    default_template = "A photo depicts "
    default_threshold: Threshold | None = None
    logit_scale = 100.0

    def __init__(
        self, spec: EncoderSpec, text_tower: TinyTextTower, image_tower: TinyImageTower, pooling: str
    ) -> None:
        self.spec, self.text_tower, self.image_tower = spec, text_tower, image_tower
        self._pooling = pooling

    @property
    def module(self) -> nn.Module:
        return nn.ModuleDict({"image": self.image_tower, "text": self.text_tower})

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        """The fused maps of queries, keys and values.

        Raises:
            EncoderError: there is no such tower.
        """
        return linear_maps(self.module, tower, prefix=f"{tower}.", ends=("qkv",))

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        small = image.convert("RGB").resize((_SIDE, _SIDE), Resampling.BICUBIC)
        return torch.from_numpy(np.asarray(small, dtype=np.float32) / 127.5 - 1.0).permute(2, 0, 1)

    @torch.no_grad()
    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        hidden = self.image_tower.embed(pixels)
        for block in self.image_tower.layers:
            hidden = block.merge(hidden, functional.scaled_dot_product_attention(*block.project(hidden)))
        return functional.normalize(self.image_tower.head(hidden).float(), dim=-1)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        if not texts:
            return torch.empty(0, _DIMENSION)
        tokens = self.tokenize(texts)
        mask = tokens.mask[:, None, None]  # (b, 1, 1, n)
        if self.text_tower.causal:
            mask = mask & torch.ones(2 * tokens.ids.shape[1:], dtype=torch.bool, device=mask.device).tril()
        hidden = self.text_tower.embed(tokens)
        for block in self.text_tower.layers:
            attended = functional.scaled_dot_product_attention(*block.project(hidden), attn_mask=mask)
            hidden = block.merge(hidden, attended)
        return functional.normalize(self.text_tower.head(hidden, tokens.row_weights).float(), dim=-1)

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """Start token, hashed pieces, end token; characters beyond ASCII give one token a byte."""
        rows = [_pieces(text) for text in texts]
        room = _CONTEXT - 2
        kept = [row[:room] for row in rows]
        length = max((len(row) for row in kept), default=0) + 2
        device = self.image_tower.positions.device
        ids = torch.full((len(rows), length), _PAD)
        weights = torch.zeros(len(rows), length)
        for i, row in enumerate(kept):
            n = len(row) + 2
            ids[i, :n] = torch.tensor([_START, *(piece for piece, _ in row), _END])
            read = {"end": slice(n - 1, n), "mean": slice(0, n), "first": slice(0, 1)}[self._pooling]
            weights[i, read] = 1.0
        spans = tuple(
            ((0, 0), *(span for _, span in row), *([(0, 0)] * (length - 1 - len(row)))) for row in kept
        )
        return TokenBatch(
            ids=ids.to(device),
            mask=(ids != _PAD).to(device),
            row_weights=(weights / weights.sum(dim=1, keepdim=True)).to(device),
            spans=spans,
            truncated=tuple(len(row) > room for row in rows),
        )


def load(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> TinyEncoder:
    """The toy of a seed: "0", "bidirectional-0" (mean over the tokens) or "cls-0".

    Raises:
        EncoderError: the name is not a seed with one of these prefixes, or the dtype is unknown.

    Example:
        >>> load("0").spec.name, load("bidirectional-7").text_tower.causal
        ('0', False)
    """
    variant, _, seed = name.rpartition("-")
    variant = variant or "causal"
    if variant not in _POOLING or not seed.isdecimal():
        raise EncoderError(f"tiny takes a seed, bidirectional-SEED or cls-SEED, got {name!r}; try tiny:0.")
    if dtype not in ("float32", "float64"):
        raise EncoderError(f"tiny computes in float32 or float64, got {dtype!r}.")
    with torch.device("meta"):  # constructors would draw from the global generator
        text_tower, image_tower = TinyTextTower(causal=variant == "causal"), TinyImageTower()
    generator = torch.Generator().manual_seed(int(seed))
    digest = hashlib.sha256(variant.encode())
    for tower in (text_tower.to_empty(device="cpu"), image_tower.to_empty(device="cpu")):
        for key, value in tower.named_parameters():
            _fill(key, value, generator)
            digest.update(value.detach().numpy().tobytes())
        tower.requires_grad_(False).eval().to(device=device, dtype=getattr(torch, dtype))
    spec = EncoderSpec("tiny", name, revision, dtype, digest.hexdigest(), _digest(_PREPROCESS))
    return TinyEncoder(spec, text_tower, image_tower, _POOLING[variant])


def _fill(key: str, value: Tensor, generator: torch.Generator) -> None:
    with torch.no_grad():
        if "norm" in key:
            value.fill_(1.0 if key.endswith("weight") else 0.0)
        elif value.ndim == 1:
            value.normal_(0.0, 0.02, generator=generator)
        elif "qkv" in key:  # larger than usual: attention that is peaky, as in a trained model
            value.normal_(0.0, 2.0 / _WIDTH**0.5, generator=generator)
        else:
            value.normal_(0.0, 1.0 if value.shape[0] != _WIDTH else 0.3, generator=generator)


def _pieces(text: str) -> list[tuple[int, tuple[int, int]]]:
    """Token ids with their character ranges."""
    pieces: list[tuple[int, tuple[int, int]]] = []
    for match in _PIECE.finditer(text):
        piece = match.group().lower().encode("utf-8", errors="surrogatepass")
        if match.group().isascii():
            pieces.append((_piece_id(piece), match.span()))
        else:
            pieces += [
                (_piece_id(piece[i:j] + b"#"), match.span()) for i, j in pairwise(range(len(piece) + 1))
            ]
    return pieces


def _piece_id(piece: bytes) -> int:
    return _FIRST_PIECE + zlib.crc32(piece) % (_VOCABULARY - _FIRST_PIECE)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
