"""How well a score tells known from unknown images: every figure with its interval, its n and its convention.

Per set of unknown images, and as the plain mean over the sets: AUROC, AUPR of finding the known and of
finding the unknown, FPR at a TPR and its threshold. Images are drawn anew for the intervals, known and
unknown ones apart. What is left out: fitting a threshold (`_threshold.py`), because one that was chosen on
the images it is judged on promises nothing.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.detection import CONVENTIONS, aupr, auroc, fpr_at_tpr, require_convention, require_tpr
from awase.functional.detection_bootstrap import (
    LIMIT,
    METRICS,
    level_scores,
    metrics_of_levels,
    resampled_metrics,
    slack,
)
from awase.functional.intervals import percentile_interval
from awase.ood._protocol import HIGHER_MEANS
from awase.ood._threshold import warn_few
from awase.training.sampler import seeded
from awase.types import Estimate

NAMES = {"auroc": "auroc", "aupr_in": "aupr_in", "aupr_out": "aupr_out", "fpr": "fpr_at_tpr"}
THRESHOLD = "threshold"
_MEANS = {"fpr": "worse", THRESHOLD: HIGHER_MEANS}


def evaluate_scores(
    *,
    id_scores: Float[Tensor, " n"],
    ood: Mapping[str, Tensor],
    tpr: float | int = 0.95,
    convention: str = "id_positive",
    correct: Bool[Tensor, " n"] | None = None,
    n_replicates: int = 1000,
    seed: int = 0,
) -> tuple[Estimate, ...]:
    """Figures of one score on known test images and one or more sets of unknown images.

    Args:
        id_scores: of known test images, used for no choice; any unit, higher = more in-distribution.
        ood: name of each set of unknown images, and the same score of its images.
        tpr: share of the positive class that is found where FPR is read, in (0, 1].
        convention: which FPR, one of `awase.functional.detection.CONVENTIONS`.
        correct: whether the class of each known image was predicted right; None where classes are unknown.
        n_replicates: resamples behind the 95 % intervals; 0 for none.
        seed: of the resamples.

    Returns:
        `auroc.SET`, `aupr_in.SET`, `aupr_out.SET`, `fpr_at_tpr.SET` and `threshold.SET` for every set, then
        `mean_auroc` and so on, then `id_accuracy`. Values are exact; the unit names the positive class, and
        how far an interval may be off where there are too many scores to keep each apart. Constant scores and
        fewer than 20 known images give a warning.

    Raises:
        DataError: no unknown set, an empty side, a NaN, tpr outside (0, 1], or an unknown convention.
        ShapeError: scores with more than one axis, or correct and id_scores of different lengths.

    Example:
        >>> import torch
        >>> draws = torch.Generator().manual_seed(0)
        >>> known, unknown = torch.randn(200, generator=draws) + 2, torch.randn(100, generator=draws)
        >>> figures = evaluate_scores(id_scores=known, ood={"noise": unknown}, n_replicates=100)
        >>> [figure.name for figure in figures][:4]
        ['auroc.noise', 'aupr_in.noise', 'aupr_out.noise', 'fpr_at_tpr.noise']
        >>> figures[0].low < figures[0].value < figures[0].high
        True
    """
    _require(id_scores, ood, tpr, convention, correct, n_replicates)
    _warn(id_scores, ood)
    evaluation = _Evaluation(id_scores, ood, tpr, convention, n_replicates, seed)
    accuracy = () if correct is None else (_accuracy(correct, n_replicates, seed),)
    return (*evaluation.estimates(), *accuracy)


@dataclass(frozen=True, eq=False)
class _Evaluation:
    id_scores: Tensor
    ood: Mapping[str, Tensor]
    tpr: float | int
    convention: str
    n_replicates: int
    seed: int

    def estimates(self) -> list[Estimate]:
        points = {name: self._points(scores) for name, scores in self.ood.items()}
        replicates, approximation = self._replicates(points)
        found = []
        for place, (name, values) in enumerate(points.items()):
            for metric in METRICS:
                found.append(
                    _estimate(
                        f"{NAMES.get(metric, metric)}.{name}",
                        values[metric],
                        replicates[metric][:, place] if self._is_drawn(name) else None,
                        n=len(self.id_scores) + len(self.ood[name]),
                        unit=self._unit(metric, len(self.ood[name])) + approximation.get(metric, ""),
                        means=_MEANS.get(metric, "better"),
                    )
                )
        return found + self._means(points, replicates, approximation)

    def _means(
        self,
        points: Mapping[str, Mapping[str, float]],
        replicates: Mapping[str, Tensor],
        approximation: Mapping[str, str],
    ) -> list[Estimate]:
        sets = "set" if len(points) == 1 else "sets"
        return [
            _estimate(
                f"mean_{name}",
                math.fsum(values[metric] for values in points.values()) / len(points),
                replicates[metric].mean(dim=1) if all(map(self._is_drawn, points)) else None,
                n=len(self.id_scores) + sum(map(len, self.ood.values())),
                unit=f"mean over {len(points)} OOD {sets}, each counts alike; {self._what(metric)}"
                + approximation.get(metric, ""),
                means=_MEANS.get(metric, "better"),
            )
            for metric, name in NAMES.items()
        ]

    def _points(self, scores: Tensor) -> dict[str, float]:
        fpr, threshold = fpr_at_tpr(
            id_scores=self.id_scores, ood_scores=scores, tpr=self.tpr, convention=self.convention
        )
        return {
            "auroc": auroc(id_scores=self.id_scores, ood_scores=scores),
            "aupr_in": aupr(id_scores=self.id_scores, ood_scores=scores),
            "aupr_out": aupr(id_scores=self.id_scores, ood_scores=scores, positive="ood"),
            "fpr": fpr,
            THRESHOLD: threshold,
        }

    def _replicates(
        self, points: Mapping[str, Mapping[str, float]]
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Every metric on every resample and set, moved so that it is right on the data themselves."""
        if self.n_replicates == 0:
            return {metric: torch.zeros(0, len(points)) for metric in METRICS}, {}
        levels = level_scores(self.id_scores, list(self.ood.values()), limit=LIMIT)
        drawn = resampled_metrics(
            levels,
            tpr=self.tpr,
            convention=self.convention,
            n_replicates=self.n_replicates,
            generator=seeded(self.seed, 0),
        )
        if levels.is_exact:
            return drawn, {}
        tied = metrics_of_levels(levels, tpr=self.tpr, convention=self.convention)
        for metric in METRICS:
            exact = torch.tensor([values[metric] for values in points.values()], dtype=torch.float64)
            # infinite thresholds have no distance
            drawn[metric] += (exact - tied[metric]).nan_to_num(nan=0.0)
            if metric != THRESHOLD:
                drawn[metric].clamp_(0, 1)
        bounds = slack(levels, convention=self.convention)
        # twice: once for the values that are moved, once for the one that they are moved by
        off = {
            metric: f"off by about {2 * float(bound.max()):.0e} at most" for metric, bound in bounds.items()
        }
        grouped = f"; interval over {len(levels.upper)} groups of scores, its ends"
        return drawn, {metric: f"{grouped} {text}" for metric, text in off.items()}

    def _is_drawn(self, name: str) -> bool:
        """One image a side cannot be drawn anew."""
        return min(len(self.id_scores), len(self.ood[name])) > 1

    def _unit(self, metric: str, n_ood: int) -> str:
        n_id = len(self.id_scores)
        share = n_id / (n_id + n_ood)
        prevalence = {"aupr_in": share, "aupr_out": 1 - share}
        text = f", prevalence {prevalence[metric]:.3f}" if metric in prevalence else ""
        return f"{self._what(metric)}{text}; n_id {n_id}, n_ood {n_ood}"

    def _what(self, metric: str) -> str:
        if metric == "auroc":
            return "chance that ID scores above OOD, ties count half"
        if metric in ("aupr_in", "aupr_out"):
            side = "in-distribution" if metric == "aupr_in" else "out-of-distribution"
            return f"step-wise average precision; positive: {side}"
        rule = f"TPR {self.tpr:g}, convention {self.convention} ({CONVENTIONS[self.convention]})"
        passing = "ID rejected" if self.convention == "ood_positive" else "OOD let in"
        return f"score; {rule}" if metric == THRESHOLD else f"share of {passing} at {rule}"


