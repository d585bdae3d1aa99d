"""How far ahead of the best wrong item the right one is, both ways (Chen et al. 2024, arXiv 2310.00927).

The share of margins of 0 or less is 1 - R@1 with ties as misses; ties, such as equal captions of two photos,
are also counted apart. With labels, margins over items of other labels alone: no true positive counts as
wrong.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from awase.errors import DataError
from awase.functional.margins import Margins, Side, margins
from awase.transfer._groups import are_prompted, image_ranks, label_groups
from awase.transfer._intervals import mean_estimate, quantile_estimate
from awase.transfer._protocol import Diagnosis
from awase.types import Chart, Estimate, Line, PairFeatures

PROMPTED = (
    "The texts are prompts, equal within a class: margins and losses count items of other classes only, "
    "so that from image to text they are those of zero-shot classification."
)
SINGLE = "All images have the same label, so there are no margins between labels, and no zero-shot task."
_UNIT = "cosine"


@dataclass(frozen=True)
class MarginDistribution:
    """Quantiles and histograms of margins.

    Args:
        quantiles: which are reported, each in (0, 1).
        bins: of the histograms, at most.
        n_replicates: resamples of images behind the intervals.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> pairs = PairFeatures(u, u, torch.arange(3), ("a", "b", "c"))
        >>> found = MarginDistribution().measure(pairs, seed=0).estimates
        >>> found[0].name, found[0].value
        ('margin_q5.image_to_text', 1.0)
    """

    quantiles: tuple[float, ...] = (0.05, 0.5, 0.95)
    bins: int = 60
    n_replicates: int = 1000
    block_size: int | None = None

    def __post_init__(self) -> None:
        if not all(0 < share < 1 for share in self.quantiles) or self.bins < 1:
            raise DataError(
                f"quantiles must lie in (0, 1) and bins be positive, got {self.quantiles}, {self.bins}."
            )

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """Margins of all pairs, and between labels where there are any."""
        ranks = image_ranks(pairs)
        images = {"image_to_text": ranks, "text_to_image": ranks[pairs.image_of_text]}
        groups = label_groups(pairs)
        found: dict[str, Margins] = {}
        if groups is None or not are_prompted(pairs):
            found["margin"] = self._margins(pairs, None)
        if groups is not None:
            found["label_margin"] = self._margins(pairs, groups)
        estimates: list[Estimate] = []
        for name, both in found.items():
            for direction, side in zip(images, both, strict=True):
                estimates += self._estimates(name, direction, side, images[direction], seed)
        notes = (PROMPTED,) if "margin" not in found else ()
        if pairs.labels is not None and len(set(pairs.labels)) == 1:
            notes = (*notes, SINGLE)
        return Diagnosis(tuple(estimates), tuple(self._chart(*item) for item in found.items()), notes)

    def _margins(self, pairs: PairFeatures, groups: Tensor | None) -> Margins:
        return margins(
            pairs.image_features,
            pairs.text_features,
            image_of_text=pairs.image_of_text,
            groups=groups,
            block_size=self.block_size,
        )

    def _estimates(self, name: str, direction: str, side: Side, images: Tensor, seed: int) -> list[Estimate]:
        found = [
            quantile_estimate(
                f"{name}_q{100 * share:g}.{direction}",
                share,
                side.margin,
                images,
                n_replicates=self.n_replicates,
                seed=seed,
                unit=_UNIT,
                higher_means="better",
            )
            for share in self.quantiles
        ]
        for what, is_so in (("not_positive", side.margin <= 0), ("ties", side.margin == 0)):
            found.append(
                mean_estimate(
                    f"{name}_{what}.{direction}",
                    is_so.double(),
                    images,
                    n_replicates=self.n_replicates,
                    seed=seed,
                    unit="share",
                    higher_means="worse",
                )
            )
        return found

    def _chart(self, name: str, both: Margins) -> Chart:
        values = torch.cat([side.margin.double() for side in both])
        low, high = float(values.min()), float(values.max())
        # of few pairs a fine histogram shows noise alone
        bins = min(self.bins, max(5, math.isqrt(len(values) // 2)))
        edges = torch.linspace(low - 1e-6, high + 1e-6, bins + 1, dtype=torch.float64)
        middle = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
        lines = []
        for direction, side in zip(("image_to_text", "text_to_image"), both, strict=True):
            place = torch.bucketize(side.margin.double(), edges).sub_(1).clamp_(0, bins - 1)
            share = torch.bincount(place, minlength=bins).double() / len(place)
            lines.append(Line(direction, middle, tuple(share.tolist())))
        return Chart(f"{name}s", tuple(lines), style="steps", marks={"no_margin": 0.0})


METHOD = MarginDistribution
