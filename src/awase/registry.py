"""What there is, by name: methods, encoders, readers and segmenters, built in or from other packages.

`names` imports nothing: the public modules of a folder are its entries, and entry points add more.
`load` imports the one module and returns its `METHOD` (a capability), or the module itself (an adapter).
"""

import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from awase.errors import UnknownMethodError

_FOLDERS = {
    "check": "awase.check",
    "diagnostic": "awase.transfer.diagnostics",
    "encoder": "awase.encoders",
    "image_reader": "awase.data.labelled",
    "objective": "awase.training.objectives",
    "ood": "awase.ood",
    "prompt_search": "awase.transfer.prompts",
    "reader": "awase.data",
    "segmenter": "awase.segment",
    "tune": "awase.tune",
}


def kinds() -> tuple[str, ...]:
    """The kinds of thing that can be named.

    Example:
        >>> "check" in kinds()
        True
    """
    return tuple(_FOLDERS)


def names(kind: str) -> tuple[str, ...]:
    """Names of one kind, sorted, without importing any of them.

    Raises:
        UnknownMethodError: there is no such kind.

    Example:
        >>> "clip4dm" in names("check")
        True
    """
    if kind not in _FOLDERS:
        raise UnknownMethodError(f"there is no kind {kind!r}; the kinds are: {', '.join(_FOLDERS)}.")
    modules = pkgutil.iter_modules([str(_folder(kind))])
    built_in = {module.name for module in modules if not module.name.startswith("_") and not module.ispkg}
    added = {entry.name for entry in entry_points(group=f"awase.{kind}")}
    return tuple(sorted(built_in | added))


def load(kind: str, name: str) -> Any:
    """The thing itself: a module's METHOD where it has one, else the module.

    Raises:
        UnknownMethodError: nothing of this kind has this name; the message lists what there is.
        MissingExtraError: it needs a library that is not installed.

    Example:
        >>> load("check", "clip_score").__name__
        'ClipScore'
    """
    known = names(kind)
    if name not in known:
        raise UnknownMethodError(f"there is no {kind} {name!r}; there are: {', '.join(known)}.")
    for entry in entry_points(group=f"awase.{kind}", name=name):
        return entry.load()
    module = importlib.import_module(f"{_FOLDERS[kind]}.{name}")
    return getattr(module, "METHOD", module)


def source(kind: str, name: str) -> Path | None:
    """The file that defines an entry, without importing it; None where another package brings it.

    Raises:
        UnknownMethodError: nothing of this kind has this name.

    Example:
        >>> source("check", "clip4dm").name
        'clip4dm.py'
    """
    if name not in names(kind):
        raise UnknownMethodError(f"there is no {kind} {name!r}; there are: {', '.join(names(kind))}.")
    path = _folder(kind) / f"{name}.py"
    return path if path.is_file() else None


def _folder(kind: str) -> Path:
    return Path(__file__).parent.joinpath(*_FOLDERS[kind].split(".")[1:])
