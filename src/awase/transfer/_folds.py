"""Folds of the selection images: how well would a choice made on the others do on these?

Every class is spread evenly over the folds. Where a class has a single image, the rest knows nothing of it
while it is asked about: shared prompts do not mind, weights of each class do, and are judged hard for it.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.transfer._prompt_task import PromptTask, Score, pooled

Weigh = Callable[[PromptTask], Float[Tensor, "..."]]


def folds(labels: Int[Tensor, " n"], n_folds: int, *, seed: int) -> list[tuple[list[int], list[int]]]:
    """Rows to choose on and rows to look at, fold by fold; every row is looked at once.

    Args:
        labels: class of each row.
        n_folds: as many, or one a row where there are fewer rows.
        seed: of the draw within each class.

    Raises:
        DataError: fewer than two folds, or fewer than two rows.

    Example:
        >>> import torch
        >>> parts = folds(torch.tensor([0, 0, 1, 1]), 2, seed=0)
        >>> [(len(rest), len(kept)) for rest, kept in parts], sorted(row for _, kept in parts for row in kept)
        ([(2, 2), (2, 2)], [0, 1, 2, 3])
    """
    n = len(labels)
    if n_folds < 2 or n < 2:
        raise DataError(f"{n} selection images cannot be cut into {n_folds} folds; two of each are needed.")
    draws = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    order = draws[labels[draws].argsort(stable=True)]  # by class, in drawn order within it
    fold_of = torch.empty(n, dtype=torch.long)
    fold_of[order] = torch.arange(n) % min(n_folds, n)
    rows = torch.arange(n)
    return [
        (rows[fold_of != fold].tolist(), rows[fold_of == fold].tolist()) for fold in range(min(n_folds, n))
    ]


def kept_out_score(task: PromptTask, weigh: Weigh, n_folds: int, *, seed: int) -> Score:
    """How well weights do on images that had no say in them.

    Args:
        task: the selection images.
        weigh: makes weights of part of them.
        n_folds: into how many parts.
        seed: of the folds.

    Raises:
        DataError: as `folds`.
    """
    parts = []
    for rest, kept in folds(task.labels, n_folds, seed=seed):
        parts.append((task.select(kept).score(weigh(task.select(rest))), len(kept)))
    return pooled(parts)
