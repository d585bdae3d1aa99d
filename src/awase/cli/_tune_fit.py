"""What `awase tune fit` does: draw, fit, measure on the test, write the model with its card."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from awase import registry
from awase.cli._class_names import names_of, read_class_names
from awase.cli._encoders import open_encoder
from awase.cli._estimates import estimates_table
from awase.cli._image_inputs import open_images
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._settings import build
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli._tune_card import card_text
from awase.cli._tune_data import Sides, read_sides
from awase.cli.tune_fit import Options
from awase.errors import DataError
from awase.files import write_atomic
from awase.functional.splits import class_index
from awase.protocols import Encoder, ImageDataset
from awase.tune._accuracy import accuracy_beside, correct
from awase.tune._card import CARD, Card, read_card, save_tuned
from awase.tune._frozen import Frozen
from awase.tune._protocol import TuneMethod
from awase.tune._task import make_task

_CHECKPOINT = "checkpoint"
_SHOWN = 5
_TEMPLATES = ("a photo of a {}.",)


@dataclass(frozen=True)
class _Job:
    """Everything that decides the model, opened."""

    options: Options
    method: TuneMethod
    names: Mapping[str, str]
    dataset: ImageDataset
    encoder: Encoder

    @property
    def templates(self) -> tuple[str, ...]:
        return tuple(self.options.template or _TEMPLATES)

    def identity(self) -> dict[str, Any]:
        """When one of these differs it is another model."""
        options = self.options
        return {
            "method": options.method,
            "settings": repr(self.method),
            "encoder": self.encoder.spec.fingerprint,
            "data": self.dataset.fingerprint(),
            "class_names": dict(self.names),
            "templates": list(self.templates),
            "shots": options.shots,
            "validation": options.validation,
            "seed": options.seed,
            "splits": [options.train_split, options.test_split, options.test_share],
            "allow_fewer": options.allow_fewer,
        }


def run(options: Options) -> int:
    """Fit and write the model; 3 when images failed."""
    job = _open(options)
    identity = job.identity()
    if (card := _already(options, identity)) is not None:
        return _say(options, card, "This model was there already; --fresh would fit it again.")
    sides = _read(job)
    card = _fit(job, sides, identity)
    return _say(options, card, "")


def _open(options: Options) -> _Job:
    """Open method, names, data and model; the cheap things that can fail come first."""
    settings = list(options.option or ())
    if options.interpolate is not None:
        settings.append(f"{_INTERPOLATE}={options.interpolate}")
    method = build(_method_class(options), settings, name=options.method)
    names = read_class_names(options.class_names)
    dataset = open_images(
        options.data,
        images=options.images,
        image_column=options.image_column,
        label_column=options.label_column,
        reader=options.reader,
    )
    encoder = open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
    return _Job(options, method, names, dataset, encoder)


_INTERPOLATE = "strength"


def _method_class(options: Options) -> Any:
    found = registry.load("tune", options.method)
    if options.interpolate is not None and _INTERPOLATE not in getattr(found, "__dataclass_fields__", {}):
        raise DataError(
            f"{options.method} has no way back to the old weights; --interpolate is for lora, full and "
            "linear_probe."
        )
    return found


def _already(options: Options, identity: Mapping[str, Any]) -> Card | None:
    """The card of the same model where it is there already."""
    if options.fresh or not (options.output / CARD).exists():
        return None
    card = read_card(options.output)
    before = card.facts.get("identity")
    if before == json.loads(json.dumps(identity)):
        return card
    differing = [key for key in identity if not isinstance(before, dict) or before.get(key) != identity[key]]
    raise DataError(
        f"{options.output} holds another model ({card.method}; other {', '.join(differing)}); choose another "
        "folder with --output, or replace it with --fresh."
    )


def _read(job: _Job) -> Sides:
    options = job.options
    validation = options.validation if options.validation is not None else 4
    with progress_bar("reading", quiet=options.quiet, unit="images") as progress:
        return read_sides(
            job.encoder,
            job.dataset,
            train_split=options.train_split,
            test_split=options.test_split,
            test_share=options.test_share,
            wanted=options.shots + validation,
            seed=options.seed,
            batch_size=options.batch_size,
            workers=options.workers,
            progress=progress,
        )


def _fit(job: _Job, sides: Sides, identity: Mapping[str, Any]) -> Card:
    options = job.options
    frozen = Frozen.of(job.encoder, names_of(sides.labels, job.names), job.templates)
    test_labels = class_index(sides.test.labels, sides.labels)
    task, split = make_task(
        frozen,
        sides.pool,
        class_index(sides.pool.labels, sides.labels),
        shots=options.shots,
        seed=options.seed,
        validation=options.validation,
        test=sides.test,
        allow_fewer=options.allow_fewer,
        made_test=sides.made_test,
    )
    # a folder by what decides the run: a killed run goes on, and one with other settings starts anew
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    checkpoint = options.output / _CHECKPOINT / digest
    started = time.perf_counter()
    with progress_bar("fitting", quiet=options.quiet, unit="steps") as progress:
        tuned = job.method.fit(task, seed=options.seed, checkpoint=checkpoint, progress=progress)
    seconds = time.perf_counter() - started
    metrics = accuracy_beside(
        correct(tuned, sides.test, test_labels),
        correct(frozen, sides.test, test_labels),
        hashes=sides.test.hashes,
        seed=options.seed,
    )
    facts = {
        "method": options.method,
        "labels": sides.labels,
        "seed": options.seed,
        "split": split,
        "metrics": metrics,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {"source": options.data, "fingerprint": identity["data"], "images": sides.counts},
        "fit_seconds": round(seconds, 3),
        "bad_rows": [{"id": row.id, "error_code": row.error_code, "error": row.error} for row in sides.bad],
        "versions": versions(),
        "identity": identity,
    }
    kept = {key: scrub(facts[key]) if key in ("data", "bad_rows") else facts[key] for key in facts}
    save_tuned(options.output, tuned, job.method, facts=kept)
    shutil.rmtree(options.output / _CHECKPOINT, ignore_errors=True)
    card = read_card(options.output)
    write_atomic(options.output / "card.md", card_text(card))
    return card


def _say(options: Options, card: Card, note: str) -> int:
    bad = card.facts.get("bad_rows", [])
    split = card.split
    if options.json:
        shown = {key: value for key, value in asdict(card).items() if key != "split"}
        if split is not None:
            shown["split"] = {"train": len(split.train), "validation": len(split.validation)}
            shown["split"] |= {"test": len(split.test), "made_test": split.made_test, "fewer": split.fewer}
        print(json.dumps(shown, ensure_ascii=False, indent=1))
    elif not options.quiet:
        console = console_for_output()
        console.print(estimates_table(card.metrics))
        for line in _lines(options, card, note):
            console.print(Text(line), soft_wrap=True)
    return 3 if bad else 0


def _lines(options: Options, card: Card, note: str) -> list[str]:
    split, bad = card.split, card.facts.get("bad_rows", [])
    lines = []
    if split is not None:
        drawn = ", drawn out of the data" if split.made_test else ""
        lines.append(f"{card.method} on {len(card.labels)} classes ({_some(card.labels)}).")
        lines.append(
            f"{len(split.train)} images to learn from, {len(split.validation)} to choose settings on, "
            f"{len(split.test)} to measure on{drawn}."
        )
        if split.fewer:
            some = _some([f"{name} {n}" for name, n in split.fewer.items()])
            lines.append(f"Classes with too few images, and how many they gave: {some}.")
    lines.append(f"{card.n_parameters} parameters set in {card.facts.get('fit_seconds', 0):.1f} s.")
    if bad:
        shown = _some([f"{row['id']} ({row['error_code']})" for row in bad])
        lines.append(f"Images that could not be read and were left out, {len(bad)}: {shown}.")
    if note:
        lines.append(note)
    lines.append(f"Written: {options.output / CARD}")
    lines.append(f"Next: awase tune predict PHOTOS --model {options.output} --output out/")
    return lines


def _some(names: Sequence[str]) -> str:
    """The first few of many."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
