"""Choosing a setting on a validation split, by accuracy, with everything that was tried written down.

Candidates come in an order, nearest to zero-shot first, and a tie goes to the first: few validation images
make many ties, and a tie is no reason to move further away from the model as it came. Without validation
images nothing is chosen, and the caller's default stays. Test images never come here.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

Tried = Mapping[
    str, Tensor
]  # columns of equal length, the last one "accuracy"; no rows where nothing was tried


def accuracy(similarity: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> float:
    """Share of rows whose largest similarity is that of their label; the lower class wins a tie.

    Example:
        >>> accuracy(torch.tensor([[0.2, 0.1], [0.3, 0.1]]), torch.tensor([0, 1]))
        0.5
    """
    return int((similarity.argmax(dim=1) == labels).sum()) / len(labels)


def first_best(accuracies: Sequence[float] | Float[Tensor, " c"]) -> int:
    """Place of the largest; the first of several.

    Example:
        >>> first_best([0.5, 0.75, 0.75])
        1
    """
    return int(torch.as_tensor(accuracies, dtype=torch.float64).argmax())


def choose(
    name: str,
    candidates: Sequence[float],
    similarity: Callable[[float], Float[Tensor, "n k"]],
    labels: Int[Tensor, " n"],
    *,
    default: float,
) -> tuple[float, Tried]:
    """The candidate with the best validation accuracy, and what was tried.

    Args:
        name: of the setting.
        candidates: its values, nearest to zero-shot first. A single one is taken without a trial.
        similarity: of the validation images, under a candidate.
        labels: of the validation images.
        default: taken where there are no validation images.

    Example:
        >>> tilt = lambda value: torch.tensor([[0.5, value]])
        >>> choose("tilt", [0.1, 0.6, 0.9], tilt, torch.tensor([1]), default=0.1)[0]
        0.6
    """
    if len(candidates) == 1 or len(labels) == 0:
        return (candidates[0] if len(candidates) == 1 else default), nothing_tried(name)
    accuracies = [accuracy(similarity(candidate), labels) for candidate in candidates]
    return candidates[first_best(accuracies)], tried(accuracies, **{name: candidates})


def tried(accuracies: Sequence[float] | Float[Tensor, " c"], **settings: Sequence[float]) -> Tried:
    """The record of a search: one row a trial."""
    columns = {**settings, "accuracy": accuracies}
    return {name: torch.as_tensor(column, dtype=torch.float64) for name, column in columns.items()}


def nothing_tried(*settings: str) -> Tried:
    """The record of no search."""
    return {name: torch.empty(0, dtype=torch.float64) for name in (*settings, "accuracy")}
