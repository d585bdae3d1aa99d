"""One word of a caption exchanged so that the caption becomes wrong, with the kind of the word.

The caption is rendered again from claims that differ in one value; an exchange that would ask for another
word as well (a, an) or that leaves the caption true or arguable is not made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from awase.data._parts.claims import Claims
from awase.data._parts.grammar import SaidWord, Style, render
from awase.data._parts.scenes import Scene
from awase.data._parts.vocabulary import DEFECTS, OPPOSITE, VALUES

KINDS = ("colour", "shape", "size", "texture", "relation", "background", "count", "defect")


@dataclass(frozen=True, slots=True)
class Edit:
    """A caption that is wrong in one word: text[start:end] == word.

    Attributes:
        text: the wrong caption.
        start: where the wrong word begins in it; `end` where it ends.
        word: the wrong word.
        original: the word of the true caption, which stands at `start` there.
        kind: colour, shape, size, texture, relation, background, count or defect.
        value: what the wrong word stands for.
        original_value: what the true word stands for.
    """

    text: str
    start: int
    end: int
    word: str
    original: str
    kind: str
    value: str
    original_value: str


def edits(
    scene: Scene,
    claims: Claims,
    style: Style,
    at: Sequence[float],
    *,
    counts: int,
) -> tuple[Edit, ...]:
    """Every one-word edit of a caption that makes it wrong, in the order of words and values.

    Args:
        scene: what the caption belongs to.
        claims: what it says.
        style: how it is worded.
        at: its numbers.
        counts: largest number of parts in this world: number words go up to it, and at least to three.
    """
    text, words = render(claims, style, at)
    found = []
    for position, word in enumerate(words):
        for value in _values(word, max(counts, 3)):
            changed = _changed(claims, word, value)
            if not changed.are_clearly_false(scene):
                continue
            wrong, new = render(changed, style, at)
            there = new[position]
            same = wrong[: there.start] == text[: word.start] and wrong[there.end :] == text[word.end :]
            if same and there.text != word.text:
                found.append(
                    Edit(wrong, there.start, there.end, there.text, word.text, word.kind, value, word.value)
                )
    return tuple(found)


def _values(word: SaidWord, counts: int) -> list[str]:
    """What could stand in the word's place."""
    if word.kind == "relation":
        return [OPPOSITE[word.value]]  # the other two may be true as well
    if word.kind == "count":
        known: Sequence[str] = [str(number) for number in range(2, counts + 1)]
    else:
        known = DEFECTS if word.kind == "defect" else VALUES[word.kind]
    return [value for value in known if value != word.value]


def _changed(claims: Claims, word: SaidWord, value: str) -> Claims:
    if word.mention is None:
        if word.kind == "count":
            return replace(claims, total=int(value))
        return (
            replace(claims, background=value)
            if word.kind == "background"
            else replace(claims, relation=value)
        )
    mentions = list(claims.mentions)
    change: dict[str, Any] = {"number": int(value)} if word.kind == "count" else {word.kind: value}
    mentions[word.mention] = replace(mentions[word.mention], **change)
    return replace(claims, mentions=tuple(mentions))
