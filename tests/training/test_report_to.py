"""What TensorBoard reads back is what was logged, and a resumed run hides what the killed one had written."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from awase.training.loop import Report

events = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the extra train is not installed"
)
report_to = pytest.importorskip("awase.training.report_to")


def read(folder: Path) -> Mapping[str, list[tuple[int, float]]]:
    read_back = events.EventAccumulator(str(folder)).Reload()
    return {
        name: [(event.step, round(event.value, 4)) for event in read_back.Scalars(name)]
        for name in read_back.Tags()["scalars"]
    }


def test_numbers_come_back(tmp_path: Path) -> None:
    report = report_to.TensorBoard(tmp_path)
    assert isinstance(report, Report)
    report.log(10, {"loss": 0.5, "learning_rate": 0.1})
    report.log(20, {"loss": 0.25, "learning_rate": 0.05})
    report.close()
    report.close()
    assert read(tmp_path) == {
        "train/loss": [(10, 0.5), (20, 0.25)],
        "train/learning_rate": [(10, 0.1), (20, 0.05)],
    }


def test_a_resumed_run_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    killed = report_to.TensorBoard(tmp_path)
    for step in (10, 20, 30):
        killed.log(step, {"loss": 1.0})
    killed.close()
    resumed = report_to.TensorBoard(tmp_path)
    for step in (20, 30, 40):  # saved after step 10
        resumed.log(step, {"loss": 2.0})
    resumed.close()
    assert read(tmp_path) == {"train/loss": [(10, 1.0), (20, 2.0), (30, 2.0), (40, 2.0)]}


def test_nothing_is_written_before_there_is_something_to_say(tmp_path: Path) -> None:
    report = report_to.TensorBoard(tmp_path / "board")
    assert repr(report) == f"TensorBoard({tmp_path / 'board'!r})"
    report.close()
    assert not (tmp_path / "board").exists()
