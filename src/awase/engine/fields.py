"""A frozen dataclass as tensors and plain values, and back: how fitted scores and tuned models are kept.

Tensor fields and mappings of tensors go into a safetensors file, all else into JSON; nothing is pickled. What
it leaves out: the files themselves, and which class a file is of, which the caller records by name.
"""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from torch import Tensor

from awase.errors import DataError

T = TypeVar("T")


def pack(value: Any, leave_out: tuple[str, ...] = ()) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The fields of a dataclass as tensors by name, and as values that JSON holds.

    A mapping of tensors becomes `field/key` for each; its keys are listed among the plain values, so an empty
    one comes back too.

    Args:
        value: an instance.
        leave_out: fields that are kept elsewhere.

    Raises:
        DataError: a field holds something that is neither a tensor nor plain.

    Example:
        >>> from dataclasses import make_dataclass
        >>> pack(make_dataclass("Softmax", [("temperature", float)])(0.5))
        ({}, {'temperature': 0.5})
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for field in fields(value):
        name, entry = field.name, getattr(value, field.name)
        if name in leave_out:
            continue
        if isinstance(entry, Tensor):
            tensors[name] = _own(entry)
        elif isinstance(entry, Mapping) and any(isinstance(part, Tensor) for part in entry.values()):
            tensors |= {f"{name}/{key}": _own(part) for key, part in entry.items()}
            plain[name] = {"tensors": list(entry)}
        else:
            plain[name] = _plain(entry, f"{type(value).__name__}.{name}")
    return tensors, plain


def unpack(kind: type[T], tensors: Mapping[str, Tensor], plain: Mapping[str, Any], **given: Any) -> T:
    """The dataclass again.

    Args:
        kind: its class.
        tensors: as `pack` gave them.
        plain: as `pack` gave them, also after a way through JSON: lists come back as tuples.
        given: fields that were left out.

    Raises:
        DataError: a field is missing, unknown, or of another type than the class says.

    Example:
        >>> from dataclasses import make_dataclass
        >>> unpack(make_dataclass("Softmax", [("temperature", float)]), {}, {"temperature": 0.5})
        Softmax(temperature=0.5)
    """
    if not is_dataclass(kind):
        raise DataError(f"{kind.__name__} is no dataclass, so it cannot be rebuilt from its fields.")
    hints = get_type_hints(kind)
    values: dict[str, Any] = dict(given)
    for name, entry in plain.items():
        if isinstance(entry, Mapping) and set(entry) == {"tensors"}:
            values[name] = {key: tensors[f"{name}/{key}"] for key in entry["tensors"]}
        else:
            values[name] = _restored(entry)
            if name in hints and not _fits(values[name], hints[name]):
                raise DataError(f"{kind.__name__}.{name} cannot be {entry!r}.")
    values |= {name: value for name, value in tensors.items() if "/" not in name}
    wanted = {field.name for field in fields(kind) if field.init}
    if missing := wanted - values.keys():
        raise DataError(f"{kind.__name__} lacks {', '.join(sorted(missing))}.")
    if unknown := values.keys() - wanted:
        raise DataError(f"{kind.__name__} has no {', '.join(sorted(unknown))}.")
    return cast(T, kind(**values))


def _own(tensor: Tensor) -> Tensor:
    # safetensors refuses views and tensors that share memory
    return tensor.detach().cpu().contiguous().clone()


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(part, where) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, where) for part in value]
    raise DataError(f"{where} is a {type(value).__name__}; only tensors and plain values can be saved.")


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_restored(part) for part in value)
    if isinstance(value, dict):
        return {key: _restored(part) for key, part in value.items()}
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value may stand in a field of this type; what it cannot judge fits."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        parts = get_args(hint)
        if not isinstance(value, tuple):
            return False
        if len(parts) == 2 and parts[1] is Ellipsis:
            return all(_fits(entry, parts[0]) for entry in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    return value is None if hint in (None, type(None)) else True
