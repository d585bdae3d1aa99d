"""What a search for prompts is given and what it gives back.

A search reads vectors alone: every class under every template, and a few labelled images. It never sees the
images that the gain is measured on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from awase.errors import DataError, ShapeError
from awase.transfer._mixture import mixture


@dataclass(frozen=True, slots=True, eq=False)
class PromptTask:
    """Labelled images to choose templates on.

    Attributes:
        prompt_features: of each class under each template: unit vectors, or means of them over wordings.
        templates: the t templates, in the order in which ties are broken.
        image_features: unit vectors of the selection images.
        labels: class of each, 0 .. k - 1.
        logit_scale: of the encoder, the multiplier of cosines.
    """

    prompt_features: Float[Tensor, "k t d"]
    templates: tuple[str, ...]
    image_features: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"]
    logit_scale: float | int = 100.0

    def __post_init__(self) -> None:
        k, t, d = self.prompt_features.shape
        if t != len(self.templates) or t == 0:
            raise ShapeError(f"{len(self.templates)} templates came with vectors of {t}.")
        if len(self.labels) != len(self.image_features) or self.image_features.shape[1] != d:
            raise ShapeError(
                f"{tuple(self.image_features.shape)} image vectors do not fit {len(self.labels)} labels and "
                f"prompts of width {d}."
            )
        if len(self.labels) == 0:
            raise DataError("prompts are chosen on labelled images, and there are none.")
        if int(self.labels.min()) < 0 or int(self.labels.max()) >= k:
            raise DataError(f"labels must lie in 0 .. {k - 1}.")
        if not self.logit_scale > 0:
            raise DataError(f"the logit scale must be positive, got {self.logit_scale}.")

    def select(self, rows: Sequence[int]) -> "PromptTask":
        """These images, all classes and templates."""
        chosen = list(rows)
        return replace(self, image_features=self.image_features[chosen], labels=self.labels[chosen])

    def likelihood(self, weights: Float[Tensor, "..."]) -> float:
        """Mean log-probability of the right class under these weights, in nats; higher is better, at most 0."""
        logits = self.logit_scale * self.image_features @ mixture(self.prompt_features, weights).T
        return -float(cross_entropy(logits.double(), self.labels))

    def accuracy(self, weights: Float[Tensor, "..."]) -> float:
        """Share of the images whose most similar class is theirs; the lower class wins a tie."""
        similarity = self.image_features @ mixture(self.prompt_features, weights).T
        return float((first_best(similarity) == self.labels).double().mean())


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that a search tried, and how it did on the selection images.

    Attributes:
        what: such as `2 templates` or a template.
        accuracy: share of the selection images that are right.
        likelihood: mean log-probability of the right class, in nats.
        cross_validated: the likelihood on folds that were kept out; None where nothing was kept out.
    """

    what: str
    accuracy: float
    likelihood: float
    cross_validated: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search chose.

    Attributes:
        weights: of templates (t), or of each class's templates (k, t); not negative, rows sum to 1.
        trials: what was tried, in order.
    """

    weights: Float[Tensor, "..."]
    trials: tuple[Trial, ...] = ()


@runtime_checkable
class PromptSearch(Protocol):
    """One way to choose. A frozen dataclass of settings, whose repr is provenance."""

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """Choose on these images; equal seeds give equal weights."""
        ...


def first_best(similarity: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
    """The most similar class of each row; of equal ones the lowest.

    Example:
        >>> import torch
        >>> first_best(torch.tensor([[0.2, 0.5, 0.5]]))
        tensor([1])
    """
    best = similarity.max(dim=1, keepdim=True).values
    return (similarity == best).int().argmax(dim=1)


def trial(what: str, task: PromptTask, weights: Tensor, cross_validated: float | None = None) -> Trial:
    """These weights on the selection images, for the record."""
    return Trial(what, task.accuracy(weights), task.likelihood(weights), cross_validated)


def only(place: int, t: int) -> Float[Tensor, " t"]:
    """All weight on one template.

    Example:
        >>> only(1, 3)
        tensor([0., 1., 0.])
    """
    weights = torch.zeros(t)
    weights[place] = 1
    return weights
