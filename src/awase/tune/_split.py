"""Which images a model was tuned on, written down: ids and content hashes of every side of a split.

A later run refuses to measure on images that chose a weight or a setting, so the record travels with the
weights. Also here: a test part for data that has none, and the halves of classes of base-to-new.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from awase.errors import DataError
from awase.types import Features


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """Images by side, id to content hash.

    Attributes:
        seed: of the draw.
        shots: training images asked for, per class.
        train: what weights were learned from.
        validation: what settings were chosen on.
        test: what was kept out of both.
        fewer: classes that had too few images for both sides, with how many they gave to both.
        made_test: the test part was made by the tool, as the data had none.
    """

    seed: int
    shots: int
    train: Mapping[str, str]
    validation: Mapping[str, str]
    test: Mapping[str, str] = field(default_factory=dict)
    fewer: Mapping[str, int] = field(default_factory=dict)
    made_test: bool = False

    @property
    def seen(self) -> frozenset[str]:
        """Hashes of every image that had a say: no figure may be measured on these."""
        return frozenset(self.train.values()) | frozenset(self.validation.values())

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SplitRecord":
        """What `dataclasses.asdict` made, checked.

        Raises:
            KeyError: a side is missing.
            ValueError: a side is no mapping of texts.
        """
        sides = {name: content[name] for name in ("train", "validation", "test")}
        for name, side in sides.items():
            if not isinstance(side, dict) or not all(isinstance(value, str) for value in side.values()):
                raise ValueError(f"the split's {name}")
        fewer = {str(label): int(count) for label, count in dict(content["fewer"]).items()}
        made_test = bool(content["made_test"])
        return cls(int(content["seed"]), int(content["shots"]), **sides, fewer=fewer, made_test=made_test)


def recorded(features: Features) -> dict[str, str]:
    """Id to content hash of each image."""
    return {image.id: hash for image, hash in zip(features.images, features.hashes, strict=True)}


def base_and_new(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes in two halves: base, to tune on, and new, kept out of tuning.

    CoOp's convention: the classes sorted by name, the first half (the larger one) is base.

    Raises:
        DataError: fewer than four classes: a half of one class cannot be classified.

    Example:
        >>> base_and_new(["rose", "daisy", "tulip", "iris", "lily"])
        (('daisy', 'iris', 'lily'), ('rose', 'tulip'))
    """
    ordered = sorted(set(names))
    if len(ordered) < 4:
        raise DataError(f"base and new classes need at least 4 classes, got {len(ordered)}.")
    half = (len(ordered) + 1) // 2
    return tuple(ordered[:half]), tuple(ordered[half:])


def keep_test(
    labels: Sequence[int], hashes: Sequence[str], *, share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Rows to learn from and rows to test on, for data without splits of its own.

    Every class gives the same share to the test, rounded down, and at least one image of two. Equal images
    stay on one side, also where they carry different labels.

    Args:
        labels: class of each row.
        hashes: content hash of each row.
        share: of the images, for the test, in (0, 1).
        seed: of the draw; the same rows are kept out for every number of shots.

    Raises:
        DataError: share lies outside (0, 1).

    Example:
        >>> rest, test = keep_test([0, 0, 1, 1], ["a", "b", "c", "d"], share=0.5, seed=1)
        >>> len(rest), len(test), sorted(rest + test)
        (2, 2, [0, 1, 2, 3])
    """
    if not 0 < share < 1:
        raise DataError(f"the test share must lie in (0, 1), got {share}; 0.5 keeps half of every class.")
    rows: dict[str, list[int]] = {}
    for row, hash in enumerate(hashes):
        rows.setdefault(hash, []).append(row)
    # by content and not by place, so that neither the order of the files nor another image matters
    order = sorted(rows, key=lambda hash: hashlib.sha256(f"test {seed} {hash}".encode()).digest())
    totals: dict[int, int] = {}
    for label in labels:
        totals[label] = totals.get(label, 0) + 1
    wanted = {label: max(int(share * n + 1e-9), min(1, n - 1)) for label, n in totals.items()}
    test: list[int] = []
    for hash in order:
        same = rows[hash]
        if all(wanted[labels[row]] > 0 for row in same):
            test += same
            for row in same:
                wanted[labels[row]] -= 1
    kept = set(test)
    return [row for row in range(len(labels)) if row not in kept], sorted(test)
