"""Tip-Adapter (Zhang et al. 2022, arXiv 2207.09519): a cache of the shots beside the text, nothing trained.

    cache_k(f) = sum over shots i of class k of exp(-beta (1 - <f, f_i>))
    similarity_k = s_k + alpha / logit_scale * cache_k(f)        (the paper's logits, over the logit scale)

alpha = 0 is zero-shot; beta = 0 makes the cache count the shots of each class, so nothing changes where all
classes have as many. Keys are the features as they are given: the paper's are means over ten random crops of
each image, so its numbers are of more views than these. alpha and beta are searched on the validation split
over the paper's ranges, and stay at 1.17 and 1, its settings for ImageNet, where there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.tune._classes import learned_rows, places, text_of
from awase.tune._frozen import Frozen, cosines
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import require_range, require_shots
from awase.tune._select import Tried, first_best, nothing_tried, tried
from awase.types import Evidence, Features

ALPHA, BETA = 1.17, 1.0
_LEAST = 0.1
_ALPHAS, _BETAS = 20, 200
_BLOCK = 2048  # rows whose affinities to all keys are held at a time


def cache_logits(
    image_features: Float[Tensor, "n d"],
    keys: Float[Tensor, "m d"],
    values: Float[Tensor, "m k"],
    beta: float,
) -> Float[Tensor, "n k"]:
    """exp(-beta (1 - f F^T)) L: at least 0, more where an image lies close to cached images of the class.

    Args:
        image_features: unit vectors.
        keys: unit vectors of the cached images, or what they have become in training.
        values: their classes, one-hot.
        beta: sharpness; 0 counts the cached images of each class.

    Example:
        >>> cache_logits(torch.eye(2), torch.eye(2), torch.eye(2), beta=1.0)
        tensor([[1.0000, 0.3679],
                [0.3679, 1.0000]])
    """
    blocks = [
        ((block @ keys.T - 1) * beta).exp() @ values  # (b, m) -> (b, k)
        for block in torch.split(image_features, _BLOCK)
    ]
    return torch.cat(blocks) if blocks else image_features.new_zeros(0, values.shape[1])


@dataclass(frozen=True, eq=False)
class TipAdapted:
    """A frozen model with a cache.

    Attributes:
        frozen: the model before.
        keys: one for each cached image.
        labels: the class of each key.
        alpha: strength of the cache beside the text.
        beta: its sharpness.
        tried: every alpha and beta with its validation accuracy.
    """

    frozen: Frozen
    keys: Float[Tensor, "m d"]
    labels: Int[Tensor, " m"]
    alpha: float
    beta: float
    tried: Tried

    @property
    def n_parameters(self) -> int:
        """The numbers in the keys: stored in Tip-Adapter, trained in Tip-Adapter-F."""
        return self.keys.numel()

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Text and cache; classes that are not in the cache have the text alone."""
        self.frozen.require(images)
        plain = cosines(images.values, text_of(self.frozen, class_names), images.patches)
        if self.alpha == 0:  # exactly zero-shot, whatever training made of the keys
            return plain
        one_hot = torch.eye(len(self.frozen.class_names), dtype=self.keys.dtype)
        of_class = learned_rows(one_hot, places(self.frozen, class_names)).T  # (k, c)
        cache = cache_logits(images.values, self.keys, of_class[self.labels], self.beta)
        similarity = plain.similarity + self.alpha / self.frozen.logit_scale * cache
        return Evidence(similarity, plain.image_features, plain.class_features, plain.patch_features)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.frozen.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.frozen.text_features(texts)


@dataclass(frozen=True)
class TipAdapter:
    """Cache the shots.

    Args:
        alpha: strength of the cache; None searches up to `alpha_limit`. 0 is zero-shot.
        beta: sharpness of the cache; None searches up to `beta_limit`.
        alpha_limit: end of the search in 20 steps from 0.1; the paper's is 3 to 10.
        beta_limit: end of the search in 200 steps from 0.1; the paper's is 7 to 20.

    Example:
        >>> TipAdapter(alpha=1.0, beta=5.5)
        TipAdapter(alpha=1.0, beta=5.5, alpha_limit=10.0, beta_limit=20.0)
    """

    tuned: ClassVar[type] = TipAdapted
    zero: ClassVar[Mapping[str, Any]] = {"alpha": 0.0}
    alpha: float | None = None
    beta: float | None = None
    alpha_limit: float = 10.0
    beta_limit: float = 20.0

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> TipAdapted:
        """Store the shots; choose alpha and beta on the validation split. Nothing is random here.

        Raises:
            DataError: a class has no shots, or a setting is out of range.
        """
        require_shots(task)
        return search(self, task, task.train.values)


def search(settings: Any, task: Task, keys: Float[Tensor, "m d"]) -> TipAdapted:
    """The model with these keys, and the alpha and beta that validate best.

    Candidates are ordered by alpha, then by beta, upwards: the weakest and flattest cache wins a tie.

    Args:
        settings: a `TipAdapter`, or another with its fields.
        task: says what the keys are of, and holds the validation split.
        keys: of the shots.

    Raises:
        DataError: a setting is out of range.
    """
    for name, low in (("alpha", 0.0), ("beta", 0.0), ("alpha_limit", _LEAST), ("beta_limit", _LEAST)):
        require_range(name, getattr(settings, name), low)
    alphas = _candidates(settings.alpha, settings.alpha_limit, _ALPHAS)
    betas = _candidates(settings.beta, settings.beta_limit, _BETAS)
    alpha = ALPHA if settings.alpha is None else settings.alpha
    beta = BETA if settings.beta is None else settings.beta
    record = nothing_tried("alpha", "beta")
    if len(task.validation_labels) and len(alphas) * len(betas) > 1:
        accuracies = _validate(task, keys, alphas, betas)
        pairs = [(alpha, beta) for alpha in alphas for beta in betas]
        alpha, beta = pairs[first_best(accuracies)]
        record = tried(accuracies, alpha=[pair[0] for pair in pairs], beta=[pair[1] for pair in pairs])
    return TipAdapted(task.frozen, keys, task.train_labels, float(alpha), float(beta), record)


def _validate(
    task: Task, keys: Float[Tensor, "m d"], alphas: list[float], betas: list[float]
) -> Float[Tensor, " c"]:
    """Validation accuracy of every pair, alpha by alpha: the cache is computed once a beta."""
    text = task.validation.values @ task.frozen.class_features.T
    values = torch.eye(text.shape[1], dtype=keys.dtype)[task.train_labels]
    strengths = torch.tensor(alphas, dtype=keys.dtype)[:, None, None] / task.frozen.logit_scale
    columns = []
    for beta in betas:
        cache = cache_logits(task.validation.values, keys, values, beta)
        hits = (text + strengths * cache).argmax(dim=2) == task.validation_labels  # (alphas, n)
        columns.append(hits.double().mean(dim=1))
    return torch.stack(columns, dim=1).flatten()


def _candidates(fixed: float | None, limit: float, steps: int) -> list[float]:
    if fixed is not None:
        return [fixed]
    return [_LEAST + step * (limit - _LEAST) / steps for step in range(steps)]


METHOD = TipAdapter
