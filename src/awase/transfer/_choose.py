"""Prompts for a task, chosen on a few labelled images: wordings first, then templates and their weights.

Several searches are compared on folds of the selection images, beside the prompts as they would be without
any search (`baseline`); what a search chooses by itself is chosen inside the rest of a fold. The best is then
run on all selection images; of equal ones the earlier is taken, the baseline first. None of this says how
much is gained: that takes images which had no say, and is done by `awase.transfer._gain`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.protocols import TextEncoder
from awase.transfer._class_vectors import encode_prompts, mean_prompts
from awase.transfer._folds import kept_out_score
from awase.transfer._mixture import convex, mixture
from awase.transfer._prompt_task import Found, PromptSearch, PromptTask, Score, Trial
from awase.transfer._templates import Prompts
from awase.transfer._wordings import Wording, averaged, choose_wordings

BASELINE = "baseline"
_NEGLIGIBLE = 1e-2  # of the largest weight: such templates are left out of what is written


@dataclass(frozen=True, eq=False)
class Candidates:
    """Everything there is to choose from, as vectors.

    Attributes:
        labels: the k classes as the data writes them.
        wordings: of each class, as the model reads them; its own name first.
        templates: the t templates.
        vectors: of each class the unit vector of every wording under every template.
        baseline: the prompts without a search: first wordings, and these templates alike.
        baseline_features: of each class under each of the baseline's templates.
    """

    labels: tuple[str, ...]
    wordings: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...]
    vectors: tuple[Float[Tensor, "_ t d"], ...]
    baseline: Prompts
    baseline_features: Float[Tensor, "k b d"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One way and how it did on images that it had not seen; None where there were no folds."""

    name: str
    kept_out: Score | None


@dataclass(frozen=True, eq=False)
class Chosen:
    """What came out.

    Attributes:
        prompts: templates, weights and wordings, ready to be written.
        search: the name of the search they are of, or `baseline`.
        selection: how they do on the selection images, which is flattered.
        compared: every search, in the order of ties.
        wording: which names are read, and how that was decided.
        trials: what the search tried.
        class_features: the vectors of the classes.
    """

    prompts: Prompts
    search: str
    selection: Score
    compared: tuple[Compared, ...]
    wording: Wording
    trials: tuple[Trial, ...]
    class_features: Float[Tensor, "k d"]


def candidates(
    encoder: TextEncoder,
    labels: Sequence[str],
    wordings: Sequence[Sequence[str]],
    templates: Sequence[str],
    *,
    baseline: Sequence[str] = ("a photo of a {}.",),
) -> Candidates:
    """Encode every prompt that may be chosen.

    Args:
        encoder: reads the prompts.
        labels: the classes as the data writes them.
        wordings: of each class, its own name first.
        templates: to choose from, with one `{}` each.
        baseline: templates that would be used without a search.

    Raises:
        DataError: there is nothing to choose from, a template has no `{}`, or a class has no name.

    Example:
        >>> from awase.registry import load
        >>> found = candidates(load("encoder", "tiny").load("0"), ["d"], [["dog", "hound"]], ["a {}.", "{}"])
        >>> found.vectors[0].shape, found.baseline_features.shape
        (torch.Size([2, 2, 24]), torch.Size([1, 1, 24]))
    """
    if len(labels) != len(wordings) or not labels:
        raise DataError(f"{len(wordings)} lists of wordings came with {len(labels)} classes.")
    texts = tuple(tuple(dict.fromkeys(words)) for words in wordings)
    first = [words[:1] for words in texts]
    chosen = tuple(dict.fromkeys(templates))
    vectors = tuple(encode_prompts(encoder, texts, chosen))
    names = dict(zip(labels, first, strict=True))
    return Candidates(
        labels=tuple(labels),
        wordings=texts,
        templates=chosen,
        vectors=vectors,
        baseline=Prompts(tuple(baseline), wordings=names),
        baseline_features=mean_prompts(encoder, first, baseline),
    )


