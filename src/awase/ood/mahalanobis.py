"""Mahalanobis: distance to the nearest class mean, in units of the spread within classes (arXiv 1807.03888).

    score = max_k -1/2 (f - m_k)' C^-1 (f - m_k)
    C     = (1 - r) S + r tr(S) / d I,    S = 1 / (n - c) sum_i (f_i - m_y(i)) (f_i - m_y(i))'

One covariance for all c classes, of the deviations from each class's own mean (not from the mean of all, as
MCM's code takes them). Shrinkage r makes it invertible with fewer shots than dimensions. By default it is the
oracle approximating shrinkage of Chen et al. 2010 (arXiv 0907.4698, eq. 23), in closed form from S and its
n - c degrees of freedom: few shots shrink far, many little. With one image a class nothing is known of the
spread within; then C = I, and the score is the distance to the nearest image.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.ood._known import class_means, require_images
from awase.ood._protocol import HIGHER_MEANS, Known
from awase.ood._rows import blocks, finite
from awase.types import Evidence


def oas_shrinkage(covariance: Float[Tensor, "d d"], degrees: int) -> float:
    """How far to go towards a multiple of the identity, in [0, 1]; Chen et al. 2010, eq. 23.

        r = ((1 - 2/d) tr(S^2) + tr(S)^2) / ((n + 1 - 2/d) (tr(S^2) - tr(S)^2 / d)),   at most 1

    Args:
        covariance: S.
        degrees: n, its degrees of freedom.

    Example:
        >>> import torch
        >>> oas_shrinkage(torch.eye(3), 10)
        1.0
    """
    d = len(covariance)
    of_square, squared = float(covariance.square().sum()), float(covariance.trace()) ** 2
    spread = (degrees + 1 - 2 / d) * (of_square - squared / d)
    above = (1 - 2 / d) * of_square + squared
    return 1.0 if above >= spread else above / spread


def within_class_covariance(
    features: Float[Tensor, "n d"], means: Float[Tensor, "n d"], n_classes: int, shrinkage: float | None
) -> Float[Tensor, "d d"]:
    """C as the module says, float64.

    Args:
        features: of the known images.
        means: of each image's class.
        n_classes: c, how many different means these are.
        shrinkage: r in [0, 1]; None for the closed form.
    """
    n, d = features.shape
    deviations = features.double() - means
    covariance = deviations.T @ deviations / max(1, n - n_classes)
    size = float(covariance.trace()) / d
    # images equal to their class mean leave only rounding, which is no spread
    if size <= torch.finfo(torch.float32).eps ** 2:
        return torch.eye(d, dtype=torch.float64, device=features.device)
    r = oas_shrinkage(covariance, n - n_classes) if shrinkage is None else shrinkage
    covariance *= 1 - r
    covariance.diagonal().add_(r * size)
    return covariance


@dataclass(frozen=True, eq=False)
class MahalanobisScorer:
    """Minus half the squared distance to the nearest class mean, at most 0; fitted.

    Attributes:
        center: the mean of the class means; taken off first, so that float32 keeps its digits.
        whitening: W with W' W = C^-1.
        means: W (m_k - center) of each class that had images.
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    center: Float[Tensor, " d"] = field(repr=False)
    whitening: Float[Tensor, "d d"] = field(repr=False)
    means: Float[Tensor, "c d"] = field(repr=False)

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row, from its image features.

        Raises:
            DataError: a NaN.
            ShapeError: features of another width than those it learned from.
        """
        features = evidence.image_features
        require_width(features, self.means)
        scores = torch.empty(len(features), dtype=torch.float64, device=features.device)
        half = self.means.square().sum(dim=1) / 2  # (c,)
        for rows in blocks(len(features), max(self.means.shape), elements=2**20):
            white = (features[rows].to(self.center) - self.center) @ self.whitening.T  # (b, d)
            nearest = torch.addmm(-half, white, self.means.T).amax(dim=1)
            scores[rows] = nearest.double() - white.square().sum(dim=1, dtype=torch.float64) / 2
        return finite(scores.clamp(max=0))


def require_width(features: Float[Tensor, "n d"], learned: Float[Tensor, "m w"]) -> None:
    """Refuse features of another model.

    Raises:
        ShapeError: the widths differ.
    """
    if features.shape[1] != learned.shape[1]:
        raise ShapeError(
            f"features have {features.shape[1]} dimensions and the score learned from {learned.shape[1]}; "
            "encode the images with the model that it learned from."
        )


@dataclass(frozen=True)
class Mahalanobis:
    """Learns class means and the covariance that all classes share.

    Args:
        shrinkage: r in [0, 1]; 1 gives the distance to the nearest mean, 0 the bare covariance, which needs
            more images than dimensions. None takes the closed form.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> values = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
        >>> shots = Evidence(values, values, torch.eye(2))
        >>> scorer = Mahalanobis().fit(Known(shots, torch.tensor([0, 0, 1, 1]), ["dog", "cat"]))
        >>> away = Evidence(-values, -values, torch.eye(2))
        >>> bool(scorer.score(shots).min() > scorer.score(away).max())
        True
    """

    scorer: ClassVar[type] = MahalanobisScorer
    needs_patches: ClassVar[bool] = False
    shrinkage: float | int | None = None

    def fit(self, known: Known) -> MahalanobisScorer:
        """Means and whitening, computed in float64, kept in float32.

        Raises:
            DataError: no images, labels that do not fit, a NaN, a shrinkage outside [0, 1], or one so small
                that the covariance has no inverse.
        """
        if self.shrinkage is not None and not 0 <= self.shrinkage <= 1:
            raise DataError(
                f"shrinkage must lie in [0, 1], got {self.shrinkage}; None takes it from the data."
            )
        require_images(known)
        features = known.evidence.image_features.double()
        means, place, _ = class_means(features, known.labels)
        shrinkage = None if self.shrinkage is None else float(self.shrinkage)
        covariance = within_class_covariance(features, means[place], len(means), shrinkage)
        whitening = _whitening(covariance)
        center = means.mean(dim=0)
        white = (means - center) @ whitening.T
        return MahalanobisScorer(center.float(), whitening.float(), white.float())


def _whitening(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """W = L^-1 of the Cholesky factor C = L L'."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    # a factor of rounding errors passes as invertible and is not
    diagonal = factor.diagonal()
    if int(failed) or bool(diagonal.min() < 1e-7 * diagonal.max()):
        raise DataError(
            "the covariance of the known images has no inverse: fewer images than dimensions; "
            "leave shrinkage at None, or take a larger one."
        )
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    whitening: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return whitening


METHOD = Mahalanobis
