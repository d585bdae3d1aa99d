"""Adapt a model with few examples, and say what it cost. Every public module is one method.

A method takes a `Task` (a `Frozen` model, a few labelled images, a validation split) and returns a tuned
model, which says of any image what `awase.types.Evidence` holds. `make_task` draws a task, `save_tuned` and
`load_tuned` keep what came of it, `interpolate` goes back towards the old weights, and `FewShotClassifier` is
all of it for scikit-learn. Nothing here knows `awase.ood`: what tuning does to other abilities is measured
from outside, on the model before and after.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from awase.functional.splits import class_index
    from awase.tune._card import load_tuned, save_tuned
    from awase.tune._estimator import FewShotClassifier
    from awase.tune._frozen import Frozen
    from awase.tune._interpolate import interpolate
    from awase.tune._protocol import Task
    from awase.tune._split import keep_test
    from awase.tune._task import make_task

__all__ = [
    "FewShotClassifier",
    "Frozen",
    "Task",
    "class_index",
    "interpolate",
    "keep_test",
    "load_tuned",
    "make_task",
    "save_tuned",
]
_HOMES = {
    "FewShotClassifier": "awase.tune._estimator",
    "Frozen": "awase.tune._frozen",
    "Task": "awase.tune._protocol",
    "class_index": "awase.functional.splits",
    "interpolate": "awase.tune._interpolate",
    "keep_test": "awase.tune._split",
    "load_tuned": "awase.tune._card",
    "make_task": "awase.tune._task",
    "save_tuned": "awase.tune._card",
}


def __getattr__(name: str) -> Any:
    # scikit-learn and torch are imported when something is asked for, not with the package
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
