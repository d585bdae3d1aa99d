import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from awase.cli._transfer_output import show_measurement, write_measurement
from awase.report.measurement import Matrix
from awase.types import Chart, Estimate, Line

FIGURES = [Estimate("top_1_accuracy", 0.5, 0.4, 0.6, 10)]
CHART = Chart("reliability", (Line("as_it_came", (0.5, 0.7), (0.5, float("inf"))),))


def _write(folder: Path, **more):
    return write_measurement(folder, title="Test", estimates=FIGURES, **more)


def test_a_folder_holds_numbers_card_figures_and_rows(tmp_path: Path) -> None:
    home = {"encoder": {"name": str(Path.home() / "model")}}
    matrix = Matrix("confusion", ("a", "b"), ((1.0, 0.0), (0.0, 1.0)))
    written = _write(
        tmp_path,
        charts=[CHART, Chart("empty", ())],
        matrices=[matrix],
        notes=["Mind this."],
        provenance=home,
        tables=[("rows", pa.table({"id": ["1"]}))],
        details={"more": [1.0, float("nan")]},
    )
    assert set(written.files) == {path.name for path in tmp_path.iterdir()}
    assert set(written.files) == {
        "metrics.json", "card.md", "reliability.svg", "confusion.svg", "rows.parquet",
    }  # fmt: skip
    content = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert content == written.content
    assert content["estimates"] == [asdict(FIGURES[0])]
    assert content["charts"][0]["lines"][0]["y"] == [0.5, None]
    assert content["encoder"]["name"] == "~/model"
    assert content["more"] == [1.0, None]
    assert content["notes"] == ["Mind this."]
    assert "awase" in content["versions"]
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == [{"id": "1"}]
    card = (tmp_path / "card.md").read_text("utf-8")
    assert "](confusion.svg)" in card
    assert str(Path.home()) not in card


def test_files_of_an_earlier_measurement_go_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", "utf-8")
    (tmp_path / "mine.svg").write_text("keep", "utf-8")
    _write(tmp_path, charts=[CHART], tables=[("rows", pa.table({"id": ["1"]}))])
    _write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "card.md", "mine.txt", "mine.svg"}


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"awase_measurement": 1, "files": ["../x.svg", 3, "a.py"]}']
)
def test_a_strange_metrics_file_takes_nothing_away(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "x.svg").write_text("keep", "utf-8")
    (folder / "a.py").write_text("keep", "utf-8")
    (folder / "metrics.json").write_text(text, "utf-8")
    _write(folder)
    assert (tmp_path / "x.svg").is_file()
    assert (folder / "a.py").is_file()


def test_printing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = _write(tmp_path, notes=["Mind this."])
    show_measurement(written, tmp_path, estimates=FIGURES, json_only=True)
    assert json.loads(capsys.readouterr().out) == written.content
    show_measurement(written, tmp_path, estimates=FIGURES, quiet=True)
    assert capsys.readouterr().out == ""
    show_measurement(written, tmp_path, estimates=FIGURES, lines=["And more."])
    said = capsys.readouterr().out
    for words in ("top_1_accuracy", "0.400", "Mind this.", "And more.", "metrics.json"):
        assert words in said


def test_without_matplotlib_a_note_says_so(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["matplotlib"] = None
from pathlib import Path
from awase.cli._transfer_output import write_measurement
from awase.types import Chart, Estimate, Line
chart = Chart("c", (Line("a", (0.0, 1.0), (0.0, 1.0)),))
written = write_measurement(Path({str(tmp_path)!r}), title="t", estimates=[], charts=[chart], language="ja")
print(written.files, written.content["notes"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "awase[plots]" in done.stdout
    assert ".svg" not in done.stdout
    assert "図は作成していません" in (tmp_path / "card.md").read_text("utf-8")


def test_names_out_of_the_data_are_no_words_of_ours(tmp_path: Path) -> None:
    lines = (Line("after_fit", (0.0,), (0.5,)), Line("right_answers", (1.0,), (0.7,)))
    charts = [Chart("class_accuracy", lines, style="bars"), Chart("confidence", lines)]
    _write(tmp_path, charts=charts, language="ja")
    assert ">after_fit<" in (tmp_path / "class_accuracy.svg").read_text("utf-8")
    assert ">温度調整後<" in (tmp_path / "confidence.svg").read_text("utf-8")
