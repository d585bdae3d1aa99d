"""From image references to unit vectors: read ahead, each content once, bad images as errors of their rows.

Reading, decoding and preprocessing run in threads while the model works on the batch before. An image is
known by the hash of its bytes, so copies and repeats are encoded once and a feature store serves every run.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import EncoderError, RowError
from awase.functional.patches import patch_features
from awase.functional.similarity import is_usable
from awase.images import content_hash, decode, read_bytes
from awase.protocols import Encoder, FeatureStore, PatchEncoder
from awase.types import ImageReference

_VECTOR, _PATCHES = "image", "patches"


class MemoryStore:
    """The most recently used vectors, in memory; safe for several threads.

    Args:
        capacity: vectors to keep at most.
        max_bytes: bytes to keep at most: patch vectors of one image may take half a megabyte.
    """

    def __init__(self, capacity: int = 4096, *, max_bytes: int = 256 * 1024 * 1024) -> None:
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Tensor | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: Tensor) -> None:
        kept = value.clone()  # a row of a batch would keep the whole batch in memory
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key).nbytes
            self._values[key] = kept
            self._bytes += kept.nbytes
            while len(self._values) > self._capacity or self._bytes > self._max_bytes:
                _, dropped = self._values.popitem(last=False)
                self._bytes -= dropped.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What the model made of one image.

    Attributes:
        hash: content hash of its bytes.
        value: unit vector.
        patches: unit vectors of its patches, where the loader was asked for them.
    """

    hash: str
    value: Float[Tensor, " d"]
    patches: Float[Tensor, "p d"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """One image after reading: what the store had of it, and its pixels unless that is all."""

    hash: str
    stored: Mapping[str, Tensor]
    pixels: Tensor | None


class ImageLoader:
    """Vectors for batches of references. `start` begins to read a batch, `finish` ends it.

    Args:
        encoder: the model.
        store: where vectors are looked up and kept, under content hash and fingerprint.
        workers: threads that read, decode and preprocess.
        patches: also make the vectors of the patches.

    Raises:
        EncoderError: patches are asked for and the encoder's image tower cannot be taken apart.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore, workers: int, *, patches: bool = False) -> None:
        self._encoder = encoder
        self._store = store
        self._runs: dict[str, Callable[[Tensor], Tensor]] = {_VECTOR: encoder.encode_image}
        if patches:
            self._runs[_PATCHES] = _patches_of(encoder)
        self._pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="awase-image")

    def start(self, references: Sequence[ImageReference]) -> list[Future[_Loaded]]:
        """Begin to read; the same reference twice is read once."""
        begun: dict[tuple[Path | None, int, int | None, int], Future[_Loaded]] = {}
        futures = []
        for ref in references:
            place = (ref.path, ref.offset, ref.size, id(ref.data))
            if place not in begun:
                begun[place] = self._pool.submit(self._load, ref)
            futures.append(begun[place])
        return futures

    def finish(self, started: Sequence[Future[_Loaded]]) -> list[Encoded | RowError]:
        """What the model made of each reference given to `start`, or its error."""
        loaded: list[_Loaded | RowError] = []
        for future in started:
            try:
                loaded.append(future.result())
            except RowError as error:
                loaded.append(error)
        distinct = {item.hash: item for item in loaded if isinstance(item, _Loaded)}
        made = {kind: self._vectors(kind, list(distinct.values())) for kind in self._runs}
        return [item if isinstance(item, RowError) else _joined(item.hash, made) for item in loaded]

    def features(self, started: Sequence[Future[_Loaded]]) -> list[Tensor | RowError]:
        """As `finish`, the vectors alone."""
        return [item.value if isinstance(item, Encoded) else item for item in self.finish(started)]

    def close(self) -> None:
        """Drop what has not begun and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _load(self, reference: ImageReference) -> _Loaded:
        data = read_bytes(reference)
        hash = content_hash(data)
        found = {kind: self._store.get(self._key(kind, hash)) for kind in self._runs}
        # held on to: the store may drop it before the batch is finished
        stored = {kind: value for kind, value in found.items() if value is not None}
        if len(stored) == len(self._runs):
            return _Loaded(hash, stored, None)
        return _Loaded(hash, stored, self._encoder.preprocess(decode(data, name=reference.name)))

    def _vectors(self, kind: str, images: Sequence[_Loaded]) -> dict[str, Tensor | RowError]:
        """Vectors of one kind by content hash: out of the store, else made and stored."""
        known: dict[str, Tensor | RowError] = {}
        missing: dict[str, Tensor] = {}
        for image in images:
            # a copy in the batch before may have been encoded since this one was read
            value = image.stored.get(kind)
            value = self._store.get(self._key(kind, image.hash)) if value is None else value
            if value is not None:
                known[image.hash] = value
            elif image.pixels is not None:
                missing[image.hash] = image.pixels
        if missing:
            values = self._runs[kind](torch.stack(list(missing.values()))).cpu()
            usable = is_usable(values.flatten(0, -2))
            each = values[0].numel() // values.shape[-1]
            for i, (hash, value) in enumerate(zip(missing, values, strict=True)):
                known[hash] = self._kept(kind, hash, value, all(usable[i * each : (i + 1) * each]))
        return known

    def _kept(self, kind: str, hash: str, value: Tensor, usable: bool) -> Tensor | RowError:
        if not usable:
            return RowError("bad_features", "the model returned no usable vector for this image.")
        self._store.put(self._key(kind, hash), value)
        return value

    def _key(self, kind: str, hash: str) -> str:
        return f"{kind}:{self._encoder.spec.fingerprint}:{hash}"


def _patches_of(encoder: Encoder) -> Callable[[Tensor], Tensor]:
    if not isinstance(encoder, PatchEncoder):
        raise EncoderError(
            f"patch features need an encoder whose image tower can be taken apart; "
            f"{encoder.spec.adapter} {encoder.spec.name} has none. Take a method without them, or a model "
            "loaded through builtin, hf or open_clip."
        )
    return partial(patch_features, encoder.image_tower)


def _joined(hash: str, made: Mapping[str, Mapping[str, Tensor | RowError]]) -> Encoded | RowError:
    value, patches = made[_VECTOR][hash], made.get(_PATCHES, {}).get(hash)
    if isinstance(value, RowError):
        return value
    return patches if isinstance(patches, RowError) else Encoded(hash, value, patches)
