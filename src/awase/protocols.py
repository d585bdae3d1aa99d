"""The ports: what a model, a reader, a segmenter and a method must offer. Adapters inherit nothing.

A transformer block is split where attributions need it. With `project` and `merge` one routine runs, replays
and differentiates every tower (pre-norm and post-norm, causal and bidirectional) without touching the
library that holds the weights.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from awase.types import BadRow, EncoderSpec, Finding, LabelledImage, Pair, Threshold, TokenBatch


@runtime_checkable
class AttentionLayer(Protocol):
    """One transformer block, cut before and after softmax(q k^T / sqrt(d_head)) v.

    An attention-pooling layer is one whose queries (and merged rows) are fewer than its keys.
    """

    def project(
        self, hidden: Float[Tensor, "b n w"]
    ) -> tuple[Float[Tensor, "b h q c"], Float[Tensor, "b h n c"], Float[Tensor, "b h n c"]]:
        """Queries, keys and values per head, norm (where it comes first) and biases included."""
        ...

    def merge(
        self, hidden: Float[Tensor, "b n w"], attended: Float[Tensor, "b h q c"]
    ) -> Float[Tensor, "b q w"]:
        """The block's output from its input and the per-head attention output, before any projection.

        hidden is what `project` was given; a pooling layer, which has q != n, need not use it.
        """
        ...


@runtime_checkable
class TextTower(Protocol):
    """A text transformer taken apart: embed, layers, head."""

    causal: bool

    @property
    def layers(self) -> Sequence[AttentionLayer]: ...

    def embed(self, tokens: TokenBatch) -> Float[Tensor, "b n w"]:
        """Token and position embeddings: what enters the first layer."""
        ...

    def head(self, hidden: Float[Tensor, "b n w"], row_weights: Float[Tensor, "b n"]) -> Float[Tensor, "b d"]:
        """Final norm of each row, weighted sum of the rows, projection: the un-normalised embedding."""
        ...


@runtime_checkable
class ImageTower(Protocol):
    """An image tower taken apart, for heat maps. Patch k of the grid is key `first_patch + k`, row by row."""

    grid: tuple[int, int]
    first_patch: int

    @property
    def layers(self) -> Sequence[AttentionLayer]: ...

    def embed(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b n w"]: ...

    def head(self, hidden: Float[Tensor, "b q w"]) -> Float[Tensor, "b d"]:
        """The un-normalised embedding from the rows of the last layer."""
        ...

    def row_weights(self, rows: int) -> Float[Tensor, " q"]:
        """Which rows of the last layer the head reads; sums to 1."""
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """Photos to unit vectors, in two steps so that the first can run in other threads."""

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        """The model's own resize, crop and normalisation of one RGB image."""
        ...

    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        """Unit vectors, without gradient, float32, on the CPU or the encoder's device."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to unit vectors."""

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        """Unit vectors, without gradient, float32."""
        ...


@runtime_checkable
class Encoder(ImageEncoder, TextEncoder, Protocol):
    """A dual encoder. logit_scale is the multiplier (100.0), never its logarithm."""

    @property
    def spec(self) -> EncoderSpec: ...

    @property
    def logit_scale(self) -> float: ...


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder whose text tower can be taken apart: what word attribution needs.

    default_template: put before each caption ("A photo depicts "), "" for none.
    default_threshold: the model's own calibrated flag threshold, None when there is none.
    """

    default_template: str
    default_threshold: Threshold | None

    @property
    def text_tower(self) -> TextTower: ...

    def tokenize(self, texts: Sequence[str]) -> TokenBatch: ...


@runtime_checkable
class PatchEncoder(Protocol):
    """An encoder whose image tower can be taken apart: what heat maps need."""

    @property
    def image_tower(self) -> ImageTower: ...


@runtime_checkable
class TrainableEncoder(Protocol):
    """An encoder whose weights may be changed: on a copy (`copy.deepcopy`), never on the one that was given.

    What is trained is run through `TokenEncoder.text_tower` and `PatchEncoder.image_tower`, which are made
    of `module`'s own parts and so see every change of its weights.
    """

    spec: EncoderSpec

    @property
    def module(self) -> nn.Module:
        """The torch module that holds the weights of both towers, frozen and in evaluation mode."""
        ...

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        """Names within `module` of the linear maps of the attention layers, of the `image` or `text` tower.

        Raises:
            EncoderError: this model's attention keeps its weights in another form.
        """
        ...


@runtime_checkable
class FeatureStore(Protocol):
    """Vectors by key, for several threads. Keys hold the content hash and the encoder's fingerprint."""

    def get(self, key: str) -> Tensor | None: ...

    def put(self, key: str, value: Tensor) -> None: ...


@runtime_checkable
class StoringEncoder(Protocol):
    """An encoder that brings its own feature store (the `cached` adapter)."""

    @property
    def store(self) -> FeatureStore: ...


@runtime_checkable
class PairDataset(Protocol):
    """Pairs in a fixed order, read as a stream; iterating twice gives the same rows."""

    def __iter__(self) -> Iterator[Pair | BadRow]: ...

    def fingerprint(self) -> str:
        """Hash of what the rows come from (table bytes, file names and sizes), cheap to take."""
        ...

    def count(self) -> int | None:
        """Number of rows where it is known without reading all of them: for the progress bar."""
        ...


@runtime_checkable
class ImageDataset(Protocol):
    """Images with their classes in a fixed order, read as a stream; iterating twice gives the same rows."""

    def __iter__(self) -> Iterator[LabelledImage | BadRow]: ...

    def fingerprint(self) -> str:
        """Hash of what the rows come from, cheap to take."""
        ...

    def count(self) -> int | None:
        """Number of rows where it is known without reading all of them: for the progress bar."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Where words begin and end. `name` goes into the provenance, with the version of a dictionary."""

    @property
    def name(self) -> str: ...

    def segment(self, text: str) -> list[tuple[int, int]]:
        """Half-open character ranges, increasing and not overlapping, without white space.

        Punctuation is returned as spans of its own; callers never flag them.
        """
        ...


@runtime_checkable
class CheckMethod(Protocol):
    """One way to judge pairs; a higher score means better aligned."""

    def check(
        self,
        encoder: Encoder,
        image_features: Float[Tensor, "b d"],
        pairs: Sequence[Pair],
    ) -> list[Finding]:
        """One Finding a pair, in order. image_features row i belongs to pairs[i].

        A RowError says that one of the captions cannot be read; the run then asks pair by pair, so that it
        costs that row alone.
        """
        ...
