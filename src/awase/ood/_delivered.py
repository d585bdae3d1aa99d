"""What a detector's threshold and prediction sets deliver on images it has not seen, with intervals.

AUROC and FPR ask how well scores separate at any threshold; here the detector's own threshold is held to its
promise. Shares carry Wilson's interval, the size of the sets one from drawing images anew.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor

from awase.functional.intervals import bootstrap_interval, wilson_interval
from awase.ood._detector import Detector
from awase.ood._judge import Outcomes
from awase.types import Estimate


def delivered(
    detector: Detector,
    known: Outcomes,
    unknown: Mapping[str, Outcomes],
    *,
    n_replicates: int = 1000,
    seed: int = 0,
) -> tuple[Estimate, ...]:
    """Shares kept of either side, accuracy of what is kept, coverage and size of the prediction sets.

    Args:
        detector: whose threshold is meant; its promise is named in the units.
        known: images of the known classes, with their truth.
        unknown: sets of other images by name.
        n_replicates: of the bootstrap over images.
        seed: of its draws.
    """
    found = [
        _share("kept.id", known.kept, f"known images at or above the threshold; promised {detector.keep:g}")
    ]
    found += [
        _share(f"kept.{name}", other.kept, f"images of {name} let in by the threshold", lower_is_better=True)
        for name, other in unknown.items()
    ]
    if known.correct is not None and known.covered is not None:
        promised = f"promised {1 - detector.alpha:g}"
        found += [
            _share("accuracy.kept", known.correct[known.kept], "known images that are kept"),
            _share("set_coverage", known.covered, f"known images whose set holds the true class; {promised}"),
        ]
    sizes = known.set_sizes.double()
    interval = bootstrap_interval(
        lambda weights: weights @ sizes / weights.sum(dim=1),
        torch.arange(len(sizes)),
        n_replicates=n_replicates,
        generator=torch.Generator().manual_seed(seed),
    )
    classes = f"classes in the set of a known image, of {len(detector.classes.labels)}"
    found.append(
        Estimate("set_size", interval.value, interval.low, interval.high, len(known), classes, "less_sure")
    )
    return tuple(found)


def _share(name: str, hits: Bool[Tensor, " n"], unit: str, *, lower_is_better: bool = False) -> Estimate:
    interval = wilson_interval(int(hits.sum()), len(hits))
    direction = "worse" if lower_is_better else "better"
    return Estimate(name, interval.value, interval.low, interval.high, len(hits), unit, direction)
