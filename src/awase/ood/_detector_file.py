"""A detector as two files: detector.safetensors and detector.json. Nothing in them is code.

The JSON holds every plain value and the hash of the tensors' file, so a folder whose two files do not belong
together is seen. Both are written whole beside their places and renamed. A folder of another version is an
error, not a guess.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from awase import registry
from awase.engine.fields import pack, unpack
from awase.errors import DataError
from awase.files import atomic_path, hash_file
from awase.ood._detector import SETS, Classes, Detector
from awase.ood._protocol import HIGHER_MEANS

SCHEMA = "awase.detector/1"
TENSORS, FACTS = "detector.safetensors", "detector.json"
_MAX_JSON = 512 * 2**20
_PARTS = ("scorer", "classes")


def save(detector: Detector, folder: str | Path) -> None:
    """Write the detector; a detector that lies there already is replaced.

    Raises:
        DataError: the disk is full or may not be written, or the scorer holds what cannot be saved.
    """
    place = Path(folder)
    tensors, plain = pack(detector, leave_out=_PARTS)
    for part in _PARTS:
        own, values = pack(getattr(detector, part))
        tensors |= {f"{part}.{name}": value for name, value in own.items()}
        plain[part] = values
    # JSON has no infinities
    plain |= {name: _finite(plain[name]) for name in ("threshold", "set_quantile")}
    facts = {"schema": SCHEMA, "higher_means": detector.higher_means, **plain}
    with atomic_path(place / TENSORS) as tensor_file, atomic_path(place / FACTS) as fact_file:
        save_file(tensors, tensor_file, metadata={"schema": SCHEMA})
        facts["tensors_sha256"] = hash_file(tensor_file)
        facts["sha256"] = _digest(facts)
        fact_file.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load(folder: str | Path) -> Detector:
    """What `save` wrote.

    Raises:
        DataError: there is no detector, or it is damaged or of another version.
        UnknownMethodError: its score is none that is installed.
    """
    place = Path(folder).expanduser()
    facts = _facts(place)
    try:
        if hash_file(place / TENSORS) != facts["tensors_sha256"]:
            raise ValueError(f"{TENSORS} is not the one that {FACTS} speaks of")
        with safe_open(place / TENSORS, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        method = registry.load("ood", str(facts["method"]))
        return _rebuilt(facts, tensors, getattr(method, "scorer", method))
    except FileNotFoundError as error:
        raise DataError(
            f"{place} lacks {TENSORS}; copy the whole folder, or fit the detector again."
        ) from error
    except (DataError, SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{place} holds a damaged detector ({reason[:200]}); fit it again.") from error


def _rebuilt(facts: dict[str, Any], tensors: Mapping[str, Tensor], scorer: type) -> Detector:
    plain = {name: value for name, value in facts.items() if name not in _ENVELOPE}
    parts: dict[str, Any] = {
        part: unpack(kind, _of(part, tensors), plain.pop(part))
        for part, kind in (("scorer", scorer), ("classes", Classes))
    }
    given = {name: plain.pop(name) for name in ("calibration", "training", "provenance")}
    plain["threshold"] = -math.inf if plain["threshold"] is None else plain["threshold"]
    plain["set_quantile"] = math.inf if plain["set_quantile"] is None else plain["set_quantile"]
    own = {name: value for name, value in tensors.items() if name.partition(".")[0] not in _PARTS}
    detector = unpack(Detector, own, plain, **parts, **given)
    if detector.sets not in SETS or detector.calibration_scores.dtype != torch.float64:
        raise ValueError("prediction sets or calibration scores of an unknown kind")
    if not all(isinstance(given[name], dict) for name in given):
        raise ValueError("hashes or provenance")
    return detector


_ENVELOPE = ("schema", "higher_means", "tensors_sha256", "sha256")


def _facts(place: Path) -> dict[str, Any]:
    path = place / FACTS
    try:
        if path.stat().st_size > _MAX_JSON:
            raise DataError(f"{path} is too large for a detector.")
        content = json.loads(path.read_bytes())
    except OSError as error:
        hint = "make one with `awase ood fit DATA --output DIR`"
        if place.is_file():
            raise DataError(f"{place} is a file; a detector is a folder with {FACTS}; {hint}.") from error
        raise DataError(f"there is no detector in {place} ({FACTS}: {error.strerror}); {hint}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no detector: {str(error)[:200]}; fit it again.") from error
    if not isinstance(content, dict) or not str(content.get("schema")).startswith("awase.detector/"):
        raise DataError(f"{path} is no detector; make one with `awase ood fit DATA --output DIR`.")
    if content["schema"] != SCHEMA or content.get("higher_means") != HIGHER_MEANS:
        raise DataError(
            f"{path} is of another version ({content['schema']}; this one reads {SCHEMA}); fit it again."
        )
    if content.get("sha256") != _digest(content):
        raise DataError(f"{path} was changed since it was written; fit the detector again.")
    return content


def _digest(facts: Mapping[str, Any]) -> str:
    """Hash over all other entries: a changed character is a damaged detector, not another threshold."""
    rest = {name: value for name, value in facts.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
