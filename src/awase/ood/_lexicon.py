"""WordNet's nouns and adjectives, and what lies below a word, from the database as Princeton hands it out.

Reads the two text files `data.noun` and `data.adj` (format: wndb(5WN)) that Debian's wordnet-base and NLTK's
`wordnet` package both hold; no library is needed. Left out: verbs, adverbs, glosses, other languages.
"""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from awase.errors import DataError

_FILES = ("data.noun", "data.adj")
_MISSING = (
    "WordNet's database is needed for its nouns and adjectives and was not found ({looked}). Install the "
    "package `wordnet-base` of Debian or Ubuntu; or run `python -m nltk.downloader wordnet` and unzip the "
    "wordnet.zip that it fetches where it lies; or name the folder with data.noun and data.adj (setting "
    "wordnet, or WNSEARCHDIR). Words of your own need no database: settings nouns and adjectives."
)


class Synset(NamedTuple):
    """One meaning.

    Attributes:
        words: for it, as WordNet writes them.
        parents: the wider meanings it belongs to.
        is_instance: a single thing (Paris), not a kind of thing.
    """

    words: tuple[str, ...]
    parents: tuple[int, ...]
    is_instance: bool


@dataclass(frozen=True, eq=False)
class WordNet:
    """Meanings by their number.

    Attributes:
        nouns: noun meanings.
        adjectives: adjective meanings.
    """

    nouns: Mapping[int, Synset]
    adjectives: Mapping[int, Synset]

    def common_nouns(self) -> tuple[str, ...]:
        """Nouns that are no proper names, with spaces, sorted: no single things, no capital letters."""
        return _readable(self.nouns.values())

    def plain_adjectives(self) -> tuple[str, ...]:
        """Adjectives without capital letters, with spaces, sorted."""
        return _readable(self.adjectives.values())

    def covered_by(self, names: Iterable[str]) -> frozenset[str]:
        """Words that mean what one of the names means in any of its senses, or a kind of it, or an example.

        Args:
            names: class names; several names with commas between are all meant. A name that WordNet does not
                know covers itself alone, after a plural's s was tried without it.

        Returns:
            Words in `key`'s form.
        """
        return frozenset().union(*(self.covered_by_one(name) for name in names))

    def covered_by_one(self, name: str) -> frozenset[str]:
        """As `covered_by`, for one name."""
        by_word, children = _index(self)
        forms = {key(part) for part in (name, *name.split(","))} - {""}
        forms |= {form[:-1] for form in forms if form not in by_word and form.endswith("s")}
        covered, waiting = set(forms), [offset for form in forms for offset in by_word.get(form, ())]
        seen: set[int] = set()
        while waiting:
            offset = waiting.pop()
            if offset not in seen:
                seen.add(offset)
                covered.update(key(word) for word in self.nouns[offset].words)
                waiting += children.get(offset, ())
        return frozenset(covered)


def key(word: str) -> str:
    """How words are compared: lower case, one space between parts, no underscores.

    Example:
        >>> key(" Golden_Retriever")
        'golden retriever'
    """
    return " ".join(word.replace("_", " ").casefold().split())


def find_wordnet(folder: str | Path | None = None) -> Path | None:
    """The folder with WordNet's database; None where there is none.

    Args:
        folder: looked into first and alone where it is given; it, or its `dict`, holds data.noun.
    """
    places = [Path(folder).expanduser()] if folder is not None else list(_places())
    for place in places:
        for candidate in (place, place / "dict"):
            if all((candidate / name).is_file() for name in _FILES):
                return candidate
    return None


def open_wordnet(folder: str | Path | None = None) -> WordNet:
    """WordNet, read once per folder; takes about a second.

    Args:
        folder: holds data.noun and data.adj; None looks where WordNet usually lies.

    Raises:
        DataError: it is not there; the message says how to get it. Or a file is damaged.
    """
    found = find_wordnet(folder)
    if found is None:
        looked = str(folder) if folder is not None else "WNSEARCHDIR, NLTK data, /usr/share/wordnet"
        raise DataError(_MISSING.format(looked=f"looked in: {looked}"))
    return _read(found)


@lru_cache(maxsize=2)
def _read(folder: Path) -> WordNet:
    nouns, adjectives = (dict(_synsets(folder / name)) for name in _FILES)
    return WordNet(nouns, adjectives)


def _synsets(path: Path) -> Iterator[tuple[int, Synset]]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if line.startswith(" ") or not line.strip():  # the licence at the top
                continue
            # offset lexfile type n_words (word id)* n_pointers (symbol offset type source-target)* | gloss
            fields = line.partition(" | ")[0].split()
            try:
                first = 5 + 2 * int(fields[3], 16)  # of the pointers
                last = first + 4 * int(fields[first - 1])
                symbols, targets = fields[first:last:4], fields[first + 1 : last : 4]
                parents = [int(to) for symbol, to in zip(symbols, targets, strict=True) if symbol[:1] == "@"]
                words = [word.partition("(")[0] for word in fields[4 : first - 1 : 2]]  # afloat(p)
                yield int(fields[0]), Synset(tuple(words), tuple(parents), "@i" in symbols)
            except (ValueError, IndexError) as error:
                raise DataError(
                    f"{path}, line {number} is not as WordNet writes it: {error}; install WordNet anew."
                ) from error


@lru_cache(maxsize=2)
def _index(wordnet: WordNet) -> tuple[dict[str, list[int]], dict[int, list[int]]]:
    """Meanings of a word, and what lies directly below a meaning."""
    by_word: dict[str, list[int]] = {}
    children: dict[int, list[int]] = {}
    for offset, synset in wordnet.nouns.items():
        for word in synset.words:
            by_word.setdefault(word.replace("_", " ").casefold(), []).append(offset)  # as `key` does
        for parent in synset.parents:
            children.setdefault(parent, []).append(offset)
    return by_word, children


def _readable(synsets: Collection[Synset]) -> tuple[str, ...]:
    words = {word for synset in synsets if not synset.is_instance for word in synset.words}
    plain = {word.replace("_", " ") for word in words if word == word.lower()}
    return tuple(sorted(word for word in plain if any(letter.isalpha() for letter in word)))


def _places() -> Iterator[Path]:
    """Where the database usually lies: WordNet's own variable, NLTK's folders, Debian's, Homebrew's."""
    if chosen := os.environ.get("WNSEARCHDIR"):
        yield Path(chosen)
    nltk = [Path(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    nltk += [Path.home() / "nltk_data"]
    nltk += [Path(sys.prefix) / part / "nltk_data" for part in ("", "share", "lib")]
    nltk += [Path("/usr/share/nltk_data"), Path("/usr/local/share/nltk_data"), Path("/usr/lib/nltk_data")]
    for place in nltk:
        yield place / "corpora" / "wordnet"
    yield Path("/usr/share/wordnet")
    yield Path("/opt/homebrew/opt/wordnet")
    yield Path("/usr/local/opt/wordnet")
