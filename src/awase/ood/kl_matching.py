"""KL-matching: does the whole distribution over classes look like that of some class? (arXiv 1911.11132)

    score = -min_y KL(p(x) || d_y),   p = softmax(s / temperature),   d_y = mean of p over known images of y

It notices an image whose probabilities are spread as no known class spreads them, peaked or not. Classes
without images are no candidates. Hendrycks et al. group images by the predicted class; here, as there are
labels, by the label.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from awase.ood._known import class_means, require_images
from awase.ood._protocol import HIGHER_MEANS, Known
from awase.ood._rows import require_classes, score_rows
from awase.ood._softmax import below_best, require_temperature
from awase.types import Evidence


def negative_divergence(
    similarity: Float[Tensor, "b k"], log_templates: Float[Tensor, "c k"], temperature: float | int = 1
) -> Float[Tensor, " b"]:
    """-min_y KL(p || d_y) = max_y sum_k p_k log d_yk - sum_k p_k log p_k, at most 0.

    Args:
        similarity: s; p = softmax(s / temperature).
        log_templates: log d_y.
        temperature: divides cosines.

    Example:
        >>> import torch
        >>> negative_divergence(torch.zeros(1, 2), torch.tensor([[0.99, 0.01], [0.9, 0.1]]).log())
        tensor([-0.5108], dtype=torch.float64)
    """
    below = below_best(similarity, temperature)
    weights = below.exp()  # p times its sum
    total = weights.sum(dim=1, dtype=torch.float64)
    cross = (weights @ log_templates.T).amax(dim=1)  # (b,)
    own = below.mul_(weights).sum(dim=1, dtype=torch.float64)
    return ((cross - own) / total + total.log()).clamp_(max=0)


@dataclass(frozen=True, eq=False)
class KlMatchingScorer:
    """Negative divergence in nats from the nearest class's mean probabilities, at most 0; fitted.

    Attributes:
        temperature: divides cosines, when fitting and when scoring.
        log_templates: log of the mean probabilities of each class that had images.
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float | int
    log_templates: Float[Tensor, "c k"] = field(repr=False)

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: fewer than two classes, or a NaN.
        """

        def block(similarity: Tensor) -> Tensor:
            return negative_divergence(similarity, self.log_templates.to(similarity), self.temperature)

        # larger blocks than a softmax alone wants: most of the time goes into the product with the templates
        return score_rows(evidence, block, least=2, elements=2**19)


@dataclass(frozen=True)
class KlMatching:
    """Learns the mean class probabilities of known images.

    Args:
        temperature: divides cosines; 0.01, CLIP's own.

    Example:
        >>> import torch
        >>> from awase.types import Evidence
        >>> shots = Evidence(torch.tensor([[0.3, 0.2], [0.2, 0.3]]), torch.eye(2), torch.eye(2))
        >>> scorer = KlMatching().fit(Known(shots, torch.tensor([0, 1]), ["dog", "cat"]))
        >>> between = Evidence(torch.tensor([[0.25, 0.25]]), torch.eye(2)[:1], torch.eye(2))
        >>> bool(scorer.score(between) < scorer.score(shots).min() - 4)
        True
    """

    scorer: ClassVar[type] = KlMatchingScorer
    needs_patches: ClassVar[bool] = False
    temperature: float | int = 0.01

    def fit(self, known: Known) -> KlMatchingScorer:
        """Mean probabilities of the known images of each class.

        Raises:
            DataError: no images, labels that do not fit, fewer than two classes, a NaN, or a temperature that
                is not positive.
        """
        require_temperature(self.temperature)
        require_classes(known.evidence.similarity.shape[1], 2)
        require_images(known)
        p = (known.evidence.similarity.double() / self.temperature).softmax(dim=1)
        means, _, _ = class_means(p, known.labels)
        # the floor keeps a probability that no float64 can hold from making the score infinite
        log_means = means.clamp(min=torch.finfo(torch.float64).tiny).log()
        return KlMatchingScorer(self.temperature, log_means.float())


METHOD = KlMatching
