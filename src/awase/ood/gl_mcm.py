"""GL-MCM: MCM of the whole image and of its best patch (Miyai et al. 2023, arXiv 2304.04521).

    score = max_k softmax(s / t)_k + weight * max over patches p and classes k of softmax(s_p / t)_k

A small object that the whole-image feature drowns still shows in one patch. The patches of an image are
compared with the classes block by block and are never kept for all images.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError
from awase.ood._protocol import HIGHER_MEANS
from awase.ood._rows import blocks, finite, score_rows, wide
from awase.ood._softmax import log_max_softmax, require_temperature
from awase.types import Evidence


def local_mcm(
    patch_features: Float[Tensor, "n p d"], class_features: Float[Tensor, "k d"], temperature: float | int
) -> Float[Tensor, " n"]:
    """MCM of each image's best patch, in [1 / k, 1].

    Example:
        >>> import torch
        >>> patches = torch.tensor([[[1.0, 0.0], [0.6, 0.8]]])
        >>> local_mcm(patches, torch.eye(2), 1.0)
        tensor([0.7311], dtype=torch.float64)
    """
    n, p, d = patch_features.shape
    classes = wide(class_features)
    scores = torch.empty(n, dtype=torch.float64, device=patch_features.device)
    for rows in blocks(n, p * len(classes)):
        patches = patch_features[rows].reshape(-1, d).to(classes)  # (b * p, d)
        best = log_max_softmax(patches @ classes.T, temperature)
        scores[rows] = best.reshape(-1, p).amax(dim=1).exp()
    return scores


@dataclass(frozen=True)
class GlMcm:
    """Sum of two probabilities, in (0, 1 + weight]; higher = in-distribution. Needs patch features.

    Args:
        temperature: divides cosines; 1 as in the paper.
        weight: of the best patch, at least 0; 1 as in the paper (0.5 in its ImageNet script), 0 gives MCM.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> images = torch.tensor([[0.6, 0.8]])
        >>> evidence = Evidence(images, images, torch.eye(2), torch.tensor([[[1.0, 0.0], [0.6, 0.8]]]))
        >>> GlMcm().score(evidence)
        tensor([1.2809], dtype=torch.float64)
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = True
    temperature: float | int = 1.0
    weight: float | int = 1.0

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: no patch features, fewer than two classes, a NaN, a temperature that is not positive,
                or a negative weight.
        """
        require_temperature(self.temperature)
        if not self.weight >= 0:
            raise DataError(f"weight must be at least 0, got {self.weight}; the paper uses 1.")
        patches = evidence.patch_features
        if patches is None or patches.shape[1] == 0:
            raise DataError(
                "gl_mcm reads patch features and there are none; encode the images with patches=True, by an "
                "encoder whose image tower can be taken apart."
            )
        whole = score_rows(evidence, lambda s: log_max_softmax(s, self.temperature).exp(), least=2)
        local = local_mcm(patches, evidence.class_features, self.temperature)
        return finite(whole + self.weight * local)


METHOD = GlMcm
