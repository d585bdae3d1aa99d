"""What `awase ood fit` does: labelled images in, a detector in a folder out."""

import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from awase import registry
from awase.cli._class_names import names_of, read_class_names
from awase.cli._encoders import open_encoder
from awase.cli._labelled_images import (
    Progress,
    Read,
    dataset_of,
    encode,
    failed_line,
    in_splits,
    require_labels,
)
from awase.cli._ood_model import Model, open_tuning
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._settings import build
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli.ood_fit import Options
from awase.engine.features import stream_images
from awase.engine.leaks import refuse_overlap
from awase.engine.prototypes import encode_classes
from awase.errors import DataError
from awase.functional.splits import class_index, draw_shots
from awase.ood._detector import SETS, Classes, Detector
from awase.ood._detector_file import FACTS, TENSORS, save
from awase.ood._divide import Division, Pools, choose_pools, divide
from awase.ood._fit import Sample, fit, learns_from_images
from awase.ood._protocol import Learner, Scorer
from awase.protocols import ImageDataset
from awase.types import BadRow, Features, LabelledImage

_TEMPLATE = "a photo of a {}."


@dataclass(frozen=True)
class _Parts:
    """Images by use, encoded."""

    train: Features | None
    calibration: Features
    held_out: int
    failed: tuple[BadRow, ...]


def run(options: Options) -> int:
    """Fit and save; 3 when photos could not be read."""
    _require_shares(options)
    method: Scorer | Learner = build(
        registry.load("ood", options.method), options.option, name=options.method
    )
    dataset = dataset_of(options.data, options)
    rows = list(dataset)
    pools = choose_pools(
        {row.split for row in rows if isinstance(row, LabelledImage)},
        train=options.train_split,
        calibrate=options.calibrate_split,
        learns=learns_from_images(method),
    )
    if options.hold_out is not None and not pools.is_one:
        raise DataError(
            f"--hold-out divides one pool of images, and here calibration images have a split of their own "
            f"({pools.calibrate}); leave --hold-out out."
        )
    model = _open_model(options)
    classes = _classes(options, model, rows, pools)
    with progress_bar("encoding", quiet=options.quiet, unit="images") as progress:
        parts = _encode(options, model, classes, rows, pools, method, progress)
    detector = fit(
        method,
        name=options.method,
        classes=classes,
        calibration=_calibration(options, model, classes, parts.calibration, method),
        training=None if parts.train is None else _sample(model, classes, parts.train),
        keep=options.keep,
        alpha=options.alpha,
        sets=options.sets,
        encoder=model.encoder,
        provenance=_provenance(options, model, dataset, pools, parts),
    )
    save(detector, options.output)
    if options.json:
        print(json.dumps(facts(detector), ensure_ascii=False, indent=1))
    elif not options.quiet:
        _show(options, detector, parts)
    return 3 if parts.failed else 0


def facts(detector: Detector) -> dict[str, Any]:
    """What is printed of a detector: everything but vectors and hashes."""
    return {
        "method": detector.method,
        "higher_means": detector.higher_means,
        "classes": list(detector.classes.labels),
        "encoder": detector.classes.encoder,
        "model": detector.classes.model,
        "keep": detector.keep,
        "threshold": detector.threshold if detector.threshold > -math.inf else None,
        "alpha": detector.alpha,
        "sets": detector.sets,
        "n_calibration": len(detector.calibration_scores),
        "n_training": len(detector.training),
        **detector.provenance,
    }


def _open_model(options: Options) -> Model:
    encoder = open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
    return Model(encoder, None if options.tuned is None else open_tuning(options.tuned, encoder))


def _classes(options: Options, model: Model, rows: list[LabelledImage | BadRow], pools: Pools) -> Classes:
    used = list(in_splits(rows, {pools.train, pools.calibrate}))
    labels = require_labels(used, options.data)
    encoder = model.encoder
    if model.tuning is not None:
        if options.template or options.class_names:
            raise DataError(
                "a tuned model has its own classes and templates: leave --template and --class-names out."
            )
        frozen, card = model.tuning.tuned.frozen, model.tuning.card
        names, labels, templates = frozen.class_names, card.labels, frozen.templates
        features = frozen.class_features
    else:
        names = names_of(labels, read_class_names(options.class_names))
        templates = tuple(options.template or (_TEMPLATE,))
        features = encode_classes(encoder, names, templates)
    return Classes(
        labels=labels,
        names=names,
        features=features,
        templates=templates,
        logit_scale=encoder.logit_scale,
        encoder=encoder.spec.fingerprint,
        encoder_name=scrub(options.encoder),
        model=model.id,
    )


def _encode(
    options: Options,
    model: Model,
    classes: Classes,
    rows: list[LabelledImage | BadRow],
    pools: Pools,
    method: Scorer | Learner,
    progress: Progress,
) -> _Parts:
    """The images that train and those that calibrate, out of one pool or two."""
    learns = learns_from_images(method)

    def read(split: str | None, what: str) -> Read:
        # a row that is no image belongs to no split: it is told of once
        chosen = [row for row in rows if isinstance(row, LabelledImage) and row.split == split]
        if not chosen and split is not None:
            raise DataError(f"the split {split} of {options.data} holds no images.")
        return encode(model.encoder, chosen, options, what=what, progress=progress)

    unreadable = tuple(row for row in rows if isinstance(row, BadRow))
    seen = {} if model.tuning is None else model.tuning.seen
    if not pools.is_one:
        calibration = read(pools.calibrate, "calibration images")
        refuse_overlap(
            seen, calibration.features, what=("images the model was tuned on", "calibration images")
        )
        train = read(pools.train, "training images") if learns else None
        chosen = None if train is None else _shots(train.features, classes, options)
        failed = (*unreadable, *calibration.failed, *(() if train is None else train.failed))
        return _Parts(chosen, calibration.features, 0, failed)
    pool = read(pools.train, "images of the known classes")
    features = pool.features
    _warn_of_two_labels(features)
    found: Division = divide(
        class_index(features.labels, classes.labels).tolist(),
        features.hashes,
        learns=learns,
        shots=options.shots,
        hold_out=options.hold_out or 0.0,
        seen=seen,
        seed=options.seed,
    )
    return _Parts(
        features.select(found.train) if learns else None,
        features.select(found.calibration),
        len(found.held_out),
        (*unreadable, *pool.failed),
    )


