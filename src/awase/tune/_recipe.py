"""What the published recipes share: which epochs, which optimiser, and what makes a run this run.

From the code of CoOp (Zhou et al. 2022, arXiv 2109.01134), which most later methods were built on. Left out:
random crops and flips, as features are given.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from awase.errors import DataError
from awase.training.schedule import Schedule, cosine
from awase.tune._protocol import Task

WARMUP_RATE = 1e-5


def epochs_by_shots(shots: int) -> int:
    """CoOp's number of epochs: 50 for one shot, 100 for up to four, 200 for more.

    Example:
        >>> [epochs_by_shots(shots) for shots in (1, 2, 4, 8, 16)]
        [50, 100, 100, 200, 200]
    """
    return 50 if shots <= 1 else 100 if shots <= 4 else 200


def coop_sgd(parameters: Iterable[nn.Parameter], *, rate: float = 2e-3) -> torch.optim.Optimizer:
    """CoOp's optimiser: SGD with momentum 0.9 and weight decay 5e-4."""
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=5e-4)


def warm_cosine(per_epoch: int, epochs: int, *, rate: float = 2e-3) -> Schedule:
    """CoOp's schedule: one epoch at a constant 1e-5, then half a cosine down to zero.

    Args:
        per_epoch: steps in an epoch.
        epochs: the warm-up epoch included.
        rate: the base rate that the optimiser was given.

    Example:
        >>> schedule = warm_cosine(1, 3)
        >>> [round(2e-3 * schedule(step), 5) for step in range(3)]
        [1e-05, 0.002, 0.001]
    """
    return cosine(
        per_epoch * epochs, warmup_steps=min(per_epoch, per_epoch * epochs), warmup=WARMUP_RATE / rate
    )


def run_identity(method: Any, task: Task) -> dict[str, Any]:
    """What decides the weights beside the seed: settings, encoder, classes, images and their labels."""
    facts = [task.train.hashes, task.train_labels.tolist()]
    return {
        "method": repr(method),
        "encoder": task.frozen.fingerprint,
        "class_names": list(task.frozen.class_names),
        "templates": list(task.frozen.templates),
        "images": hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
    }


def require_shots(task: Task) -> None:
    """Refuse a task that leaves a class without an image, or holds a label of no class.

    Raises:
        DataError: as said; the message names the classes.
    """
    names = task.frozen.class_names
    for labels in (task.train_labels, task.validation_labels):
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(names):
            raise DataError(
                f"labels must lie in 0 .. {len(names) - 1} for {len(names)} classes, "
                f"got {int(labels.min())} .. {int(labels.max())}."
            )
    counts = task.train_labels.bincount(minlength=len(names))
    missing = [name for name, count in zip(names, counts.tolist(), strict=True) if count == 0]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} classes have no training image: {', '.join(missing[:10])}; "
            "give each at least one, or leave the class out."
        )


def require_range(
    name: str, value: float | int | None, low: float | int, high: float | int = math.inf
) -> None:
    """Refuse a setting outside [low, high]; None, which means "choose", passes.

    Raises:
        DataError: it lies outside, or is NaN.
    """
    if value is not None and not low <= value <= high:
        reach = f"in [{low}, {high}]" if high < math.inf else f"at least {low}"
        raise DataError(f"{name} must be {reach}, got {value}.")
