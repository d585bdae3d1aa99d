"""What the pairs of a data set share, and an order of them that does not depend on how they came.

Random draws and bootstraps go by the sorted names of the images, so that another order of the rows changes no
number.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from awase.functional.splits import class_index
from awase.types import PairFeatures


def label_groups(pairs: PairFeatures) -> Int[Tensor, " n"] | None:
    """The class of each image as a number; None where classes are unknown or say nothing.

    Nothing is said where all images are of one class, or each is of its own.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> label_groups(PairFeatures(u, u, torch.arange(3), ("a", "b", "c"), labels=("dog", "cat", "dog")))
        tensor([1, 0, 1])
    """
    if pairs.labels is None:
        return None
    names = sorted(set(pairs.labels))
    return class_index(pairs.labels, names) if 1 < len(names) < len(pairs) else None


def are_prompted(pairs: PairFeatures) -> bool:
    """Whether the texts are prompts of the classes: all those of one class are the same vector.

    Then a text of the same class is no caption of another image, and only margins between classes mean
    anything.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> texts = u[[0, 0, 1]]
        >>> are_prompted(PairFeatures(u, texts, torch.arange(3), ("a", "b", "c"), labels=("x", "x", "y")))
        True
    """
    groups = label_groups(pairs)
    if groups is None:
        return False
    representative = prompt_rows(pairs)[groups[pairs.image_of_text]]
    return all(
        bool((pairs.text_features[rows] == pairs.text_features[representative[rows]]).all())
        for rows in torch.split(torch.arange(len(representative)), 65_536)
    )


def prompt_rows(pairs: PairFeatures) -> Int[Tensor, " k"]:
    """The first text of each class, for pairs with labels: their prompts, where they are prompted.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> texts = u[[0, 0, 1]]
        >>> prompt_rows(PairFeatures(u, texts, torch.arange(3), ("a", "b", "c"), labels=("x", "x", "y")))
        tensor([0, 2])
    """
    groups = class_index(pairs.labels or (), sorted(set(pairs.labels or ())))[pairs.image_of_text]
    rows = torch.arange(len(groups))
    return torch.full((int(groups.max()) + 1,), len(rows)).scatter_reduce(0, groups, rows, "amin")


def image_ranks(pairs: PairFeatures) -> Int[Tensor, " n"]:
    """The place of each image among the sorted names.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> image_ranks(PairFeatures(u, u, torch.arange(3), ("b", "c", "a")))
        tensor([1, 2, 0])
    """
    ranks = torch.empty(len(pairs), dtype=torch.long)
    ranks[sorted(range(len(pairs)), key=pairs.images.__getitem__)] = torch.arange(len(pairs))
    return ranks


def texts_of_images(pairs: PairFeatures) -> list[list[int]]:
    """Rows of the texts of each image, images by rank; texts by caption, those without one by similarity.

    Example:
        >>> import torch
        >>> u = torch.eye(2)
        >>> texts_of_images(PairFeatures(u, u[[1, 0, 1]], torch.tensor([1, 0, 1]), ("b", "a")))
        [[0, 2], [1]]
    """
    owner = pairs.image_of_text
    cosine = torch.cat(
        [
            (pairs.image_features[owner[rows]].float() * pairs.text_features[rows].float()).sum(dim=1)
            for rows in torch.split(torch.arange(len(owner)), 65_536)
        ]
    ).tolist()
    ranks = image_ranks(pairs)[owner].tolist()
    found: list[list[int]] = [[] for _ in range(len(pairs))]
    captions = pairs.captions
    # five digits: more would let rounding decide
    key = [("" if captions is None else captions[row], round(cosine[row], 5)) for row in range(len(owner))]
    for row in sorted(range(len(owner)), key=key.__getitem__):
        found[ranks[row]].append(row)
    return found
