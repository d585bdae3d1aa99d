"""Settings of a method as they are typed: `--option epochs=20`, read by the types of its dataclass fields.

Serves every verb that builds a method out of the registry. Ranges are the method's own business.
"""

import difflib
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from awase.cli import _options as o
from awase.errors import DataError

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="A setting of the method, such as epochs=20; may be given several times. "
        "A name that does not exist lists those that do.",
        rich_help_panel=o.METHOD,
    ),
]
"""The option itself, for the `Options` of a verb: `option: Settings = None`."""

M = TypeVar("M")


def build(method: type[M], texts: Sequence[str] | None, *, name: str, flag: str = "--option") -> M:
    """A method with the settings that were typed; the others keep their defaults.

    Args:
        method: a frozen dataclass, such as `registry.load("tune", "coop")`.
        texts: NAME=VALUE each.
        name: of the method, for messages.
        flag: how the option is called, for messages.

    Raises:
        DataError: no such setting, one given twice, or a value of another type; the message lists the
            settings with their types and defaults.

    Example:
        >>> from awase.ood.mcm import Mcm
        >>> build(Mcm, ["temperature=0.5"], name="mcm")
        Mcm(temperature=0.5)
    """
    hints = get_type_hints(method)
    settings = {field.name: field for field in fields(method) if field.init}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise DataError(
                f"{flag} takes NAME=VALUE such as seed=1, got {text!r}; {_listed(name, settings, hints)}"
            )
        if key not in settings:
            close = difflib.get_close_matches(key, settings, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise DataError(f"{name} has no setting {key!r}; {hint}{_listed(name, settings, hints)}")
        if key in given:
            raise DataError(f"{flag} {key} was given twice; give it once.")
        try:
            given[key] = read(value.strip(), hints[key])
        except ValueError:
            raise DataError(
                f"{flag} {key} takes {typed(hints[key])}, got {value!r}; {_listed(name, settings, hints)}"
            ) from None
    return method(**given)


def read(text: str, kind: Any) -> Any:
    """A text as a value of a type: bool, int, float, str, None, a Literal, a tuple (by commas), or a union.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> read("none", float | None), read("3", float | int), read("0.1,1", tuple[float, ...])
        (None, 3, (0.1, 1.0))
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _first(text, sorted(get_args(kind), key=_strictness))
    if origin is Literal:
        return _one_of(text, {str(value).lower(): value for value in get_args(kind)})
    if origin is tuple:
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        kinds = get_args(kind)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return tuple(read(part, kinds[0]) for part in parts)
        return tuple(read(part, one) for part, one in zip(parts, kinds, strict=True))
    if kind in (None, type(None)):
        return _one_of(text, {"none": None, "null": None})
    if kind is bool:
        return _one_of(text, {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False})
    value = kind(text) if kind in (int, float, str) else math.nan
    if value != value:
        raise ValueError(text)
    return value


def typed(kind: Any) -> str:
    """A type as a user reads it.

    Example:
        >>> typed(float | None), typed(tuple[float, ...]), typed(bool)
        ('a number or none', 'numbers with commas between them', 'true or false')
    """
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        kinds = [one for one in get_args(kind) if not (one is int and float in get_args(kind))]
        return " or ".join(typed(one) for one in kinds)
    if origin is Literal:
        return " or ".join(map(str, get_args(kind)))
    if origin is tuple:
        return (
            "texts with commas between them"
            if get_args(kind)[0] is str
            else "numbers with commas between them"
        )
    return "none" if kind in (None, type(None)) else names.get(kind, str(kind))


def _listed(name: str, settings: dict[str, Field[Any]], hints: dict[str, Any]) -> str:
    if not settings:
        return f"{name} has no settings."
    return (
        f"the settings of {name} are: "
        + ", ".join(f"{key} ({typed(hints[key])}; {_default(field)})" for key, field in settings.items())
        + "."
    )


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return f"default {field.default!r}"
    return f"default {field.default_factory()!r}" if field.default_factory is not MISSING else "no default"


def _first(text: str, kinds: Sequence[Any]) -> Any:
    for kind in kinds:
        try:
            return read(text, kind)
        except ValueError:
            continue
    raise ValueError(text)


def _strictness(kind: Any) -> int:
    # "3" is an int before it is a float, and "none" is nothing before it is a text
    order = [type(None), bool, int, float]
    return order.index(kind) if kind in order else 9 if kind is str else 5


def _one_of(text: str, meanings: Mapping[str, Any]) -> Any:
    if text.lower() not in meanings:
        raise ValueError(text)
    return meanings[text.lower()]
