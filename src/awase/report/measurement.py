"""card.md of a measurement: its numbers with intervals, its figures and what to know, in English or Japanese.

For people who decide and did not run it. Every name out of the data is escaped and stays text. Words of the
numbers are those of `transfer_wording`; the JSON beside the card has the names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from awase.errors import ShapeError
from awase.report.markdown import escape
from awase.report.transfer_wording import chart_words, estimate_words, note_words, phrase
from awase.types import Chart, Estimate, Language

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class CardTable:
    """A small table of a card, such as the classes that are mixed up most. Cells are plain text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Shares in [0, 1] by row and column, such as which class is taken for which.

    Attributes:
        name: key of the figure, also of its file and its words.
        labels: of rows and columns alike.
        values: row by row.
    """

    name: str
    labels: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        k = len(self.labels)
        if k == 0 or len(self.values) != k or any(len(row) != k for row in self.values):
            raise ShapeError(f"the matrix {self.name!r} must have a row and a column a label, {k} of each.")


def card_text(
    *,
    title: str,
    estimates: Sequence[Estimate],
    charts: Sequence[Chart | Matrix] = (),
    figures: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    sections: Sequence[CardTable] = (),
    language: Language = "en",
) -> str:
    """The card as Markdown.

    Args:
        title: of the page, in the language.
        estimates: the numbers, the most important first.
        charts: the figures.
        figures: name of each chart that was drawn, and its file.
        notes: in English; those that have a translation are translated.
        provenance: what repeats it; nested mappings are written with dots.
        sections: further tables.
        language: of all words.

    Example:
        >>> text = card_text(title="Test", estimates=[Estimate("x", 0.5, 0.4, 0.6, 10)])
        >>> text.splitlines()[0], "| x | 0.500 | 0.400 to 0.600 | 10 |" in text
        ('# Test', True)
    """
    parts = [f"# {escape(title)}", _numbers(estimates, language)]
    if notes:
        lines = "\n".join(f"- {escape(note_words(note, language))}" for note in notes)
        parts += [f"## {phrase('notes', language)}", lines]
    for section in sections:
        parts += [f"## {escape(section.title)}", _table(section)]
    drawn = figures or {}
    if shown := [chart for chart in charts if chart.name in drawn]:
        parts.append(f"## {phrase('figures', language)}")
        for chart in shown:
            words = chart_words(chart.name, language)
            parts.append(f"![{escape(words.title)}]({drawn[chart.name]})")
            if words.about:
                parts.append(escape(words.about))
    if provenance:
        lines = "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in _flat(provenance))
        parts += [f"## {phrase('provenance', language)}", lines]
    return "\n\n".join(parts) + "\n"


def _numbers(estimates: Sequence[Estimate], language: Language) -> str:
    """One line a number. What it is counted in is said in English only: its words say it in both."""
    has_unit = language == "en" and any(estimate.unit for estimate in estimates)
    heads = ["measure", "value", "interval", "n", *(["of"] if has_unit else [])]
    lines = [
        _row([phrase(head, language) for head in heads]),
        _row(["---", "---:", "---", "---:", *(["---"] if has_unit else [])]),
    ]
    for one in estimates:
        cells = [
            escape(estimate_words(one.name, language)),
            written(one.value, language),
            _interval(one, language),
            str(one.n),
        ]
        lines.append(_row(cells + ([escape(one.unit)] if has_unit else [])))
    return "\n".join(lines)


def written(value: float | None, language: Language = "en") -> str:
    """Three decimals, or four significant digits for what three decimals would hide.

    Example:
        >>> written(0.5), written(-5e-5), written(None), written(12345.0)
        ('0.500', '-5e-05', 'n/a', '12345')
    """
    if value is None:
        return phrase("no_value", language)
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.3f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _interval(estimate: Estimate, language: Language) -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    return f"{written(estimate.low)} {phrase('to', language)} {written(estimate.high)}"


def _table(section: CardTable) -> str:
    lines = [_row([escape(head) for head in section.head]), _row(["---"] * len(section.head))]
    lines += [_row([escape(cell) for cell in row]) for row in section.rows]
    return "\n".join(lines)


def _flat(value: Mapping[str, Any], name: str = "") -> list[tuple[str, str]]:
    """Nested mappings as (a.b, text); long lists are cut, and what is empty is left out."""
    found: list[tuple[str, str]] = []
    for key, part in value.items():
        path = f"{name}.{key}" if name else str(key)
        if isinstance(part, Mapping):
            found += _flat(part, path)
        elif part not in (None, ""):
            text = ", ".join(map(str, part)) if isinstance(part, list | tuple) else str(part)
            found.append((path, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"))
    return found


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
