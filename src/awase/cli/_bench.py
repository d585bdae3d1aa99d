"""Everything that `awase tune compare` measures on: opened, encoded once, split once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from awase.functional.splits import class_index
from awase.ood._lexicon import open_wordnet
from awase.ood._names import overlapping_names
from awase.protocols import Encoder
from awase.tune import _measures as measures
from awase.tune._compare import Bench
from awase.tune._frozen import Frozen
from awase.tune._prefix import PrefixCache
from awase.tune._protocol import Task
from awase.tune._split import base_and_new
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


@dataclass(frozen=True)
class _Reader:
    """Reads and encodes what the options name, and writes down what a reader of the results should know."""

    options: Options
    encoder: Encoder
    patches: bool
    progress: Progress | None
    notes: list[str] = field(default_factory=list)

    def images(
        self, source: str | Path, *, images: Path | None = None, is_other: bool = False, scored: bool = True
    ) -> Features:
        """Features of a data set; of another than that of the classes at most --limit, scored ones with
        patches where a score reads them.
        """
        dataset: Iterable[LabelledImage | BadRow] = open_images(str(source), images=images)
        if is_other:
            dataset = self.drawn(dataset)
        return self.encoded(dataset, str(source), patches=self.patches and scored)

    def encoded(
        self, rows: Iterable[LabelledImage | BadRow], source: str, *, patches: bool = False
    ) -> Features:
        """Features of these rows.

        Raises:
            DataError: none of them can be read.
        """
        features, bad = encode_images(
            self.encoder,
            rows,
            batch_size=self.options.batch_size,
            workers=self.options.workers,
            patches=patches,
            progress=self.progress,
        )
        if bad:
            self.notes.append(f"{len(bad)} images of {source} could not be read, such as {_shown(bad[0])}.")
        if len(features) == 0:
            raise DataError(f"{source} has no image that can be read.")
        return features

    def drawn(self, rows: Iterable[LabelledImage | BadRow]) -> Iterable[LabelledImage | BadRow]:
        """At most --limit rows, in their order; which ones depends on their names alone."""
        if self.options.limit is None:
            return rows
        found = list(rows)
        names = sorted((row.id for row in found), key=lambda id: hash_bytes(id.encode("utf-8", "replace")))
        kept = set(names[: self.options.limit])
        return [row for row in found if row.id in kept]


def open_bench(
    options: Options, encoder: Encoder, scores: Sequence[NamedScore], *, progress: Progress | None = None
) -> Opened:
    """Open, encode, split.

    Raises:
        DataError: a data set cannot be read, has no images, or too few.
        LeakError: an image is on both sides of a comparison; the message names the files.
    """
    read = _Reader(options, encoder, any(score.method.needs_patches for score in scores), progress)
    known = _known(options, read.images(options.data, images=options.images))
    if known.is_made:
        read.notes.append(
            "The data has no split of its own: a part was kept for the test, the same for all seeds."
        )
    templates = tuple(options.template or (DEFAULT_TEMPLATE,))
    prefix = _prefix_of(encoder)
    everything = replace(Frozen.of(encoder, known.read_as, templates), prefix=prefix)
    test, labels = known.among(known.test, known.names)
    unknown = {
        name: _unlike(read.images(source, is_other=True), known, name, read.notes)
        for name, source in map(named, options.ood or ())
    }
    found: list[measures.Measure] = [measures.held_out_accuracy(test, labels), measures.drift(test)]
    if unknown:
        found.append(ood_measure(scores, test, unknown, tpr=options.tpr, encoder=encoder))
    elsewhere, digests = _elsewhere(read)
    base_task, base_measures = _base(known, templates, encoder, prefix, scores, options, read.notes)
    bench = Bench(
        all_classes=_tasks(everything, *known.among(known.pool, known.names), test, options),
        base_classes=base_task,
        measures=[*found, *elsewhere],
        base_measures=base_measures,
        identity={
            "encoder": encoder.spec.fingerprint,
            "data": [_digest(known.pool), _digest(known.test)],
            "classes": known.read_as,
            "templates": templates,
            "scores": [repr(score.method) for score in scores],
            "ood": {name: _digest(features) for name, features in unknown.items()},
            "elsewhere": digests,
            "tpr": options.tpr,
            "allow_fewer": options.allow_fewer,
        },
    )
    facts = {
        "images": {"pool": len(known.pool), "test": len(test)},
        "ood": {name: len(features) for name, features in unknown.items()},
    }
    return Opened(bench, len(test), len(known.names), tuple(read.notes), facts)


def _elsewhere(read: _Reader) -> tuple[list[measures.Measure], dict[str, str]]:
    """What the model could do before, on other data, and what these measures depend on."""
    found: list[measures.Measure] = []
    digests: dict[str, str] = {}
    for name, source in map(named, read.options.other or ()):
        other = read.images(source, is_other=True, scored=False)
        classes = sorted({label for label in other.labels if label is not None})
        if not classes:
            raise DataError(f"--other {source}: zero-shot needs labelled images, and these have no classes.")
        target = class_index(other.labels, classes)
        found.append(measures.other_zero_shot(name, other, target, names_of(classes, {})))
        digests[f"other/{name}"] = _digest(other)
    for name, source in map(named, read.options.retrieval or ()):
        measure, digest = _retrieval(read, name, source)
        found.append(measure)
        digests[f"retrieval/{name}"] = digest
    return found, digests


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


def _retrieval(read: _Reader, name: str, source: str) -> tuple[measures.Measure, str]:
    """Photos with captions, each photo once."""
    options = read.options
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
    if not photos:
        raise DataError(f"--retrieval {source} has no photo with a caption that can be read.")
    features = read.encoded(read.drawn(photos.values()), source)
    place = {image.id: index for index, image in enumerate(features.images)}
    kept = [index for index, key in enumerate(owner) if key in place]
    image_of_text = torch.tensor([place[owner[index]] for index in kept])
    texts = [captions[index] for index in kept]
    digest = hash_bytes("\0".join([_digest(features), *texts]).encode("utf-8", "replace"))
    return measures.retrieval(name, features, texts, image_of_text), digest


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


def _digest(features: Features) -> str:
    """Of contents and labels, in any order."""
    rows = sorted(f"{hash} {label}" for hash, label in zip(features.hashes, features.labels, strict=True))
    return hash_bytes("\n".join(rows).encode("utf-8", "replace"))[:16]


def _shown(row: BadRow) -> str:
    return f"{row.image} ({row.error_code})"
