"""A small JSON file that names a world: `*.parts.json`, so that every verb can read scenes drawn on the spot.

    {"splits": {"train": {"scenes": 20000, "correlations": [["shape", "colour", 0.95]]}, "test": 1000},
     "objects": [1, 1], "label": "shape"}

Keys are those of `World`, and `scenes` or `splits`, and `label`. A split may set every key of a world anew,
but not size and seed: its scenes go on counting where those of the split before it end.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from awase import images
from awase.data._parts.distribution import Correlation
from awase.data._parts.world import World
from awase.errors import DataError, RowError

MAX_SCENES = 100_000_000
_MAX_BYTES = 1024 * 1024
_WHOLE = ("seed", "size")  # one for all splits: else two of them could share scenes
_OWN = ("label", "scenes", "splits")
LABELS = ("count", "background", "shape", "colour", "size", "texture", "defect")


@dataclass(frozen=True, slots=True)
class Split:
    """A stretch of scenes: `n_scenes` of a world from `first` on; no name where there is one only."""

    name: str | None
    first: int
    n_scenes: int
    world: World


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says; `label` are the attributes whose values make the label, none for no label."""

    splits: tuple[Split, ...]
    label: tuple[str, ...]

    @property
    def n_scenes(self) -> int:
        """Scenes of all splits."""
        return sum(split.n_scenes for split in self.splits)


def read(path: Path) -> Settings:
    """The settings of a file.

    Raises:
        DataError: it cannot be read, is no JSON object, or a key or value is not one of a world.
    """
    try:
        found = json.loads(images.read_regular(path, str(path), max_bytes=_MAX_BYTES))
    except RowError as error:
        raise DataError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: is not JSON ({error}); the settings of a parts world are expected."
        ) from error
    try:
        return parse(found)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def parse(found: Any) -> Settings:
    """The settings of a JSON value.

    Raises:
        DataError: it is no object, or a key or value is not one of a world.

    Example:
        >>> settings = parse({"scenes": 10, "objects": [1, 1], "label": "shape"})
        >>> settings.n_scenes, settings.splits[0].world.objects, settings.label
        (10, (1, 1), ('shape',))
    """
    if not isinstance(found, dict):
        raise DataError(f"the settings of a parts world are a JSON object, not a {type(found).__name__}.")
    own = {name: found[name] for name in _OWN if name in found}
    whole = _keywords({name: value for name, value in found.items() if name not in _OWN})
    if ("scenes" in own) == ("splits" in own):
        raise DataError('either "scenes": N or "splits": {"train": N, ...} is needed.')
    splits, first = [], 0
    for name, value in _named(own):
        n_scenes, changed = _split(name, value)
        splits.append(Split(name, first, n_scenes, World(**{**whole, **changed})))
        first += n_scenes
    return Settings(tuple(splits), label_of(own.get("label"), tuple(splits)))


def label_of(value: Any, splits: tuple[Split, ...]) -> tuple[str, ...]:
    """The attributes that make the label; by default the shape where scenes have one part, else none.

    Raises:
        DataError: no such attribute, or one of a part in a world whose scenes have several.
    """
    alone = all(split.world.objects == (1, 1) for split in splits)
    if value is None:
        return ("shape",) if alone else ()
    names = value if isinstance(value, list) else [value]
    for name in names:
        if name not in LABELS:
            raise DataError(f"the label is one or more of {', '.join(LABELS)}, not {name!r}.")
        if name not in ("count", "background") and not alone:
            raise DataError(
                f'the label {name} needs scenes of one part: set "objects": [1, 1], or take count or '
                "background."
            )
    return tuple(names)


def _named(own: Mapping[str, Any]) -> list[tuple[str | None, Any]]:
    if "scenes" in own:
        return [(None, own["scenes"])]
    if not isinstance(own["splits"], dict) or not own["splits"]:
        raise DataError('"splits" is an object of names and numbers of scenes, such as {"train": 1000}.')
    return list(own["splits"].items())


def _split(name: str | None, value: Any) -> tuple[int, dict[str, Any]]:
    """Number of scenes, and what the split sets anew."""
    changed: dict[str, Any] = {}
    if isinstance(value, dict):
        for key in _WHOLE:
            if key in value:
                raise DataError(f"split {name}: {key} is one for all splits; set it outside.")
        changed = _keywords({key: each for key, each in value.items() if key != "scenes"})
        value = value.get("scenes")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SCENES:
        where = "" if name is None else f"split {name}: "
        raise DataError(f"{where}scenes is a number from 1 to {MAX_SCENES}, got {value!r}.")
    return value, changed


def _keywords(found: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(World)}
    unknown = [name for name in found if name not in known]
    if unknown:
        raise DataError(
            f"there is no setting {unknown[0]!r}; there are: {', '.join(sorted(known | set(_OWN)))}."
        )
    return {name: _converted(name, value) for name, value in found.items()}


def _converted(name: str, value: Any) -> Any:
    try:
        return _CONVERT[name](value)
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name}: {_EXPECTED.get(name, 'another kind of value')} expected, got {value!r}."
        ) from error


def _number(value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in _list(value))


def _bounds(value: Any) -> tuple[int, int]:
    low, high = (_whole_number(each) for each in _list(value))
    return low, high


def _correlation(value: Any) -> Correlation:
    first, second, strength = _list(value)
    return Correlation(_text(first), _text(second), _number(strength))


_CONVERT: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("seed", "size", "n_captions", "turn"), _whole_number),
    **dict.fromkeys(("synonyms", "asides", "alike", "defects"), _number),
    **dict.fromkeys(("language", "show"), _text),
    **dict.fromkeys(("shapes", "colours", "sizes", "textures", "backgrounds"), _texts),
    "objects": _bounds,
    "said": lambda value: {name: _number(share) for name, share in _object(value).items()},
    "correlations": lambda value: tuple(_correlation(each) for each in _list(value)),
    "held_out": lambda value: tuple(
        {name: _text(each) for name, each in _object(combination).items()} for combination in _list(value)
    ),
    "frequencies": lambda value: {
        name: tuple(_number(each) for each in _list(weights)) for name, weights in _object(value).items()
    },
}
_EXPECTED = {
    **dict.fromkeys(("seed", "size", "n_captions", "turn"), "a whole number is"),
    **dict.fromkeys(("synonyms", "asides", "alike", "defects"), "a number from 0 to 1 is"),
    **dict.fromkeys(("language", "show"), "a text is"),
    **dict.fromkeys(("shapes", "colours", "sizes", "textures", "backgrounds"), "a list of names is"),
    "objects": "the fewest and the most, such as [1, 3], are",
    "said": 'shares by attribute, such as {"size": 0.2}, are',
    "correlations": 'a list of such as ["shape", "colour", 0.9] is',
    "held_out": 'a list of such as {"shape": "gear", "colour": "red"} is',
    "frequencies": 'lists of numbers by attribute, such as {"size": [2, 1, 1]}, are',
}
