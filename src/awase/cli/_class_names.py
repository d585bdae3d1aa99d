"""Names of classes as a model reads them, from a JSON file: `{"n02102040": "English springer"}`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from awase.engine.prototypes import class_name
from awase.errors import DataError
from awase.ood._names import warn_of_duplicates

_MAX_JSON = 64 * 2**20


def read_class_names(path: Path | None) -> dict[str, str]:
    """Label to name, as the file says; nothing where there is no file.

    Raises:
        DataError: the file cannot be read, or is no JSON object of texts.
    """
    if path is None:
        return {}
    place = path.expanduser()
    try:
        if place.stat().st_size > _MAX_JSON:
            raise DataError(f"{place} is too large for class names.")
        content = json.loads(place.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"--class-names {place} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"--class-names {place} is no JSON: {str(error)[:200]}.") from error
    wanted = 'an object of label and name, such as {"n02102040": "English springer"}'
    if not isinstance(content, dict):
        raise DataError(f"--class-names {place} must hold {wanted}, got {type(content).__name__}.")
    for label, name in content.items():
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"--class-names {place} must hold {wanted}; {label!r} has {name!r}.")
    return {label: name.strip() for label, name in content.items()}


def names_of(labels: Sequence[str], given: Mapping[str, str]) -> tuple[str, ...]:
    """The name of each label: the one given, else the label with spaces for underscores.

    Warns where two labels are read as one name: they would share their probability.

    Raises:
        DataError: names were given, and none of them is for a label of the data.

    Example:
        >>> names_of(["cat", "sea_horse"], {"cat": "house cat"})
        ('house cat', 'sea horse')
    """
    if given and not set(given) & set(labels):
        raise DataError(
            f"--class-names names {_some(given)}, and the data has none of these; it has {_some(labels)}."
        )
    names = tuple(given.get(label, class_name(label)) for label in labels)
    warn_of_duplicates(names)
    return names


def _some(labels: Sequence[str] | Mapping[str, str]) -> str:
    shown = list(labels)[:5]
    return ", ".join(map(repr, shown)) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
