"""What `awase ood evaluate` does: scores of known and unknown images in, figures with intervals out."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text
from torch import Tensor

from awase.cli._criteria import Criterion, all_met, read_criteria
from awase.cli._estimates import estimates_table
from awase.cli._labelled_images import dataset_of
from awase.cli._ood_fit import facts
from awase.cli._ood_model import Model, reopen
from awase.cli._ood_table import convention_line, sets_table
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli.ood_evaluate import Options
from awase.engine.features import stream_images
from awase.engine.leaks import refuse_overlap
from awase.engine.prototypes import class_name
from awase.errors import DataError, LeakError
from awase.files import write_atomic
from awase.functional.detection import require_convention, require_tpr
from awase.ood._delivered import delivered
from awase.ood._detector import Detector
from awase.ood._detector_file import load
from awase.ood._evaluate import evaluate_scores
from awase.ood._judge import Outcomes, outcomes
from awase.ood._lexicon import open_wordnet
from awase.ood._names import warn_of_overlap
from awase.ood._score_file import read_scores
from awase.types import BadRow, Estimate, Features, LabelledImage

_TESTS = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class _Found:
    """Figures, and what they were measured on."""

    estimates: tuple[Estimate, ...]
    delivered: tuple[Estimate, ...]
    sets: tuple[str, ...]
    counts: dict[str, int]
    failed: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


def run(options: Options) -> int:
    """Print the figures; 1 when one is lower than asked for, 3 when rows failed."""
    criteria = read_criteria(options.at_least, options.at_most)
    require_tpr(options.tpr)
    require_convention(options.convention)
    has_files = options.id_scores is not None or bool(options.ood_scores)
    has_images = options.detector is not None or options.id is not None or bool(options.ood)
    if has_files == has_images:
        raise DataError(
            "give scores (--id-scores FILE --ood-scores FILE) or a detector with images "
            "(--detector DIR --id DATA --ood DIR), one of the two."
        )
    with _recorded() as said:
        found = _of_files(options) if has_files else _of_images(options)
    content = {
        "higher_means": "in_distribution",
        "convention": options.convention,
        "tpr": options.tpr,
        "estimates": [asdict(estimate) for estimate in (*found.estimates, *found.delivered)],
        "counts": found.counts,
        "failed": dict(found.failed),
        "left_out": found.left_out,
        "warnings": said,
        "seed": options.seed,
        "replicates": options.replicates,
        **found.facts,
        "versions": versions(),
    }
    text = json.dumps(scrub(content), ensure_ascii=False, indent=1)
    if options.output is not None:
        write_atomic(options.output, text + "\n")
    if options.json:
        print(text)
    elif not options.quiet:
        _show(options, found)
    return _exit_code(found, criteria)


def _of_files(options: Options) -> _Found:
    """From files of scores."""
    if options.id_scores is None or not options.ood_scores:
        missing = "--id-scores" if options.id_scores is None else "--ood-scores"
        raise DataError(f"{missing} FILE is missing: scores of known and of unknown images are compared.")
    paths = named_places(options.ood_scores, "--ood-scores")
    known = read_scores(
        options.id_scores.expanduser(),
        column=options.score_column,
        correct_column=options.correct_column,
    )
    failed = Counter(known.errors)
    scores: dict[str, Tensor] = {}
    for name, path in paths.items():
        unknown = read_scores(Path(path).expanduser(), column=options.score_column)
        scores[name] = unknown.scores
        failed.update(unknown.errors)
    estimates = evaluate_scores(
        id_scores=known.scores,
        ood=scores,
        tpr=options.tpr,
        convention=options.convention,
        correct=known.correct,
        n_replicates=options.replicates,
        seed=options.seed,
    )
    counts = {"id": len(known.scores), **{name: len(values) for name, values in scores.items()}}
    return _Found(estimates, (), tuple(scores), counts, failed)


def _of_images(options: Options) -> _Found:
    """With a detector, on images that it has not seen."""
    if options.detector is None or options.id is None or not options.ood:
        missing = [
            flag
            for flag, value in (
                ("--detector", options.detector),
                ("--id", options.id),
                ("--ood", options.ood),
            )
            if not value
        ]
        raise DataError(
            f"{' and '.join(missing)} missing: a detector is measured on known and unknown images."
        )
    places = named_places(options.ood, "--ood")
    detector = load(options.detector)
    known_rows = _test_rows(options)
    unknown_rows = {name: list(dataset_of(place, options)) for name, place in places.items()}
    for name, rows in unknown_rows.items():
        if not rows:
            raise DataError(f"--ood {places[name]} holds no images.")
    _compare_names(detector, unknown_rows.values())
    model = reopen(options, detector)
    seen = {**detector.seen, **({} if model.tuning is None else model.tuning.seen)}
    total = len(known_rows) + sum(map(len, unknown_rows.values()))
    with progress_bar("measuring", quiet=options.quiet, unit="images") as progress:
        judge = _Judge(options, detector, model, lambda done: progress(done, total))
        known = judge.outcomes(known_rows, is_known=True, leave_out=seen if options.unseen else {})
        what = ("images that the detector was made from", "known test images")
        try:
            refuse_overlap(seen, known.images, what=what)
        except LeakError as error:
            raise LeakError(f"{error} With --unseen such images of --id are left out.") from error
        if len(known) == 0:
            raise DataError(
                f"--id {options.id}: no image is left that can be read and that the detector has not seen."
            )
        unknown = {}
        for name, rows in unknown_rows.items():
            unknown[name] = judge.outcomes(rows, is_known=False)
            refuse_overlap(known.images, unknown[name].images, what=("known images", f"images of {name}"))
            refuse_overlap(seen, unknown[name].images, what=(what[0], f"images of {name}"))
            if len(unknown[name]) == 0:
                raise DataError(f"--ood {places[name]}: no image can be read.")
    estimates = evaluate_scores(
        id_scores=known.scores,
        ood={name: found.scores for name, found in unknown.items()},
        tpr=options.tpr,
        convention=options.convention,
        correct=known.correct,
        n_replicates=options.replicates,
        seed=options.seed,
    )
    return _Found(
        estimates,
        delivered(detector, known, unknown, n_replicates=options.replicates, seed=options.seed),
        tuple(unknown),
        {"id": len(known), **{name: len(found) for name, found in unknown.items()}},
        judge.failed,
        judge.left_out,
        {"detector": facts(detector)},
    )


class _Judge:
    """One detector over several sets of images; counts what could not be read and what was left out."""

    def __init__(
        self, options: Options, detector: Detector, model: Model, progress: Callable[[int], None]
    ) -> None:
        self.options, self.detector, self.model, self.progress = options, detector, model, progress
        self.failed: Counter[str] = Counter()
        self.left_out = 0
        self.done = 0

    def outcomes(
        self,
        rows: Sequence[LabelledImage | BadRow],
        *,
        is_known: bool,
        leave_out: Mapping[str, str] | None = None,
    ) -> Outcomes:
        """Judge one set."""
        blocks = self._blocks(rows, leave_out or {})
        return outcomes(
            self.detector,
            blocks,
            lambda images: self.model.evidence(self.detector.classes, images),
            is_known=is_known,
        )

    def _blocks(
        self, rows: Sequence[LabelledImage | BadRow], leave_out: Mapping[str, str]
    ) -> Iterator[Features]:
        batches = stream_images(
            self.model.encoder,
            rows,
            batch_size=self.options.batch_size,
            workers=self.options.workers,
            patches=self.detector.needs_patches,
        )
        for features, failed in batches:
            self.failed.update(row.error_code for row in failed)
            kept = [place for place, hash in enumerate(features.hashes) if hash not in leave_out]
            self.left_out += len(features) - len(kept)
            self.done += len(features) + len(failed)
            self.progress(self.done)
            yield features if len(kept) == len(features) else features.select(kept)


def _test_rows(options: Options) -> list[LabelledImage | BadRow]:
    """The images of --id to measure on: one split of them, where there are splits."""
    rows = list(dataset_of(str(options.id), options))
    splits = sorted({str(row.split) for row in rows if isinstance(row, LabelledImage) and row.split})
    split = options.split or next((name for name in _TESTS if name in splits), None)
    if options.split is not None and options.split not in splits:
        has = f"has the splits {', '.join(splits)}" if splits else "has no splits"
        raise DataError(f"--split names {options.split!r}, and {options.id} {has}.")
    if splits and split is None:
        raise DataError(
            f"{options.id} has the splits {', '.join(splits)} and none for a test; say which with --split."
        )
    chosen = [row for row in rows if isinstance(row, BadRow) or split is None or row.split == split]
    if not chosen:
        raise DataError(f"{options.id} holds no images.")
    return chosen


def named_places(texts: Sequence[str], flag: str) -> dict[str, str]:
    """NAME=PLACE, or PLACE alone, which is then called by its own name.

    Raises:
        DataError: two have the same name.

    Example:
        >>> named_places(["near=a/x.csv", "textures/"], "--ood")
        {'near': 'a/x.csv', 'textures': 'textures/'}
        >>> named_places(["cars/results.parquet"], "--ood-scores")
        {'cars': 'cars/results.parquet'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        # a path may hold an equals sign itself
        if not equals or "/" in name or Path(text).expanduser().exists():
            place = text
            path = Path(text)
            # OUT/results.parquet of `awase ood score`: the folder says more than the file
            name = path.parent.name if path.stem == "results" and path.parent.name else path.stem
            name = name or path.resolve().name
        if name in found:
            raise DataError(f"{flag}: two sets are called {name!r}; tell them apart with NAME={place}.")
        if not name or not place:
            raise DataError(f"{flag} takes [NAME=]PLACE, got {text!r}.")
        found[name] = place
    return found


def _compare_names(detector: Detector, sets: Iterable[Sequence[LabelledImage | BadRow]]) -> None:
    """Warn where a class of the unknown images is a known one; kinds of it too, where WordNet is at hand."""
    labels = {row.label for rows in sets for row in rows if isinstance(row, LabelledImage)}
    names = sorted({class_name(label) for label in labels if label is not None})
    if not names:
        return
    try:
        wordnet = open_wordnet(None)
    except DataError:
        wordnet = None
    warn_of_overlap(detector.classes.names, names, wordnet)


@contextmanager
def _recorded() -> Iterator[list[str]]:
    """Warnings as usual, and also as a list for the JSON."""
    said: list[str] = []
    before = warnings.showwarning

    def show(message: Warning | str, *rest: Any, **more: Any) -> None:
        said.append(str(message))
        before(message, *rest, **more)

    warnings.showwarning = show
    try:
        yield said
    finally:
        warnings.showwarning = before


def _show(options: Options, found: _Found) -> None:
    console = console_for_output()
    console.print(sets_table(found.estimates, found.sets, tpr=options.tpr))
    rest = [estimate for estimate in found.estimates if estimate.name == "id_accuracy"]
    if rest or found.delivered:
        console.print()
        console.print(estimates_table([*rest, *found.delivered]))
    console.print()
    console.print(Text(convention_line(options.convention, options.tpr)), soft_wrap=True)
    counts = ", ".join(f"{name} {n}" for name, n in found.counts.items())
    said = f"images: {counts}; 95 % intervals from {options.replicates} draws, seed {options.seed}"
    if found.left_out:
        said += f"; {found.left_out} were left out, the detector has seen them"
    if found.failed:
        codes = ", ".join(f"{code} {n}" for code, n in sorted(found.failed.items()))
        said += f"; {sum(found.failed.values())} failed ({codes})"
    console.print(Text(said + "."), soft_wrap=True)
    worst = [
        e for e in found.estimates if e.name.startswith("auroc.") and e.high is not None and e.high < 0.5
    ]
    if worst:
        console.print(
            Text(
                f"{worst[0].name} is below 0.5: unknown images score higher than known ones. If in these "
                "files a higher score means unknown, change its sign."
            ),
            soft_wrap=True,
        )
    if options.output is not None:
        console.print(Text(f"Written: {options.output}"), soft_wrap=True)


def _exit_code(found: _Found, criteria: Sequence[Criterion]) -> int:
    measured = (*found.estimates, *found.delivered)
    if not all_met(criteria, {estimate.name: estimate.value for estimate in measured}):
        return 1
    return 3 if found.failed else 0
