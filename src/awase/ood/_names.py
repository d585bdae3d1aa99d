"""Names of classes that would spoil a measurement: the same twice, or an unknown class that is a known one.

Two classes of one name share the softmax between them, so every image of theirs looks unknown. An unknown
class that is a known one under another word (or a kind of one: husky where dog is known) counts right
answers as wrong. Equality needs nothing; kinds are asked of WordNet where its database is found.
"""

import warnings
from collections.abc import Sequence

from awase.ood._lexicon import WordNet, key

_SHOWN = 10


def duplicate_names(class_names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that are one and the same without case, underscores and spaces.

    Example:
        >>> duplicate_names(["Dog", "cat", "dog "])
        (('Dog', 'dog '),)
    """
    groups: dict[str, list[str]] = {}
    for name in class_names:
        groups.setdefault(key(name), []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def overlapping_names(
    class_names: Sequence[str], ood_names: Sequence[str], wordnet: WordNet | None = None
) -> tuple[tuple[str, str], ...]:
    """Pairs of an unknown class and the known one that it is.

    Args:
        class_names: the known classes.
        ood_names: the unknown ones.
        wordnet: finds synonyms and kinds as well; None compares the names alone.

    Example:
        >>> overlapping_names(["dog", "cat"], ["Dog", "texture"])
        (('Dog', 'dog'),)
    """
    covered = [
        (name, wordnet.covered_by_one(name) if wordnet is not None else frozenset({key(name)}))
        for name in class_names
    ]
    return tuple((ood, name) for ood in ood_names for name, words in covered if key(ood) in words)


def warn_of_duplicates(class_names: Sequence[str]) -> None:
    """Warn with the list where class names are not distinct."""
    if groups := duplicate_names(class_names):
        listed = "; ".join(" = ".join(map(repr, group)) for group in groups[:_SHOWN])
        warnings.warn(
            f"{len(groups)} class names occur more than once ({_cut(listed, len(groups))}): they share their "
            "probability, so their images look unknown; merge them or tell them apart.",
            stacklevel=2,
        )


def warn_of_overlap(
    class_names: Sequence[str], ood_names: Sequence[str], wordnet: WordNet | None = None
) -> None:
    """Warn with the list where unknown classes are known ones, or kinds of them."""
    if pairs := overlapping_names(class_names, ood_names, wordnet):
        listed = "; ".join(f"{ood!r} is {name!r}" for ood, name in pairs[:_SHOWN])
        how = "" if wordnet is not None else " (names alone were compared: no WordNet)"
        warnings.warn(
            f"{len(pairs)} unknown classes are known ones or kinds of them ({_cut(listed, len(pairs))}): "
            f"leave them out, or right answers count as wrong{how}.",
            stacklevel=2,
        )


def _cut(listed: str, n: int) -> str:
    return listed if n <= _SHOWN else f"{listed}; and {n - _SHOWN} more"
