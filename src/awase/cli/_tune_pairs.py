"""What `awase tune pairs` does: open, read, train, and write the model with its card."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from awase import registry
from awase.cli._encoders import choose_device, open_encoder
from awase.cli._estimates import estimates_table
from awase.cli._inputs import open_source
from awase.cli._progress import progress_bar
from awase.cli._scrub import scrub
from awase.cli._settings import build
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.cli._transfer_output import CARD, METRICS, show_measurement, write_measurement
from awase.cli._tune_pairs_card import charts_of, notes_of, title_of
from awase.cli.tune_pairs import Options, ReportTo
from awase.errors import DataError
from awase.protocols import Encoder, StoringEncoder
from awase.training import devices
from awase.training.loop import Report
from awase.tune.pairs._fit import PairTask, TrainedPairs, fit_pairs, save_pairs
from awase.tune.pairs._recipe import SCRATCH_RATE, PairRecipe
from awase.tune.pairs._rows import PairRows, read_rows, split_names
from awase.types import BadRow, Estimate, Pair

_CHECKPOINT, _BASE, _RUNS = "checkpoint", "base", "runs"
_SHOWN_BAD = 1000
_BOTH = ("image", "text")


@dataclass(frozen=True)
class Further:
    """Settings of `PairRecipe` that have no option of their own."""

    weight_decay: float = PairRecipe.weight_decay
    warmup: float = PairRecipe.warmup
    head: str = PairRecipe.head
    hidden: int = PairRecipe.hidden
    dropout: float = PairRecipe.dropout
    embedding: str = PairRecipe.embedding
    each: int = PairRecipe.each
    precision: str = PairRecipe.precision
    clip_norm: float | None = PairRecipe.clip_norm
    measure_every: int | None = PairRecipe.measure_every


@dataclass(frozen=True)
class Sizes:
    """Of a model from scratch; see `awase.encoders.small.create`."""

    size: int = 64
    width: int = 128
    dimension: int = 128
    depth: int = 1
    layers: int = 3
    context: int = 32
    vocabulary: int = 8000
    least: int = 1


@dataclass(frozen=True)
class _Job:
    """Everything that decides the model, opened."""

    options: Options
    recipe: PairRecipe
    sizes: Sizes
    rows: Sequence[Pair | BadRow]
    data: str
    split: str | None


def run(options: Options) -> int:
    """Train and write the model; 3 when rows failed."""
    with devices.process_group():
        return _run(options)


def _run(options: Options) -> int:
    job = _open(options)
    if options.fresh and devices.rank() == 0:
        for name in (_CHECKPOINT, _BASE, _RUNS):
            shutil.rmtree(options.output / name, ignore_errors=True)
        (options.output / "config.json").unlink(missing_ok=True)
    _wait()
    identity = _identity(job)
    _already(options, identity)  # before anything of a model that lies there is touched
    encoder = _encoder(job)
    identity |= {"encoder": encoder.spec.fingerprint}
    if (content := _already(options, identity)) is not None:
        return _say_again(options, content)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    place = options.output / _CHECKPOINT / digest
    task = _read(job, encoder, place)
    started = time.perf_counter()
    trained = _fit(job, task, place)
    seconds = time.perf_counter() - started
    if devices.rank() != 0:
        return 0
    return _write(job, task, trained, identity, seconds)


def _open(options: Options) -> _Job:
    """Objective, settings and data; what is cheap and can fail comes first."""
    objective = build(registry.load("objective", options.objective), options.option, name=options.objective)
    further = build(Further, options.recipe, name="the recipe", flag="--recipe")
    sizes = build(Sizes, options.scratch_option, name="the new model", flag="--scratch-option")
    if options.scratch is None and options.scratch_option:
        raise DataError("--scratch-option is for --scratch; an --encoder has its own size.")
    if options.scratch not in (None, "small"):
        raise DataError(f"--scratch takes small, got {options.scratch!r}.")
    rate = options.rate if options.rate is not None or options.scratch is None else SCRATCH_RATE
    recipe = PairRecipe(
        objective=objective,
        parts=_parts(options),
        epochs=options.epochs,
        steps=options.steps,
        batch_size=options.batch_size,
        chunk=options.chunk,
        rate=rate,
        head_rate=options.head_rate,
        temperature=_temperature(options.temperature),
        groups=options.group.value,
        keep=options.keep.value,
        **asdict(further),
    )
    dataset = open_source(
        options.data,
        images=options.images,
        image_column=options.image_column,
        caption_column=options.caption_column,
        reader=options.reader,
    )
    rows = list(dataset)
    return _Job(options, recipe, sizes, rows, dataset.fingerprint(), _split(options, rows))


def _parts(options: Options) -> tuple[str, ...]:
    if not options.train:
        return ("heads",) if options.scratch is None else _BOTH
    named = [part for text in options.train for part in text.replace("+", ",").split(",") if part]
    parts = {part for name in named for part in (_BOTH if name == "both" else (name,))}
    return tuple(sorted(parts))


def _temperature(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _split(options: Options, rows: Sequence[Pair | BadRow]) -> str | None:
    """The split to learn from, checked along with the dev split.

    Raises:
        DataError: a split is not there, both are the same, or test pairs were to choose.
    """
    counts = split_names(rows)
    there = ", ".join(f"{name or '(none)'} {n}" for name, n in sorted(counts.items(), key=str)) or "no pair"
    named = {name for name in counts if name is not None}
    for name, flag in ((options.split, "--split"), (options.dev_split, "--dev-split")):
        if name is not None and name not in named:
            raise DataError(f"the data has no split {name!r}; it has: {there}. Choose with {flag}.")
    if options.split is None and named and "train" not in named:
        raise DataError(f"which split to learn from? The data has: {there}. Choose with --split.")
    split = options.split if options.split is not None or not named else "train"
    if split is not None and split == options.dev_split:
        raise DataError(f"{split!r} cannot be both --split and --dev-split.")
    if options.keep.value == "best" and (options.dev_split or "").startswith("test"):
        raise DataError("--keep best would choose on test pairs; give another --dev-split.")
    return split


def _encoder(job: _Job) -> Encoder:
    options = job.options
    if options.scratch is None:
        cache = options.cache or options.output / _CHECKPOINT / "vectors"
        return open_encoder(
            options.encoder,
            device=options.device.value,
            revision=options.revision,
            offline=options.offline,
            cache=None if "image" in job.recipe.towers else cache,
        )
    base = options.output / _BASE
    module = registry.load("encoder", options.scratch)
    if devices.rank() == 0:
        captions = [row.caption for row in job.rows if isinstance(row, Pair) and row.split == job.split]
        module.create(base, captions, seed=options.seed, **asdict(job.sizes))
    _wait()
    encoder: Encoder = module.load(str(base), device=choose_device(options.device.value))
    return encoder


def _identity(job: _Job) -> dict[str, Any]:
    """When one of these, or the encoder, differs it is another model."""
    options = job.options
    return {
        "recipe": repr(job.recipe),
        "data": job.data,
        "splits": [job.split, options.dev_split],
        "seed": options.seed,
        "scratch": None if options.scratch is None else [options.scratch, repr(job.sizes)],
    }


def _already(options: Options, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """config.json of the same model where it is there already."""
    if not (options.output / "config.json").exists():
        return None
    content: dict[str, Any] = registry.load("encoder", "tuned").read_config(options.output)
    before = content.get("facts", {}).get("identity", {})
    wanted = json.loads(json.dumps(identity))
    differing = ", ".join(key for key in wanted if before.get(key) != wanted[key])
    if not differing:
        return content
    raise DataError(
        f"{options.output} holds another model (other {differing}); choose another folder with --output, or "
        "replace it with --fresh."
    )


def _read(job: _Job, encoder: Encoder, place: Path) -> PairTask:
    options = job.options
    sides: list[PairRows | None] = []
    texts = options.cache / "texts" if options.cache is not None else place.parent / "texts"
    with progress_bar("reading", quiet=options.quiet, unit="photos") as progress:
        for split in (job.split, options.dev_split):
            if split is None and sides:
                sides.append(None)
                continue
            read = partial(
                read_rows,
                encoder,
                job.rows,
                split=split,
                image_features="image" not in job.recipe.towers,
                text_features="text" not in job.recipe.towers,
                workers=options.workers,
                texts=texts,
                progress=progress,
            )
            sides.append(_one_after_the_other(read))
    train, dev = sides
    assert train is not None  # the first side is always read
    return PairTask(encoder, train, dev)


def _fit(job: _Job, task: PairTask, place: Path) -> TrainedPairs:
    options = job.options
    report: Report | None = None
    if options.report_to is ReportTo.TENSORBOARD and devices.rank() == 0:
        from awase.training.report_to import TensorBoard  # tensorboard is an extra

        report = TensorBoard(options.output / _RUNS)
    try:
        with progress_bar("training", quiet=options.quiet, unit="steps") as progress:
            return fit_pairs(
                task,
                job.recipe,
                seed=options.seed,
                from_scratch=options.scratch is not None,
                checkpoint=place,
                save_every=options.save_every,
                workers=options.workers,
                progress=progress,
                report=report,
            )
    finally:
        if report is not None:
            report.close()


def _write(
    job: _Job, task: PairTask, trained: TrainedPairs, identity: Mapping[str, Any], seconds: float
) -> int:
    options = job.options
    bad = {(row.id, row.error_code, row.error): row for row in _bad(task)}
    settings = {"objective": repr(job.recipe.objective), **_plain(job.recipe)}
    facts = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "data": {
            "source": scrub(options.data),
            "fingerprint": job.data,
            "split": job.split,
            "dev_split": options.dev_split,
            "pairs": len(task.train),
            "photos": len(task.train.images),
            "dev_pairs": 0 if task.dev is None else len(task.dev),
        },
        "steps": trained.n_steps,
        "steps_per_epoch": trained.per_epoch,
        "kept_step": trained.kept_step,
        "n_parameters": trained.n_parameters,
        "n_devices": devices.world_size(),
        "fit_seconds": round(seconds, 3),
        "logit_bias": trained.logit_bias,
        "seed": options.seed,
        "losses": {str(step): value for step, value in trained.losses.items()},
        "measured": {str(step): dict(values) for step, values in trained.measured.items()},
        "estimates": [asdict(estimate) for estimate in trained.estimates],
        "bad_rows": [
            scrub({"id": row.id, "error_code": row.error_code, "error": row.error})
            for row in list(bad.values())[:_SHOWN_BAD]
        ],
        "n_bad_rows": len(bad),
        "versions": versions(),
        "identity": identity,
    }
    written = write_measurement(
        options.output,
        title=title_of(options.lang.value),
        estimates=trained.estimates,
        charts=charts_of(trained),
        notes=notes_of(trained, job.recipe, len(bad)),
        provenance=_provenance(trained, facts),
        language=options.lang.value,
    )
    # config.json comes last: where it lies, the model is whole and the checkpoint is needed no more
    save_pairs(options.output, trained, facts=facts)
    if isinstance(task.encoder, StoringEncoder) and hasattr(task.encoder.store, "close"):
        task.encoder.store.close()  # its file may lie in the folder that goes away now
    shutil.rmtree(options.output / _CHECKPOINT, ignore_errors=True)
    show_measurement(
        written,
        options.output,
        estimates=trained.estimates,
        json_only=options.json,
        quiet=options.quiet,
        lines=_lines(options, facts),
    )
    return 3 if bad else 0


def _provenance(trained: TrainedPairs, facts: Mapping[str, Any]) -> dict[str, Any]:
    base = trained.base
    names = ("settings", "data", "steps", "kept_step", "n_parameters", "n_devices", "fit_seconds", "seed")
    return {
        "encoder": {
            "adapter": base.adapter,
            "name": base.name,
            "revision": base.revision,
            "fingerprint": base.fingerprint,
            "trained_fingerprint": trained.encoder.spec.fingerprint,
            "logit_scale": trained.logit_scale,
        },
        **{name: facts[name] for name in names},
    }


def _plain(recipe: PairRecipe) -> dict[str, Any]:
    shown = {name: value for name, value in vars(recipe).items() if name != "objective"}
    rate, head_rate = recipe.rates
    return shown | {"parts": list(recipe.parts), "rate": rate, "head_rate": head_rate}


def _bad(task: PairTask) -> list[BadRow]:
    return [*task.train.bad, *(task.dev.bad if task.dev is not None else ())]


def _lines(options: Options, facts: Mapping[str, Any]) -> list[str]:
    data = facts["data"]
    parts = ", ".join(facts["settings"]["parts"])
    lines = [
        f"{facts['settings']['objective']}: {parts} learned from {data['pairs']} pairs of {data['photos']} "
        f"photos, {facts['n_parameters']} parameters in {facts['steps']} steps, {facts['fit_seconds']:.1f} s."
    ]
    if facts["n_bad_rows"]:
        shown = ", ".join(f"{row['id']} ({row['error_code']})" for row in facts["bad_rows"][:5])
        lines.append(f"Rows that could not be read and were left out, {facts['n_bad_rows']}: {shown}.")
    lines.append(f"Next: awase transfer retrieve {options.data} --encoder tuned:{options.output}")
    return lines


def _say_again(options: Options, content: Mapping[str, Any]) -> int:
    """Print what an earlier run of the same command found."""
    facts = content["facts"]
    if devices.rank() != 0:
        return 0
    shutil.rmtree(options.output / _CHECKPOINT, ignore_errors=True)  # a kill right at the end leaves it
    if options.json:
        print((options.output / METRICS).read_text("utf-8").rstrip("\n"))
    elif not options.quiet:
        console = console_for_output()
        console.print(estimates_table([Estimate(**estimate) for estimate in facts["estimates"]]))
        for line in (
            *_lines(options, facts),
            "This model was there already; --fresh would train it again.",
            f"Written: {options.output / CARD}",
        ):
            console.print(line, soft_wrap=True, markup=False)
    return 3 if facts["n_bad_rows"] else 0


def _wait() -> None:
    """Until all devices are here."""
    devices.gather(torch.zeros(1))


def _one_after_the_other(read: Any) -> PairRows:
    """The first device reads and fills the caches, then the others find everything there."""
    if devices.rank() == 0:
        rows = read()
        _wait()
        return rows  # type: ignore[no-any-return]
    _wait()
    return read()  # type: ignore[no-any-return]
