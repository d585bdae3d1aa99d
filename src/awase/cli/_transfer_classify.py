"""What `awase transfer classify` does: labelled images and class names in, accuracy and calibration out."""

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from awase.cli._class_names import names_of, read_class_names
from awase.cli._class_tables import class_sections, class_table, confusion_matrix, confusion_table
from awase.cli._criteria import all_met, read_criteria
from awase.cli._encoders import open_encoder
from awase.cli._labelled_images import Read, dataset_of, encode, in_splits, require_labels
from awase.cli._progress import progress_bar
from awase.cli._transfer_output import show_measurement, write_measurement
from awase.cli.transfer_classify import Options
from awase.engine.leaks import refuse_overlap
from awase.errors import DataError, LeakError
from awase.functional.calibration import fit_temperature
from awase.functional.splits import class_index
from awase.protocols import Encoder
from awase.report.transfer_wording import phrase
from awase.transfer._answers import answer
from awase.transfer._calibration_split import keep_for_calibration
from awase.transfer._class_rows import class_rows
from awase.transfer._class_vectors import class_vectors
from awase.transfer._classify import Classification, Settings, classification
from awase.transfer._templates import Prompts, prompts_of
from awase.types import BadRow, Features, LabelledImage, Language

_TESTS = ("test", "val", "valid", "validation", "dev")
_MOST_TO_FIT = 5000  # images behind one number; more would only take time


@dataclass(frozen=True)
class _Sides:
    """Images to measure on, and those to fit a temperature on, if any."""

    test: Features
    fit: Features | None
    bad: tuple[BadRow, ...]
    n_left_out: int = 0  # images that chose the prompts, and so are no test of them


def run(options: Options) -> int:
    """Measure and write; 1 when a figure misses its limit, 3 when images could not be read."""
    started = time.monotonic()
    criteria = read_criteria(options.at_least, options.at_most)
    settings = Settings(
        top=tuple(sorted(set(options.top or (1, 5)))),
        n_bins=options.bins,
        bins=options.binning,
        n_replicates=options.replicates,
        seed=options.seed,
    )
    prompts = prompts_of(options.templates or ["simple"])
    given = read_class_names(options.class_names)
    dataset = dataset_of(options.data, options)
    rows = list(dataset)
    labels = require_labels(rows, options.data)
    if len(labels) < 2:
        raise DataError(
            f"{options.data} has one class, {labels[0]!r}: zero-shot tells classes apart and needs two or "
            "more."
        )
    split = _test_split(rows, options)
    encoder = open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
    names = _names(labels, given, prompts)
    sides = _without(_read(encoder, rows, split, options), prompts.chosen_on)
    vectors = class_vectors(encoder, names, prompts, labels=labels).cpu()
    temperature = 1 / encoder.logit_scale
    numbers = class_index(sides.test.labels, labels)
    top = max(settings.top)
    said = answer(sides.test.values, vectors, numbers, temperature=temperature, top=top)
    fitted, after = None, None
    if sides.fit is not None:
        known = class_index(sides.fit.labels, labels)
        fitted = fit_temperature(sides.fit.values.float() @ vectors.float().T, known)
        after = answer(sides.test.values, vectors, numbers, temperature=fitted.value, top=top)
    found = classification(
        said,
        labels=labels,
        hashes=sides.test.hashes,
        settings=settings,
        after=after,
        fitted=fitted,
        n_calibration=0 if sides.fit is None else len(sides.fit),
    )
    table = class_rows(sides.test, said, labels, after=after, bad=sides.bad)
    data = {"split": split, "fingerprint": dataset.fingerprint()}
    provenance = _provenance(options, sides, _Model(encoder, prompts, labels), data)
    _write(options, found, table, sides, {**provenance, "seconds": round(time.monotonic() - started, 3)})
    if not all_met(criteria, {estimate.name: estimate.value for estimate in found.estimates}):
        return 1
    return 3 if sides.bad else 0


@dataclass(frozen=True)
class _Model:
    """What classified."""

    encoder: Encoder
    prompts: Prompts
    labels: tuple[str, ...]


def _names(labels: Sequence[str], given: dict[str, str], prompts: Prompts) -> tuple[str, ...]:
    """Names as they are read, for classes without a wording that was chosen with the prompts."""
    if prompts.wordings and not set(prompts.wordings) & set(labels):
        raise DataError(
            f"the prompts were made for the classes {', '.join(list(prompts.wordings)[:5])}, and the data "
            "has none of these."
        )
    with warnings.catch_warnings():
        if prompts.wordings:
            warnings.simplefilter("ignore")
        return names_of(labels, given)


