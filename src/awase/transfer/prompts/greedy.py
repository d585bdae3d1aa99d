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

from awase.errors import DataError
from awase.transfer._folds import folds
from awase.transfer._prompt_task import Found, PromptTask, Score, Trial, pooled, scored

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

    most: int = 12
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
        kept_out = self._kept_out(task, seed) if len(task.labels) > 1 else []
        length = 1 + max(range(len(kept_out)), key=lambda step: (kept_out[step], -step), default=0)
        trials = []
        for step, template in enumerate(added):
            score = task.score(counted(added[: step + 1], t))
            trials.append(
                Trial(f"{step + 1}. {task.templates[template]}", score, kept_out[step] if kept_out else None)
            )
        return Found(counted(added[:length], t), tuple(trials))

    def _kept_out(self, task: PromptTask, seed: int) -> list[Score]:
        """The score on kept-out images, for every length of the path."""
        t = len(task.templates)
        parts: list[list[tuple[Score, int]]] = [[] for _ in range(self.most)]
        for rest, kept in folds(task.labels, self.n_folds, seed=seed):
            added = path(task.select(rest), self.most)
            looked_at = task.select(kept)
            for step in range(self.most):
                parts[step].append((looked_at.score(counted(added[: step + 1], t)), len(kept)))
        return [pooled(of_length) for of_length in parts]


def path(task: PromptTask, most: int) -> list[int]:
    """Templates in the order in which they are added, each the best addition to those before it.

    Args:
        task: what to choose on.
        most: how many are added.

    Example:
        >>> import torch
        >>> prompts = torch.stack([torch.eye(2).flip(0), torch.eye(2)], dim=1)
        >>> path(PromptTask(prompts, ("no {}", "a {}"), torch.eye(2), torch.arange(2)), 2)
        [1, 1]
    """
    prompts = task.prompt_features
    mixed = torch.zeros_like(prompts[:, 0])  # sum of the templates so far, (k, d)
    added: list[int] = []
    cosines = _Cosines(task)
    for _ in range(most):
        lengths = (mixed[:, None] + prompts).norm(dim=-1).clamp(min=1e-12)  # (k, t)
        scores = cosines.with_each(added, lengths)
        best = max(range(len(scores)), key=lambda j: (scores[j], -j))
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


class _Cosines:
    """Cosines of images with every prompt, in blocks of images: kept where all fit in memory, else made anew.

    The cosine with a mean of prompts is the mean of the cosines by the mean's length, so trying a template
    costs an addition and no product of matrices.
    """

    def __init__(self, task: PromptTask) -> None:
        self.task = task
        k, t, _ = task.prompt_features.shape
        self.size = max(1, _HELD // 4 // (k * t))
        self.starts = range(0, len(task.labels), self.size)
        fits = len(task.labels) * k * t <= _HELD
        self.kept = [self._block(start) for start in self.starts] if fits else None

    def _block(self, start: int) -> Float[Tensor, "t b k"]:
        images = self.task.image_features[start : start + self.size]
        return torch.einsum("bd,ktd->tbk", images, self.task.prompt_features).contiguous()

    def with_each(self, added: Sequence[int], lengths: Float[Tensor, "k t"]) -> list[Score]:
        """The score with each template added to those that there are."""
        parts: list[list[tuple[Score, int]]] = [[] for _ in range(lengths.shape[1])]
        for number, start in enumerate(self.starts):
            block = self._block(start) if self.kept is None else self.kept[number]
            labels = self.task.labels[start : start + self.size]
            before = block[list(added)].sum(dim=0)  # (b, k); nothing added is 0
            for j, of_template in enumerate(block):
                similarity = (before + of_template) / lengths[:, j]
                score = scored(similarity, labels, logit_scale=self.task.logit_scale)
                parts[j].append((score, len(labels)))
        return [pooled(of_template) for of_template in parts]


METHOD = Greedy
