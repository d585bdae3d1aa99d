"""How the vectors of the two modalities lie: alignment, uniformity, modality gap, effective rank.

The gap is not the margin: closing it can leave every rank as it was. The note says both side by side.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from awase.errors import DataError
from awase.functional.geometry import covariance, effective_rank, modality_gap, uniformity
from awase.functional.intervals import bootstrap_interval
from awase.functional.margins import margins, wide
from awase.training.sampler import seeded
from awase.transfer._groups import are_prompted, image_ranks, label_groups, prompt_rows
from awase.transfer._intervals import mean_estimate
from awase.transfer._protocol import Diagnosis
from awase.types import Chart, Estimate, Line, PairFeatures

_LARGEST = 20_000  # rows up to which the gap is resampled


@dataclass(frozen=True)
class Geometry:
    """Alignment, uniformity and effective rank of each modality, and the gap between them.

    Args:
        sharpness: t of uniformity.
        uniformity_pairs: 0 for all pairs, which costs n^2; else so many are drawn.
        n_replicates: resamples of images behind the intervals.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> found = Geometry().measure(PairFeatures(u, u, torch.arange(3), ("a", "b", "c")), seed=0).estimates
        >>> [(one.name, round(one.value, 3)) for one in found][:3]
        [('alignment', 0.0), ('uniformity.images', -4.0), ('uniformity.texts', -4.0)]
    """

    sharpness: float | int = 2.0
    uniformity_pairs: int = 0
    n_replicates: int = 1000
    block_size: int | None = None

    def __post_init__(self) -> None:
        if not self.sharpness > 0 or self.uniformity_pairs < 0:
            raise DataError(
                "sharpness must be positive and uniformity_pairs at least 0, "
                f"got {self.sharpness} and {self.uniformity_pairs}."
            )

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """All figures of both modalities."""
        # prompts stand once for each image of their class: how they lie is a matter of each once
        rows = prompt_rows(pairs) if are_prompted(pairs) else None
        texts = pairs.text_features if rows is None else pairs.text_features[rows]
        sides = (("images", pairs.image_features), ("texts", texts))
        estimates = [self._alignment(pairs, seed)]
        for number, (name, features) in enumerate(sides):
            value = self._uniformity(features, seed, number) if len(features) > 1 else None
            estimates.append(_plain(f"uniformity.{name}", value, len(features), "log kernel", "worse"))
        estimates.append(self._gap(pairs, seed))
        lines = []
        for name, features in sides:
            rank = effective_rank(features) if len(features) > 1 else None
            unit = f"directions of {features.shape[1]}"
            estimates.append(_plain(f"effective_rank.{name}", rank, len(features), unit, "better"))
            if rank:
                lines.append(_spectrum(name, features))
        return Diagnosis(
            tuple(estimates),
            (Chart("explained_variance", tuple(lines), log_x=True),) if lines else (),
            self._side_by_side(pairs),
        )

    def _alignment(self, pairs: PairFeatures, seed: int) -> Estimate:
        owner = pairs.image_of_text
        distance = torch.cat(
            [
                (wide(pairs.image_features[owner[rows]]).double() - pairs.text_features[rows].double())
                .square()
                .sum(dim=1)
                for rows in torch.split(torch.arange(len(owner)), 65_536)
            ]
        )
        return mean_estimate(
            "alignment",
            distance,
            image_ranks(pairs)[owner],
            n_replicates=self.n_replicates,
            seed=seed,
            unit="squared distance of pairs, 2 - 2 cos",
            higher_means="worse",
        )

    def _uniformity(self, features: Tensor, seed: int, number: int) -> float:
        if not self.uniformity_pairs:
            return uniformity(features, sharpness=self.sharpness, block_size=self.block_size)
        draws = seeded(seed, 100 + number)
        return uniformity(features, sharpness=self.sharpness, n_pairs=self.uniformity_pairs, generator=draws)

    def _gap(self, pairs: PairFeatures, seed: int) -> Estimate:
        """With an interval over images, up to a size at which that is quick."""
        value = modality_gap(pairs.image_features, pairs.text_features)
        low = high = None
        if self.n_replicates and 1 < len(pairs) <= _LARGEST:
            low, high = self._gap_interval(pairs, seed)
        return Estimate("modality_gap", value, low, high, len(pairs), "distance of the means", "")

    def _gap_interval(self, pairs: PairFeatures, seed: int) -> tuple[float | None, float | None]:
        ranks = image_ranks(pairs)
        n, width = pairs.image_features.shape
        images = torch.zeros(n, width, dtype=torch.float64)
        images[ranks] = pairs.image_features.double()
        texts = torch.zeros(n, width, dtype=torch.float64)
        texts.index_add_(0, ranks[pairs.image_of_text], pairs.text_features.double())
        times = torch.zeros(n, dtype=torch.float64)
        times.index_add_(0, ranks[pairs.image_of_text], torch.ones(len(pairs.text_features)).double())

        def gap(weights: Tensor) -> Tensor:
            of_images = (weights @ images) / weights.sum(dim=1, keepdim=True)
            of_texts = (weights @ texts) / (weights @ times)[:, None]
            distance: Tensor = torch.linalg.vector_norm(of_images - of_texts, dim=1)
            return distance

        found = bootstrap_interval(
            gap, torch.arange(n), n_replicates=self.n_replicates, generator=seeded(seed, 0)
        )
        return found.low, found.high

    def _side_by_side(self, pairs: PairFeatures) -> tuple[str, ...]:
        if len(pairs) < 2:
            return ()
        found = margins(
            pairs.image_features,
            pairs.text_features,
            image_of_text=pairs.image_of_text,
            groups=label_groups(pairs),
            block_size=self.block_size,
        )
        gap = modality_gap(pairs.image_features, pairs.text_features)
        forward, backward = (float(side.margin.median()) for side in found)
        return (
            f"Gap is not margin: the modality gap is {gap:.3f}, the median margin {forward:.3f} from image "
            f"to text and {backward:.3f} from text to image. Closing the gap may change no rank.",
        )


def _spectrum(name: str, features: Tensor) -> Line:
    """Share of the variance that the first directions hold."""
    spectrum = torch.linalg.eigvalsh(covariance(features)).clamp(min=0).flip(0)
    share = (spectrum.cumsum(dim=0) / spectrum.sum()).tolist()
    return Line(name, tuple(float(place) for place in range(1, len(share) + 1)), tuple(share))


def _plain(name: str, value: float | None, n: int, unit: str, means: str) -> Estimate:
    return Estimate(name, value, None, None, n, unit, means)


METHOD = Geometry
