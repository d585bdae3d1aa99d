"""Which images of a data set train, which calibrate, and which are left alone.

A split that the data names is taken as it is. Else one pool is divided, class by class, by a draw that
depends on the seed and the content of the images alone; equal images stay on one side. Test and validation
splits are never touched.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch

from awase.errors import DataError
from awase.functional.splits import draw_shots
from awase.training.sampler import seeded

TRAIN = ("train", "training")
CALIBRATE = ("calibrate", "calibration")
_HELD_DRAW, _TRAIN_DRAW = 9_001, 9_002  # apart from the draw of the shots, which uses the seed itself


@dataclass(frozen=True, slots=True)
class Pools:
    """Names of the splits that images are taken from; None stands for the whole of data without splits."""

    train: str | None
    calibrate: str | None

    @property
    def is_one(self) -> bool:
        """Whether both come out of the same images and have to be divided."""
        return self.train == self.calibrate


@dataclass(frozen=True, slots=True)
class Division:
    """Rows by use."""

    train: tuple[int, ...]
    calibration: tuple[int, ...]
    held_out: tuple[int, ...]


def choose_pools(
    there: Collection[str | None],
    *,
    train: str | None = None,
    calibrate: str | None = None,
    learns: bool = True,
) -> Pools:
    """From the splits that there are to those that are used.

    Args:
        there: splits of the data; only None where it has none.
        train: the one asked for; None takes `train`.
        calibrate: the one asked for; None takes `calibrate`, and where there is none that of training.
        learns: whether the score needs training images at all.

    Raises:
        DataError: a split that is needed is not there; the message lists those that are.

    Example:
        >>> choose_pools({"train", "test"})
        Pools(train='train', calibrate='train')
    """
    named = sorted(split for split in there if split is not None)
    for option, split in (("--train-split", train), ("--calibrate-split", calibrate)):
        if split is not None and split not in named:
            has = f"has the splits {', '.join(named)}" if named else "has no splits"
            raise DataError(f"{option} names {split!r}, and the data {has}.")
    if not named:
        return Pools(None, None)
    chosen_train = train or next((name for name in TRAIN if name in named), None)
    chosen = calibrate or next((name for name in CALIBRATE if name in named), None) or chosen_train
    if chosen is None or (chosen_train is None and learns):
        wanted = "train or calibrate" if chosen is None else "train"
        raise DataError(
            f"the data has the splits {', '.join(named)} and none named {wanted}; "
            "say which to use with --train-split and --calibrate-split."
        )
    return Pools(chosen if chosen_train is None else chosen_train, chosen)


def divide(
    labels: Sequence[int],
    hashes: Sequence[str],
    *,
    learns: bool,
    shots: int | None = None,
    hold_out: float = 0.0,
    seen: Collection[str] = (),
    seed: int = 0,
) -> Division:
    """One pool of images in three parts: train, calibration, held out.

    Args:
        labels: class of each row.
        hashes: content hash of each row.
        learns: whether the score learns; if not, only `shots` are set aside.
        shots: training images of each class; None takes the larger half where the score learns. Where it does
            not they are set aside all the same, so that all scores are calibrated on the same images.
        hold_out: share of each class that is left alone, in [0, 1).
        seen: hashes of images that a tuned model has learned from: they train, and never calibrate.
        seed: of the draws.

    Raises:
        DataError: nothing is left to calibrate on, or shares and shots are out of range.

    Example:
        >>> divide([0, 0, 0, 0], ["a", "b", "c", "d"], learns=True, seed=1)
        Division(train=(0, 3), calibration=(1, 2), held_out=())
    """
    if not 0 <= hold_out < 1:
        raise DataError(f"the share to hold out must lie in [0, 1), got {hold_out:g}.")
    free = [row for row, hash in enumerate(hashes) if hash not in set(seen)]
    counts = Counter(labels[row] for row in free)
    held = _take(
        free, labels, hashes, {c: int(hold_out * n + 1e-9) for c, n in counts.items()}, seed, _HELD_DRAW
    )
    rest = _without(free, held)
    known = [row for row in range(len(labels)) if hashes[row] in set(seen)]
    if shots is not None:
        drawn = draw_shots(
            [labels[row] for row in rest],
            [hashes[row] for row in rest],
            shots=shots,
            validation=0,
            seed=seed,
            allow_fewer=True,
        )
        train = sorted(rest[place] for place in drawn.train)
    elif learns and not known:
        counts = Counter(labels[row] for row in rest)
        train = _take(rest, labels, hashes, {c: (n + 1) // 2 for c, n in counts.items()}, seed, _TRAIN_DRAW)
    else:
        train = known
    shot = {hashes[row] for row in train}
    calibration = [row for row in rest if hashes[row] not in shot]
    if not calibration:
        raise DataError(
            f"of {len(labels)} images {len(train)} train and {len(held)} are held out: none is left to set "
            "the threshold on; give more images, or fewer --shots."
        )
    return Division(tuple(train) if learns else (), tuple(calibration), tuple(held))


def _take(
    rows: Sequence[int],
    labels: Sequence[int],
    hashes: Sequence[str],
    wanted: Mapping[int, int],
    seed: int,
    draw: int,
) -> list[int]:
    """So many rows of each class, at most; copies of an image are taken together or not at all."""
    copies: dict[str, list[int]] = {}
    for row in rows:
        copies.setdefault(hashes[row], []).append(row)
    # by content and not by place: the order of the files does not matter
    names = sorted(copies)
    left, taken = dict(wanted), []
    for place in torch.randperm(len(names), generator=seeded(seed, draw)).tolist():
        same = copies[names[place]]
        needs = Counter(labels[row] for row in same)
        if all(left[label] >= n for label, n in needs.items()):
            taken += same
            for label, n in needs.items():
                left[label] -= n
    return sorted(taken)


def _without(rows: Sequence[int], some: Collection[int]) -> list[int]:
    gone = set(some)
    return [row for row in rows if row not in gone]
