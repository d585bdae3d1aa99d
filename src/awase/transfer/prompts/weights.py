"""Learned convex weights of templates: one weight a template, or one a class and template.

    minimise over u   -mean_i log softmax_k( s <x_i, t_k(w)> )[y_i] + penalty * KL(w || uniform)
    w = softmax(u),   t_k(w) = norm(sum_j w_j t_kj),   s the encoder's logit scale

KL(w || uniform) = log t + sum_j w_j log w_j. An infinite penalty is the uniform ensemble, none at all fits the
selection images as well as weights can. The penalty is the one of `penalties` that does best on folds of the
selection images, the largest of equal ones; with fewer than two images it is the largest. Full batches, L-BFGS
in float64 from uniform weights: deterministic. The idea of weighing prompts is that of Allingham et al. 2023
(ZPE, arXiv 2302.06235), who weigh without labels; here a few labels say.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from awase.errors import DataError
from awase.transfer._folds import kept_out_likelihood
from awase.transfer._mixture import mixture
from awase.transfer._prompt_task import Found, PromptTask, Trial, trial


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights by gradient.

    Args:
        penalties: pulls towards equal weights that are tried, in nats a nat; positive.
        per_class: whether every class has weights of its own: k times as many numbers to learn from the same
            few images.
        n_folds: parts of the selection images that the penalty is chosen by, at least 2.
        steps: of L-BFGS, at most.

    Example:
        >>> import torch
        >>> prompts = torch.stack([torch.eye(2).flip(0), torch.eye(2)], dim=1)  # the first mixes them up
        >>> task = PromptTask(prompts, ("no {}", "a {}"), torch.eye(2), torch.arange(2))
        >>> weights = Weights().search(task, seed=0).weights
        >>> bool(weights[1] > 0.9), round(float(weights.sum()), 6)
        (True, 1.0)
    """

    penalties: tuple[float | int, ...] = (1.0, 0.3, 0.1, 0.03, 0.01)
    per_class: bool = False
    n_folds: int = 5
    steps: int = 50

    def __post_init__(self) -> None:
        if not self.penalties or not all(0 < p < math.inf for p in self.penalties):
            raise DataError(f"penalties must be positive numbers, got {self.penalties}.")
        if self.n_folds < 2 or self.steps < 1:
            raise DataError(
                f"n_folds must be at least 2 and steps at least 1, got {self.n_folds} and {self.steps}."
            )

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """The weights under the penalty that folds prefer."""
        penalties = sorted(self.penalties, reverse=True)
        if len(penalties) == 1 or len(task.labels) < 2:
            weights = self.fit(task, penalties[0])
            return Found(weights, (trial(f"penalty {penalties[0]:g}", task, weights),))
        trials: list[Trial] = []
        fitted: list[Tensor] = []
        for penalty in penalties:
            kept_out = kept_out_likelihood(
                task, lambda part, penalty=penalty: self.fit(part, penalty), self.n_folds, seed=seed
            )
            fitted.append(self.fit(task, penalty))
            trials.append(trial(f"penalty {penalty:g}", task, fitted[-1], kept_out))
        best = max(range(len(trials)), key=lambda place: (trials[place].cross_validated or 0.0, -place))
        return Found(fitted[best], tuple(trials))

    def fit(self, task: PromptTask, penalty: float | int) -> Float[Tensor, "..."]:
        """The weights under one penalty."""
        prompts, images = task.prompt_features.double(), task.image_features.double()
        k, t, _ = prompts.shape
        scores = torch.zeros((k, t) if self.per_class else (t,), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [scores], max_iter=self.steps, line_search_fn="strong_wolfe", tolerance_change=1e-7
        )

        def loss() -> Tensor:
            optimizer.zero_grad()
            weights = scores.softmax(dim=-1)
            logits = task.logit_scale * images @ mixture(prompts, weights).T
            pull = (math.log(t) + (weights * scores.log_softmax(dim=-1)).sum(dim=-1)).mean()
            value = cross_entropy(logits, task.labels) + penalty * pull
            value.backward()
            return value

        optimizer.step(loss)
        return scores.detach().softmax(dim=-1).float()


METHOD = Weights
