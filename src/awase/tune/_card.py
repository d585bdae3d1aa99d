"""A tuned model on the disk: `tuned.safetensors` for what was learned, `card.json` for what it belongs to.

The card names the encoder by a hash of its weights and preprocessing, the method with its settings, the
classes, and every image that had a say, so that a model is never put on another encoder and no figure is
measured on what it learned from. Tensors and JSON only. docs/tune.md writes the format down. What it leaves
out: the encoder's own weights, which stay where they are, unless a method changed them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from awase import registry
from awase.engine.fields import pack, unpack
from awase.errors import AwaseError, DataError, EncoderError
from awase.files import hash_file, write_atomic
from awase.protocols import Encoder
from awase.tune._frozen import Frozen
from awase.tune._protocol import Tuned, TuneMethod
from awase.tune._split import SplitRecord
from awase.types import EncoderSpec, Estimate

WEIGHTS, CARD = "tuned.safetensors", "card.json"
FORMAT = "awase.tuned/1"
_MAX_JSON = 256 * 2**20
_FROZEN, _TUNED = "frozen/", "tuned/"
_LIVE = ("encoder", "prefix")  # of the frozen model: what lives in memory only


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a tuned model beside its weights.

    Attributes:
        method: its name in the registry.
        settings: of the method, by name.
        encoder: of the model before tuning; None where only vectors were at hand.
        fingerprint: of that encoder.
        class_names: as the model reads them.
        labels: the same classes as the data writes them.
        templates: prompts.
        logit_scale: the encoder's multiplier.
        n_parameters: how many numbers tuning has set.
        seed: of every draw.
        split: the images of every side; None where it was not recorded.
        metrics: figures with their intervals.
        facts: everything else that was recorded: data, versions, time.
    """

    method: str
    settings: Mapping[str, Any]
    encoder: EncoderSpec | None
    fingerprint: str
    class_names: tuple[str, ...]
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    logit_scale: float
    n_parameters: int
    seed: int | None
    split: SplitRecord | None
    metrics: tuple[Estimate, ...]
    facts: Mapping[str, Any]


def save_tuned(
    folder: str | Path, tuned: Tuned, method: TuneMethod, *, facts: Mapping[str, Any] | None = None
) -> None:
    """Write a tuned model into a folder; an older one there is replaced.

    Args:
        folder: made where it is missing.
        tuned: what `method.fit` returned.
        method: with its settings.
        facts: what else the card is to say, JSON values, and under these names what it knows by heart:
            `seed`, `split` (a SplitRecord), `metrics` (Estimates), `labels` (classes as the data writes them)
            and `method` (the name in the registry, where it is not that of the module).

    Raises:
        DataError: the tuned model is not the method's, a field of it cannot be saved, or the disk is full.

    Example:
        >>> import tempfile, torch
        >>> from awase.tune.zero_shot import ZeroShot
        >>> frozen = Frozen(("cat", "dog"), torch.eye(2), 100.0, "toy")
        >>> with tempfile.TemporaryDirectory() as place:
        ...     save_tuned(place, frozen, ZeroShot(), facts={"seed": 1})
        ...     load_tuned(place).class_names, read_card(place).method
        (('cat', 'dog'), 'zero_shot')
    """
    place, known = Path(folder), dict(facts or {})
    name = known.pop("method", type(method).__module__.rpartition(".")[2])
    wanted = registry.load("tune", name).tuned
    if type(tuned) is not wanted:
        raise DataError(
            f"{name} makes a {wanted.__name__}, got a {type(tuned).__name__}; give the method that made it."
        )
    frozen = tuned.frozen
    frozen_tensors, frozen_plain = pack(frozen, leave_out=_LIVE)
    own_tensors, own_plain = ({}, {}) if isinstance(tuned, Frozen) else pack(tuned, leave_out=("frozen",))
    tensors = {f"{_FROZEN}{key}": value for key, value in frozen_tensors.items()}
    tensors |= {f"{_TUNED}{key}": value for key, value in own_tensors.items()}
    weights = save_tensors(tensors, {"format": FORMAT, "method": name})
    split = known.pop("split", None)
    content = {
        "format": FORMAT,
        "method": name,
        "settings": {field.name: getattr(method, field.name) for field in fields(method)},  # type: ignore[arg-type]
        "encoder": None if frozen.encoder is None else _spec(frozen.encoder),
        "frozen": frozen_plain,
        "tuned": own_plain,
        "labels": list(known.pop("labels", frozen.class_names)),
        "n_parameters": tuned.n_parameters,
        "seed": known.pop("seed", None),
        "metrics": [asdict(metric) for metric in known.pop("metrics", ())],
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()},
        "facts": known,
        "split": None if split is None else asdict(split),
    }
    try:
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"the card can only hold JSON values: {error}.") from error
    # the card comes last and names the weights by their hash: a kill in between leaves no pair that fits
    write_atomic(place / WEIGHTS, weights)
    write_atomic(place / CARD, text + "\n")


