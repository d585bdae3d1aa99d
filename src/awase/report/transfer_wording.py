"""The words of the transfer verbs' cards and figures, in English and Japanese, by the names of what is shown.

Whoever measures adds its own entries here, sorted by name. A name that is not listed is shown as it is, so
nothing fails for want of a word. Numbers and parts of a name are found by themselves: `recall_at_{}` covers
`recall_at_5`, and `class_accuracy` covers `class_accuracy.dog`.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from awase.types import Language


class ChartWords(NamedTuple):
    """Title and axes of a figure, and how it is to be read, in one or two sentences."""

    title: str
    x_label: str
    y_label: str
    about: str = ""


Words = Mapping[Language, str]

PHRASES: Final[dict[str, Words]] = {
    "classify_title": {"en": "Zero-shot classification", "ja": "ゼロショット分類"},
    "explain_title": {"en": "Why zero-shot works, or does not", "ja": "ゼロショットの成否の理由"},
    "files": {"en": "Files", "ja": "ファイル"},
    "figures": {"en": "Figures", "ja": "図"},
    "interval": {"en": "95 % interval", "ja": "95 % 区間"},
    "measure": {"en": "figure", "ja": "指標"},
    "n": {"en": "n", "ja": "件数"},
    "no_value": {"en": "n/a", "ja": "なし"},
    "notes": {"en": "What to know", "ja": "注意点"},
    "numbers": {"en": "Numbers", "ja": "数値"},
    "of": {"en": "of", "ja": "単位"},
    "prompts_title": {"en": "Prompt search", "ja": "プロンプトの探索"},
    "provenance": {"en": "How to repeat it", "ja": "再現に必要な情報"},
    "retrieve_title": {"en": "Retrieval between photos and captions", "ja": "画像とキャプションの相互検索"},
    "to": {"en": "to", "ja": "〜"},
    "value": {"en": "value", "ja": "値"},
}
"""Headings of every card."""

ESTIMATES: Final[dict[str, Words]] = {}
"""What each number means, as a reader who knows no jargon would say it; `{}` stands for a number."""

CHARTS: Final[dict[str, Mapping[Language, ChartWords]]] = {}
"""Each figure by the name of its chart."""

LABELS: Final[dict[str, Words]] = {}
"""Lines and marks of figures."""

NOTES: Final[dict[str, str]] = {}
"""A note in English, with `{name}` where it differs from run to run, and the same in Japanese."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def phrase(name: str, language: Language) -> str:
    """A heading."""
    return PHRASES[name][language]


def estimate_words(name: str, language: Language) -> str:
    """What a number means; the name itself where it has no words.

    Example:
        >>> estimate_words("no_such_number", "en")
        'no_such_number'
    """
    return _found(ESTIMATES, name, language)


def label_words(label: str, language: Language) -> str:
    """A line or a mark of a figure; the label itself, such as the name of a class, where it has no words."""
    return _found(LABELS, label, language)


def chart_words(name: str, language: Language) -> ChartWords:
    """Title, axes and reading of a figure; the name as title where it has no words.

    Example:
        >>> chart_words("no_such_chart", "ja").title
        'no_such_chart'
    """
    for known in (name, name.partition(".")[0]):
        if known in CHARTS:
            words = CHARTS[known][language]
            rest = name[len(known) + 1 :]
            return words._replace(title=f"{words.title}: {rest}") if rest else words
    return ChartWords(name, "", "")


def note_words(note: str, language: Language) -> str:
    """A note in the language; as it is where nobody has translated it.

    Example:
        >>> note_words("anything", "ja")
        'anything'
    """
    if language == "en":
        return note
    for english, japanese in NOTES.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(english))
        if found := re.fullmatch(pattern, note, re.DOTALL):
            return japanese.format_map(found.groupdict())
    return note


def _found(table: Mapping[str, Words], name: str, language: Language) -> str:
    known, rest = name, ""
    while True:
        numbered = _NUMBER.sub("{}", known)
        for key in (known, numbered):
            if key in table:
                words = table[key][language]
                words = words.format(*_NUMBER.findall(known)) if key == numbered else words
                return f"{words}: {rest}" if rest else words
        known, dot, last = known.rpartition(".")
        if not dot:
            return name
        rest = f"{last}.{rest}" if rest else last