def _warn_of_two_labels(features: Features) -> None:
    """One photo in two classes is wrong in one of them."""
    labels: dict[str, set[str | None]] = {}
    for hash, label in zip(features.hashes, features.labels, strict=True):
        labels.setdefault(hash, set()).add(label)
    twice = [
        image.id
        for hash, image in zip(features.hashes, features.images, strict=True)
        if len(labels[hash]) > 1
    ]
    if twice:
        shown = ", ".join(twice[:6]) + (" ..." if len(twice) > 6 else "")
        warnings.warn(
            f"{len(twice)} images stand in more than one class with the same content ({shown}): "
            "they are wrong in all classes but one; take them out.",
            stacklevel=2,
        )


def _shots(features: Features, classes: Classes, options: Options) -> Features:
    """So many images of each class out of a split that is for training alone."""
    if options.shots is None:
        return features
    drawn = draw_shots(
        class_index(features.labels, classes.labels).tolist(),
        features.hashes,
        shots=options.shots,
        validation=0,
        seed=options.seed,
        allow_fewer=True,
    )
    return features.select(sorted(drawn.train))


def _calibration(
    options: Options, model: Model, classes: Classes, features: Features, method: Scorer | Learner
) -> Iterator[Sample]:
    """Calibration images as the model sees them; patches of all at once would fill the memory."""
    if not method.needs_patches:
        yield _sample(model, classes, features)
        return
    blocks = stream_images(
        model.encoder,
        features.images,
        batch_size=options.batch_size,
        workers=options.workers,
        patches=True,
    )
    for block, failed in blocks:
        if failed:
            raise DataError(
                f"{failed[0].id} could be read a moment ago and cannot any more: {failed[0].error}"
            )
        yield _sample(model, classes, block)


def _sample(model: Model, classes: Classes, features: Features) -> Sample:
    return Sample.of(
        features, model.evidence(classes, features), class_index(features.labels, classes.labels)
    )


def _provenance(
    options: Options, model: Model, dataset: ImageDataset, pools: Pools, parts: _Parts
) -> dict[str, Any]:
    per_class = Counter(str(label) for label in parts.calibration.labels)
    found: dict[str, Any] = scrub(
        {
            "encoder": asdict(model.encoder.spec) | {"revision": options.revision},
            "tuned": options.tuned,
            "data": {"source": options.data, "fingerprint": dataset.fingerprint()},
            "splits": {"train": pools.train, "calibrate": pools.calibrate, "divided": pools.is_one},
            "seed": options.seed,
            "shots": options.shots,
            "counts": {
                "training": 0 if parts.train is None else len(parts.train),
                "calibration": len(parts.calibration),
                "held_out": parts.held_out,
                "failed": len(parts.failed),
                "fewest_calibration_images_of_a_class": min(per_class.values()),
            },
            "versions": versions(),
        }
    )
    return found


def _require_shares(options: Options) -> None:
    for flag, share in (("--keep", options.keep), ("--alpha", options.alpha)):
        if not 0 < share < 1:
            raise DataError(f"{flag} must lie between 0 and 1, got {share:g}.")
    if options.sets not in SETS:
        raise DataError(f"--sets takes {' or '.join(SETS)}, got {options.sets!r}.")


def _show(options: Options, detector: Detector, parts: _Parts) -> None:
    console = console_for_output()
    for line in _lines(options, detector, parts):
        console.print(Text(line), soft_wrap=True)


def _lines(options: Options, detector: Detector, parts: _Parts) -> list[str]:
    """What was made, what it promises, what went wrong, and how to go on."""
    n, k = len(detector.calibration_scores), len(detector.classes.labels)
    learned = "" if parts.train is None else f"learned from {len(parts.train)} images, "
    few = f"{_of(n, 'calibration image is', 'calibration images are')} too few"
    held = f", {parts.held_out} held out" if parts.held_out else ""
    lines = [
        f"{detector.method} over {_of(k, 'class', 'classes')}: {learned}threshold set on "
        f"{_of(n, 'other', 'others') if learned else _of(n, 'image', 'images')}{held}. "
        "A higher score means in-distribution."
    ]
    if detector.threshold > -math.inf:
        lines.append(
            f"Scores of {detector.threshold:.6g} and above are kept: at least {100 * detector.keep:g} % of "
            "known images, on average over draws of the calibration images."
        )
    else:
        lines.append(f"Everything is kept: {few} to keep {100 * detector.keep:g} % with certainty.")
    if detector.set_quantile < math.inf:
        lines.append(
            f"Prediction sets ({detector.sets}) hold the true class of at least "
            f"{100 * (1 - detector.alpha):g} % of known images."
        )
    else:
        lines.append(f"Prediction sets hold every class: {few}.")
    lines += [failed_line(row.id, row.error) for row in parts.failed[:5]]
    if parts.failed:
        lines.append(f"{_of(len(parts.failed), 'photo', 'photos')} could not be read and took no part.")
    lines.append(f"Written: {options.output / FACTS} and {TENSORS} beside it")
    lines.append(f"Use it: awase ood score PHOTOS --detector {options.output} --output out/")
    return lines


def _of(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
