"""kNN: distance to the k-th nearest known image (Sun et al. 2022, arXiv 2204.06507).

    score = -|f - f_(k)|,   f_(k) the k-th nearest of the known images by cosine

Reads image features only, so it says nothing of the words of the classes. Images and known images stream past
each other in blocks; beyond one block no n x m matrix exists.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.ood._known import require_images
from awase.ood._protocol import HIGHER_MEANS, Known
from awase.ood._rows import blocks, finite
from awase.ood.mahalanobis import require_width
from awase.types import Evidence

_PAPER_K = 50
_ROWS, _COLUMNS = 1024, 8192  # a block: 32 MB of cosines


def kth_nearest(features: Float[Tensor, "n d"], known: Float[Tensor, "m d"], k: int) -> Int[Tensor, " n"]:
    """Row of `known` with the k-th largest cosine, for every row of `features`.

    Example:
        >>> import torch
        >>> kth_nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.6, 0.8], [1.0, 0.0]]), 2)
        tensor([1])
    """
    best = features.new_zeros(len(features), 0)
    rows = torch.zeros(len(features), 0, dtype=torch.int64, device=features.device)
    for columns in blocks(len(known), 1, elements=_COLUMNS):
        cosines = features @ known[columns].T  # (n, at most _COLUMNS)
        values, found = cosines.topk(min(k, cosines.shape[1]), dim=1, sorted=False)
        best = torch.cat([best, values], dim=1)
        rows = torch.cat([rows, found + columns.start], dim=1)
        if best.shape[1] > k:
            best, kept = best.topk(k, dim=1, sorted=False)
            rows = rows.gather(1, kept)
    return rows.gather(1, best.argmin(dim=1, keepdim=True))[:, 0]


@dataclass(frozen=True, eq=False)
class KnnScorer:
    """Minus the Euclidean distance of unit vectors, in [-2, 0]; fitted.

    Attributes:
        k: which neighbour counts.
        features: of the known images.
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    k: int
    features: Float[Tensor, "m d"] = field(repr=False)

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row, from its image features.

        Raises:
            DataError: a NaN.
            ShapeError: features of another width than those it learned from.
        """
        images = evidence.image_features
        require_width(images, self.features)
        scores = torch.empty(len(images), dtype=torch.float64, device=images.device)
        for rows in blocks(len(images), 1, elements=_ROWS):
            block = images[rows].to(self.features)
            neighbour = self.features[kth_nearest(block, self.features, self.k)]
            # the difference itself: sqrt(2 - 2 cosine) loses half the digits between near images
            scores[rows] = -(block - neighbour).double().norm(dim=1)
        return finite(scores)


@dataclass(frozen=True)
class Knn:
    """Keeps the known images.

    Args:
        k: which neighbour counts. None: 50, the paper's, where the known classes have 50 images each on
            average; else 1, since with few shots the 50th neighbour lies in other classes.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> shots = Evidence(torch.eye(2), torch.eye(2), torch.eye(2))
        >>> scorer = Knn().fit(Known(shots, torch.tensor([0, 1]), ["dog", "cat"]))
        >>> scorer, scorer.score(Evidence(-torch.eye(2), torch.tensor([[1.0, 0], [0.6, 0.8]]), torch.eye(2)))
        (KnnScorer(k=1), tensor([-0.0000, -0.6325], dtype=torch.float64))
    """

    scorer: ClassVar[type] = KnnScorer
    needs_patches: ClassVar[bool] = False
    k: int | None = None

    def fit(self, known: Known) -> KnnScorer:
        """The known images' features.

        Raises:
            DataError: no images, labels that do not fit, a NaN, or a k that is not in 1 .. number of images.
        """
        require_images(known)
        n = len(known.labels)
        k = self.k
        if k is None:
            k = _PAPER_K if n >= _PAPER_K * int((known.labels.bincount() > 0).sum()) else 1
        if not 1 <= k <= n:
            raise DataError(f"k must lie in 1 .. {n}, the number of known images, got {k}.")
        return KnnScorer(k, known.evidence.image_features.float())


METHOD = Knn
