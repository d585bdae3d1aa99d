"""What a search for prompts is given and what it gives back.

A search reads vectors alone: every class under every template, and a few labelled images. It never sees the
images that the gain is measured on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.transfer._mixture import mixture

_DIGITS = 6  # of a probability: equal prompts that were encoded in other batches must tie


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

    def score(self, weights: Float[Tensor, "..."]) -> "Score":
        """How well these weights do on the images."""
        similarity = self.image_features @ mixture(self.prompt_features, weights).T
        return scored(similarity, self.labels, logit_scale=self.logit_scale)


class Score(NamedTuple):
    """What searches compare: right images first, and of equally many the surer.

    Attributes:
        accuracy: share of the images whose most similar class is theirs, in [0, 1]; of equally similar ones
            the lowest is taken.
        probability: mean probability of the right class under softmax of the logits, in [0, 1]: accuracy with
            soft edges. Not its logarithm: where a model is surely wrong about some images, no prompt mends
            them, and the logarithm would look at little else.
    """

    accuracy: float
    probability: float


def scored(similarity: Float[Tensor, "n k"], labels: Int[Tensor, " n"], *, logit_scale: float | int) -> Score:
    """The score of cosines.

    Example:
        >>> import torch
        >>> scored(torch.eye(2), torch.tensor([0, 1]), logit_scale=100.0)
        Score(accuracy=1.0, probability=1.0)
    """
    right = first_best(similarity) == labels
    chance = (logit_scale * similarity.double()).softmax(dim=1).gather(1, labels[:, None])
    return Score(int(right.sum()) / len(labels), round(float(chance.mean()), _DIGITS))


def pooled(parts: Sequence[tuple[Score, int]]) -> Score:
    """The score of several sets of images as one, from their scores and sizes.

    Example:
        >>> pooled([(Score(1.0, 0.5), 1), (Score(0.0, 0.25), 3)])
        Score(accuracy=0.25, probability=0.3125)
    """
    n = sum(size for _, size in parts)
    # rounded back to whole images: equal counts must compare equal
    hits = sum(round(score.accuracy * size) for score, size in parts)
    chance = sum(score.probability * size for score, size in parts) / n
    return Score(hits / n, round(chance, _DIGITS))


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that a search tried, and how it did on the selection images.

    Attributes:
        what: such as `2 templates` or a template.
        score: on the selection images, which also chose.
        kept_out: on folds of them that had no say; None where nothing was kept out.
    """

    what: str
    score: Score
    kept_out: Score | None = None


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


def only(place: int, t: int) -> Float[Tensor, " t"]:
    """All weight on one template.

    Example:
        >>> only(1, 3)
        tensor([0., 1., 0.])
    """
    weights = torch.zeros(t)
    weights[place] = 1
    return weights
