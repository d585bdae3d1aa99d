"""Which names of a class are read: its first, all of them, or the ones that do best on a few labels.

Names are tried class by class, with all templates alike, and one is kept where it gets more selection images
right; a second pass looks again, since every class competes with the others. With a handful of labels this
finds accidents as readily as better names, so folds of the selection images decide between the three ways; of
equal ones the earlier is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from awase.functional.similarity import normalize
from awase.transfer._folds import folds
from awase.transfer._prompt_task import PromptTask, Score, pooled, scored

WAYS = ("first", "all", "chosen")
_PASSES = 2

Bank = Sequence[Float[Tensor, "_ t d"]]  # each class its own number of wordings
Picked = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """What was decided.

    Attributes:
        way: of `WAYS`.
        picked: for every class the places of its wordings that are read; their vectors are averaged.
        kept_out: the score of every way on folds; empty where no class has a second wording.
    """

    way: str
    picked: Picked
    kept_out: tuple[Score, ...] = ()


def averaged(bank: Bank, picked: Picked) -> Float[Tensor, "k t d"]:
    """For every class and template the mean over the wordings that were picked.

    Example:
        >>> import torch
        >>> averaged([torch.eye(2)[:, None], torch.ones(1, 1, 2)], ((0, 1), (0,)))[:, 0]
        tensor([[0.5000, 0.5000],
                [1.0000, 1.0000]])
    """
    # a single wording keeps its bits
    return torch.stack(
        [
            words[places[0]] if len(places) == 1 else words[list(places)].mean(dim=0)
            for words, places in zip(bank, picked, strict=True)
        ]
    )


def choose_wordings(bank: Bank, task: PromptTask, *, n_folds: int, seed: int) -> Wording:
    """The names to read.

    Args:
        bank: of each class the vectors of its wordings under every template, the class's own name first.
        task: the selection images; its prompt vectors are not read.
        n_folds: parts of the selection images that decide between the ways.
        seed: of the folds.
    """
    first = _pick("first", bank, task)
    if all(len(words) == 1 for words in bank) or len(task.labels) < 2:
        return Wording("first", first)
    parts: list[list[tuple[Score, int]]] = [[] for _ in WAYS]
    for rest, kept in folds(task.labels, n_folds, seed=seed):
        for way, of_way in zip(WAYS, parts, strict=True):
            picked = _pick(way, bank, task.select(rest))
            of_way.append((_score(bank, picked, task.select(kept)), len(kept)))
    scores = tuple(pooled(of_way) for of_way in parts)
    best = max(range(len(WAYS)), key=lambda place: (scores[place], -place))
    return Wording(WAYS[best], _pick(WAYS[best], bank, task), scores)


def _pick(way: str, bank: Bank, task: PromptTask) -> Picked:
    if way == "first":
        return tuple((0,) for _ in bank)
    if way == "all":
        return tuple(tuple(range(len(words))) for words in bank)
    return _climb(bank, task)


def _climb(bank: Bank, task: PromptTask) -> Picked:
    """One class after another takes the name, or the mean of all, that helps the whole most."""
    choices = [_choices(len(words)) for words in bank]
    vectors = [
        normalize(torch.stack([words[list(places)].mean(dim=(0, 1)) for places in of_class]))
        for words, of_class in zip(bank, choices, strict=True)
    ]
    taken = [0] * len(bank)
    similarity = task.image_features @ torch.stack([options[0] for options in vectors]).T
    for _ in range(_PASSES):
        before = list(taken)
        for k, options in enumerate(vectors):
            if len(options) == 1:
                continue
            columns = task.image_features @ options.T  # (n, choices)
            scores = []
            for column in columns.T:
                similarity[:, k] = column
                scores.append(scored(similarity, task.labels, logit_scale=task.logit_scale))
            taken[k] = max(range(len(scores)), key=lambda place: (scores[place], place == taken[k], -place))
            similarity[:, k] = columns[:, taken[k]]
        if taken == before:
            break
    return tuple(of_class[place] for of_class, place in zip(choices, taken, strict=True))


def _choices(n: int) -> list[tuple[int, ...]]:
    """Each wording alone, and all together."""
    alone: list[tuple[int, ...]] = [(place,) for place in range(n)]
    return alone if n == 1 else [*alone, tuple(range(n))]


def _score(bank: Bank, picked: Picked, task: PromptTask) -> Score:
    vectors = normalize(averaged(bank, picked).mean(dim=1))
    return scored(task.image_features @ vectors.T, task.labels, logit_scale=task.logit_scale)
