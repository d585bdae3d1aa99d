"""The model that a detector judges with: an encoder as it came, or one that tuning has changed."""

from dataclasses import dataclass
from pathlib import Path

from awase.cli._encoders import open_encoder
from awase.cli._ood_options import Reopening
from awase.errors import DataError
from awase.files import hash_file
from awase.ood._detector import Classes, Detector
from awase.protocols import Encoder
from awase.tune._card import WEIGHTS, Card, load_tuned, read_card
from awase.tune._protocol import Tuned
from awase.types import Evidence, Features

_ID_DIGITS = 16


@dataclass(frozen=True)
class Tuning:
    """A tuned model with its card and the id that detectors know it by."""

    tuned: Tuned
    card: Card
    id: str

    @property
    def seen(self) -> dict[str, str]:
        """Content hash to name of every image it has learned from or chosen its settings on."""
        split = self.card.split
        if split is None:
            return {}
        return {hash: name for side in (split.train, split.validation) for name, hash in side.items()}


@dataclass(frozen=True)
class Model:
    """An encoder, and what tuning made of it where there is any."""

    encoder: Encoder
    tuning: Tuning | None = None

    @property
    def id(self) -> str:
        """The tuned model's id, "" for an encoder as it came."""
        return "" if self.tuning is None else self.tuning.id

    def evidence(self, classes: Classes, images: Features) -> Evidence:
        """What the model says of images and the detector's classes.

        Raises:
            DataError: it is not the detector's model.
        """
        if self.tuning is None:
            return classes.evidence(images)
        classes.require(images.encoder, self.id)
        return self.tuning.tuned.evidence(images)


def open_tuning(folder: Path, encoder: Encoder) -> Tuning:
    """A tuned model; a change of its weights is another id.

    Raises:
        DataError: there is none, or it is damaged.
        EncoderError: it belongs to another encoder.
    """
    place = folder.expanduser()
    tuned = load_tuned(place, encoder)
    return Tuning(tuned, read_card(place), hash_file(place / WEIGHTS)[:_ID_DIGITS])


def reopen(options: Reopening, detector: Detector) -> Model:
    """The detector's own model, from where the detector or the options say it lies.

    Raises:
        DataError: it is another model, or the detector's tuned model is not named.
    """
    recorded = detector.provenance.get("encoder", {})
    named = options.encoder or detector.classes.encoder_name
    if not named:
        raise DataError("the detector does not say where its encoder lies; name it with --encoder.")
    dtype = options.dtype.value if options.dtype is not None else str(recorded.get("dtype", "float32"))
    encoder = open_encoder(
        named,
        device=options.device.value,
        dtype=dtype,
        revision=options.revision or (recorded.get("revision") if options.encoder is None else None),
        offline=options.offline,
        cache=options.cache,
    )
    tuning = None if options.tuned is None else open_tuning(options.tuned, encoder)
    model = Model(encoder, tuning)
    detector.classes.require(encoder.spec.fingerprint, model.id)
    return model