def load_tuned(folder: str | Path, encoder: Encoder | None = None) -> Tuned:
    """What `save_tuned` wrote.

    Args:
        folder: holds both files.
        encoder: the very encoder it was tuned on; None where vectors are enough, then methods that need a
            tower refuse when they are asked.

    Raises:
        EncoderError: the encoder is another one than the card's.
        DataError: a file is missing, damaged, changed, of a newer awase or of something else.
        UnknownMethodError: this awase has no such method.
        MissingExtraError: the method needs a library that is not installed.
    """
    place = Path(folder)
    content, card = _read(place)
    if encoder is not None and encoder.spec.fingerprint != card.fingerprint:
        raise EncoderError(_another_encoder(place, card, encoder.spec))
    tensors = _tensors(place, content)
    kind = registry.load("tune", card.method).tuned
    live = dict.fromkeys({field.name for field in fields(Frozen)} & set(_LIVE))
    try:
        frozen = unpack(Frozen, _part(tensors, _FROZEN), content["frozen"], **live)
        frozen = replace(frozen, encoder=encoder)
        if len(frozen.class_features) != len(frozen.class_names):
            raise DataError(f"{len(frozen.class_features)} vectors of {len(frozen.class_names)} classes.")
        made: Tuned = (
            frozen
            if kind is Frozen
            else unpack(kind, _part(tensors, _TUNED), content["tuned"], frozen=frozen)
        )
    except (AwaseError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{place} holds a {card.method} that does not fit together: {error} Fit it again."
        ) from error
    return made


def read_card(folder: str | Path) -> Card:
    """The card of a folder, without its weights.

    Raises:
        DataError: there is none, or it is damaged, of a newer awase, or of something else.
    """
    return _read(Path(folder))[1]


def _read(place: Path) -> tuple[dict[str, Any], Card]:
    path = place / CARD
    try:
        if path.stat().st_size > _MAX_JSON:
            raise DataError(f"{path} is too large for a card.")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{place} holds no tuned model: {CARD} cannot be read ({error.strerror or error}); "
            "give a folder that `awase tune fit` wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {str(error)[:200]}; fit the model again.") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        stem = FORMAT.rpartition("/")[0]
        if isinstance(found, str) and found.startswith(f"{stem}/"):
            raise DataError(
                f"{path} is of the format {found}, this awase reads {FORMAT}; install a newer awase."
            )
        raise DataError(f"{path} is no card of a tuned model; give a folder that `awase tune fit` wrote.")
    try:
        return content, _card(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r}); fit the model again.") from error


def _card(content: Mapping[str, Any]) -> Card:
    frozen = content["frozen"]
    encoder = content["encoder"]
    split = content["split"]
    card = Card(
        method=str(content["method"]),
        settings=dict(content["settings"]),
        encoder=None if encoder is None else EncoderSpec(**{k: v for k, v in encoder.items() if k != _PRINT}),
        fingerprint=str(frozen["fingerprint"]),
        class_names=tuple(map(str, frozen["class_names"])),
        labels=tuple(map(str, content["labels"])),
        templates=tuple(map(str, frozen["templates"])),
        logit_scale=float(frozen["logit_scale"]),
        n_parameters=int(content["n_parameters"]),
        seed=content["seed"],
        split=None if split is None else SplitRecord.from_json(split),
        metrics=tuple(Estimate(**metric) for metric in content["metrics"]),
        facts=dict(content["facts"]),
    )
    if len(card.labels) != len(card.class_names):
        raise ValueError(f"{len(card.labels)} labels for {len(card.class_names)} classes")
    if not isinstance(content["tuned"], dict) or not isinstance(content["weights"]["sha256"], str):
        raise ValueError("tuned or weights")
    return card


_PRINT = "fingerprint"


def _spec(encoder: Encoder) -> dict[str, Any]:
    """The encoder's spec, with the home folder written as ~: models get shared."""
    home, name = str(Path.home()), encoder.spec.name
    if len(home) > 1 and name.startswith(home):
        name = "~" + name[len(home) :]
    return {**asdict(replace(encoder.spec, name=name)), _PRINT: encoder.spec.fingerprint}


def _tensors(place: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    path = place / WEIGHTS
    if not path.is_file():
        raise DataError(f"{place} has a card and no {WEIGHTS}; copy it from where it was made.")
    if hash_file(path) != content["weights"]["sha256"]:
        raise DataError(f"{path} is damaged or of another model than its card; fit the model again.")
    try:
        return dict(load_tensors(path.read_bytes()))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; fit the model again.") from error


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _another_encoder(place: Path, card: Card, other: EncoderSpec) -> str:
    own = f"{card.encoder.adapter}:{card.encoder.name} " if card.encoder is not None else ""
    return (
        f"{place} was tuned on encoder {own}({card.fingerprint}) and does not fit "
        f"{other.adapter}:{other.name} ({other.fingerprint}); leave --encoder out, or fit it again."
    )
