"""The largest temperature at which the margins of these pairs keep wrong items out of the loss (Chen et al.
2024).

gamma is the delta quantile of the margins of pairs, counting for each pair the smaller of its two directions,
between labels where there are any. It is safe where gamma / temperature >= log(2 B / delta). Where gamma is
not positive no temperature is safe, and none is printed.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from awase.errors import DataError
from awase.functional.margins import largest_safe_temperature, margins
from awase.transfer._groups import image_ranks, label_groups
from awase.transfer._intervals import mean_estimate, quantile_estimate
from awase.transfer._protocol import Diagnosis
from awase.transfer._temperature import assumed_temperature
from awase.transfer.diagnostics.false_negatives import SIZES
from awase.types import Chart, Estimate, Line, PairFeatures

_CURVES = (0.05, 0.25, 0.5)  # quantiles of the margin that the chart shows


@dataclass(frozen=True)
class Temperature:
    """Largest safe temperature, and whether the one in use is safe.

    Args:
        batch_size: of training.
        delta: how much loss wrong items may cause, and the quantile of the margin, in (0, 1).
        temperature: in use; None for the encoder's own, else 0.07.
        batch_sizes: of the curve.
        n_replicates: resamples of images behind the intervals.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> pairs = PairFeatures(u, u, torch.arange(3), ("a", "b", "c"), logit_scale=100.0)
        >>> found = Temperature().measure(pairs, seed=0).estimates
        >>> [(one.name, round(one.value, 3)) for one in found[:3]]
        [('margin_gamma', 1.0), ('largest_safe_temperature', 0.101), ('temperature', 0.01)]
    """

    batch_size: int = 512
    delta: float = 0.05
    temperature: float | int | None = None
    batch_sizes: tuple[int, ...] = SIZES
    n_replicates: int = 1000
    block_size: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not 0 < self.delta < 1 or any(size < 1 for size in self.batch_sizes):
            raise DataError(
                f"batch_size must be at least 1 and delta in (0, 1), got {self.batch_size}, {self.delta}."
            )

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """gamma, the temperature it allows, and what share of the pairs the one in use serves."""
        margin = self._pair_margins(pairs)
        images = image_ranks(pairs)[pairs.image_of_text]
        temperature, notes = assumed_temperature(pairs, self.temperature)
        gamma = quantile_estimate(
            "margin_gamma",
            self.delta,
            margin,
            images,
            n_replicates=self.n_replicates,
            seed=seed,
            unit=f"cosine, {self.delta:g} quantile, smaller of both directions",
            higher_means="better",
        )
        safe, low, high = (self._safe(value) for value in (gamma.value, gamma.low, gamma.high))
        if safe is None:
            low = high = None
            notes.append(
                f"No temperature is safe: the {self.delta:g} quantile of the margin is {gamma.value:.4g}, so "
                "these pairs lose to a wrong item at any temperature."
            )
        n = len(margin)
        setting = f"batch {self.batch_size}, delta {self.delta:g}"
        wanted = temperature * math.log(2 * self.batch_size / self.delta)
        largest = Estimate("largest_safe_temperature", safe, low, high, n, setting, "better")
        used = Estimate("temperature", temperature, None, None, n, "in use")
        needed = Estimate("margin_needed", wanted, None, None, n, f"cosine, at that temperature; {setting}")
        enough = mean_estimate(
            "margin_enough",
            (margin >= wanted).double(),
            images,
            n_replicates=self.n_replicates,
            seed=seed,
            unit="share of pairs with at least the margin needed",
            higher_means="better",
        )
        chart = self._chart(margin, temperature)
        return Diagnosis((gamma, largest, used, needed, enough), (chart,) if chart else (), tuple(notes))

    def _pair_margins(self, pairs: PairFeatures) -> Tensor:
        """Of each text with its image, the smaller of its two directions."""
        both = margins(
            pairs.image_features,
            pairs.text_features,
            image_of_text=pairs.image_of_text,
            groups=label_groups(pairs),
            block_size=self.block_size,
        )
        image, text = both
        # of an image with several captions, this caption against the best wrong one
        best_wrong = (image.own - image.margin)[pairs.image_of_text]
        return torch.minimum(text.margin, text.own - best_wrong)

    def _safe(self, margin: float | None) -> float | None:
        return None if margin is None else largest_safe_temperature(margin, self.batch_size, self.delta)

    def _chart(self, margin: Tensor, temperature: float) -> Chart | None:
        """Largest safe temperature against batch size, for three quantiles of the margin."""
        ordered = margin.sort().values
        sizes = tuple(map(float, self.batch_sizes))
        lines = []
        for share in _CURVES:
            value = float(ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)])
            safe = [largest_safe_temperature(value, size, self.delta) for size in self.batch_sizes]
            if all(one is not None for one in safe):
                lines.append(Line(f"margin_quantile_{share:g}", sizes, tuple(one or 0.0 for one in safe)))
        if not lines:
            return None
        lines.append(Line("temperature_in_use", sizes, (temperature,) * len(sizes)))
        return Chart(
            "safe_temperature", tuple(lines), log_x=True, marks={"batch_size": float(self.batch_size)}
        )


METHOD = Temperature
