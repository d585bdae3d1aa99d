"""Unit vectors of many texts, computed once per encoder and kept in one file.

A lexicon of tens of thousands of prompts takes a large model up to an hour on a CPU. The file's name holds
the encoder's fingerprint and a hash of the texts, so another model or another wording never meets it. While
it is made, whole parts lie beside it: a killed run goes on from them. Left out: limits on the size of the
folder, and images, which the `cached` encoder keeps.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from awase.errors import DataError
from awase.files import atomic_path
from awase.protocols import Encoder, TextEncoder
from awase.registry import load

_PART = 8192  # texts in a part: what a crash costs at most

Progress = Callable[[int, int | None], None]


def encode_texts(
    encoder: TextEncoder,
    texts: Sequence[str],
    *,
    folder: Path | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Float[Tensor, "m d"]:
    """Unit vectors of texts, from the file of an earlier call where there is one.

    Args:
        encoder: one without a `spec` is not recognised again, and nothing is kept: so wrap an encoder whose
            weights were changed.
        texts: in any number; equal lists in equal order share a file.
        folder: where files lie; None for the user's cache folder, or the one that AWASE_CACHE names.
        batch_size: texts in one call of the encoder.
        progress: called with texts done and texts in all.

    Raises:
        DataError: there are no texts, or the disk is full.

    Example:
        >>> import tempfile
        >>> tiny = load("encoder", "tiny").load("0")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vectors = encode_texts(tiny, ["a dog", "a cat"], folder=Path(folder))
        ...     again = encode_texts(tiny, ["a dog", "a cat"], folder=Path(folder))
        ...     vectors.shape, bool((vectors == again).all()), len(list(Path(folder).iterdir()))
        (torch.Size([2, 24]), True, 1)
    """
    if not texts:
        raise DataError("there are no texts to encode.")
    path = _path(encoder, texts, folder)
    if path is not None and (known := _read(path, len(texts))) is not None:
        _tell(progress, len(texts), len(texts))
        return known
    parts = []
    for start in range(0, len(texts), _PART):
        some = texts[start : start + _PART]
        parts.append(_part(encoder, some, path and _beside(path, start), batch_size))
        _tell(progress, start + len(some), len(texts))
    whole = torch.cat(parts)
    if path is not None:
        _write(path, whole)
        for start in range(0, len(texts), _PART):
            _beside(path, start).unlink(missing_ok=True)
    return whole


def _part(
    encoder: TextEncoder, texts: Sequence[str], path: Path | None, batch_size: int
) -> Float[Tensor, "m d"]:
    """Some of the texts: read, or encoded and kept."""
    if path is not None and (known := _read(path, len(texts))) is not None:
        return known
    # texts of about one length share a batch, which leaves little padding
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    encoded = torch.cat([encoder.encode_text([texts[row] for row in rows]) for rows in batches])
    vectors = torch.empty_like(encoded)
    vectors[order] = encoded
    if path is not None:
        _write(path, vectors)
    return vectors


def _path(encoder: TextEncoder, texts: Sequence[str], folder: Path | None) -> Path | None:
    if not isinstance(encoder, Encoder):
        return None
    place: Path = load("encoder", "cached").cache_folder() / "texts" if folder is None else folder
    digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]
    return place / f"{encoder.spec.fingerprint}-{digest}.safetensors"


def _beside(path: Path, start: int) -> Path:
    return path.with_name(f"{path.stem}.part-{start}.safetensors")


def _read(path: Path, n: int) -> Float[Tensor, "m d"] | None:
    """The vectors; None where there is no file, or one that cannot be trusted, which is then made anew."""
    if not path.is_file():
        return None
    with suppress(SafetensorError, OSError, KeyError):
        vectors = load_file(path)["text_features"]
        if vectors.ndim == 2 and len(vectors) == n:
            return vectors
    return None


def _write(path: Path, vectors: Float[Tensor, "m d"]) -> None:
    with atomic_path(path) as temporary:
        save_file({"text_features": vectors.cpu().contiguous()}, temporary)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
