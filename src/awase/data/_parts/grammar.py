"""Claims to sentences, in English and Japanese: which words, in which order, and what every word stands for.

A sentence is a list of pieces; a piece that says something knows its kind, its value and its mention. Two
renderings with the same numbers differ only where their claims do. Synonyms, openings and closings are drawn
apart from the scene: they are what only the text knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from awase.data._parts.claims import SAID_OF_PARTS, Claims, Mention
from awase.data._parts.telling import FIRST_MENTION, PER_MENTION
from awase.data._parts.vocabulary import WORDS


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word of a caption that says something of the scene: caption[start:end] == text.

    Attributes:
        kind: shape, colour, size, texture, defect, relation, background or count.
        value: what it stands for.
        mention: which mention it belongs to, None for words about the whole scene.
    """

    text: str
    start: int
    end: int
    kind: str
    value: str
    mention: int | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """How captions are worded.

    Attributes:
        language: `en` or `ja`.
        synonyms: share of words taken from the less usual ones.
        asides: share of captions with an opening, and with a closing.
    """

    language: str
    synonyms: float
    asides: float


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    kind: str = ""
    value: str = ""
    mention: int | None = None


_OPENINGS = {
    "en": ("a photo of ", "a picture of ", "here is ", "this shows ", "close-up of ", "on the bench today: "),
    "ja": ("写真：", "検査画像：", "今日の作業台：", "記録：", "拡大：", "資料："),
}
_CLOSINGS = {
    "en": (", taken at noon", ", from the catalogue", ", for the records", ", seen by Mika", ", batch seven"),
    "ja": ("（昼に撮影）", "（カタログより）", "（記録用）", "（美香撮影）", "（第七ロット）"),
}


def render(claims: Claims, style: Style, at: Sequence[float]) -> tuple[str, tuple[SaidWord, ...]]:
    """The sentence and the words in it that say something.

    Args:
        claims: what is said.
        style: language, synonyms and asides.
        at: the numbers of the caption, see `telling`.
    """
    body = _english(claims, style, at) if style.language == "en" else _japanese(claims, style, at)
    opening = _aside(_OPENINGS[style.language], style, at[0])
    closing = _aside(_CLOSINGS[style.language], style, at[1])
    words, length, texts = [], 0, []
    for piece in [_Piece(opening), *body, _Piece(closing)]:
        end = length + len(piece.text)
        if piece.kind:
            words.append(SaidWord(piece.text, length, end, piece.kind, piece.value, piece.mention))
        texts.append(piece.text)
        length = end
    return "".join(texts), tuple(words)


def _english(claims: Claims, style: Style, at: Sequence[float]) -> list[_Piece]:
    mentions = [_english_mention(m, k, style, at) for k, m in enumerate(claims.mentions)]
    if claims.relation is not None:
        body = [*mentions[0], *_english_relation(claims.relation, at[7]), *mentions[1]]
    else:
        body = _joined(mentions, [", ", " and "])
    if claims.total is not None:
        noun = _pick(WORDS["en"]["noun"]["part"], style, at[9]) + "s"
        including = (", among them ", " including ", " with ")[int(at[7] * 3)]
        body = [_count(claims.total, style, at[10]), _Piece(f" {noun}{including}"), *body]
    if claims.background is not None:
        before = (" on ", " lying on ", " against ")[int(at[7] * 997 % 3)]
        body += [_Piece(before), _said("background", claims.background, style, at[8])]
    return body


def _english_relation(word: str, at: float) -> list[_Piece]:
    piece = _Piece(word, "relation", word)
    if word in ("above", "below"):
        return [_Piece((" ", " just ", " somewhere ")[int(at * 3)]), piece, _Piece(" ")]
    before, after = ((" ", " of "), (" to the ", " of "), (" on the ", " side of "))[int(at * 3)]
    return [_Piece(before), piece, _Piece(after)]


def _english_mention(mention: Mention, place: int, style: Style, at: Sequence[float]) -> list[_Piece]:
    words = _words_of(mention, place, style, at)
    if mention.shape is None:
        words.append(_Piece(_pick(WORDS["en"]["noun"]["part"], style, _own(at, place, 4))))
    if mention.number > 1:
        noun = words[-1]
        words[-1] = _Piece(_plural(noun.text), noun.kind, noun.value, noun.mention)
        return _joined([[_count(mention.number, style, at[10], place)], *([word] for word in words)], [" "])
    article = "an " if words[0].text[0] in "aeiou" else "a "
    return [_Piece(article), *_joined([[word] for word in words], [" "])]


def _japanese(claims: Claims, style: Style, at: Sequence[float]) -> list[_Piece]:
    mentions = [_japanese_mention(m, k, style, at) for k, m in enumerate(claims.mentions)]
    if claims.relation is not None:
        side = _said("relation", claims.relation, style, 0.0)
        body = [*mentions[1], _Piece("の"), side, _Piece(("にある", "側にある", "側の")[int(at[7] * 3)])]
        body += mentions[0]
    else:
        body = _joined(mentions, ["と"])
    if claims.total is not None:
        noun = _pick(("部品", "もの"), style, at[9])
        body += [_Piece("を含む"), _count(claims.total, style, at[10]), _Piece(f"の{noun}")]
    if claims.background is not None:
        after = ("の上の", "の上に置かれた", "を背景にした")[int(at[7] * 997 % 3)]
        body = [_said("background", claims.background, style, at[8]), _Piece(after), *body]
    return body


def _japanese_mention(mention: Mention, place: int, style: Style, at: Sequence[float]) -> list[_Piece]:
    words = _words_of(mention, place, style, at)
    if mention.shape is None:
        words.append(_Piece(_pick(WORDS["ja"]["noun"]["part"], style, _own(at, place, 4))))
    if mention.number > 1:
        return [_count(mention.number, style, at[10], place), _Piece("の"), *words]
    return words


def _words_of(mention: Mention, place: int, style: Style, at: Sequence[float]) -> list[_Piece]:
    told = [(k, name, getattr(mention, name)) for k, name in enumerate(SAID_OF_PARTS)]
    return [
        _said(name, value, style, _own(at, place, k), place) for k, name, value in told if value is not None
    ]


def _said(kind: str, value: str, style: Style, at: float, mention: int | None = None) -> _Piece:
    return _Piece(_pick(WORDS[style.language][kind][value], style, at), kind, value, mention)


def _count(number: int, style: Style, at: float, mention: int | None = None) -> _Piece:
    return _said("count", str(number), style, at, mention)


def _pick(words: Sequence[str], style: Style, at: float) -> str:
    """The usual word, or with the chance of synonyms one of the others."""
    if at >= style.synonyms or len(words) == 1:
        return words[0]
    return words[1 + int(at / style.synonyms * (len(words) - 1))]


def _aside(phrases: Sequence[str], style: Style, at: float) -> str:
    return phrases[int(at / style.asides * len(phrases))] if at < style.asides else ""


def _own(at: Sequence[float], place: int, k: int) -> float:
    """The number that chooses the word for the k-th attribute of a mention."""
    return at[FIRST_MENTION + PER_MENTION * place + len(SAID_OF_PARTS) + k]


def _joined(groups: Sequence[list[_Piece]], between: Sequence[str]) -> list[_Piece]:
    """Groups with the last separator before the last group and the first one before the others."""
    pieces = list(groups[0])
    for number, group in enumerate(groups[1:], 2):
        pieces += [_Piece(between[-1] if number == len(groups) else between[0]), *group]
    return pieces


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")
