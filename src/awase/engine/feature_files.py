"""Vectors of images and texts in a safetensors file: made elsewhere, or kept from an earlier run.

    image_features  (n, d)   F16, BF16, F32 or F64; unit vectors
    text_features   (m, d)   likewise
    image_of_text   (m,)     integers: row of each text's image; may be missing where text i is image i's

The file is mapped, not read: a million vectors cost no memory until they are looked at. A mapped file must
not be changed while it is in use. `encoder` and `logit_scale` of the file's metadata are taken over where
they are there. Left out: NumPy's own formats, and names and captions of the rows.
"""

import json
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from awase.errors import DataError
from awase.files import atomic_path
from awase.types import PairFeatures

IMAGES, TEXTS, OWNERS = "image_features", "text_features", "image_of_text"
_SHOWN = 10


def open_pair_features(path: str | Path) -> PairFeatures:
    """Images and texts of one file; rows are named by their number.

    Raises:
        DataError: no such file, another format, a matrix missing, or vectors that are no unit vectors.
        ShapeError: numbers of rows that do not fit together.

    Example:
        >>> import tempfile
        >>> eye = torch.eye(2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "vectors.safetensors"
        ...     write_pair_features(path, PairFeatures(eye, eye, torch.arange(2), ("0", "1")))
        ...     open_pair_features(path).text_features.shape
        torch.Size([2, 2])
    """
    found, metadata = _tensors(Path(path))
    images, texts = (_matrix(found, name, path) for name in (IMAGES, TEXTS))
    owners = found.get(OWNERS)
    if owners is None:
        if len(images) != len(texts):
            raise DataError(
                f"{path} holds {len(images)} images, {len(texts)} texts and no {OWNERS}; "
                "add it: for every text the row of its image."
            )
        owners = torch.arange(len(images))
    if owners.ndim != 1 or owners.is_floating_point() or owners.dtype is torch.bool:
        raise DataError(f"{path}: {OWNERS} must be one whole number a text, got {_seen(owners)}.")
    if images.shape[1] != texts.shape[1]:
        raise DataError(
            f"{path}: image vectors have {images.shape[1]} numbers and text vectors {texts.shape[1]}; "
            "both must come from one model."
        )
    return PairFeatures(
        images,
        texts,
        owners.long(),
        tuple(map(str, range(len(images)))),
        encoder=metadata.get("encoder", ""),
        logit_scale=_scale(metadata.get("logit_scale"), path),
    )


def open_features(path: str | Path, name: str | None = None) -> Float[Tensor, "n d"]:
    """One matrix of a file, mapped. Its rows are not looked at.

    Args:
        path: a safetensors file.
        name: of the matrix; None where the file holds one only.

    Raises:
        DataError: no such file, another format, no such matrix, or several and no name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "vectors.safetensors"
        ...     save_file({"embeddings": torch.eye(3)}, path)
        ...     open_features(path).shape
        torch.Size([3, 3])
    """
    found, _ = _tensors(Path(path))
    if name is None or (name not in found and len(found) == 1):
        matrices = [key for key, value in found.items() if value.ndim == 2]
        if len(matrices) != 1:
            raise DataError(
                f"{path} holds {_listed(found)}; it must hold one matrix, or one called {name or IMAGES}."
            )
        name = matrices[0]
    return _matrix(found, name, path)


def write_pair_features(path: str | Path, pairs: PairFeatures) -> None:
    """Keep the vectors of pairs, their precision unchanged. Names and captions are not kept.

    Raises:
        DataError: the disk is full, or the folder may not be written.
    """
    metadata = {"encoder": pairs.encoder}
    if pairs.logit_scale is not None:
        metadata["logit_scale"] = json.dumps(pairs.logit_scale)
    tensors = {IMAGES: pairs.image_features, TEXTS: pairs.text_features, OWNERS: pairs.image_of_text}
    with atomic_path(path) as temporary:
        # safetensors refuses two names for one memory
        save_file({name: value.cpu().clone() for name, value in tensors.items()}, temporary, metadata)


def _tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; vectors are read from a safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as safetensors: {reason}") from error


def _matrix(found: dict[str, Tensor], name: str, path: str | Path) -> Tensor:
    if name not in found:
        raise DataError(f"{path} holds no {name}, but {_listed(found)}.")
    value = found[name]
    if value.ndim != 2 or not value.is_floating_point() or value.dtype.itemsize < 2:
        raise DataError(f"{path}: {name} must be a matrix of floating-point rows, got {_seen(value)}.")
    return value


def _scale(text: str | None, path: str | Path) -> float | None:
    try:
        scale = None if text is None else float(text)
    except ValueError:
        scale = 0.0
    if scale is not None and not 0 < scale < float("inf"):
        raise DataError(f"{path}: logit_scale in the metadata must be a positive number, got {text!r}.")
    return scale


def _seen(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _listed(found: dict[str, Tensor]) -> str:
    shown = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(found.items())[:_SHOWN])
    return (shown or "nothing") + (", ..." if len(found) > _SHOWN else "")
