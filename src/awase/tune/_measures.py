"""What tuning did to a model: figures of it before or after, by name. One function makes one measure.

A measure is a callable from a tuned model to numbers; other capabilities (out-of-distribution detection)
bring measures of their own, so that tuning need not know them. None stands for what a method cannot do.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.functional.retrieval import ranks, recall_at_k
from awase.tune._protocol import Task, Tuned
from awase.types import Features

Figures = Mapping[str, float | None]
Measure = Callable[[Tuned, Task], Figures]


def accuracy(similarity: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> float:
    """Share of rows whose largest similarity is their class; of equal ones the lower class is taken.

    Raises:
        DataError: no rows.

    Example:
        >>> import torch
        >>> accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        0.5
    """
    if len(labels) == 0:
        raise DataError("accuracy needs at least one image.")
    best = similarity.max(dim=1, keepdim=True).values
    predicted = (similarity == best).int().argmax(dim=1)
    return float((predicted == labels).double().mean())


def held_out_accuracy(images: Features, labels: Int[Tensor, " n"]) -> Measure:
    """`accuracy` on images of the classes it was tuned on."""
    return lambda tuned, task: {"accuracy": accuracy(tuned.evidence(images).similarity, labels)}


def drift(images: Features) -> Measure:
    """`class_shift`, `image_shift`: 1 - mean cosine of vectors before and after, 0 = nothing moved."""

    def measure(tuned: Tuned, task: Task) -> Figures:
        after, before = tuned.evidence(images), task.frozen.evidence(images)
        return {
            "class_shift": 1 - _mean_cosine(after.class_features, before.class_features),
            "image_shift": 1 - _mean_cosine(after.image_features, before.image_features),
        }

    return measure


def other_zero_shot(
    name: str, images: Features, labels: Int[Tensor, " n"], classes: Sequence[str]
) -> Measure:
    """`zero_shot/NAME`: accuracy on a data set with other classes, by their names alone."""

    def measure(tuned: Tuned, task: Task) -> Figures:
        return {f"zero_shot/{name}": _named_accuracy(tuned, images, labels, classes)}

    return measure


def retrieval(
    name: str, images: Features, captions: Sequence[str], image_of_text: Int[Tensor, " m"]
) -> Measure:
    """`image_to_text_r1/NAME`, `text_to_image_r1/NAME`: recall at 1 between photos and their captions."""

    def measure(tuned: Tuned, task: Task) -> Figures:
        found = ranks(
            tuned.image_features(images), tuned.text_features(captions), image_of_text=image_of_text
        )
        return {
            f"image_to_text_r1/{name}": float(recall_at_k(found.image_to_text, k=1)),
            f"text_to_image_r1/{name}": float(recall_at_k(found.text_to_image, k=1)),
        }

    return measure


def base_to_new(
    images: Features,
    labels: Int[Tensor, " n"],
    *,
    new_images: Features,
    new_labels: Int[Tensor, " m"],
    new_classes: Sequence[str],
) -> Measure:
    """`base_accuracy`, `new_accuracy`, `harmonic_mean` of a model tuned on the base classes alone.

    Each side is classified among its own classes, as in CoCoOp (Zhou et al. 2022, arXiv 2203.05557).
    """  # fmt: skip

    def measure(tuned: Tuned, task: Task) -> Figures:
        base = accuracy(tuned.evidence(images).similarity, labels)
        new = _named_accuracy(tuned, new_images, new_labels, new_classes)
        return {"base_accuracy": base, "new_accuracy": new, "harmonic_mean": harmonic_mean(base, new)}

    return measure


def harmonic_mean(first: float, second: float | None) -> float | None:
    """2ab / (a + b), 0 where both are 0, None where one is missing.

    Example:
        >>> harmonic_mean(0.5, 1.0), harmonic_mean(0.5, None)
        (0.6666666666666666, None)
    """
    if second is None:
        return None
    return 2 * first * second / (first + second) if first + second else 0.0


def _named_accuracy(
    tuned: Tuned, images: Features, labels: Int[Tensor, " n"], classes: Sequence[str]
) -> float | None:
    try:
        evidence = tuned.evidence(images, classes)
    except DataError:  # a linear head has no words for other classes
        return None
    return accuracy(evidence.similarity, labels)


def _mean_cosine(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> float:
    return float(torch.nn.functional.cosine_similarity(first.double(), second.double()).mean())
