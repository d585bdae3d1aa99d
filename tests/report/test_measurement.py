import re

import pytest

from awase.report.measurement import CardTable, card_text, written
from awase.report.transfer_wording import (
    PHRASES,
    chart_words,
    estimate_words,
    label_words,
    note_words,
)
from awase.report.words_charts import CHARTS, LABELS
from awase.report.words_estimates import ESTIMATES
from awase.report.words_notes import NOTES
from awase.types import Chart, Estimate, Line

JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
CHART = Chart("reliability", (Line("as_it_came", (0.5,), (0.5,)),))
FIGURES = [
    Estimate("top_1_accuracy", 0.5, 0.4, 0.6, 10, "share of the images"),
    Estimate("nll", None, None, None, 3),
]


def test_a_card_says_numbers_notes_tables_figures_and_what_repeats_it() -> None:
    text = card_text(
        title="A <b> title",
        estimates=FIGURES,
        charts=[CHART, Chart("not_drawn", ())],
        figures={"reliability": "reliability.svg"},
        notes=["Mind *this*."],
        sections=[CardTable("Worst", ("class", "n"), (("[dog](x)", "3"),))],
        provenance={
            "encoder": {"name": "tiny"},
            "seed": 0,
            "images": None,
            "templates": ("a {}.", "x" * 999),
        },
    )
    assert text.startswith("# A &lt;b&gt; title\n")
    assert (
        "| Accuracy\\: right at the first guess | 0.500 | 0.400 to 0.600 | 10 | share of the images |" in text
    )
    assert "| n/a | – | 3 |" in text
    assert "- Mind \\*this\\*\\." in text
    assert "\\[dog\\]\\(x\\)" in text
    assert "](reliability.svg)" in text
    assert "not_drawn" not in text
    assert "- encoder\\.name: tiny" in text
    assert "- seed: 0" in text
    assert "- images" not in text
    assert "x" * 301 not in text


def test_a_japanese_card_has_no_english_prose() -> None:
    text = card_text(
        title="ゼロショット分類",
        estimates=FIGURES,
        charts=[CHART],
        figures={"reliability": "reliability.svg"},
        notes=["Guessing among the 5 classes would be right in 20.0 % of the cases.", "An unknown note."],
        language="ja",
    )
    assert "正解率" in text
    assert "0.400 〜 0.600" in text
    assert "5 クラスから当てずっぽうに選んだ場合の正解率は 20\\.0 % です。" in text
    assert "An unknown note" in text  # better in English than not at all
    assert "share of the images" not in text
    assert "Guessing" not in text


def test_numbers_are_written_with_the_digits_that_matter() -> None:
    assert [written(v) for v in (0.0, 0.12345, -0.5, 1.5, 0.0012345, 123456.7)] == [
        "0.000", "0.123", "-0.500", "1.500", "0.001234", "123457",
    ]  # fmt: skip


@pytest.mark.parametrize("table", [PHRASES, ESTIMATES, CHARTS, LABELS])
def test_everything_is_said_in_both_languages(table) -> None:
    for name, words in table.items():
        assert set(words) == {"en", "ja"}, name
        for language, said in words.items():
            for text in said if isinstance(said, tuple) else (said,):
                assert text == text.strip(), name
                if language == "en":
                    assert not JAPANESE.search(text), name
            first = said[0] if isinstance(said, tuple) else said
            assert first, name


def test_notes_have_the_same_places_in_both_languages() -> None:
    for english, japanese in NOTES.items():
        assert set(re.findall(r"\{(\w+)\}", english)) == set(re.findall(r"\{(\w+)\}", japanese)), english
        values = {name: f"<{name}>" for name in re.findall(r"\{(\w+)\}", english)}
        assert note_words(english.format_map(values), "ja") == japanese.format_map(values)
        assert note_words(english, "en") == english


def test_words_are_found_by_number_and_by_the_first_part_of_a_name() -> None:
    assert estimate_words("top_5_accuracy", "en") == "Right among the first 5 guesses"
    assert (
        estimate_words("top_1_accuracy", "en") == "Accuracy: right at the first guess"
    )  # its own words first
    assert estimate_words("top_5_accuracy.a.b", "en") == "Right among the first 5 guesses: a.b"
    assert label_words("a class of the data 5.0", "ja") == "a class of the data 5.0"
    assert chart_words("reliability.a", "en").title == "Does confidence mean what it says?: a"


def test_every_estimate_of_classify_has_words() -> None:
    import torch

    from awase.functional.calibration import Temperature
    from awase.transfer._answers import answer
    from awase.transfer._classify import Settings, classification

    said = answer(torch.eye(7), torch.eye(7), torch.arange(7), temperature=0.1)
    found = classification(
        said,
        labels=list("abcdefg"),
        hashes=list("abcdefg"),
        settings=Settings(n_replicates=0),
        after=said,
        fitted=Temperature(1.0, True),
    )
    for estimate in found.estimates:
        assert estimate_words(estimate.name, "ja") != estimate.name
    for chart in found.charts:
        assert chart.name in CHARTS
    for note in found.notes:
        assert JAPANESE.search(note_words(note, "ja")), note