def choose_prompts(
    found: Candidates,
    image_features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    searches: Mapping[str, PromptSearch],
    *,
    logit_scale: float | int,
    n_folds: int = 5,
    seed: int = 0,
) -> Chosen:
    """The prompts that do best on these images.

    Args:
        found: what to choose from.
        image_features: unit vectors of the selection images.
        labels: class of each, 0 .. k - 1.
        searches: by name, in the order of ties. A single one is run without comparison.
        logit_scale: of the encoder.
        n_folds: parts of the selection images that wordings and searches are compared by.
        seed: of the folds.

    Raises:
        DataError: there are no searches or no images, or labels that fit no class.

    Example:
        >>> import torch
        >>> from awase.registry import load
        >>> tiny = load("encoder", "tiny").load("0")
        >>> two = candidates(tiny, ["dog", "cat"], [["dog"], ["cat"]], ["a photo of a {}.", "{}"])
        >>> images = mixture(averaged(two.vectors, ((0,), (0,))), torch.tensor([0.0, 1.0]))
        >>> single = {"single": load("prompt_search", "single")()}
        >>> chosen = choose_prompts(two, images, torch.arange(2), single, logit_scale=100.0)
        >>> chosen.search, chosen.selection.accuracy
        ('single', 1.0)
    """
    if not searches:
        raise DataError("no search was named; greedy is one.")
    baseline = PromptTask(
        found.baseline_features, found.baseline.templates, image_features, labels, logit_scale
    )
    start = averaged(found.vectors, tuple((0,) for _ in found.labels))
    task = PromptTask(start, found.templates, image_features, labels, logit_scale)
    wording = choose_wordings(found.vectors, task, n_folds=n_folds, seed=seed)
    task = replace(task, prompt_features=averaged(found.vectors, wording.picked))
    compared = _compare(baseline, task, searches, n_folds=n_folds, seed=seed)
    best = _best(compared)
    if best == BASELINE:
        weights = _alike(baseline)
        return Chosen(
            found.baseline, best, baseline.score(weights), compared, wording, (), _vectors(baseline, weights)
        )
    result = searches[best].search(task, seed=seed)
    prompts, weights = _written(found, wording, result)
    return Chosen(
        prompts, best, task.score(weights), compared, wording, result.trials, _vectors(task, weights)
    )


def _compare(
    baseline: PromptTask,
    task: PromptTask,
    searches: Mapping[str, PromptSearch],
    *,
    n_folds: int,
    seed: int,
) -> tuple[Compared, ...]:
    if len(searches) == 1 or len(task.labels) < 2:
        return tuple(Compared(name, None) for name in searches)
    scores = [Compared(BASELINE, kept_out_score(baseline, _alike, n_folds, seed=seed))]
    for name, search in searches.items():
        weigh = _Weigh(search, seed)
        scores.append(Compared(name, kept_out_score(task, weigh, n_folds, seed=seed)))
    return tuple(scores)


@dataclass(frozen=True, slots=True)
class _Weigh:
    """A search as a function of a task."""

    search: PromptSearch
    seed: int

    def __call__(self, task: PromptTask) -> Float[Tensor, "..."]:
        return self.search.search(task, seed=self.seed).weights


def _best(compared: Sequence[Compared]) -> str:
    places = range(len(compared))
    return compared[max(places, key=lambda place: (compared[place].kept_out or (), -place))].name


def _alike(task: PromptTask) -> Float[Tensor, " t"]:
    return torch.full((len(task.templates),), 1 / len(task.templates))


def _vectors(task: PromptTask, weights: Float[Tensor, "..."]) -> Float[Tensor, "k d"]:
    return mixture(task.prompt_features, weights)


def _written(found: Candidates, wording: Wording, result: Found) -> tuple[Prompts, Float[Tensor, "..."]]:
    """The prompts as they are written, and weights that say the same of all templates."""
    weights = result.weights.double()
    weights = convex(weights * (weights >= _NEGLIGIBLE * weights.max(dim=-1, keepdim=True).values))
    rows = weights.expand(len(found.labels), -1)
    kept = (rows > 0).any(dim=0).nonzero()[:, 0].tolist()
    templates = tuple(found.templates[j] for j in kept)
    words = {
        label: tuple(texts[place] for place in places)
        for label, texts, places in zip(found.labels, found.wordings, wording.picked, strict=True)
    }
    if weights.ndim == 2:
        of_class = {label: _numbers(row[kept]) for label, row in zip(found.labels, rows, strict=True)}
        prompts = Prompts(templates, _numbers(rows.mean(dim=0)[kept]), words, of_class)
        used = torch.tensor([of_class[label] for label in found.labels])
    else:
        numbers = _numbers(weights[kept])
        prompts = Prompts(templates, None if len(set(numbers)) == 1 else numbers, words)
        used = torch.tensor(numbers)
    # what was rounded for the file is what is measured
    return prompts, torch.zeros_like(weights, dtype=torch.float32).index_copy(
        -1, torch.tensor(kept), convex(used)
    )


def _numbers(weights: Float[Tensor, " t"]) -> tuple[float, ...]:
    return tuple(round(float(weight), 6) for weight in weights)
