"""How nearly scores depend on the shared feature alone: alpha over gamma, and beta (Chen et al. 2024).

The shared feature is the label; without labels it is the identity of the image, and then beta over images
does not exist; prompts, one a class, have no beta over texts. Quadratic in the number of pairs, so above a
limit images are drawn, which the notes say.
"""

from dataclasses import dataclass

import torch

from awase.errors import DataError
from awase.functional.completeness import GAMMAS, completeness_curve
from awase.training.sampler import seeded
from awase.transfer._groups import are_prompted, label_groups, texts_of_images
from awase.transfer._protocol import Diagnosis
from awase.types import Chart, Estimate, Line, PairFeatures


@dataclass(frozen=True)
class CompletenessCurve:
    """alpha(gamma), beta over images and over texts.

    Args:
        gammas: margins whose alpha is reported as a number, in cosine units.
        alpha: the share of violations that `completeness_gamma` allows, in (0, 1).
        most_pairs: texts from which on images are drawn instead of taking all.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> found = CompletenessCurve().measure(PairFeatures(u, u, torch.arange(3), tuple("abc")), seed=0)
        >>> found.estimates[0].name, found.estimates[0].value
        ('completeness_alpha_0', 0.0)
    """

    gammas: tuple[float, ...] = (0.0, 0.05, 0.1)
    alpha: float = 0.05
    most_pairs: int = 20_000
    block_size: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.most_pairs < 2:
            raise DataError(
                f"alpha must lie in (0, 1) and most_pairs be at least 2, got {self.alpha}, {self.most_pairs}."
            )

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """alpha at the gammas, the gamma that an alpha allows, beta of both modalities, and the curve."""
        pairs, notes = self._drawn(pairs, seed)
        groups = label_groups(pairs)
        if groups is None:
            notes.append("Without labels every image counts as a shared feature of its own.")
        gammas = tuple(sorted({*GAMMAS, *self.gammas}))
        found = completeness_curve(
            pairs.image_features,
            pairs.text_features,
            image_of_text=pairs.image_of_text,
            groups=groups,
            gammas=gammas,
            block_size=self.block_size,
        )
        of_gamma = dict(zip(found.gammas, found.alphas, strict=True))
        m = len(pairs.text_features)
        estimates = [
            Estimate(
                f"completeness_alpha_{gamma:g}",
                of_gamma[gamma],
                None,
                None,
                m,
                "share of pairs of pairs that violate the margin",
                "worse",
            )
            for gamma in self.gammas
        ]
        kept = [gamma for gamma, alpha in of_gamma.items() if alpha <= self.alpha]
        estimates += [
            Estimate(
                "completeness_gamma", max(kept, default=None), None, None, m,
                f"cosine; largest margin that at most {self.alpha:g} violate, on a grid of 0.01", "better",
            ),
            Estimate(
                "completeness_beta.images", found.beta_images, None, None, m,
                "variance of the cosine over images of one label, fixed text", "worse",
            ),
            Estimate(
                "completeness_beta.texts", None if are_prompted(pairs) else found.beta_texts, None, None, m,
                "variance of the cosine over texts of one label, fixed image", "worse",
            ),
        ]  # fmt: skip
        chart = Chart("completeness", (Line("alpha", found.gammas, found.alphas),), marks={"no_margin": 0.0})
        return Diagnosis(tuple(estimates), (chart,), tuple(notes))

    def _drawn(self, pairs: PairFeatures, seed: int) -> tuple[PairFeatures, list[str]]:
        m = len(pairs.text_features)
        if m <= self.most_pairs:
            return pairs, []
        texts = texts_of_images(pairs)
        order = torch.randperm(len(texts), generator=seeded(seed, 3)).tolist()
        chosen: list[list[int]] = []
        count = 0
        for row in order:
            if len(chosen) >= 2 and count + len(texts[row]) > self.most_pairs:
                break
            chosen.append(texts[row])
            count += len(texts[row])
        note = f"The completeness curve is of {len(chosen)} images with {count} texts, drawn of {len(pairs)}."
        return _select(pairs, chosen), [note]


def _select(pairs: PairFeatures, chosen: list[list[int]]) -> PairFeatures:
    """These images with these texts."""
    rows = torch.tensor([row for texts in chosen for row in texts])
    images = pairs.image_of_text[[texts[0] for texts in chosen]]
    labels = pairs.labels
    return PairFeatures(
        pairs.image_features[images],
        pairs.text_features[rows],
        torch.tensor([place for place, texts in enumerate(chosen) for _ in texts]),
        tuple(pairs.images[image] for image in images.tolist()),
        labels=None if labels is None else tuple(labels[image] for image in images.tolist()),
        logit_scale=pairs.logit_scale,
    )


METHOD = CompletenessCurve
