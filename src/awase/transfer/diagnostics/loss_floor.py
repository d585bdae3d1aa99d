"""What false negatives cost: the loss that perfect features still pay, and the loss of these above it.

The floor is E log(1 + Bin(B - 1, p)) in nats, one direction (Chen et al. 2024), by labels or by the proxies
of `false_negatives`. What InfoNCE reports means little before the floor is taken off; a loss with several
positives or soft targets has none. With labels or captions the loss of these features is also measured in
batches drawn from the data, one caption an image, beside the floor of the very same batches.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from awase.errors import DataError
from awase.functional.contrastive import info_nce
from awase.functional.false_negatives import batch_loss_floor, loss_floor
from awase.functional.margins import wide
from awase.training.sampler import seeded
from awase.transfer._groups import label_groups, texts_of_images
from awase.transfer._protocol import Diagnosis
from awase.transfer._rates import false_negative_rates
from awase.transfer._temperature import assumed_temperature
from awase.transfer.diagnostics.false_negatives import SIZES
from awase.types import Chart, Estimate, Line, PairFeatures


@dataclass(frozen=True)
class LossFloor:
    """Floor against batch size, and the measured excess over it.

    Args:
        batch_size: the one that figures are given for.
        temperature: of the loss; None for the encoder's own, else 0.07.
        batch_sizes: of the curve.
        proxies: as in `false_negatives`.
        threshold: text-text cosine from which captions count as similar.
        n_batches: drawn for the measured loss.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(2)[[0, 0, 1, 1]]
        >>> pairs = PairFeatures(u, u, torch.arange(4), tuple("abcd"), labels=("x", "x", "y", "y"))
        >>> found = LossFloor(batch_size=4, temperature=0.01).measure(pairs, seed=0).estimates
        >>> [(one.name, round(one.value, 3)) for one in found if one.name.startswith("batch")]
        [('batch_loss', 0.693), ('batch_floor', 0.693), ('batch_excess', 0.0)]
    """

    batch_size: int = 512
    temperature: float | int | None = None
    batch_sizes: tuple[int, ...] = SIZES
    proxies: tuple[str, ...] = ()
    threshold: float = 0.95
    n_batches: int = 20
    block_size: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.n_batches < 1 or any(size < 1 for size in self.batch_sizes):
            raise DataError(
                f"batch sizes and n_batches must be at least 1, got {self.batch_size}, {self.n_batches}."
            )

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """Floors by each proxy, the loss measured beside them, and a curve."""
        rates, _ = false_negative_rates(
            pairs, self.proxies, threshold=self.threshold, block_size=self.block_size
        )
        estimates = [
            Estimate(
                f"loss_floor.{one.proxy}",
                loss_floor(one.values, self.batch_size, weights=one.weights),
                None,
                None,
                one.n,
                f"nats, one direction, batch of {self.batch_size}",
                "worse",
            )
            for one in rates
        ]
        measured, notes = self._measured(pairs, seed)
        lines = []
        for one in rates:
            floors = tuple(loss_floor(one.values, size, weights=one.weights) for size in self.batch_sizes)
            lines.append(Line(one.proxy, tuple(map(float, self.batch_sizes)), floors))
        chart = Chart("loss_floor", tuple(lines), log_x=True, marks={"batch_size": float(self.batch_size)})
        return Diagnosis((*estimates, *measured), (chart,) if lines else (), tuple(notes))

    def _measured(self, pairs: PairFeatures, seed: int) -> tuple[list[Estimate], list[str]]:
        groups, what = _groups_of_texts(pairs)
        if groups is None:
            return [], []
        temperature, notes = assumed_temperature(pairs, self.temperature)
        size = min(self.batch_size, len(pairs))
        if size < self.batch_size:
            notes.append(
                f"The loss was measured in batches of {size}, all images there are, instead of "
                f"{self.batch_size}: the two floors are not to be compared."
            )
        losses, floors = self._batches(pairs, groups, size, temperature, seed)
        unit = f"nats, mean of both directions, batches of {size}, temperature {temperature:.4g}; by {what}"
        return [
            _mean("batch_loss", losses, len(pairs), unit),
            _mean("batch_floor", floors, len(pairs), unit),
            _mean("batch_excess", losses - floors, len(pairs), unit),
        ], notes

    def _batches(
        self, pairs: PairFeatures, groups: Tensor, size: int, temperature: float, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Loss and floor of each batch; an image takes part with one of its captions."""
        texts = texts_of_images(pairs)
        losses, floors = [], []
        for number in range(self.n_batches if size < len(pairs) else 1):
            draws = seeded(seed, 2 + number)
            rows = torch.randperm(len(texts), generator=draws)[:size].tolist()
            share = torch.rand(size, generator=draws).tolist()
            chosen = torch.tensor(
                [texts[row][int(part * len(texts[row]))] for row, part in zip(rows, share, strict=True)]
            )
            images = wide(pairs.image_features[pairs.image_of_text[chosen]])
            loss = info_nce(images, wide(pairs.text_features[chosen]), logit_scale=1 / temperature)
            losses.append(float(loss))
            floors.append(batch_loss_floor(groups[chosen]))
        return torch.tensor(losses, dtype=torch.float64), torch.tensor(floors, dtype=torch.float64)


def _groups_of_texts(pairs: PairFeatures) -> tuple[Tensor | None, str]:
    """What says that two pairs are the same: labels, else equal captions."""
    labels = label_groups(pairs)
    if labels is not None:
        return labels[pairs.image_of_text], "labels"
    if pairs.captions is None:
        return None, ""
    place: dict[str, int] = {}
    return torch.tensor([place.setdefault(text, len(place)) for text in pairs.captions]), "equal_captions"


def _mean(name: str, values: Tensor, n: int, unit: str) -> Estimate:
    """Over batches, with the interval of a mean of independent draws."""
    value = float(values.mean())
    if len(values) < 2:
        return Estimate(name, value, None, None, n, unit, "worse")
    reach = 1.96 * float(values.std()) / math.sqrt(len(values))
    return Estimate(name, value, value - reach, value + reach, n, unit, "worse")


METHOD = LossFloor
