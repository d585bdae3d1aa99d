"""How well does a model carry over without training, and why?

`classification` and `retrieve` measure it, `choose_prompts` searches the wording, `explain` says what
margins, false negatives and temperature have to do with it. Machinery lies in files beginning with an
underscore; a diagnostic is one file of `diagnostics`, a way to choose prompts one file of `prompts`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from awase.transfer._answers import answer
    from awase.transfer._choose import candidates, choose_prompts
    from awase.transfer._class_vectors import class_vectors
    from awase.transfer._classify import classification
    from awase.transfer._explain import explain, load_diagnostics
    from awase.transfer._gain import measure_gain, verdict
    from awase.transfer._mixture import mixture
    from awase.transfer._retrieve import retrieve
    from awase.transfer._templates import Prompts, prompts_of, read_prompts, write_prompts

__all__ = [
    "Prompts",
    "answer",
    "candidates",
    "choose_prompts",
    "class_vectors",
    "classification",
    "explain",
    "load_diagnostics",
    "measure_gain",
    "mixture",
    "prompts_of",
    "read_prompts",
    "retrieve",
    "verdict",
    "write_prompts",
]
_HOMES = {
    "Prompts": "awase.transfer._templates",
    "answer": "awase.transfer._answers",
    "candidates": "awase.transfer._choose",
    "choose_prompts": "awase.transfer._choose",
    "class_vectors": "awase.transfer._class_vectors",
    "classification": "awase.transfer._classify",
    "explain": "awase.transfer._explain",
    "load_diagnostics": "awase.transfer._explain",
    "measure_gain": "awase.transfer._gain",
    "mixture": "awase.transfer._mixture",
    "prompts_of": "awase.transfer._templates",
    "read_prompts": "awase.transfer._templates",
    "retrieve": "awase.transfer._retrieve",
    "verdict": "awase.transfer._gain",
    "write_prompts": "awase.transfer._templates",
}


def __getattr__(name: str) -> Any:
    # torch and pyarrow are imported when something is asked for, not with the package
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
