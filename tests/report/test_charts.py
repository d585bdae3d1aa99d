from pathlib import Path

import pytest
from PIL import Image

from awase.errors import DataError, ShapeError
from awase.report.charts import draw_chart
from awase.report.matrix_figure import draw_matrix
from awase.report.measurement import Matrix
from awase.types import Chart, Line

X = (0.0, 0.5, 1.0)
STYLES = {
    "line": Chart("c", (Line("a", X, X, X, X), Line("b", X, (1.0, 0.5, 0.0))), marks={"here": 0.25}),
    "log": Chart("c", (Line("a", (1.0, 10.0, 100.0), X),), log_x=True),
    "many": Chart("c", (Line("a", tuple(map(float, range(99))), tuple(map(float, range(99)))),)),
    "steps": Chart("c", (Line("a", X, X), Line("b", X, X)), style="steps"),
    "one step": Chart("c", (Line("a", (0.5,), (2.0,)),), style="steps"),
    "points": Chart("c", (Line("a", X, X, (0.1, 0.4, 0.9), X),), style="points", diagonal=True),
    "bars": Chart("c", (Line("a", X, X),), style="bars"),
    "named bars": Chart(
        "c", (Line("a", (0.0,), (0.2,), (0.1,), (0.3,)), Line("b", (1.0,), (0.4,))), style="bars"
    ),
    "an empty line": Chart("c", (Line("a", X, X), Line("b", (), ()))),
}


def _draw(chart: Chart, path: Path, **words) -> str:
    draw_chart(chart, path, title="The title", x_label="across", y_label="up", **words)
    return path.read_text("utf-8") if path.suffix == ".svg" else ""


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_drawn_with_its_words_and_repeats(style: str, tmp_path: Path) -> None:
    text = _draw(STYLES[style], tmp_path / "a.svg")
    assert "The title" in text
    assert ("up" if style == "named bars" else "across") in text
    if len([line for line in STYLES[style].lines if line.x]) > 1:
        assert ">a<" in text
        assert ">b<" in text
    assert _draw(STYLES[style], tmp_path / "b.svg") == text
    assert str(tmp_path) not in text


def test_marks_lines_and_japanese_are_named(tmp_path: Path) -> None:
    text = _draw(STYLES["line"], tmp_path / "a.svg", labels={"a": "正解", "here": "ここ"})
    assert ">正解<" in text
    assert "ここ (0.25)" in text
    assert ">b<" in text


def test_names_out_of_the_data_begin_no_formula_and_no_markup(tmp_path: Path) -> None:
    chart = Chart("c", (Line("$\\frac{a}$ <b>", X, X), Line("x" * 300, X, X)))
    text = _draw(chart, tmp_path / "a.svg")
    assert "$\\frac{a}$ &lt;b&gt;" in text
    assert "x" * 60 not in text


def test_a_png_is_a_picture(tmp_path: Path) -> None:
    _draw(STYLES["points"], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1_000_000)) > 10


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no numbers"):
        _draw(Chart("c", (Line("a", (), ()),)), tmp_path / "a.svg")
    with pytest.raises(DataError, match=r"svg or .png"):
        _draw(STYLES["line"], tmp_path / "a.pdf")


@pytest.mark.parametrize("k", [1, 13, 50])
def test_matrices_of_any_size(k: int, tmp_path: Path) -> None:
    values = tuple(tuple(float(x == y) for x in range(k)) for y in range(k))
    matrix = Matrix("m", tuple(f"name {i}" for i in range(k)), values)
    for name in ("a.svg", "b.svg"):
        draw_matrix(matrix, tmp_path / name, title="Mixed up", x_label="answer", y_label="truth")
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert text == (tmp_path / "b.svg").read_text("utf-8")
    assert "Mixed up" in text
    assert ("name 0" in text) == (k <= 45)


def test_a_matrix_must_be_square_and_hold_shares(tmp_path: Path) -> None:
    with pytest.raises(ShapeError):
        Matrix("m", ("a", "b"), ((1.0,), (0.0,)))
    with pytest.raises(DataError, match="shares"):
        draw_matrix(Matrix("m", ("a",), ((2.0,),)), tmp_path / "a.svg", title="", x_label="", y_label="")
