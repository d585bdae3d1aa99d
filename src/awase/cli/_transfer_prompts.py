"""What `awase transfer prompts` does: draw, choose, measure on what was kept out, write the prompts."""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase import registry
from awase.cli._class_names import names_of, read_class_names
from awase.cli._class_wordings import read_wordings, wordings_of
from awase.cli._encoders import open_encoder
from awase.cli._estimates import number
from awase.cli._image_inputs import open_images
from awase.cli._progress import progress_bar
from awase.cli._settings import build
from awase.cli._transfer_output import show_measurement, write_measurement
from awase.cli._tune_data import Sides, read_sides
from awase.cli.transfer_prompts import Options
from awase.engine.leaks import refuse_overlap
from awase.errors import DataError
from awase.functional.splits import class_index, draw_shots
from awase.protocols import Encoder, ImageDataset
from awase.report.measurement import CardTable
from awase.report.transfer_wording import phrase
from awase.transfer._choose import BASELINE, Candidates, Chosen, candidates, choose_prompts
from awase.transfer._gain import Gain, measure_gain, verdict
from awase.transfer._mixture import mixture
from awase.transfer._prompt_task import PromptSearch, first_best
from awase.transfer._templates import TEMPLATES, Prompts, prompts_of, write_prompts
from awase.transfer._wordings import averaged
from awase.types import Chart, Estimate, Features, Language, Line

PROMPTS = "prompts.json"
SEARCHES = ("uniform", "single", "greedy", "weights", "weights:per_class=true")
_UNIFORM = "uniform"
_SHOWN = 5
_MOST_LINES = 30  # of the card's table of templates


