"""The words of the transfer verbs' cards and figures, in English and Japanese, by the names of what is shown.

The tables are `words_estimates`, `words_charts` and `words_notes`; headings stand here. A name that is not
listed is shown as it is, so nothing fails for want of a word. Numbers and parts of a name are found by
themselves.
"""

import re
from collections.abc import Mapping
from typing import Final

from awase.report.words_charts import CHARTS, LABELS, NAMED_BY_DATA, ChartWords
from awase.report.words_estimates import ESTIMATES, Words
from awase.report.words_notes import NOTES
from awase.types import Language

PHRASES: Final[dict[str, Words]] = {
    "best_caption": {"en": "its nearest caption", "ja": "正しいキャプション（最も近いもの）"},
    "caption": {"en": "caption", "ja": "キャプション"},
    "first_caption": {"en": "caption that stands first", "ja": "1 位のキャプション"},
    "first_photo": {"en": "photo that stands first", "ja": "1 位の画像"},
    "photo": {"en": "photo", "ja": "画像"},
    "place": {"en": "place of the right one", "ja": "正解の順位"},
    "right_and_first_score": {"en": "cosine: right / first", "ja": "コサイン：正解 / 1 位"},
    "worst_captions": {"en": "Captions whose photo is found last", "ja": "画像が見つかりにくいキャプション"},
    "worst_photos": {"en": "Photos whose captions are found last", "ja": "キャプションが見つかりにくい画像"},
    "accuracy": {"en": "accuracy", "ja": "正解率"},
    "class": {"en": "class", "ja": "クラス"},
    "classify_title": {"en": "Zero-shot classification", "ja": "ゼロショット分類"},
    "explain_title": {"en": "Why zero-shot works, or does not", "ja": "ゼロショットの成否の理由"},
    "files": {"en": "Files", "ja": "ファイル"},
    "figures": {"en": "Figures", "ja": "図"},
    "images": {"en": "images", "ja": "枚数"},
    "interval": {"en": "95 % interval", "ja": "95 % 区間"},
    "mistaken_for": {"en": "most often taken for", "ja": "最も多い誤答"},
    "mixed_classes": {"en": "Classes that are mixed up most", "ja": "混同の多いクラス"},
    "measure": {"en": "figure", "ja": "指標"},
    "n": {"en": "n", "ja": "件数"},
    "no_value": {"en": "n/a", "ja": "なし"},
    "notes": {"en": "What to know", "ja": "注意点"},
    "numbers": {"en": "Numbers", "ja": "数値"},
    "of": {"en": "of", "ja": "単位"},
    "prompts_title": {"en": "Prompt search", "ja": "プロンプトの探索"},
    "provenance": {"en": "How to repeat it", "ja": "再現に必要な情報"},
    "retrieve_title": {"en": "Retrieval between photos and captions", "ja": "画像とキャプションの相互検索"},
    "share": {"en": "share of the class", "ja": "クラス内の割合"},
    "taken_for": {"en": "taken for", "ja": "誤答"},
    "to": {"en": "to", "ja": "〜"},
    "value": {"en": "value", "ja": "値"},
    "worst_classes": {"en": "Classes with the lowest accuracy", "ja": "正解率の低いクラス"},
    "pairs_title": {"en": "Model trained on photos and captions", "ja": "画像とキャプションで学習したモデル"},
}
"""Headings of every card."""

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


def label_words(label: str, language: Language, *, chart: str = "") -> str:
    """A line or a mark of a figure; the label itself, such as the name of a class, where it has no words.

    Example:
        >>> label_words("after_fit", "en"), label_words("after_fit", "en", chart="class_accuracy")
        ('after temperature scaling', 'after_fit')
    """
    return label if chart in NAMED_BY_DATA else _found(LABELS, label, language)


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
