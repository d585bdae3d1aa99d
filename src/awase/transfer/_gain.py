"""What chosen prompts gain, on images that had no say in the choice.

Chosen and unchosen prompts classify the same images, so the difference is taken image by image: its interval
is far tighter than those of the two shares. The bootstrap draws images, equal ones together. It says how the
prompts that were chosen do on new images; how another draw of selection images would choose is not in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.engine.leaks import refuse_overlap
from awase.errors import DataError
from awase.functional.intervals import Interval, bootstrap_interval, wilson_interval
from awase.transfer._prompt_task import first_best
from awase.types import Estimate, Features

_OVERALL = "share of the kept-out images"
_BY_CLASS = "mean over classes of their shares of kept-out images"


@dataclass(frozen=True, eq=False)
class Gain:
    """Figures and answers on the kept-out images.

    Attributes:
        estimates: `accuracy` and `mean_class_accuracy` of the chosen prompts; of each other set of prompts
            its accuracy and, image by image, what the chosen ones gain over it.
        predicted: class by the chosen prompts.
        others: class by each other set.
    """

    estimates: tuple[Estimate, ...]
    predicted: Int[Tensor, " n"]
    others: Mapping[str, Int[Tensor, " n"]]


def measure_gain(
    class_features: Float[Tensor, "k d"],
    others: Mapping[str, Float[Tensor, "k d"]],
    images: Features,
    labels: Int[Tensor, " n"],
    *,
    selection: Features | Mapping[str, str],
    seed: int = 0,
) -> Gain:
    """Accuracy of the chosen prompts, and their gain over each of the others, with 95 % intervals.

    Args:
        class_features: vectors of the classes by the chosen prompts.
        others: the same by prompts to compare with, such as `baseline`.
        images: kept out of every choice.
        labels: class of each, 0 .. k - 1.
        selection: the images that chose, as features or as content hash to name.
        seed: of the bootstrap.

    Raises:
        LeakError: an image is on both sides, by content; the message names it.
        DataError: there are no images.

    Example:
        >>> from awase.types import ImageReference, LabelledImage
        >>> rows = tuple(LabelledImage(name, ImageReference(name, data=b"")) for name in "ab")
        >>> images = Features(torch.eye(2), rows, ("1", "2"), "toy")
        >>> plain = {"baseline": torch.eye(2).flip(0)}
        >>> gain = measure_gain(torch.eye(2), plain, images, torch.arange(2), selection={})
        >>> [(figure.name, figure.value) for figure in gain.estimates][:4]
        [('accuracy', 1.0), ('accuracy.baseline', 0.0), ('accuracy.gain', 1.0), ('mean_class_accuracy', 1.0)]
    """
    if len(images) == 0:
        raise DataError("there is no kept-out image to measure the gain on.")
    refuse_overlap(selection, images, what=("selection images", "kept-out images"))
    units = _units(images.hashes)
    predicted = first_best(images.values @ class_features.T)
    answers = {name: first_best(images.values @ features.T) for name, features in others.items()}
    right = predicted == labels
    found = [_share("accuracy", right, "by the chosen prompts")]
    for name, answer in answers.items():
        before = answer == labels
        found.append(_share(f"accuracy.{name}", before, f"by the prompts of {name}"))
        found.append(_difference(_named("accuracy", name), right, before, units, name, seed))
    k = len(class_features)
    found.append(_class_share("mean_class_accuracy", right.double(), labels, k, units, seed, _BY_CLASS))
    for name, answer in answers.items():
        gain = right.double() - (answer == labels).double()
        of = f"{_BY_CLASS}, chosen prompts minus {name}"
        found.append(_class_share(_named("mean_class_accuracy", name), gain, labels, k, units, seed, of))
    return Gain(tuple(found), predicted, answers)


def verdict(gain: Estimate) -> str:
    """In words what an interval of a gain says.

    Example:
        >>> verdict(Estimate("accuracy.gain", 0.02, -0.01, 0.05, 100))
        'No gain is shown: the interval of the difference, -0.010 to 0.050, holds 0.'
    """
    if gain.value is None or gain.low is None or gain.high is None:
        return "Nothing can be said of the gain: there are too few kept-out images for an interval."
    ends = f"{gain.low:.3f} to {gain.high:.3f}"
    if gain.low > 0:
        return f"The chosen prompts gain on kept-out images: the interval of the difference is {ends}."
    if gain.high < 0:
        return f"The chosen prompts do harm on kept-out images: the interval of the difference is {ends}."
    return f"No gain is shown: the interval of the difference, {ends}, holds 0."


def _named(figure: str, other: str) -> str:
    return f"{figure}.gain" if other == "baseline" else f"{figure}.gain_over_{other}"


def _units(hashes: Sequence[str]) -> Int[Tensor, " n"]:
    order = {hash: number for number, hash in enumerate(dict.fromkeys(hashes))}
    return torch.tensor([order[hash] for hash in hashes])


def _share(name: str, right: Bool[Tensor, " n"], by: str) -> Estimate:
    share = wilson_interval(int(right.sum()), len(right))
    unit = f"{_OVERALL} that are right, {by}"
    return Estimate(name, share.value, share.low, share.high, len(right), unit, "more are right")


def _difference(
    name: str,
    after: Bool[Tensor, " n"],
    before: Bool[Tensor, " n"],
    units: Int[Tensor, " n"],
    other: str,
    seed: int,
) -> Estimate:
    gain = after.double() - before.double()
    interval = bootstrap_interval(
        lambda weights: weights @ gain / weights.sum(dim=1),
        units,
        generator=torch.Generator().manual_seed(seed),
    )
    return _estimate(name, interval, len(gain), f"{_OVERALL}, chosen prompts minus {other}, image by image")


def _class_share(
    name: str,
    values: Float[Tensor, " n"],
    labels: Int[Tensor, " n"],
    k: int,
    units: Int[Tensor, " n"],
    seed: int,
    unit: str,
) -> Estimate:
    members = torch.nn.functional.one_hot(labels, k).double()  # (n, k)

    def statistic(weights: Tensor) -> Tensor:
        # a class that no draw holds is left out of that draw's mean
        return (((weights * values) @ members) / (weights @ members)).nanmean(dim=1)

    interval = bootstrap_interval(statistic, units, generator=torch.Generator().manual_seed(seed))
    return _estimate(name, interval, len(values), unit)


def _estimate(name: str, interval: Interval, n: int, unit: str) -> Estimate:
    return Estimate(name, interval.value, interval.low, interval.high, n, unit, "the search helped")
