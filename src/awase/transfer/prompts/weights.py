"""Learned convex weights of templates: one weight a template, or one a class and template.

    minimise over u   mean_i loss( s <x_i, t_k(w)>, y_i ) + penalty * KL(w || uniform)
    w = softmax(u),   t_k(w) = norm(sum_j w_j t_kj),   s the encoder's logit scale

loss `probability` is 1 - softmax(.)[y], accuracy with soft edges; `likelihood` is -log softmax(.)[y], which
also learns from what is surely wrong. KL(w || uniform) = log t + sum_j w_j log w_j: with a large penalty the
weights are those of the uniform ensemble, with none they fit the selection images as well as weights can.
Loss and penalty are the ones that do best on folds of the selection images (of equals the larger penalty and
the earlier loss); with fewer than two images there are no folds, and those two are taken.

Full batches, L-BFGS in float64 from uniform weights, so nothing is drawn but the folds. Allingham et al. 2023
(ZPE, arXiv 2302.06235) weigh prompts without labels; here a few labels say.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.transfer._folds import kept_out_score
from awase.transfer._mixture import mixture
from awase.transfer._prompt_task import Found, PromptTask, Trial

_HELD = 50_000_000  # cosines of images, classes and templates kept at once: 400 MB
_ENOUGH = 1e-5  # of a loss of about 1: further steps would fit accidents of a few images


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights by gradient.

    Args:
        per_class: whether every class has weights of its own: k times as many numbers out of the same few
            images. That is few-shot learning with prompts as building blocks, for these classes alone.
        penalties: pulls towards equal weights that are tried; 0 or more.
        losses: that are tried, of `probability` and `likelihood`.
        n_folds: parts of the selection images that both are chosen by, at least 2.
        steps: of L-BFGS, at most.

    Example:
        >>> import torch
        >>> prompts = torch.stack([torch.eye(2).flip(0), torch.eye(2)], dim=1)  # the first mixes them up
        >>> task = PromptTask(prompts, ("no {}", "a {}"), torch.eye(2), torch.arange(2))
        >>> weights = Weights(penalties=(0.01,), losses=("likelihood",)).search(task, seed=0).weights
        >>> bool(weights[1] > 0.5), round(float(weights.sum()), 6)
        (True, 1.0)
    """

    per_class: bool = False
    penalties: tuple[float | int, ...] = (1.0, 0.1, 0.01)
    losses: tuple[str, ...] = ("probability", "likelihood")
    n_folds: int = 3
    steps: int = 25

    def __post_init__(self) -> None:
        if not self.penalties or not all(0 <= p < math.inf for p in self.penalties):
            raise DataError(f"penalties must be numbers from 0 on, got {self.penalties}.")
        if not self.losses or not set(self.losses) <= _LOSSES.keys():
            raise DataError(f"losses are of {' and '.join(_LOSSES)}, got {self.losses}.")
        if self.n_folds < 2 or self.steps < 1:
            raise DataError(
                f"n_folds must be at least 2 and steps at least 1, got {self.n_folds} and {self.steps}."
            )

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """The weights under the loss and penalty that folds prefer."""
        settings = list(product(sorted(self.penalties, reverse=True), self.losses))
        has_folds = len(settings) > 1 and len(task.labels) > 1
        if not has_folds:
            settings = settings[:1]
        fitted, trials = [], []
        for penalty, loss in settings:
            weigh = partial(self.fit, penalty=penalty, loss=loss)
            kept_out = kept_out_score(task, weigh, self.n_folds, seed=seed) if has_folds else None
            fitted.append(weigh(task))
            trials.append(Trial(f"{loss}, penalty {penalty:g}", task.score(fitted[-1]), kept_out))
        best = max(range(len(trials)), key=lambda place: (trials[place].kept_out or (), -place))
        return Found(fitted[best], tuple(trials))

    def fit(self, task: PromptTask, *, penalty: float | int, loss: str) -> Float[Tensor, "..."]:
        """The weights under one loss and penalty."""
        k, t, _ = task.prompt_features.shape
        similarity, loss_of = _similarity(task), _LOSSES[loss]
        scores = torch.zeros((k, t) if self.per_class else (t,), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [scores],
            max_iter=self.steps,
            line_search_fn="strong_wolfe",
            tolerance_grad=_ENOUGH,
            tolerance_change=_ENOUGH,
        )

        def objective() -> Tensor:
            optimizer.zero_grad()
            weights = scores.softmax(dim=-1)
            pull = (math.log(t) + (weights * scores.log_softmax(dim=-1)).sum(dim=-1)).mean()
            value = loss_of(task.logit_scale * similarity(weights), task.labels) + penalty * pull
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(objective)  # type: ignore[no-untyped-call]
        return scores.detach().softmax(dim=-1).float()


def _similarity(task: PromptTask) -> Callable[[Tensor], Tensor]:
    """Cosines (n, k) as a function of weights.

    Over cosines with every single prompt where those fit in memory, which is d / t times less to compute:
    <x, sum_j w_j t_j> / |sum_j w_j t_j| = sum_j w_j <x, t_j> / sqrt(w' G w) with G_ij = <t_i, t_j>.
    """
    prompts, images = task.prompt_features.double(), task.image_features.double()
    k, t, _ = prompts.shape
    if len(images) * k * t > _HELD:
        return lambda weights: images @ mixture(prompts, weights).T
    cosines = torch.einsum("nd,ktd->nkt", images, prompts)
    gram = prompts @ prompts.mT  # (k, t, t)

    def similarity(weights: Tensor) -> Tensor:
        rows = weights.expand(k, t)
        lengths = torch.einsum("ki,kij,kj->k", rows, gram, rows).clamp(min=1e-24).sqrt()
        return torch.einsum("nkt,kt->nk", cosines, rows) / lengths

    return similarity


def _probability(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    return 1 - logits.softmax(dim=1).gather(1, labels[:, None]).mean()


def _likelihood(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    return -logits.log_softmax(dim=1).gather(1, labels[:, None]).mean()


_LOSSES = {"probability": _probability, "likelihood": _likelihood}

METHOD = Weights
