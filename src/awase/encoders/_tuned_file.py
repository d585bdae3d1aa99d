"""The folder of a model trained on pairs: config.json names its base and its weights, in tuned.safetensors.

Tensors and JSON only. The base is named, not copied: an encoder by its adapter, name and hashes, or a model
that lies in the same folder. docs/pairs.md writes the format down.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from awase.errors import DataError, EncoderError
from awase.files import hash_bytes, hash_file, write_atomic
from awase.types import EncoderSpec

CONFIG, WEIGHTS, CARD = "config.json", "tuned.safetensors", "card.md"
FORMAT = "awase.pairs/1"
_INSIDE = "./"
_TOWER, _HEAD = "tower/", "head/"
_MAX_JSON = 256 * 2**20
_DEEPEST = 8  # models trained on models trained on models


@dataclass(frozen=True, slots=True, eq=False)
class TunedFile:
    """What the folder says.

    Attributes:
        base: the encoder before training, as it was when it was trained.
        place: what its adapter is to load now: a path that was relative to the folder is made whole.
        weights: changed weights of its towers, by their names in its module.
        heads: weights of the heads, by side (`image`, `text`) and name; a side without a head is left out.
        logit_scale: 1 / temperature after training.
        facts: all else: settings, data, losses, figures.
    """

    base: EncoderSpec
    place: str
    weights: Mapping[str, Tensor]
    heads: Mapping[str, Mapping[str, Tensor]]
    logit_scale: float
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_tuned(
    folder: Path,
    *,
    base: EncoderSpec,
    weights: Mapping[str, Tensor],
    heads: Mapping[str, Mapping[str, Tensor]],
    logit_scale: float,
    facts: Mapping[str, Any],
) -> None:
    """Write config.json and tuned.safetensors; an older model there is replaced.

    Args:
        folder: made where it is missing.
        base: of the encoder before training.
        weights: changed weights of its towers, by name.
        heads: weights of the heads by side.
        logit_scale: 1 / temperature.
        facts: JSON values.

    Raises:
        DataError: the facts hold something else than JSON values, or the disk is full.
    """
    own = {name: value.detach().cpu().contiguous().clone() for name, value in _flat(weights, heads).items()}
    content = save_tensors(own, {"format": FORMAT})
    card = {
        "format": FORMAT,
        "base": {**asdict(base), "name": _kept_name(base, folder), "fingerprint": base.fingerprint},
        "logit_scale": logit_scale,
        "weights": {"file": WEIGHTS, "sha256": hash_bytes(content)},
        "facts": dict(facts),
    }
    try:
        text = json.dumps(card, ensure_ascii=False, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"config.json can only hold JSON values: {error}.") from error
    # config.json comes last and names the weights by their hash: a kill in between leaves no pair that fits
    write_atomic(folder / WEIGHTS, content)
    write_atomic(folder / CONFIG, text + "\n")


def read_tuned(folder: Path) -> TunedFile:
    """What `write_tuned` wrote, checked.

    Raises:
        EncoderError: a file is missing, damaged, of a newer awase or of something else.
    """
    content = read_config(folder)
    try:
        base = {key: content["base"][key] for key in EncoderSpec.__dataclass_fields__}
        spec = EncoderSpec(**base)
        scale, digest = float(content["logit_scale"]), str(content["weights"]["sha256"])
        facts = dict(content.get("facts", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderError(f"{folder / CONFIG} is damaged ({error!r}); train the model again.") from error
    if not (math.isfinite(scale) and scale > 0):
        raise EncoderError(f"{folder / CONFIG} names the logit scale {scale}; it must be positive.")
    tensors = _tensors(folder, digest)
    heads: dict[str, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        side, _, part = rest.partition("/")
        if kind == "tower" and rest:
            weights[rest] = value
        elif kind == "head" and side in ("image", "text") and part:
            heads.setdefault(side, {})[part] = value
        else:
            raise EncoderError(f"{folder / WEIGHTS} holds {name!r}, which is no weight of such a model.")
    place = str(folder / spec.name.removeprefix(_INSIDE)) if spec.name.startswith(_INSIDE) else spec.name
    return TunedFile(spec, place, weights, heads, scale, facts)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder and of all that it rests on, checked for what they are; weights are not read.

    Raises:
        EncoderError: it is missing, damaged or of something else, or the chain of bases has no end.
    """
    first = content = _read_config(folder)
    for _ in range(_DEEPEST):
        base = content.get("base")
        if not isinstance(base, dict) or base.get("adapter") != "tuned":
            return first
        name = str(base.get("name", ""))
        folder = folder / name.removeprefix(_INSIDE) if name.startswith(_INSIDE) else Path(name).expanduser()
        content = _read_config(folder)
    raise EncoderError(f"{folder} rests on more than {_DEEPEST} models one above the other; that is refused.")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        if path.stat().st_size > _MAX_JSON:
            raise EncoderError(f"{path} is too large to be the config of a model.")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise EncoderError(
            f"{folder} holds no model trained on pairs: {CONFIG} cannot be read ({error.strerror or error}); "
            "give a folder that `awase tune pairs` wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise EncoderError(f"{path} is damaged: {str(error)[:200]}; train the model again.") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found == FORMAT:
        return dict(content)
    if isinstance(found, str) and found.startswith(FORMAT.rpartition("/")[0] + "/"):
        raise EncoderError(
            f"{path} is of the format {found}, this awase reads {FORMAT}; install a newer awase."
        )
    raise EncoderError(
        f"{path} is of no model trained on pairs; give a folder that `awase tune pairs` wrote."
    )


def _tensors(folder: Path, digest: str) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise EncoderError(f"{folder} has a {CONFIG} and no {WEIGHTS}; copy it from where it was made.")
    if hash_file(path) != digest:
        raise EncoderError(f"{path} is damaged or of another model than its {CONFIG}; train it again.")
    try:
        return dict(load_tensors(path.read_bytes()))
    except (SafetensorError, OSError, ValueError) as error:
        raise EncoderError(f"{path} cannot be read: {error}; train the model again.") from error


def digest_of(weights: Mapping[str, Tensor], heads: Mapping[str, Mapping[str, Tensor]]) -> str:
    """Hash of what was learned, the same before it is written and after it is read; "" for nothing."""
    tensors = _flat(weights, heads)
    if not tensors:
        return ""
    digest = hashlib.sha256()
    for name, value in tensors.items():
        own = value.detach().cpu().contiguous()
        digest.update(f"{name} {own.dtype} {tuple(own.shape)} ".encode())
        digest.update(own.view(-1).view(torch.uint8).numpy().tobytes() if own.numel() else b"")
    return digest.hexdigest()


def _flat(weights: Mapping[str, Tensor], heads: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    tensors = {f"{_TOWER}{name}": value for name, value in weights.items()}
    for side, head in heads.items():
        tensors |= {f"{_HEAD}{side}/{name}": value for name, value in head.items()}
    return dict(sorted(tensors.items()))


def _kept_name(base: EncoderSpec, folder: Path) -> str:
    """The base's name as the folder keeps it: inside it relative to it, in the home folder from `~` on."""
    path = Path(base.name).expanduser()
    if not base.name or not path.is_dir():
        return base.name  # a name on a hub, or none
    whole, own = path.resolve(), folder.resolve()
    if whole.is_relative_to(own):
        return _INSIDE + whole.relative_to(own).as_posix()
    home = Path.home()
    return f"~/{whole.relative_to(home).as_posix()}" if whole.is_relative_to(home) else str(whole)
