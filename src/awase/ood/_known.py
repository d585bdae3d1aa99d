"""Checks that scores which learn share, on the images they learn from."""

from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.ood._protocol import Known


def require_images(known: Known) -> None:
    """Refuse training images that nothing can be learned from.

    Raises:
        DataError: there are none, their labels are not one each in 0 .. k - 1, or a vector holds a NaN.
    """
    n, k = known.evidence.similarity.shape
    if n == 0 or len(known.labels) != n:
        raise DataError(
            f"this score learns from labelled images: got {n} images and {len(known.labels)} labels; "
            "give at least one image, and one label an image."
        )
    if bool((known.labels < 0).any() or (known.labels >= k).any()):
        raise DataError(
            f"labels must lie in 0 .. {k - 1} for {k} classes, "
            f"got {int(known.labels.min())} .. {int(known.labels.max())}."
        )
    if not bool(
        known.evidence.image_features.isfinite().all() and known.evidence.similarity.isfinite().all()
    ):
        raise DataError("training images hold a NaN or an infinity; leave out images without a vector.")


def class_means(
    values: Float[Tensor, "n w"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "c w"], Int[Tensor, " n"], Int[Tensor, " c"]]:
    """Mean of each class that has images, for every row the place of its class among them, and their labels.

    Example:
        >>> import torch
        >>> means, place, seen = class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([2, 2, 0]))
        >>> means.flatten().tolist(), place.tolist(), seen.tolist()
        ([5.0, 2.0], [1, 1, 0], [0, 2])
    """
    counts = labels.bincount()
    seen = counts.nonzero()[:, 0]
    place = ((counts > 0).cumsum(dim=0) - 1)[labels]
    sums = values.new_zeros(len(seen), values.shape[1]).index_add_(0, place, values)
    return sums / counts[seen, None], place, seen
