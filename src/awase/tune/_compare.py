"""Method x shots x seed: fit, measure, keep each result as it comes, go on after a kill.

Every cell is a file of its own, written whole or not at all and named by what decides it; a cell that is
there is not computed again. Two models are tuned in a cell: one on all classes, one on the first half of
them, whose other half is then new to it (base-to-new).
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from awase.errors import AwaseError
from awase.files import write_atomic
from awase.tune._frozen import Frozen
from awase.tune._interpolate import Interpolated
from awase.tune._measures import Figures, Measure
from awase.tune._protocol import Progress, Task, Tuned, TuneMethod
from awase.types import Evidence, Features

CELLS = "cells"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """One fit to be measured: shots 0 is the model as it came, whatever the method."""

    method: str
    shots: int
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of a cell, or why there are none."""

    cell: Cell
    figures: Figures
    error: str | None = None


@dataclass(frozen=True)
class Bench:
    """What every cell is measured on.

    Attributes:
        all_classes: makes the task of all classes for (shots, seed).
        base_classes: the same for the base classes; None where there are too few classes for two halves.
        measures: of the model tuned on all classes.
        base_measures: of the model tuned on the base classes.
        identity: what decides the numbers beside the cell: encoder, data, templates, scores.
    """

    all_classes: Callable[[int, int], Task]
    base_classes: Callable[[int, int], Task] | None
    measures: Sequence[Measure]
    base_measures: Sequence[Measure]
    identity: Mapping[str, Any] = field(default_factory=dict)


def cells_of(methods: Sequence[str], shots: Sequence[int], seeds: Sequence[int]) -> tuple[Cell, ...]:
    """Every combination; zero shots once, as `zero_shot`, since nothing is drawn.

    Example:
        >>> [cell.method for cell in cells_of(["taskres"], [0, 1], [1, 2])]
        ['zero_shot', 'taskres', 'taskres']
    """
    tuned = [name for name in methods if name != "zero_shot"]
    zero = [Cell("zero_shot", 0, seeds[0])] if 0 in shots or "zero_shot" in methods else []
    # by seed first: a run that is stopped early has whole lines of few seeds
    return (*zero, *(Cell(m, n, seed) for seed in seeds for n in shots if n for m in tuned))


def run(
    bench: Bench,
    cells: Sequence[Cell],
    methods: Mapping[str, TuneMethod],
    folder: Path,
    *,
    progress: Progress | None = None,
    report: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Measure the cells that are not there yet; returns all of them in order, then those of earlier runs.

    What was measured before in this folder, on the same bench, stays in the comparison: a slow method can be
    added at a few numbers of shots alone.

    Args:
        bench: data and measures.
        cells: what to fit.
        methods: the method behind each name, with its settings.
        folder: where cells are kept.
        progress: told of cells done and cells in all.
        report: told of each new row.

    A method that refuses a task (an error meant for users) gives a row with that error; the others go on.
    """
    rows = []
    for number, cell in enumerate(cells):
        path = folder / CELLS / f"{_key(bench, cell, methods[cell.method])}.json"
        row = _read(path, cell)
        if row is None:
            row = _measured(bench, cell, methods[cell.method], folder / "work" / path.stem)
            write_atomic(path, _written(row, methods[cell.method], bench))
            if report is not None:
                report(row)
        rows.append(row)
        if progress is not None:
            progress(number + 1, len(cells))
    shutil.rmtree(folder / "work", ignore_errors=True)
    return [*rows, *_earlier(bench, folder, {row.cell for row in rows})]


def _measured(bench: Bench, cell: Cell, method: TuneMethod, work: Path) -> Row:
    try:
        figures = _fit(bench.all_classes, bench.measures, cell, method, work / "all")
        if bench.base_classes is not None:
            base = _fit(bench.base_classes, bench.base_measures, cell, method, work / "base")
            figures |= {name: value for name, value in base.items() if not name.startswith(_OF_THE_FIT)}
    except AwaseError as error:
        return Row(cell, {}, f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Row(cell, figures)


_OF_THE_FIT = ("fit_seconds", "parameters", "train_images", "classes")


def _fit(
    make: Callable[[int, int], Task], measures: Sequence[Measure], cell: Cell, method: TuneMethod, work: Path
) -> dict[str, float | None]:
    task = make(cell.shots, cell.seed)
    started = time.perf_counter()
    tuned = method.fit(task, seed=cell.seed, checkpoint=work)
    figures: dict[str, float | None] = {
        "fit_seconds": time.perf_counter() - started,
        "parameters": float(tuned.n_parameters),
        "train_images": float(len(task.train)),
        "classes": float(len(task.frozen.class_names)),
    }
    remembered = _Remembering(tuned)
    for measure in measures:
        figures |= measure(remembered, task)
    return figures


@dataclass(eq=False)
class _Remembering:
    """A tuned model that says of the same images what it said before: several measures ask.

    Patches of changed towers cost a pass over all pixels for every fit. They are left out, and scores that
    read patches have no value there.
    """

    tuned: Tuned
    said: dict[tuple[int, tuple[str, ...] | None], Evidence] = field(default_factory=dict)

    @property
    def frozen(self) -> Frozen:
        return self.tuned.frozen

    @property
    def n_parameters(self) -> int:
        return self.tuned.n_parameters

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        key = (id(images), None if class_names is None else tuple(class_names))
        if key not in self.said:
            if images.patches is not None and isinstance(self.tuned, Interpolated):
                images = replace(images, patches=None)
            self.said[key] = self.tuned.evidence(images, class_names)
        return self.said[key]

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.tuned.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.tuned.text_features(texts)


def _key(bench: Bench, cell: Cell, method: TuneMethod) -> str:
    digest = _digest([bench.identity, cell.method, repr(method), cell.shots, cell.seed, _FORMAT])
    name = re.sub(r"[^A-Za-z0-9_]+", "-", cell.method)[:60]
    return f"{name}-{cell.shots}-{cell.seed}-{digest[:12]}"


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _written(row: Row, method: TuneMethod, bench: Bench) -> str:
    content = {
        "bench": _digest([bench.identity, _FORMAT]),
        "method": row.cell.method,
        "settings": repr(method),
        "shots": row.cell.shots,
        "seed": row.cell.seed,
        "figures": dict(row.figures),
        "error": row.error,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _read(path: Path, cell: Cell) -> Row | None:
    """A cell that was measured before; one that failed is tried again."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return Row(cell, content["figures"]) if content.get("error") is None else None


def _earlier(bench: Bench, folder: Path, known: set[Cell]) -> list[Row]:
    """Rows of other cells that were measured on this bench, by method, shots and seed."""
    wanted = _digest([bench.identity, _FORMAT])
    found = []
    for path in sorted((folder / CELLS).glob("*.json")):
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        cell = Cell(content["method"], content["shots"], content["seed"])
        if content.get("bench") == wanted and content.get("error") is None and cell not in known:
            found.append(Row(cell, content["figures"]))
    return sorted(found, key=lambda row: (row.cell.method, row.cell.shots, row.cell.seed))
