"""What a zero-shot classifier says of each image: the nearest classes, their probabilities, and its loss.

In blocks of images, so that the similarities of a million of them to a thousand classes are never held at
once. Of equally similar classes the first wins, here as everywhere.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.calibration import brier_score, negative_log_likelihood

_CELLS = 4_000_000  # similarities held at once, in float64: 32 MB


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One row an image.

    Attributes:
        labels: the true class.
        ranks: how many classes stand before it; 0 is right at the first guess.
        classes: the nearest ones, the best first.
        similarity: their cosines.
        probability: theirs, under the temperature.
        loss: -log of the true class's probability, in nats.
        brier: squared distance of all probabilities from the truth, in [0, 2].
        temperature: divides cosines in the softmax.
        n_classes: how many there are.
    """

    labels: Int[Tensor, " n"]
    ranks: Int[Tensor, " n"]
    classes: Int[Tensor, "n t"]
    similarity: Float[Tensor, "n t"]
    probability: Float[Tensor, "n t"]
    loss: Float[Tensor, " n"]
    brier: Float[Tensor, " n"]
    temperature: float
    n_classes: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def confidence(self) -> Float[Tensor, " n"]:
        """Probability of the first class."""
        return self.probability[:, 0]


def answer(
    image_features: Float[Tensor, "n d"],
    class_features: Float[Tensor, "k d"],
    labels: Int[Tensor, " n"],
    *,
    temperature: float | int,
    top: int = 5,
    block_size: int | None = None,
) -> Answers:
    """The answers of a zero-shot classifier.

    Args:
        image_features: unit vectors.
        class_features: unit vectors, one a class.
        labels: true class of each image.
        temperature: divides cosines; 1 / logit_scale is the model's own.
        top: how many classes each image keeps; at most k are there.
        block_size: images at a time; None for what fits 32 MB.

    Raises:
        ShapeError: numbers of images and labels, or widths, differ.
        DataError: fewer than two classes, no images, a label that is no class, a vector that is not finite,
        or a
            temperature or a number out of range.

    Example:
        >>> import torch
        >>> said = answer(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), temperature=0.5)
        >>> said.ranks.tolist(), said.classes[:, 0].tolist(), f"{float(said.confidence[0]):.3f}"
        ([0, 1], [0, 1], '0.881')
    """
    n, k = len(image_features), len(class_features)
    _require(image_features, class_features, labels, temperature, top)
    size = block_size or max(1, _CELLS // k)
    parts = []
    for start in range(0, n, size):
        rows = slice(start, start + size)
        similarity = image_features[rows].float() @ class_features.float().T  # (b, k)
        parts.append(_of_block(similarity, labels[rows], float(temperature), min(top, k)))
    return Answers(
        labels,
        torch.cat([part.ranks for part in parts]),
        torch.cat([part.classes for part in parts]),
        torch.cat([part.similarity for part in parts]),
        torch.cat([part.probability for part in parts]),
        torch.cat([part.loss for part in parts]),
        torch.cat([part.brier for part in parts]),
        float(temperature),
        k,
    )


def _of_block(
    similarity: Float[Tensor, "b k"], labels: Int[Tensor, " b"], temperature: float, top: int
) -> Answers:
    own = similarity.gather(1, labels[:, None])
    earlier = torch.arange(similarity.shape[1])[None, :] < labels[:, None]
    # a stable sort keeps equal classes in their order
    classes = similarity.sort(dim=1, descending=True, stable=True).indices[:, :top]
    probability = (similarity.double() / temperature).softmax(dim=1)
    return Answers(
        labels,
        ((similarity > own) | ((similarity == own) & earlier)).sum(dim=1),
        classes,
        similarity.gather(1, classes),
        probability.gather(1, classes).clamp(max=1.0),
        negative_log_likelihood(similarity, labels, temperature=temperature),
        brier_score(probability, labels),
        temperature,
        similarity.shape[1],
    )


def _require(images: Tensor, classes: Tensor, labels: Tensor, temperature: float | int, top: int) -> None:
    if len(images) != len(labels) or images.shape[1] != classes.shape[1]:
        raise ShapeError(
            f"{len(images)} images of width {images.shape[1]} came with {len(labels)} labels and classes of "
            f"width {classes.shape[1]}."
        )
    if len(classes) < 2:
        raise DataError(
            f"zero-shot needs two classes or more, got {len(classes)}: there is nothing to tell apart."
        )
    if len(images) == 0:
        raise DataError("there is no image to classify.")
    if not bool(((labels >= 0) & (labels < len(classes))).all()):
        raise DataError(f"labels must be classes 0 to {len(classes) - 1}.")
    if not (math.isfinite(temperature) and temperature > 0) or top < 1:
        raise DataError(f"temperature and top must be positive, got {temperature} and {top}.")
    for name, features in (("image", images), ("class", classes)):
        bad = (~features.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
        if bad:
            raise DataError(f"the {name} vectors of rows {', '.join(map(str, bad[:5]))} are not finite.")
