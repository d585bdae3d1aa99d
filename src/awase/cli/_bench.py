"""Everything that `awase tune compare` measures on: opened, encoded once, split once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from awase.cli._class_names import names_of, read_class_names
from awase.cli._image_inputs import open_images
from awase.cli._inputs import open_source
from awase.cli._ood_measure import NamedScore, ood_measure
from awase.cli._tune_data import split_rows
from awase.cli.tune_compare import Options
from awase.engine.features import encode_images
from awase.engine.leaks import refuse_overlap
from awase.errors import DataError, EncoderError
from awase.files import hash_bytes
from awase.ood._lexicon import open_wordnet
from awase.ood._names import overlapping_names
from awase.protocols import Encoder
from awase.tune import _measures as measures
from awase.tune._compare import Bench
from awase.tune._frozen import Frozen
from awase.tune._prefix import PrefixCache
from awase.tune._protocol import Task
from awase.tune._split import base_and_new, class_index
from awase.tune._task import make_task
from awase.types import BadRow, Features, LabelledImage

DEFAULT_TEMPLATE = "a photo of a {}."
HELD_OUT = "held_out_classes"
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Opened:
    """A bench with what its report says of it."""

    bench: Bench
    tested: int
    classes: int
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Known:
    """The labelled images: those to learn from and those to test on."""

    names: tuple[str, ...]  # as labels
    read_as: tuple[str, ...]  # as the model reads them
    pool: Features
    test: Features
    is_made: bool

    def among(self, features: Features, labels: Sequence[str]) -> tuple[Features, Int[Tensor, " n"]]:
        """The images of these classes, with their index among them."""
        rows = [row for row, label in enumerate(features.labels) if label in set(labels)]
        chosen = features.select(rows)
        return chosen, class_index(chosen.labels, labels)


def open_bench(
    options: Options, encoder: Encoder, scores: Sequence[NamedScore], *, progress: Progress | None = None
) -> Opened:
    """Open, encode, split.

    Raises:
        DataError: a data set cannot be read, has no images, or too few.
        LeakError: an image is on both sides of a comparison; the message names the files.
    """
    notes: list[str] = []
    patches = any(score.method.needs_patches for score in scores)

    def encoded(
        source: str | Path,
        *,
        images: Path | None = None,
        with_patches: bool = False,
        limit: int | None = None,
    ) -> Features:
        dataset = open_images(str(source), images=images)
        features, bad = encode_images(
            encoder,
            dataset if limit is None else _drawn(dataset, limit),
            batch_size=options.batch_size,
            workers=options.workers,
            patches=with_patches,
            progress=progress,
        )
        if bad:
            notes.append(f"{len(bad)} images of {source} could not be read, such as {_shown(bad[0])}.")
        if len(features) == 0:
            raise DataError(f"{source} has no image that can be read.")
        return features

    known = _known(options, encoded(options.data, images=options.images, with_patches=patches))
    if known.is_made:
        notes.append(
            "The data has no split of its own: a part was kept for the test, the same for all seeds."
        )
    templates = tuple(options.template or (DEFAULT_TEMPLATE,))
    prefix = _prefix_of(encoder)
    everything = replace(Frozen.of(encoder, known.read_as, templates), prefix=prefix)
    test, labels = known.among(known.test, known.names)
    unknown: dict[str, Features] = {}
    for name, source in map(named, options.ood or ()):
        unknown[name] = _unlike(
            encoded(source, with_patches=patches, limit=options.limit), known, name, notes
        )
    found: list[measures.Measure] = [measures.held_out_accuracy(test, labels), measures.drift(test)]
    if unknown:
        found.append(ood_measure(scores, test, unknown, tpr=options.tpr, encoder=encoder))
    for name, source in map(named, options.other or ()):
        other = encoded(source, limit=options.limit)
        classes = sorted({label for label in other.labels if label is not None})
        if not classes:
            raise DataError(f"--other {source}: zero-shot needs labelled images, and these have no classes.")
        target = class_index(other.labels, classes)
        found.append(measures.other_zero_shot(name, other, target, names_of(classes, {})))
    for name, source in map(named, options.retrieval or ()):
        found.append(_retrieval(name, source, encoder, options, notes))
    base_task, base_measures = _base(known, templates, encoder, prefix, scores, options, notes)
    return Opened(
        Bench(
            all_classes=_tasks(everything, *known.among(known.pool, known.names), test, options),
            base_classes=base_task,
            measures=found,
            base_measures=base_measures,
            identity={
                "encoder": encoder.spec.fingerprint,
                "data": _digest(known.pool, known.test),
                "classes": known.read_as,
                "templates": templates,
                "scores": [repr(score.method) for score in scores],
                "ood": {name: _digest(features) for name, features in unknown.items()},
                "other": [options.other, options.retrieval, options.retrieval_split],
                "tpr": options.tpr,
                "allow_fewer": options.allow_fewer,
                "test_share": options.test_share,
                "limit": options.limit,
            },
        ),
        tested=len(test),
        classes=len(known.names),
        notes=tuple(notes),
        facts={
            "images": {"pool": len(known.pool), "test": len(test)},
            "ood": {name: len(features) for name, features in unknown.items()},
        },
    )


def _prefix_of(encoder: Encoder) -> PrefixCache | None:
    """One cache for all fits; None where the image tower cannot be taken apart."""
    try:
        return PrefixCache(encoder)
    except EncoderError:
        return None


def named(text: str) -> tuple[str, str]:
    """NAME=PLACE, or a place named by its last part.

    Example:
        >>> named("scrap=bins/7"), named("textures/dtd/")
        (('scrap', 'bins/7'), ('dtd', 'textures/dtd/'))
    """
    name, equals, place = text.partition("=")
    if equals and name and place and "/" not in name:
        return name, place
    return Path(text).name or text, text


def _known(options: Options, features: Features) -> _Known:
    names = tuple(sorted({label for label in features.labels if label is not None}))
    if len(names) < 2:
        raise DataError(f"--data {options.data} has {len(names)} classes; tuning needs at least two.")
    labelled = features.select([row for row, label in enumerate(features.labels) if label is not None])
    rest, test, is_made = split_rows(labelled, names, share=options.test_share)
    pool, tested = labelled.select(rest), labelled.select(test)
    refuse_overlap(pool, tested, what=("images to learn from", "test images"))
    return _Known(names, names_of(names, read_class_names(options.class_names)), pool, tested, is_made)


def _tasks(
    frozen: Frozen, pool: Features, labels: Int[Tensor, " n"], test: Features, options: Options
) -> Callable[[int, int], Task]:
    def task(shots: int, seed: int) -> Task:
        if shots == 0:
            nothing, none = pool.select([]), labels[:0]
            return Task(frozen, nothing, none, nothing, none)
        made, _ = make_task(
            frozen, pool, labels, shots=shots, seed=seed, test=test, allow_fewer=options.allow_fewer
        )
        return made

    return task


def _base(
    known: _Known,
    templates: tuple[str, ...],
    encoder: Encoder,
    prefix: PrefixCache | None,
    scores: Sequence[NamedScore],
    options: Options,
    notes: list[str],
) -> tuple[Callable[[int, int], Task] | None, list[measures.Measure]]:
    """Tuning on half of the classes; the other half is new, and also the unknown that is hardest to tell."""
    try:
        base, new = base_and_new(known.names)
    except DataError as error:
        notes.append(f"No classes were held out of tuning: {error}")
        return None, []
    read_as = dict(zip(known.names, known.read_as, strict=True))
    frozen = replace(Frozen.of(encoder, [read_as[name] for name in base], templates), prefix=prefix)
    test, labels = known.among(known.test, base)
    new_test, new_labels = known.among(known.test, new)
    found = [
        measures.base_to_new(
            test,
            labels,
            new_images=new_test,
            new_labels=new_labels,
            new_classes=tuple(read_as[name] for name in new),
        )
    ]
    if len(base) > 1:
        unknown = {HELD_OUT: new_test}
        found.append(ood_measure(scores, test, unknown, tpr=options.tpr, encoder=encoder, mean=False))
    return _tasks(frozen, *known.among(known.pool, base), test, options), found


def _retrieval(
    name: str, source: str, encoder: Encoder, options: Options, notes: list[str]
) -> measures.Measure:
    """Photos with captions, each photo once."""
    captions: list[str] = []
    owner: list[str] = []
    photos: dict[str, LabelledImage] = {}
    for row in open_source(source, images=options.retrieval_images):
        if isinstance(row, BadRow) or options.retrieval_split not in (None, row.split):
            continue
        key = row.group or row.image.name
        photos.setdefault(key, LabelledImage(key, row.image))
        captions.append(row.caption)
        owner.append(key)
    chosen = photos.values() if options.limit is None else _drawn(photos.values(), options.limit)
    features, bad = encode_images(encoder, chosen, batch_size=options.batch_size, workers=options.workers)
    if bad:
        notes.append(f"{len(bad)} photos of {source} could not be read, such as {_shown(bad[0])}.")
    place = {image.id: index for index, image in enumerate(features.images)}
    kept = [index for index, key in enumerate(owner) if key in place]
    if not kept:
        raise DataError(f"--retrieval {source} has no photo with a caption that can be read.")
    image_of_text = torch.tensor([place[owner[index]] for index in kept])
    return measures.retrieval(name, features, [captions[index] for index in kept], image_of_text)


def _unlike(features: Features, known: _Known, name: str, notes: list[str]) -> Features:
    """Unknown images without those of a known class, which are known."""
    theirs = sorted({label for label in features.labels if label is not None})
    names = (*known.names, *known.read_as)
    same = {label for label, _ in overlapping_names(names, theirs)}
    rows = [row for row, label in enumerate(features.labels) if label not in same]
    if same:
        notes.append(f"Left out of {name}, being known classes: {', '.join(sorted(same))}.")
    if not rows:
        raise DataError(f"--ood {name} holds known classes only.")
    if kinds := [pair for pair in _kinds(known.read_as, theirs) if pair[0] not in same]:
        listed = ", ".join(f"{theirs!r} is {ours!r}" for theirs, ours in kinds[:10])
        notes.append(f"Classes of {name} that are known ones or kinds of them: {listed}.")
    kept = features.select(rows)
    for side, what in ((known.pool, "images to learn from"), (known.test, "test images")):
        refuse_overlap(side, kept, what=(what, f"unknown images of {name}"))
    return kept


def _kinds(names: Sequence[str], theirs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Unknown classes that are known ones under another word, where WordNet's database is found."""
    try:
        return overlapping_names(names, theirs, open_wordnet()) if theirs else ()
    except DataError:
        return ()


def _drawn(rows: Iterable[LabelledImage | BadRow], limit: int) -> list[LabelledImage | BadRow]:
    """At most `limit` rows, in their order; which ones depends on their names alone."""
    found = list(rows)
    chosen = sorted(found, key=lambda row: hash_bytes(row.id.encode("utf-8", "replace")))[:limit]
    kept = {row.id for row in chosen}
    return [row for row in found if row.id in kept]


def _digest(*features: Features) -> str:
    return hash_bytes("".join(sorted(hash for part in features for hash in part.hashes)).encode())[:16]


def _shown(row: BadRow) -> str:
    return f"{row.image} ({row.error_code})"
