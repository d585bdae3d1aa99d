"""Cosines and what is made of them directly. Vectors are normalised here, once, and never silently."""

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError


def normalize(embeddings: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Vectors of length 1, in the direction of the embeddings.

    A zero vector has no direction and stays zero; `require_unit` finds it.

    Example:
        >>> import torch
        >>> normalize(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """
    return torch.nn.functional.normalize(embeddings, dim=-1)


def is_usable(features: Float[Tensor, "n d"]) -> list[bool]:
    """Whether each row is a unit vector: finite, and not the zero that a broken image leaves.

    Example:
        >>> import torch
        >>> is_usable(torch.tensor([[1.0, 0.0], [float("nan"), 0.0], [0.0, 0.0]]))
        [True, False, False]
    """
    norms = features.float().norm(dim=-1)
    return [bool(ok) for ok in (norms - 1).abs() < 1e-2]  # NaN compares false


def class_prototypes(text_features: Float[Tensor, "k t d"]) -> Float[Tensor, "k d"]:
    """One unit vector a class from the unit vectors of its t prompts: their mean, normalised.

        t_k = norm(1/t sum_j norm(E(template_j(name_k))))      Radford et al. 2021 (CLIP)

    One prompt is its own prototype, to the last bit.

    Example:
        >>> import torch
        >>> class_prototypes(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
        tensor([[0.7071, 0.7071]])
    """
    if text_features.shape[1] == 1:
        return text_features[:, 0]
    return normalize(text_features.mean(dim=1))


def paired_cosine(
    image_features: Float[Tensor, "b d"], text_features: Float[Tensor, "b d"]
) -> Float[Tensor, " b"]:
    """Cosine of row i with row i, in [-1, 1]; both sides must be unit vectors. Not scaled.

    Example:
        >>> import torch
        >>> paired_cosine(torch.eye(2), torch.eye(2))
        tensor([1., 1.])
    """
    return (image_features.float() * text_features.float()).sum(dim=-1)


def clip_score(cosine: Float[Tensor, " b"], *, weight: float = 2.5) -> Float[Tensor, " b"]:
    """CLIPScore (Hessel et al. 2021): weight * max(cosine, 0).

    Higher = better aligned. Other tools use a weight of 100; the weight is part of the result.

    Raises:
        DataError: the weight is not positive.

    Example:
        >>> import torch
        >>> clip_score(torch.tensor([0.2, -0.1]))
        tensor([0.5000, 0.0000])
    """
    if weight <= 0:
        raise DataError(f"the weight of CLIPScore must be positive, got {weight}; the paper uses 2.5.")
    return weight * cosine.clamp(min=0)