def _test_split(rows: Sequence[LabelledImage | BadRow], options: Options) -> str | None:
    """The split to measure on; None where the data has none."""
    splits = sorted({row.split for row in rows if isinstance(row, LabelledImage) and row.split})
    fit = options.calibrate_split
    for flag, name in (("--split", options.split), ("--calibrate-split", fit)):
        if name is not None and name not in splits:
            has = f"has the splits {', '.join(splits)}" if splits else "has no splits"
            raise DataError(f"{flag} names {name!r}, and {options.data} {has}.")
    if fit is not None and options.calibrate_share is not None:
        raise DataError("give --calibrate-split or --calibrate-share, one of the two.")
    if not splits:
        return None
    split = options.split or next((name for name in _TESTS if name in splits and name != fit), None)
    if split is None:
        raise DataError(
            f"{options.data} has the splits {', '.join(splits)} and none for a test; say which with --split."
        )
    if split == fit:
        raise LeakError(
            f"--calibrate-split {fit!r} is the split that is measured on; fit the temperature on another one."
        )
    return split


def _read(
    encoder: Encoder, rows: Sequence[LabelledImage | BadRow], split: str | None, options: Options
) -> _Sides:
    """Vectors of both sides, with no image on both."""
    wanted = list(in_splits(rows, {split})) if split is not None else list(rows)
    with progress_bar("reading", quiet=options.quiet, unit="images") as progress:
        test = encode(encoder, wanted, options, what=options.data, progress=progress)
        if options.calibrate_split is not None:
            fit = _to_fit(encoder, rows, options)
            what = (f"images of --calibrate-split {options.calibrate_split}", "images that are measured on")
            refuse_overlap(fit.features, test.features, what=what)
            return _Sides(test.features, fit.features, (*test.failed, *fit.failed))
    if options.calibrate_share is None:
        return _Sides(test.features, None, test.failed)
    first, rest = keep_for_calibration(test.features, share=options.calibrate_share, seed=options.seed)
    return _Sides(test.features.select(rest), test.features.select(first[:_MOST_TO_FIT]), test.failed)


def _without(sides: _Sides, chosen_on: Sequence[str]) -> _Sides:
    """Measure on images that had no say in the prompts.

    Raises:
        DataError: all of them had.
    """
    had_a_say = frozenset(chosen_on)
    kept = [row for row, digest in enumerate(sides.test.hashes) if digest not in had_a_say]
    if len(kept) == len(sides.test):
        return sides
    if not kept:
        raise DataError(
            f"all {len(sides.test)} images to measure on have chosen the prompts; name another split with "
            "--split, or other data."
        )
    return replace(sides, test=sides.test.select(kept), n_left_out=len(sides.test) - len(kept))


def _to_fit(encoder: Encoder, rows: Sequence[LabelledImage | BadRow], options: Options) -> Read:
    """Vectors of the calibration split, or of as many of its images as one number needs."""
    there = [row for row in rows if isinstance(row, LabelledImage) and row.split == options.calibrate_split]
    step = max(1, -(-len(there) // _MOST_TO_FIT))  # evenly through the classes, which stand one after another
    return encode(encoder, there[::step], options, what=f"--calibrate-split {options.calibrate_split}")


def _write(
    options: Options, found: Classification, rows: pa.Table, sides: _Sides, provenance: dict[str, Any]
) -> None:
    language: Language = options.lang.value
    labels = [one.label for one in found.classes]
    notes = list(found.notes)
    if sides.fit is None:
        notes.append(
            "No temperature was fitted: --calibrate-split or --calibrate-share says on which images."
        )
    if sides.n_left_out:
        notes.append(f"Images that chose the prompts and are left out: {sides.n_left_out}.")
    if sides.bad:
        codes = ", ".join(f"{code} {n}" for code, n in Counter(row.error_code for row in sides.bad).items())
        notes.append(f"Images that could not be read and count for nothing: {len(sides.bad)} ({codes}).")
    written = write_measurement(
        options.output,
        title=phrase("classify_title", language),
        estimates=found.estimates,
        charts=found.charts,
        matrices=confusion_matrix(found.confusion, labels),
        notes=notes,
        provenance=provenance,
        details={"class_figures": [asdict(one) for one in found.classes]},
        language=language,
        tables=(
            ("rows", rows),
            ("classes", class_table(found.classes)),
            ("confusion", confusion_table(found.confusion, labels)),
        ),
        sections=class_sections(found.classes, found.confusion, language),
    )
    show_measurement(
        written, options.output, estimates=found.estimates, json_only=options.json, quiet=options.quiet
    )


def _provenance(options: Options, sides: _Sides, model: _Model, data: dict[str, Any]) -> dict[str, Any]:
    """What repeats it."""
    spec, prompts = model.encoder.spec, model.prompts
    weights: dict[str, Any] = {"weights": prompts.weights} if prompts.weights is not None else {}
    return {
        "verb": "transfer classify",
        "encoder": {
            **asdict(spec),
            "fingerprint": spec.fingerprint,
            "logit_scale": model.encoder.logit_scale,
        },
        "data": {
            "source": options.data,
            "images": options.images,
            **data,
            "n": len(sides.test),
            "failed": len(sides.bad),
            "classes": len(model.labels),
        },
        "calibration": {
            "split": options.calibrate_split,
            "share": options.calibrate_share,
            "n": 0 if sides.fit is None else len(sides.fit),
        },
        "prompts": {"templates": prompts.templates, **weights, "per_class": len(prompts.class_weights)},
        "settings": {
            "bins": options.bins,
            "binning": options.binning,
            "replicates": options.replicates,
            "seed": options.seed,
        },
    }
