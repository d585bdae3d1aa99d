"""Any encoder with a store of its image vectors beside it: `cached:hf:openai/clip-vit-base-patch32`.

The second run over the same photos reads their vectors instead of computing them. Nothing else changes: spec,
features and towers are the wrapped encoder's own. One file per encoder fingerprint, so a change of weights,
preprocessing or precision starts a new one. Left out: limits on the size of the folder; delete what you like.
"""

import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from awase import registry
from awase.encoders._store import SqliteStore
from awase.errors import EncoderError
from awase.protocols import (
    Encoder,
    ImageTower,
    PatchEncoder,
    TextTower,
    TokenEncoder,
    TrainableEncoder,
)
from awase.types import EncoderSpec, Threshold, TokenBatch


class CachedEncoder:
    """The wrapped encoder, with `store`.

    A deep copy is a copy of the wrapped encoder alone: what is copied is about to change, and a store is for
    one set of weights.
    """

    def __init__(self, encoder: Encoder, store: SqliteStore) -> None:
        self._encoder, self.store = encoder, store

    def __repr__(self) -> str:
        return f"cached.wrap({self._encoder!r}, {str(self.store.path.parent)!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Encoder:
        return copy.deepcopy(self._encoder, memo)

    @property
    def spec(self) -> EncoderSpec:
        return self._encoder.spec

    @property
    def logit_scale(self) -> float:
        return self._encoder.logit_scale

    def preprocess(self, image: Image) -> Float[Tensor, "3 y x"]:
        return self._encoder.preprocess(image)

    def encode_image(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        return self._encoder.encode_image(pixels)

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self._encoder.encode_text(texts)


class _WithTokens(CachedEncoder):
    """Also a `TokenEncoder`."""

    def __init__(self, encoder: Encoder, store: SqliteStore, tokens: TokenEncoder) -> None:
        super().__init__(encoder, store)
        self._tokens = tokens
        self.default_template: str = tokens.default_template
        self.default_threshold: Threshold | None = tokens.default_threshold

    @property
    def text_tower(self) -> TextTower:
        return self._tokens.text_tower

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        return self._tokens.tokenize(texts)


class _WithPatches(CachedEncoder):
    """Also a `PatchEncoder`."""

    def __init__(self, encoder: Encoder, store: SqliteStore, patches: PatchEncoder) -> None:
        super().__init__(encoder, store)
        self._patches = patches

    @property
    def image_tower(self) -> ImageTower:
        return self._patches.image_tower


class _WithBoth(_WithTokens):
    """A `TokenEncoder` and a `PatchEncoder`."""

    def __init__(
        self, encoder: Encoder, store: SqliteStore, tokens: TokenEncoder, patches: PatchEncoder
    ) -> None:
        super().__init__(encoder, store, tokens)
        self._patches = patches

    @property
    def image_tower(self) -> ImageTower:
        return self._patches.image_tower


class _Trainable(_WithTokens):
    """A `TokenEncoder` and a `TrainableEncoder`."""

    def __init__(
        self, encoder: Encoder, store: SqliteStore, tokens: TokenEncoder, trained: TrainableEncoder
    ) -> None:
        super().__init__(encoder, store, tokens)
        self._trained = trained

    @property
    def module(self) -> nn.Module:
        return self._trained.module

    def attention_projections(self, tower: str) -> tuple[str, ...]:
        return self._trained.attention_projections(tower)


class _TrainableWithPatches(_Trainable):
    """All three."""

    def __init__(
        self,
        encoder: Encoder,
        store: SqliteStore,
        tokens: TokenEncoder,
        trained: TrainableEncoder,
        patches: PatchEncoder,
    ) -> None:
        super().__init__(encoder, store, tokens, trained)
        self._patches = patches

    @property
    def image_tower(self) -> ImageTower:
        return self._patches.image_tower


def wrap(encoder: Encoder, folder: Path) -> CachedEncoder:
    """The same encoder with a store in `folder`, which is made where it is missing.

    Args:
        encoder: any encoder.
        folder: a place on a local disk; several encoders and processes may share it.

    Raises:
        DataError: the file in the folder is damaged, or the disk is full.

    Example:
        >>> import tempfile
        >>> from awase.encoders import tiny
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     encoder = wrap(tiny.load("0"), Path(folder))
        ...     encoder.spec.adapter, len(encoder.store)
        ...     encoder.store.close()
        ('tiny', 0)
    """
    store = SqliteStore(Path(folder) / f"{encoder.spec.fingerprint}.sqlite")
    if isinstance(encoder, TokenEncoder) and isinstance(encoder, TrainableEncoder):
        if isinstance(encoder, PatchEncoder):
            return _TrainableWithPatches(encoder, store, encoder, encoder, encoder)
        return _Trainable(encoder, store, encoder, encoder)
    if isinstance(encoder, TokenEncoder) and isinstance(encoder, PatchEncoder):
        return _WithBoth(encoder, store, encoder, encoder)
    if isinstance(encoder, TokenEncoder):
        return _WithTokens(encoder, store, encoder)
    if isinstance(encoder, PatchEncoder):
        return _WithPatches(encoder, store, encoder)
    return CachedEncoder(encoder, store)


def load(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> CachedEncoder:
    """An encoder by its full name, with a store in the user's cache folder.

    Args:
        name: as without `cached:`, so `builtin`, `hf:ORG/MODEL`, `open_clip:MODEL/TAG`, `tiny:0`.
        device: passed on, as are dtype, revision and offline.
        dtype: see above.
        revision: see above.
        offline: see above.

    Raises:
        EncoderError: the name is empty or names `cached` again.
        UnknownMethodError: there is no such adapter.
    """
    adapter, _, rest = name.partition(":")
    if adapter in ("", "cached"):
        raise EncoderError(
            f"cached takes the full name of another encoder, got {name!r}; try cached:builtin."
        )
    module = registry.load("encoder", adapter)
    encoder = module.load(rest, device=device, dtype=dtype, revision=revision, offline=offline)
    return wrap(encoder, cache_folder() / "features")


def cache_folder() -> Path:
    """AWASE_CACHE, else awase's part of the user's cache folder."""
    if chosen := os.environ.get("AWASE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "awase"
