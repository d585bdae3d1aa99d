"""Which images a method may learn from: the shots of each class, and a few more to choose settings on.

The draw is a function of the seed and the images' contents alone: neither the order of the files nor the
numbers of the classes nor what else is in the data set changes it. Within a class images are ordered by a
hash of (seed, content); training takes them from the front and validation from the back. So the 2 shots of a
seed hold its 1 shot, and differences between shots are not differences between draws.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from awase.errors import DataError, ShapeError


@dataclass(frozen=True, slots=True)
class Shots:
    """A drawn split.

    Attributes:
        train: rows to learn from, by class and then by draw.
        validation: rows to choose settings on, likewise.
        fewer: classes that had fewer distinct images than were asked for.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    fewer: tuple[int, ...] = ()


def draw_shots(
    labels: Sequence[int],
    hashes: Sequence[str],
    *,
    shots: int,
    validation: int,
    seed: int,
    allow_fewer: bool = False,
) -> Shots:
    """`shots` images of every class to learn from and `validation` others.

    Of equal images one is drawn at most. An image that carries two labels is drawn for none of them.

    Args:
        labels: class of each row; every class that occurs is drawn from.
        hashes: content hash of each row.
        shots: training images per class, at least 1.
        validation: validation images per class; min(shots, 4) is usual.
        seed: of the draw.
        allow_fewer: where a class has too few images, share out what there is in the same proportion, at
            least one to learn from.

    Raises:
        DataError: shots or validation is out of range, or a class has too few images and that is not allowed.
        ShapeError: labels and hashes differ in number.

    Example:
        >>> drawn = draw_shots([0, 0, 0, 1, 1, 1], "abcdef", shots=2, validation=1, seed=1)
        >>> sorted(drawn.train + drawn.validation), drawn.fewer
        ([0, 1, 2, 3, 4, 5], ())
    """
    if shots < 1 or validation < 0:
        raise DataError(f"shots must be at least 1 and validation at least 0, got {shots} and {validation}.")
    if len(labels) != len(hashes):
        raise ShapeError(f"{len(labels)} labels came with {len(hashes)} hashes.")
    pools = _pools(labels, hashes)
    fewer = tuple(label for label, pool in pools.items() if len(pool) < shots + validation)
    if fewer and not allow_fewer:
        raise DataError(_too_few(pools, fewer, shots, validation))
    train: list[int] = []
    held: list[int] = []
    for label in sorted(pools):
        order = sorted(pools[label], key=lambda hash: _place(seed, hash))
        n_train, n_held = _shares(len(order), shots, validation)
        train += [pools[label][hash] for hash in order[:n_train]]
        held += [pools[label][hash] for hash in order[len(order) - n_held :]]
    return Shots(tuple(train), tuple(held), tuple(sorted(fewer)))


def _pools(labels: Sequence[int], hashes: Sequence[str]) -> dict[int, dict[str, int]]:
    """For every class its distinct images, each with the first row that holds it."""
    owners: dict[str, set[int]] = {}
    for label, hash in zip(labels, hashes, strict=True):
        owners.setdefault(hash, set()).add(label)
    pools: dict[int, dict[str, int]] = {label: {} for label in labels}
    for row, (label, hash) in enumerate(zip(labels, hashes, strict=True)):
        if len(owners[hash]) == 1:
            pools[label].setdefault(hash, row)
    return pools


def _shares(n: int, shots: int, validation: int) -> tuple[int, int]:
    if n >= shots + validation:
        return shots, validation
    held = n * validation // (shots + validation)
    return n - held, held


def _place(seed: int, hash: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{hash}".encode(), digest_size=16).digest()


def _too_few(pools: dict[int, dict[str, int]], fewer: Sequence[int], shots: int, validation: int) -> str:
    shown = ", ".join(f"class {label} has {len(pools[label])}" for label in sorted(fewer)[:10])
    more = f" and {len(fewer) - 10} more" if len(fewer) > 10 else ""
    return (
        f"{shots} shots and {validation} validation images need {shots + validation} distinct images of "
        f"every class: {shown}{more}. Ask for fewer shots, or allow fewer (it is recorded)."
    )


def class_index(labels: Sequence[str | None], names: Sequence[str]) -> Int[Tensor, " n"]:
    """Labels as numbers 0 .. k - 1.

    Args:
        labels: of images, as the data set writes them.
        names: the k labels in their order.

    Raises:
        DataError: a label is missing, or is none of `names`; the message names some.

    Example:
        >>> class_index(["cow", "ant", "cow"], ["ant", "bee", "cow"])
        tensor([2, 0, 2])
    """
    place = {name: index for index, name in enumerate(names)}
    if foreign := sorted({str(label) for label in labels if label not in place}):
        shown = ", ".join(map(repr, foreign[:5])) + (f" and {len(foreign) - 5} more" * (len(foreign) > 5))
        raise DataError(
            f"images are labelled {shown}, and the known classes are {', '.join(names[:5])}"
            f"{', ...' * (len(names) > 5)} ({len(names)}); every image needs one of these as its label."
        )
    return torch.tensor([place[str(label)] for label in labels], dtype=torch.long)
