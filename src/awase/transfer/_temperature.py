"""The temperature that a diagnostic reads scores at: the one given, the encoder's, or CLIP's first."""

import math

from awase.errors import DataError
from awase.types import PairFeatures

DEFAULT = 0.07  # where CLIP's training starts from
_HOTTEST_SCALE = 100.0  # CLIP clamps its logit scale there


def assumed_temperature(pairs: PairFeatures, given: float | int | None) -> tuple[float, list[str]]:
    """1 / logit scale of the encoder, the scale clamped at 100 as in training, unless one is given.

    Returns:
        The temperature, and a note where it had to be assumed.

    Raises:
        DataError: the one given is not positive.

    Example:
        >>> import torch
        >>> u = torch.eye(2)
        >>> assumed_temperature(PairFeatures(u, u, torch.arange(2), ("a", "b"), logit_scale=50.0), None)
        (0.02, [])
    """
    if given is not None:
        if not given > 0 or not math.isfinite(given):
            raise DataError(f"the temperature must be positive, got {given}.")
        return float(given), []
    if pairs.logit_scale is not None:
        return 1 / min(pairs.logit_scale, _HOTTEST_SCALE), []
    return DEFAULT, [
        f"The features came without a logit scale, so the temperature is taken as {DEFAULT}; "
        "give the model's own."
    ]
