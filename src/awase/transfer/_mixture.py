"""Class vectors as weighted means of prompts: the one formula behind prompt ensembles.

    t_k = norm( sum_j w_kj norm(E(template_j(name_k))) ),   w_kj >= 0, sum_j w_kj = 1

Equal weights give the ensemble of Radford et al. 2021 (CLIP, arXiv 2103.00020); all weight on one template
gives that prompt alone. Scaling the weights of a class changes nothing, as the mean is normalised.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.similarity import normalize


def mixture(prompt_features: Float[Tensor, "k t d"], weights: Float[Tensor, "..."]) -> Float[Tensor, "k d"]:
    """One unit vector a class from the vectors of its t prompts.

    Args:
        prompt_features: of each class under each template.
        weights: one a template (t), or one a class and template (k, t); not negative, summing to 1.

    Raises:
        ShapeError: the weights are neither (t) nor (k, t).

    Example:
        >>> import torch
        >>> mixture(torch.eye(2)[None], torch.tensor([0.5, 0.5]))
        tensor([[0.7071, 0.7071]])
        >>> mixture(torch.eye(2)[None], torch.tensor([[0.0, 1.0]]))
        tensor([[0., 1.]])
    """
    k, t, _ = prompt_features.shape
    if tuple(weights.shape) not in ((t,), (k, t)):
        raise ShapeError(f"weights of shape {tuple(weights.shape)} do not fit {k} classes and {t} templates.")
    rows = weights.to(prompt_features).expand(k, t)
    return normalize(torch.einsum("kt,ktd->kd", rows, prompt_features))


def convex(weights: Float[Tensor, "*b t"]) -> Float[Tensor, "*b t"]:
    """Weights that sum to 1, from any that are not negative.

    Raises:
        DataError: one is negative or not finite, or all of a row are zero.

    Example:
        >>> import torch
        >>> convex(torch.tensor([3.0, 1.0]))
        tensor([0.7500, 0.2500])
    """
    total = weights.sum(dim=-1, keepdim=True)
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()) or bool((total <= 0).any()):
        raise DataError(
            "weights of templates must be finite, not negative and not all zero; 1 for each weighs all alike."
        )
    return weights / total