@dataclass(frozen=True)
class _Job:
    """Everything that decides the prompts, opened."""

    options: Options
    searches: Mapping[str, PromptSearch]
    templates: tuple[str, ...]
    baseline: tuple[str, ...]
    names: Mapping[str, str]
    further: Mapping[str, Sequence[str]]
    dataset: ImageDataset
    encoder: Encoder


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The selection images of one draw."""

    images: Features
    labels: Int[Tensor, " n"]
    fewer: tuple[int, ...]


def run(options: Options) -> int:
    """Choose, measure and write; 3 when images could not be read."""
    started = time.monotonic()
    job = _open(options)
    sides = _read(job)
    wordings = wordings_of(sides.labels, names_of(sides.labels, job.names), job.further)
    found = candidates(job.encoder, sides.labels, wordings, job.templates, baseline=job.baseline)
    drawn = _draw(sides, options.shots, options.seed)
    chosen = _choose(job, found, drawn, options.seed)
    labels = class_index(sides.test.labels, sides.labels)
    gain = measure_gain(
        chosen.class_features,
        _others(found),
        sides.test,
        labels,
        selection=drawn.images,
        seed=options.seed,
    )
    estimates = (*gain.estimates, *_on_selection(chosen, len(drawn.labels)))
    if options.draws > 1:
        estimates = (*estimates, _over_draws(job, found, sides, labels, gain, drawn))
    said = replace(chosen.prompts, chosen_on=drawn.images.hashes)
    write_prompts(options.output / PROMPTS, said)
    _write(job, sides, drawn, found, chosen, gain, estimates, started)
    return 3 if sides.bad else 0


def open_searches(texts: Sequence[str]) -> dict[str, PromptSearch]:
    """Searches from NAME or NAME:SETTING=VALUE,SETTING=VALUE, by what was typed.

    Raises:
        UnknownMethodError: there is no such search.
        DataError: there is no such setting, or two searches are the same.

    Example:
        >>> open_searches(["weights:penalties=1,0.1,per_class=true"])
        {'weights:penalties=1,0.1,per_class=true': Weights(per_class=True, penalties=(1, 0.1), ...)}
    """
    if len(set(texts)) < len(texts):
        raise DataError(f"--search names a search twice: {', '.join(texts)}.")
    found = {}
    for text in texts:
        name, _, settings = text.partition(":")
        given = [part for part in re.split(r",(?=\s*\w+=)", settings) if part]  # values may hold commas
        found[text] = build(registry.load("prompt_search", name), given, name=name, flag="--search")
    return found


def _open(options: Options) -> _Job:
    """Open everything; the cheap things that can fail come first."""
    searches = open_searches(options.search or SEARCHES)
    english = [name for name in TEMPLATES if not name.endswith("-ja")]
    templates = _templates(options.templates or english, "--templates")
    baseline = _templates(options.baseline or ["simple"], "--baseline")
    names = read_class_names(options.class_names)
    further = read_wordings(options.wordings)
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
    return _Job(options, searches, templates, baseline, names, further, dataset, encoder)


def _templates(texts: Sequence[str], flag: str) -> tuple[str, ...]:
    """Templates alone: what was chosen before, with weights, is not a list to choose from."""
    prompts = prompts_of(texts)
    if prompts.weights is not None or prompts.class_weights or prompts.wordings:
        raise DataError(
            f"{flag} takes templates, and {texts[0]} holds weights or wordings of an earlier choice; "
            "measure those with awase transfer classify."
        )
    return prompts.templates


def _read(job: _Job) -> Sides:
    options = job.options
    with progress_bar("reading", quiet=options.quiet, unit="images") as progress:
        return read_sides(
            job.encoder,
            job.dataset,
            train_split=options.train_split,
            test_split=options.test_split,
            test_share=options.test_share,
            wanted=options.shots,
            seed=options.seed,
            batch_size=options.batch_size,
            workers=options.workers,
            progress=progress,
        )


def _draw(sides: Sides, shots: int, seed: int) -> _Drawn:
    """A few labelled images of each class, none of them among the test images."""
    labels = class_index(sides.pool.labels, sides.labels)
    drawn = draw_shots(
        labels.tolist(), sides.pool.hashes, shots=shots, validation=0, seed=seed, allow_fewer=True
    )
    images = sides.pool.select(drawn.train)
    refuse_overlap(images, sides.test, what=("selection images", "test images"))
    return _Drawn(images, labels[list(drawn.train)], drawn.fewer)


def _choose(job: _Job, found: Candidates, drawn: _Drawn, seed: int) -> Chosen:
    return choose_prompts(
        found,
        drawn.images.values,
        drawn.labels,
        job.searches,
        logit_scale=job.encoder.logit_scale,
        n_folds=job.options.folds,
        seed=seed,
    )


def _others(found: Candidates) -> dict[str, Float[Tensor, "k d"]]:
    """Class vectors of the prompts as they would be without a search, and of all templates alike."""
    n_baseline, t = found.baseline_features.shape[1], len(found.templates)
    everything = averaged(found.vectors, tuple((0,) for _ in found.labels))
    return {
        BASELINE: mixture(found.baseline_features, torch.full((n_baseline,), 1 / n_baseline)),
        _UNIFORM: mixture(everything, torch.full((t,), 1 / t)),
    }


def _on_selection(chosen: Chosen, n: int) -> tuple[Estimate, ...]:
    """What the choice looked like from inside: to be read as such, so without an interval."""
    unit = "share of the selection images that are right; they chose, so it is flattered"
    inside = Estimate("selection.accuracy", chosen.selection.accuracy, None, None, n, unit, "more are right")
    kept_out = next((one.kept_out for one in chosen.compared if one.name == chosen.search), None)
    if kept_out is None:
        return (inside,)
    unit = "the same on folds that were kept out, by the best of the searches"
    return (inside, Estimate("selection.kept_out", kept_out.accuracy, None, None, n, unit, "more are right"))


def _over_draws(
    job: _Job, found: Candidates, sides: Sides, labels: Int[Tensor, " n"], gain: Gain, first: _Drawn
) -> Estimate:
    """The gain over the baseline when other images choose: its mean, smallest and largest."""
    before = float((gain.others[BASELINE] == labels).double().mean())
    gains = [float((gain.predicted == labels).double().mean()) - before]
    with progress_bar("choosing", quiet=job.options.quiet, unit="draws") as progress:
        for draw in range(1, job.options.draws):
            seed = job.options.seed + draw
            chosen = _choose(job, found, _draw(sides, job.options.shots, seed), seed)
            answer = first_best(sides.test.values @ chosen.class_features.T)
            gains.append(float((answer == labels).double().mean()) - before)
            progress(draw + 1, job.options.draws)
    unit = f"mean gain over {len(gains)} draws of selection images, with the smallest and the largest"
    mean = sum(gains) / len(gains)
    return Estimate("draws.gain", mean, min(gains), max(gains), len(gains), unit, "the search helped")


def _write(
    job: _Job,
    sides: Sides,
    drawn: _Drawn,
    found: Candidates,
    chosen: Chosen,
    gain: Gain,
    estimates: tuple[Estimate, ...],
    started: float,
) -> None:
    options = job.options
    language: Language = options.lang.value
    of_gain = next(figure for figure in gain.estimates if figure.name == "accuracy.gain")
    said = [verdict(of_gain), *_notes(job, sides, drawn, chosen)]
    written = write_measurement(
        options.output,
        title=phrase("prompts_title", language),
        estimates=estimates,
        charts=_charts(chosen, gain),
        notes=said,
        provenance=_provenance(job, sides, drawn, chosen, started),
        language=language,
        tables=(
            ("templates", _template_rows(found, chosen)),
            ("images", _image_rows(sides, drawn, gain)),
        ),
        sections=_sections(chosen, language),
    )
    show_measurement(
        written,
        options.output,
        estimates=estimates,
        json_only=options.json,
        quiet=options.quiet,
        lines=[_line(chosen), f"Prompts for awase transfer classify: {options.output / PROMPTS}"],
    )


def _notes(job: _Job, sides: Sides, drawn: _Drawn, chosen: Chosen) -> list[str]:
    notes = []
    if len(chosen.compared) > 1:
        n = len(chosen.compared)
        notes.append(
            f"{chosen.search} did best of {n} ways on folds of the {len(drawn.labels)} selection images."
        )
    if chosen.prompts.class_weights:
        notes.append(
            "Every class has weights of its own, learned from its labels: they say nothing of other classes."
        )
    if chosen.wording.kept_out:
        notes.append(
            f"Names of classes that are read: {chosen.wording.way} (of first, all, chosen), by folds of the "
            "selection images."
        )
    if sides.made_test:
        notes.append("The data has no splits: the test part was drawn, the same for every seed.")
    if drawn.fewer:
        notes.append(
            f"{len(drawn.fewer)} classes had fewer than {job.options.shots} images to choose on and gave "
            "what they had."
        )
    if sides.bad:
        shown = ", ".join(f"{row.id} ({row.error_code})" for row in sides.bad[:_SHOWN])
        notes.append(f"{len(sides.bad)} images were left out: {shown}{', ...' * (len(sides.bad) > _SHOWN)}.")
    return notes


def _provenance(job: _Job, sides: Sides, drawn: _Drawn, chosen: Chosen, started: float) -> dict[str, object]:
    spec = job.encoder.spec
    return {
        "encoder": asdict(spec) | {"fingerprint": spec.fingerprint},
        "data": {
            "source": job.options.data,
            "fingerprint": job.dataset.fingerprint(),
            "images": sides.counts,
            "classes": len(sides.labels),
            "select": len(drawn.labels),
            "test": len(sides.test),
            "made_test": sides.made_test,
        },
        "search": chosen.search,
        "compared": {
            one.name: None if one.kept_out is None else one.kept_out._asdict() for one in chosen.compared
        },
        "wording": chosen.wording.way,
        "searches": {name: repr(search) for name, search in job.searches.items()},
        "templates_tried": len(job.templates),
        "baseline": list(job.baseline),
        "shots": job.options.shots,
        "folds": job.options.folds,
        "seed": job.options.seed,
        "error_codes": dict(Counter(row.error_code for row in sides.bad)),
        "seconds": round(time.monotonic() - started, 3),
    }


def _charts(chosen: Chosen, gain: Gain) -> list[Chart]:
    shares = {figure.name: figure for figure in gain.estimates}
    bars = [
        _bar(label, shares[name])
        for label, name in (
            ("chosen_prompts", "accuracy"),
            (BASELINE, "accuracy.baseline"),
            (_UNIFORM, "accuracy.uniform"),
        )
    ]
    charts = [Chart("prompt_accuracy", tuple(bars), style="bars")]
    known = [(one.name, one.kept_out.accuracy) for one in chosen.compared if one.kept_out is not None]
    if known:
        lines = tuple(Line(name, (0.0,), (accuracy,)) for name, accuracy in known)
        charts.append(Chart("prompt_searches", lines, style="bars"))
    if chosen.search.partition(":")[0] == "greedy":
        charts.append(_path(chosen))
    return charts


def _bar(label: str, share: Estimate) -> Line:
    value, low, high = (float(part or 0.0) for part in (share.value, share.low, share.high))
    return Line(label, (0.0,), (value,), (low,), (high,))


def _path(chosen: Chosen) -> Chart:
    """Accuracy with every template that greedy added."""
    steps = tuple(float(step + 1) for step in range(len(chosen.trials)))
    lines = [Line("selection_images", steps, tuple(trial.score.accuracy for trial in chosen.trials))]
    kept_out = [trial.kept_out.accuracy for trial in chosen.trials if trial.kept_out is not None]
    if len(kept_out) == len(steps):
        lines.append(Line("kept_out_folds", steps, tuple(kept_out)))
    return Chart("prompt_path", tuple(lines))


def _weights(prompts: Prompts) -> list[float]:
    """One weight a template, summing to 1; the mean over classes where they differ."""
    numbers = prompts.weights or (1.0,) * len(prompts.templates)
    return [one / sum(numbers) for one in numbers]


def _sections(chosen: Chosen, language: Language) -> tuple[CardTable, ...]:
    head = ("テンプレート", "重み") if language == "ja" else ("template", "weight")
    title = "選ばれたテンプレート" if language == "ja" else "Chosen templates"
    rows = tuple((template, number(weight)) for template, weight in _by_weight(chosen.prompts)[:_MOST_LINES])
    return (CardTable(title, head, rows),)


def _by_weight(prompts: Prompts) -> list[tuple[str, float]]:
    """Templates with their weights, the heaviest first."""
    return sorted(zip(prompts.templates, _weights(prompts), strict=True), key=lambda one: -one[1])


def _line(chosen: Chosen) -> str:
    weighed = _by_weight(chosen.prompts)
    shown = "; ".join(f"{template} ({number(weight)})" for template, weight in weighed[:_SHOWN])
    more = f"; and {len(weighed) - _SHOWN} more" if len(weighed) > _SHOWN else ""
    return f"Templates and weights: {shown}{more}."


def _template_rows(found: Candidates, chosen: Chosen) -> pa.Table:
    """Every candidate: its weight, 0 where it was not chosen."""
    weights = dict(zip(chosen.prompts.templates, _weights(chosen.prompts), strict=True))
    templates = list(dict.fromkeys((*found.templates, *chosen.prompts.templates)))
    return pa.table(
        {
            "template": pa.array(templates, pa.string()),
            "weight": pa.array([weights.get(template, 0.0) for template in templates], pa.float64()),
        }
    )


def _image_rows(sides: Sides, drawn: _Drawn, gain: Gain) -> pa.Table:
    """Every image that chose or was measured on, with the answers on the latter."""
    labels = sides.labels
    rows = [
        {"id": image.id, "hash": hash, "side": "select", "label": image.label}
        for image, hash in zip(drawn.images.images, drawn.images.hashes, strict=True)
    ]
    answers = {"predicted": gain.predicted, **{f"predicted_{n}": a for n, a in gain.others.items()}}
    for place, (image, hash) in enumerate(zip(sides.test.images, sides.test.hashes, strict=True)):
        said = {name: labels[int(answer[place])] for name, answer in answers.items()}
        rows.append({"id": image.id, "hash": hash, "side": "test", "label": image.label, **said})
    columns = ("id", "hash", "side", "label", *answers)
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in columns]))
