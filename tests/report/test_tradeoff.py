"""The comparison's table, page and figure say what was measured, in both languages."""

import xml.etree.ElementTree as ET

import pytest

from awase.errors import DataError
from awase.report.tradeoff import SCHEMA, Measured, markdown, means, table


def rows() -> list[Measured]:
    found = [Measured("zero_shot", 0, 1, {"accuracy": 0.5, "auroc/mcm/mean": 0.8, "fpr/mcm/mean": 0.6})]
    for seed, accuracy in ((1, 0.6), (2, 0.7), (3, 0.8)):
        figures = {
            "accuracy": accuracy,
            "auroc/mcm/mean": 0.9,
            "fpr/mcm/mean": 0.4,
            "auroc/mcm/scrap": 0.9,
            "new_accuracy": None,
            "zero_shot/pets": 0.25,
            "class_shift": 0.0123,
            "parameters": 2048.0,
            "fit_seconds": 1.25,
        }
        found.append(Measured("coop", 4, seed, figures))
    return [*found, Measured("lora", 4, 1, {}, "EncoderError: no | towers")]


def test_means_have_students_interval_and_count_their_seeds() -> None:
    mean = means(rows())["coop", 4]["accuracy"]
    assert (mean.value, mean.n) == (pytest.approx(0.7), 3)
    assert mean.high - mean.value == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    alone = means(rows())["zero_shot", 0]["accuracy"]
    assert (alone.value, alone.low, alone.n) == (0.5, None, 1)
    assert means(rows())["coop", 4]["new_accuracy"].value is None
    assert ("lora", 4) not in means(rows())


def test_the_table_holds_every_mean() -> None:
    found = table(means(rows()))
    assert found.schema == SCHEMA
    by_name = {(row["method"], row["figure"]): row for row in found.to_pylist()}
    assert by_name["coop", "auroc/mcm/scrap"]["mean"] == pytest.approx(0.9)
    assert by_name["coop", "new_accuracy"]["mean"] is None
    assert by_name["zero_shot", "accuracy"]["low"] is None


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page(language: str) -> None:
    page = markdown(
        rows(),
        scores=["mcm"],
        tpr=0.95,
        tested=400,
        classes=10,
        figure="comparison.svg",
        notes=["3 images of scrap/ could not be read <b>."],
        language=language,
    )
    lines = page.splitlines()
    assert "](comparison.svg)" in page
    coop = next(line for line in lines if line.startswith("| coop"))
    assert "70.0 ± 24.8" in coop
    assert "2,048" in coop
    assert ("cannot" if language == "en" else "不可") in coop
    assert next(line for line in lines if line.startswith("| zero_shot")).split("|")[3].strip() == "50.0"
    assert "0.0123 ± 0.0000" in page
    assert "lora, 4, 1: EncoderError" in page
    assert "<b>" not in page
    assert ("Student's t" in page) == (language == "en")
    assert ("枚数" in page) == (language == "ja")
    widths = {line.count("|") for line in lines if line.startswith(("| coop", "| zero_shot", "| method"))}
    assert len(widths) <= 3  # three grids, each of one width


def test_another_language_is_refused() -> None:
    with pytest.raises(DataError, match="en and ja"):
        markdown(rows(), scores=["mcm"], tpr=0.95, tested=1, classes=2, language="de")


def test_the_figure_names_every_method_and_is_the_same_twice() -> None:
    figure = pytest.importorskip("awase.report.tradeoff_figure")
    found = means(rows())
    svg = figure.draw(found, score="mcm", kind="svg")
    ET.fromstring(svg)
    assert b"coop" in svg
    assert b"zero_shot" in svg
    assert b"lora" not in svg
    assert svg == figure.draw(found, score="mcm", kind="svg")
    assert figure.draw(found, score="mcm", kind="png").startswith(b"\x89PNG")


def test_a_figure_of_nothing_is_refused() -> None:
    figure = pytest.importorskip("awase.report.tradeoff_figure")
    with pytest.raises(DataError, match="nothing to draw"):
        figure.draw(means(rows()), score="knn")
    with pytest.raises(DataError, match="svg or png"):
        figure.draw(means(rows()), score="mcm", kind="pdf")
