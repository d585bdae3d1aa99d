"""Images that are on both sides of a split, told by their contents: refused, with their names.

A number measured on an image that chose a weight, a setting or a threshold says nothing about new images.
Left out: images that are nearly equal (scaled, cropped), which have other bytes.
"""

from collections.abc import Mapping

from awase.errors import LeakError
from awase.types import Features

_SHOWN = 10


def refuse_overlap(
    first: Features | Mapping[str, str], second: Features | Mapping[str, str], *, what: tuple[str, str]
) -> None:
    """Pass where no image is on both sides.

    Args:
        first: features, or content hash to name.
        second: likewise.
        what: how the message calls the two sides, in the plural.

    Raises:
        LeakError: at least one is; the message says how many and names the first of them.

    Example:
        >>> refuse_overlap({"5f": "a.jpg"}, {"5f": "test/b.jpg"}, what=("training images", "test images"))
        Traceback (most recent call last):
        ...
        awase.errors.LeakError: 1 of the training images is also among the test images, by content: \
a.jpg = test/b.jpg. Take it out of one side.
    """
    one, other = _names(first), _names(second)
    both = [hash for hash in one if hash in other]
    if not both:
        return
    pairs = [one[hash] if one[hash] == other[hash] else f"{one[hash]} = {other[hash]}" for hash in both]
    shown = ", ".join(pairs[:_SHOWN]) + (f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else "")
    is_one = len(both) == 1
    raise LeakError(
        f"{len(both)} of the {what[0]} {'is' if is_one else 'are'} also among the {what[1]}, by content: "
        f"{shown}. Take {'it' if is_one else 'them'} out of one side."
    )


def _names(side: Features | Mapping[str, str]) -> Mapping[str, str]:
    if isinstance(side, Features):
        return {hash: image.id for hash, image in zip(side.hashes, side.images, strict=True)}
    return side
