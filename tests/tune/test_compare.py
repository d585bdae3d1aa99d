"""Cells are kept as they come, a killed comparison goes on, and a method that refuses costs its row alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from awase.errors import DataError
from awase.tune._compare import Bench, Cell, cells_of, run
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task, TuneMethod
from awase.tune.zero_shot import ZeroShot
from awase.types import Features, ImageReference, LabelledImage


class KilledError(Exception):
    pass


def _features(n: int) -> Features:
    images = tuple(LabelledImage(str(i), ImageReference(str(i), data=b"x"), "a") for i in range(n))
    return Features(torch.eye(4)[torch.arange(n) % 4], images, tuple(map(str, range(n))), "toy")


FROZEN = Frozen(("a", "b"), torch.eye(4)[:2], 100.0, "toy")


def _task(shots: int, seed: int) -> Task:
    none = torch.zeros(0, dtype=torch.long)
    return Task(FROZEN, _features(2 * shots), torch.arange(2 * shots) % 2, _features(0), none)


@dataclass
class Log:
    fits: list[tuple[int, int]]
    die_at: int | None = None


@dataclass(frozen=True)
class Spy:
    """Tunes nothing and writes down that it was asked."""

    tuned: ClassVar[type] = Frozen
    zero: ClassVar[Mapping[str, Any]] = {}
    strength: float = 1.0

    def fit(self, task: Task, *, seed: int, checkpoint: Path | None = None, progress: Any = None) -> Frozen:
        if LOG.die_at == len(LOG.fits):
            raise KilledError
        if task.shots == 2 and seed == 2 and self.strength == 0.0:
            raise DataError("refused")
        assert checkpoint is not None
        (checkpoint / "left").mkdir(parents=True)
        LOG.fits.append((task.shots, seed))
        return task.frozen


LOG = Log([])


def _bench() -> Bench:
    calls: list[int] = []

    def measure(tuned: Any, task: Task) -> dict[str, float | None]:
        calls.append(1)
        first, second = tuned.evidence(IMAGES), tuned.evidence(IMAGES)
        return {"accuracy": float(task.shots), "same": float(first is second), "none": None}

    return Bench(_task, _task, [measure], [lambda tuned, task: {"new_accuracy": 0.5}], {"data": "toy"})


IMAGES = _features(3)
METHODS: dict[str, TuneMethod] = {"zero_shot": ZeroShot(), "spy": Spy()}


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    LOG.fits.clear()
    LOG.die_at = None


def test_zero_shots_come_once_and_seeds_in_turn() -> None:
    cells = cells_of(["zero_shot", "spy"], [0, 1, 2], [1, 2])
    assert cells[0] == Cell("zero_shot", 0, 1)
    assert cells[1:] == (Cell("spy", 1, 1), Cell("spy", 2, 1), Cell("spy", 1, 2), Cell("spy", 2, 2))


def test_a_killed_comparison_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    cells = cells_of(["spy"], [0, 1, 2], [1, 2])
    whole = run(_bench(), cells, METHODS, tmp_path / "whole")
    fits = list(LOG.fits)
    LOG.fits.clear()
    LOG.die_at = 5
    with pytest.raises(KilledError):
        run(_bench(), cells, METHODS, tmp_path / "killed")
    LOG.die_at = None
    resumed = run(_bench(), cells, METHODS, tmp_path / "killed")
    times = ("fit_seconds",)

    def plain(rows: Sequence[Any]) -> list[Any]:
        return [(r.cell, {k: v for k, v in r.figures.items() if k not in times}, r.error) for r in rows]

    assert plain(whole) == plain(resumed)
    # two fits a cell; the cell that was killed half-way began again, the finished ones did not
    assert len(fits) == 8
    assert len(LOG.fits) == 9
    again = run(_bench(), cells, METHODS, tmp_path / "killed")
    assert plain(again) == plain(whole)
    assert len(LOG.fits) == 9
    assert not (tmp_path / "killed" / "work").exists()


def test_figures_of_both_models_stand_in_one_row(tmp_path: Path) -> None:
    [row] = run(_bench(), [Cell("spy", 2, 1)], METHODS, tmp_path)
    assert row.figures["accuracy"] == 2.0
    assert row.figures["new_accuracy"] == 0.5
    assert row.figures["same"] == 1.0  # evidence is computed once for all measures
    assert row.figures["none"] is None
    assert row.figures["train_images"] == 4.0


def test_a_refusal_is_a_row_and_is_tried_again(tmp_path: Path) -> None:
    methods: dict[str, TuneMethod] = {"spy": Spy(strength=0.0)}
    cells = [Cell("spy", 2, 2), Cell("spy", 1, 2)]
    refused, fine = run(_bench(), cells, methods, tmp_path)
    assert refused.error == "DataError: refused"
    assert fine.error is None
    before = len(LOG.fits)
    run(_bench(), cells, methods, tmp_path)
    assert len(LOG.fits) == before  # the fine one is kept, the refused one refuses before it fits


def test_what_was_measured_before_on_the_same_bench_stays(tmp_path: Path) -> None:
    run(_bench(), [Cell("spy", 4, 1)], METHODS, tmp_path)
    run(Bench(_task, None, [lambda tuned, task: {"accuracy": 0.0}], [], {"data": "other"}),
        [Cell("spy", 3, 1)], METHODS, tmp_path)  # fmt: skip
    rows = run(_bench(), [Cell("spy", 1, 1)], METHODS, tmp_path)
    assert [row.cell.shots for row in rows] == [1, 4]


def test_other_settings_or_data_are_other_cells(tmp_path: Path) -> None:
    cell = Cell("spy", 1, 1)
    run(_bench(), [cell], METHODS, tmp_path)
    run(_bench(), [cell], {"spy": Spy(strength=0.5)}, tmp_path)
    other = Bench(_task, None, [lambda tuned, task: {"accuracy": 0.0}], [], {"data": "other"})
    [row] = run(other, [cell], METHODS, tmp_path)
    assert row.figures["accuracy"] == 0.0
    written = sorted((tmp_path / "cells").glob("*.json"))
    assert len(written) == 3
    assert {json.loads(path.read_text("utf-8"))["settings"] for path in written} == {
        "Spy(strength=1.0)",
        "Spy(strength=0.5)",
    }