def _estimate(
    name: str, value: float, replicates: Tensor | None, *, n: int, unit: str, means: str
) -> Estimate:
    low = high = None
    if replicates is not None and bool(replicates.isfinite().all()):
        low, high = percentile_interval(replicates)
    return Estimate(name, value, low, high, n, unit, means)


def _accuracy(correct: Bool[Tensor, " n"], n_replicates: int, seed: int) -> Estimate:
    n, hits = len(correct), int(correct.sum())
    drawn = None
    if n > 1 and n_replicates:
        # how many hits are drawn when n images are drawn with replacement
        share = torch.full((n_replicates,), hits / n, dtype=torch.float64)
        drawn = torch.binomial(torch.full_like(share, n), share, generator=seeded(seed, 1)) / n
    unit = "share of known images whose class was right"
    return _estimate("id_accuracy", hits / n, drawn, n=n, unit=unit, means="better")


def _require(
    id_scores: Tensor,
    ood: Mapping[str, Tensor],
    tpr: float | int,
    convention: str,
    correct: Tensor | None,
    n_replicates: int,
) -> None:
    require_tpr(tpr)
    require_convention(convention)
    if not ood:
        raise DataError("there is no set of unknown images; name at least one, such as {'textures': scores}.")
    if n_replicates < 0:
        raise DataError(f"n_replicates must be 0 or more, got {n_replicates}.")
    if correct is not None and len(correct) != len(id_scores):
        raise ShapeError(
            f"correct must have one value a known image, got {len(correct)} for {len(id_scores)} scores."
        )
    for name, scores in (("in-distribution", id_scores), *ood.items()):
        if scores.ndim != 1:
            raise ShapeError(
                f"the set {name!r} must have one score an image, got shape {tuple(scores.shape)}."
            )
        if len(scores) == 0:
            raise DataError(f"the set {name!r} holds no score; leave it out, or see why its images failed.")
        if bool(scores.isnan().any()):
            raise DataError(f"the set {name!r} holds a NaN; leave images without a score out.")


def _warn(id_scores: Tensor, ood: Mapping[str, Tensor]) -> None:
    warn_few(len(id_scores))
    low, high = id_scores.aminmax()
    for name, scores in ood.items():
        if bool(low == high) and bool((scores == low).all()):
            warnings.warn(
                f"all scores of the known images and of {name!r} are {float(low):g}: they tell nothing.",
                stacklevel=3,
            )
