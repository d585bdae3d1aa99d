"""Further names of classes to try, from a JSON file: `{"sea_horse": ["seahorse", "hippocampus"]}`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from awase.errors import DataError

_MAX_JSON = 64 * 2**20
_WANTED = 'an object of label and names, such as {"sea_horse": ["seahorse", "hippocampus"]}'


def read_wordings(path: Path | None) -> dict[str, tuple[str, ...]]:
    """Label to further names, as the file says; nothing where there is no file.

    Raises:
        DataError: the file cannot be read, or is no JSON object of texts or lists of texts.
    """
    if path is None:
        return {}
    place = path.expanduser()
    try:
        if place.stat().st_size > _MAX_JSON:
            raise DataError(f"{place} is too large for wordings.")
        content = json.loads(place.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"--wordings {place} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"--wordings {place} is no JSON: {str(error)[:200]}.") from error
    if not isinstance(content, dict):
        raise DataError(f"--wordings {place} must hold {_WANTED}, got {type(content).__name__}.")
    found = {}
    for label, names in content.items():
        several = [names] if isinstance(names, str) else names
        if not isinstance(several, list) or not all(isinstance(n, str) and n.strip() for n in several):
            raise DataError(f"--wordings {place} must hold {_WANTED}; {label!r} has {names!r}.")
        found[label] = tuple(name.strip() for name in several)
    return found


def wordings_of(
    labels: Sequence[str], names: Sequence[str], further: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """Of every class its name and then its further names, each once.

    Raises:
        DataError: further names were given, and none of them is for a label of the data.

    Example:
        >>> wordings_of(["a", "b"], ["ant", "bee"], {"b": ["bee", "bumblebee"]})
        (('ant',), ('bee', 'bumblebee'))
    """
    if further and not set(further) & set(labels):
        shown = ", ".join(map(repr, list(further)[:5]))
        raise DataError(
            f"--wordings names {shown}, and the data has none of these; it has "
            f"{', '.join(map(repr, labels[:5]))}{', ...' * (len(labels) > 5)}."
        )
    return tuple(
        tuple(dict.fromkeys((name, *further.get(label, ()))))
        for label, name in zip(labels, names, strict=True)
    )
