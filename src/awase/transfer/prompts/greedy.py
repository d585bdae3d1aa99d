"""Greedy forward selection of templates, with replacement (Caruana et al. 2004, "Ensemble selection from
libraries of models", for classifiers; here for the prompts of one).

Starts with the best template and adds, again and again, the one that helps the ensemble most; a template that
is added twice weighs twice. How many to add is read off folds of the selection images: the path is walked on
the others, and the length that does best on what was kept out is taken. With fewer than two images there are
no folds, and one template is taken. Ties go to the earlier template and to the shorter path.

What it leaves out: taking templates away again, and bagging of the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from awase.errors import DataError
from awase.transfer._folds import folds
from awase.transfer._prompt_task import Found, PromptTask, Trial, trial

_HELD = 100_000_000  # cosines of images, classes and templates kept at once: 400 MB


@dataclass(frozen=True, slots=True)
class Greedy:
    """Weights are counts of a greedy path.

    Args:
        most: longest path, in templates added, at least 1.
        n_folds: parts of the selection images that the length is chosen by, at least 2.

    Example:
        >>> import torch
        >>> prompts = torch.stack([torch.eye(2).flip(0), torch.eye(2)], dim=1)  # the first mixes them up
        >>> task = PromptTask(prompts, ("no {}", "a {}"), torch.eye(2), torch.arange(2))
        >>> Greedy(most=3).search(task, seed=0).weights
        tensor([0., 1.])
    """

    most: int = 20
    n_folds: int = 5

    def __post_init__(self) -> None:
        if self.most < 1 or self.n_folds < 2:
            raise DataError(
                f"most must be at least 1 and n_folds at least 2, got {self.most} and {self.n_folds}."
            )

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """The path on all images, cut where folds say."""
        t = len(task.templates)
        added = path(task, self.most)
        kept_out: list[float | None] = [None] * self.most
        length = 1
        if len(task.labels) > 1:
            scores = self._kept_out(task, seed)
            kept_out = list(scores)
            length = 1 + max(range(self.most), key=lambda step: (scores[step], -step))
        trials = []
        for step in range(self.most):
            weights = counted(added[: step + 1], t)
            tried = trial(f"{step + 1}: {task.templates[added[step]]}", task, weights, kept_out[step])
            trials.append(tried)
        return Found(counted(added[:length], t), tuple(trials))

    def _kept_out(self, task: PromptTask, seed: int) -> list[float]:
        """Mean log-probability on kept-out images, for every length of the path."""
        t, n = len(task.templates), len(task.labels)
        totals = [0.0] * self.most
        for rest, kept in folds(task.labels, self.n_folds, seed=seed):
            added = path(task.select(rest), self.most)
            looked_at = task.select(kept)
            for step in range(self.most):
                totals[step] += len(kept) * looked_at.likelihood(counted(added[: step + 1], t)) / n
        return totals


def path(task: PromptTask, most: int) -> list[int]:
    """Templates in the order in which they are added, each the best addition to those before it."""
    prompts = task.prompt_features
    mixed = torch.zeros_like(prompts[:, 0])  # sum of the templates so far, (k, d)
    added: list[int] = []
    blocks = _Blocks(task)
    for _ in range(most):
        lengths = (mixed[:, None] + prompts).norm(dim=-1)  # (k, t)
        best = int(blocks.likelihoods(added, lengths).argmax())  # of equal ones the first
        added.append(best)
        mixed = mixed + prompts[:, best]
    return added


def counted(added: Sequence[int], t: int) -> Float[Tensor, " t"]:
    """How often each template was added, as weights.

    Example:
        >>> counted([2, 0, 2, 2], 3)
        tensor([0.2500, 0.0000, 0.7500])
    """
    return torch.tensor(added).bincount(minlength=t).float() / len(added)


class _Blocks:
    """Cosines of blocks of images with every prompt; kept where all fit into memory, else made anew."""

    def __init__(self, task: PromptTask) -> None:
        self.task = task
        k, t, _ = task.prompt_features.shape
        self.size = max(1, _HELD // 4 // (k * t))
        self.starts = range(0, len(task.labels), self.size)
        self.kept: list[Tensor] | None = None
        if len(task.labels) * k * t <= _HELD:
            self.kept = [self._cosines(start) for start in self.starts]

    def _cosines(self, start: int) -> Float[Tensor, "b k t"]:
        images = self.task.image_features[start : start + self.size]
        return torch.einsum("bd,ktd->tbk", images, self.task.prompt_features).contiguous()

    def likelihoods(self, added: Sequence[int], lengths: Float[Tensor, "k t"]) -> Float[Tensor, " t"]:
        """Mean log-probability of the right class with each template added to those there are."""
        totals = torch.zeros(lengths.shape[1], dtype=torch.float64)
        for number, start in enumerate(self.starts):
            cosines = self._cosines(start) if self.kept is None else self.kept[number]
            labels = self.task.labels[start : start + self.size]
            before = cosines[list(added)].sum(dim=0) if added else torch.zeros_like(cosines[0])
            for j in range(len(totals)):
                logits = self.task.logit_scale * (before + cosines[j]) / lengths[:, j]
                totals[j] -= float(cross_entropy(logits, labels, reduction="sum"))
        return totals / len(self.task.labels)


METHOD = Greedy
