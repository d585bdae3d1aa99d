"""Adapt a model with few examples, and say what it cost. Every public module is one method.

A method takes a `Task` (a frozen model, a few labelled images, a validation split) and returns a `Tuned`
model, which says of any image what `awase.types.Evidence` holds. Nothing here knows `awase.ood`: what tuning
does to other abilities is measured from outside, on the model before and after.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from awase.tune._estimator import FewShotClassifier

__all__ = ["FewShotClassifier"]


def __getattr__(name: str) -> Any:
    # scikit-learn and torch are imported when the estimator is asked for, not with the package
    if name == "FewShotClassifier":
        return importlib.import_module("awase.tune._estimator").FewShotClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
