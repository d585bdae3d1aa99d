"""Images that a temperature may be fitted on, apart from those that are measured on; told by contents."""

import hashlib

from awase.errors import DataError
from awase.types import Features


def keep_for_calibration(
    images: Features, *, share: float | int, seed: int = 0
) -> tuple[list[int], list[int]]:
    """Rows to fit on and rows to measure on.

    Distinct contents are ordered by a hash of (seed, content), and the first are taken: neither names nor the
    order of the files change the draw, and equal images are on one side, whatever their labels.

    Args:
        images: all of them.
        share: of the images to fit on, in (0, 1).
        seed: of the draw.

    Raises:
        DataError: the share is out of range, or one side would be empty.

    Example:
        >>> import torch
        >>> from PIL import Image
        >>> from awase.images import from_pixels
        >>> from awase.types import LabelledImage
        >>> photo = from_pixels(Image.new("RGB", (8, 8)))
        >>> rows = tuple(LabelledImage(str(i), photo, "dog") for i in range(4))
        >>> images = Features(torch.eye(4), rows, ("1", "1", "2", "3"), "toy")
        >>> fit, test = keep_for_calibration(images, share=0.34)
        >>> sorted(fit + test), (0 in fit) == (1 in fit)
        ([0, 1, 2, 3], True)
    """
    if not 0 < share < 1:
        raise DataError(f"the share of images for calibration must lie in (0, 1), got {share}.")
    order = sorted(set(images.hashes), key=lambda hash: _place(seed, hash))
    taken = frozenset(order[: round(share * len(order))])
    fit = [row for row, hash in enumerate(images.hashes) if hash in taken]
    test = [row for row, hash in enumerate(images.hashes) if hash not in taken]
    if not fit or not test:
        raise DataError(
            f"a share of {share:g} of {len(images)} images leaves {len(fit)} to fit a temperature on and "
            f"{len(test)} to measure on; both sides need some."
        )
    return fit, test


def _place(seed: int, hash: str) -> bytes:
    return hashlib.blake2b(f"calibrate {seed}:{hash}".encode(), digest_size=16).digest()
