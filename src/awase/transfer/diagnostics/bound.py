"""The bound that ties the contrastive loss to the zero-shot error, beside the error that is observed.

    mean log sum_k exp((cos_k - cos_true) / temperature) / log(1 + r)  >=  top-r error

for any scores (the last step of the main theorem of Chen et al. 2024). With prompts of classes it is that of
zero-shot classification; for other pairs each query asks for its own item among all, both ways. A violation
would be a mistake of this program. A bound above 1 says nothing, which is usual where the temperature is low
and many fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from awase.errors import DataError
from awase.functional.completeness import Bound, transfer_bound
from awase.functional.margins import wide
from awase.functional.retrieval_bound import retrieval_losses
from awase.transfer._groups import are_prompted, label_groups, prompt_rows
from awase.transfer._protocol import Diagnosis
from awase.transfer._temperature import assumed_temperature
from awase.types import Chart, Estimate, Line, PairFeatures

_FACTORS = tuple(2.0**power for power in range(-1, 7))  # temperatures of the chart, times the one in use


@dataclass(frozen=True)
class TransferBound:
    """Bound and error for some r, and against temperature.

    Args:
        r: how many answers are allowed, each at least 1.
        temperature: of the softmax; None for the encoder's own, else 0.07.
        block_size: rows and columns of a block of similarities; None for a good one.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> pairs = PairFeatures(u, u, torch.arange(3), ("a", "b", "c"), logit_scale=10.0)
        >>> found = TransferBound().measure(pairs, seed=0).estimates
        >>> [(one.name, round(one.value, 4)) for one in found[:2]]
        [('transfer_bound_1.image_to_text', 0.0001), ('transfer_error_1.image_to_text', 0.0)]
    """

    r: tuple[int, ...] = (1, 5)
    temperature: float | int | None = None
    block_size: int | None = None

    def __post_init__(self) -> None:
        if not self.r or any(one < 1 for one in self.r):
            raise DataError(f"r must be whole numbers of at least 1, got {self.r}.")

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """Bounds and errors; nothing is drawn, so the seed is not read."""
        temperature, notes = assumed_temperature(pairs, self.temperature)
        places = (temperature, *(temperature * factor for factor in _FACTORS))
        found = self._bounds(pairs, places)
        estimates: list[Estimate] = []
        for r in self.r:
            for direction, bound in found.items():
                estimates += _estimates(direction, r, bound(r, 0), pairs, temperature)
        if all(bound(self.r[0], 0).bound >= 1 for bound in found.values()):
            notes.append(
                f"At the temperature {temperature:.4g} the bound on the error is above 1 and says nothing."
            )
        lines = []
        for direction, bound in found.items():
            curve = [bound(self.r[0], place) for place in range(1, len(places))]
            lines.append(Line(f"bound.{direction}", places[1:], tuple(one.bound for one in curve)))
            lines.append(Line(f"error.{direction}", places[1:], tuple(one.error for one in curve)))
        chart = Chart("transfer_bound", tuple(lines), log_x=True, marks={"temperature": temperature})
        return Diagnosis(tuple(estimates), (chart,), tuple(notes))

    def _bounds(self, pairs: PairFeatures, places: Sequence[float]) -> dict[str, Callable[[int, int], Bound]]:
        """For each direction the bound as a function of r and of the place among the temperatures."""
        groups = label_groups(pairs)
        if groups is not None and are_prompted(pairs):
            prompts = pairs.text_features[prompt_rows(pairs)]
            similarity = wide(pairs.image_features) @ wide(prompts).T

            def of_classes(r: int, place: int) -> Bound:
                return transfer_bound(similarity, groups, temperature=places[place], r=r)

            return {"zero_shot": of_classes}
        found = retrieval_losses(
            pairs.image_features,
            pairs.text_features,
            image_of_text=pairs.image_of_text,
            groups=groups,
            temperatures=places,
            block_size=self.block_size,
        )
        return {"image_to_text": found.image_to_text.bound, "text_to_image": found.text_to_image.bound}


def _estimates(
    direction: str, r: int, found: Bound, pairs: PairFeatures, temperature: float
) -> list[Estimate]:
    n = len(pairs.text_features) if direction == "text_to_image" else len(pairs)
    assert found.bound >= found.error - 1e-9, f"the bound {found.bound} lies below the error {found.error}"
    what = f"at most; temperature {temperature:.4g}"
    observed = "share of queries with at least r wrong items as high as the right one"
    return [
        Estimate(f"transfer_bound_{r}.{direction}", found.bound, None, None, n, what, "worse"),
        Estimate(f"transfer_error_{r}.{direction}", found.error, None, None, n, observed, "worse"),
    ]


METHOD = TransferBound
