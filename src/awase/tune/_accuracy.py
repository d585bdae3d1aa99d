"""How often a tuned model is right, beside the model as it came: shares with intervals, and their difference.

Both models see the same test images, so the difference is taken image by image: its interval is far tighter
than those of the two shares. Equal images count as one draw.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from awase.errors import DataError
from awase.functional.intervals import bootstrap_interval, wilson_interval
from awase.tune._protocol import Tuned
from awase.types import Estimate, Features

_BLOCK = 256  # images at a time: a conditional prompt reads every class anew for each of them


def correct(tuned: Tuned, images: Features, labels: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which images get their own class; of equally similar classes the first is taken.

    Args:
        tuned: the model.
        images: of its frozen encoder.
        labels: class of each, 0 .. k - 1.
    """
    parts = []
    for start in range(0, len(images), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(images)))
        similarity = tuned.evidence(images.select(rows)).similarity
        best = similarity.max(dim=1, keepdim=True).values
        parts.append((similarity == best).int().argmax(dim=1) == labels[start : start + _BLOCK])
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)


def accuracy_beside(
    after: Bool[Tensor, " n"], before: Bool[Tensor, " n"], *, hashes: tuple[str, ...], seed: int
) -> tuple[Estimate, ...]:
    """`accuracy`, `accuracy.zero_shot` and `accuracy.gain` on the same images, with 95 % intervals.

    Args:
        after: which images the tuned model has right.
        before: the same for the model as it came.
        hashes: content of each image; equal ones are drawn together.
        seed: of the bootstrap behind the interval of the gain.

    Raises:
        DataError: there are no images.

    Example:
        >>> import torch
        >>> right = torch.tensor([True, True, True, False])
        >>> figures = accuracy_beside(right, right, hashes=tuple("abcd"), seed=0)
        >>> [(figure.name, figure.value) for figure in figures]
        [('accuracy', 0.75), ('accuracy.zero_shot', 0.75), ('accuracy.gain', 0.0)]
    """
    n = len(after)
    if n == 0:
        raise DataError("there is no test image to measure accuracy on.")
    found = []
    for name, hits, of in (("accuracy", after, "tuned"), ("accuracy.zero_shot", before, "as it came")):
        share = wilson_interval(int(hits.sum()), n)
        unit = f"share of the test images, {of}"
        found.append(Estimate(name, share.value, share.low, share.high, n, unit, "more are right"))
    gain = after.double() - before.double()
    order = {hash: number for number, hash in enumerate(dict.fromkeys(hashes))}
    difference = bootstrap_interval(
        lambda weights: weights @ gain / weights.sum(dim=1),
        torch.tensor([order[hash] for hash in hashes]),
        generator=torch.Generator().manual_seed(seed),
    )
    unit = "tuned minus as it came, image by image"
    ends = (difference.value, difference.low, difference.high)
    found.append(Estimate("accuracy.gain", *ends, n, unit, "tuning helped"))
    return tuple(found)
