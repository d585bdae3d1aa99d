"""Checks that the scores over a softmax of similarities share."""

from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError
from awase.types import Evidence


def require_temperature(temperature: float) -> None:
    """Refuse a temperature that is not positive.

    Raises:
        DataError: it is zero, negative or NaN.
    """
    if not temperature > 0:
        raise DataError(
            f"temperature must be positive, got {temperature}; MCM uses 1, a softmax of CLIP 0.01."
        )


def scaled(evidence: Evidence, temperature: float, *, least: int = 2) -> Float[Tensor, "n k"]:
    """similarity / temperature, float32 or wider, checked.

    Raises:
        DataError: fewer than `least` classes, a NaN, or a temperature that is not positive.
    """
    require_temperature(temperature)
    require_classes(evidence, least)
    similarity = evidence.similarity
    wide = similarity if similarity.dtype.itemsize >= 4 else similarity.float()
    return wide / temperature


def require_classes(evidence: Evidence, least: int) -> None:
    """Refuse too few classes, and similarities that hold a NaN.

    Raises:
        DataError: as said.
    """
    k = evidence.similarity.shape[1]
    if k < least:
        raise DataError(
            f"this score compares classes and needs at least {least}, got {k}; "
            "with one class use max_logit, knn, mahalanobis or neglabel."
        )
    if bool(evidence.similarity.isnan().any()):
        raise DataError("similarities hold a NaN; leave out images without a vector.")
