"""Choosing between searches and wordings, and what is written of the choice."""

from dataclasses import dataclass

import pytest
import torch

from awase import registry
from awase.errors import DataError
from awase.transfer._choose import BASELINE, candidates, choose_prompts
from awase.transfer._class_vectors import class_vectors
from awase.transfer._mixture import mixture
from awase.transfer._prompt_task import Found, PromptTask, scored
from awase.transfer._templates import read_prompts, write_prompts
from awase.transfer._wordings import _pick, averaged, choose_wordings

LABELS = ("ant", "bee", "cat")
TEMPLATES = ("a photo of a {}.", "{}", "a drawing of a {}.", "one {} more")
FIRST = ((0,), (0,), (0,))


@pytest.fixture(scope="module")
def tiny():
    return registry.load("encoder", "tiny").load("0")


@pytest.fixture(scope="module")
def found(tiny):
    return candidates(tiny, LABELS, [[name] for name in LABELS], TEMPLATES)


def _images(found, weights, *, each: int = 4, noise: float = 0.02, seed: int = 0):
    """Images near the classes as these weights of templates see them."""
    centres = mixture(averaged(found.vectors, FIRST), torch.tensor(weights))
    labels = torch.arange(3).repeat_interleave(each)
    draws = torch.Generator().manual_seed(seed)
    images = centres[labels] + noise * torch.randn(3 * each, 24, generator=draws)
    return torch.nn.functional.normalize(images, dim=-1), labels


def _searches(*names: str):
    return {name: registry.load("prompt_search", name)() for name in names}


@dataclass(frozen=True)
class Fixed:
    """A search that always says the same."""

    weights: tuple

    def search(self, task: PromptTask, *, seed: int) -> Found:
        return Found(torch.tensor(self.weights))


@pytest.mark.parametrize(
    "weights",
    [
        (0.0, 0.7, 0.3, 0.0),
        (0.25, 0.25, 0.25, 0.25),
        ((0.0, 0.5, 0.5, 0.0), (1.0, 0.0, 0.0, 0.0), (0.2, 0.8, 0.0, 0.0)),
    ],
)
def test_what_is_written_makes_the_vectors_that_were_measured(tiny, found, weights, tmp_path) -> None:
    images, labels = _images(found, (0.0, 1.0, 0.0, 0.0))
    chosen = choose_prompts(found, images, labels, {"fixed": Fixed(weights)}, logit_scale=10.0)
    assert chosen.search == "fixed"
    write_prompts(tmp_path / "prompts.json", chosen.prompts)
    read = read_prompts(tmp_path / "prompts.json")
    vectors = class_vectors(tiny, ("?", "?", "?"), read, labels=LABELS)
    torch.testing.assert_close(vectors, chosen.class_features, rtol=0, atol=1e-5)
    expected = mixture(averaged(found.vectors, FIRST), torch.tensor(weights))
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-4)
    assert (read.weights is None) == (weights == (0.25,) * 4)
    assert bool(read.class_weights) == isinstance(weights[0], tuple)


def test_templates_that_hardly_weigh_are_left_out(found) -> None:
    images, labels = _images(found, (0.0, 1.0, 0.0, 0.0))
    search = {"fixed": Fixed((0.6, 0.398, 0.001, 0.001))}
    chosen = choose_prompts(found, images, labels, search, logit_scale=10.0)
    assert chosen.prompts.templates == TEMPLATES[:2]
    assert sum(chosen.prompts.weights) == pytest.approx(1, abs=1e-5)


def test_of_several_searches_the_best_on_folds_is_taken(found) -> None:
    images, labels = _images(found, (0.0, 0.0, 0.0, 1.0))
    searches = {"bad": Fixed((1.0, 0.0, 0.0, 0.0)), **_searches("single", "uniform")}
    chosen = choose_prompts(found, images, labels, searches, logit_scale=10.0, n_folds=3)
    assert [one.name for one in chosen.compared] == [BASELINE, "bad", "single", "uniform"]
    scores = {one.name: one.kept_out for one in chosen.compared}
    assert chosen.search == max(scores, key=lambda name: scores[name])
    assert chosen.search == "single"
    assert chosen.prompts.templates == (TEMPLATES[3],)
    assert scores["bad"] == scores[BASELINE], "it weighs the baseline's template"


def test_a_tie_leaves_the_prompts_as_they_were(found) -> None:
    images, labels = _images(found, (1.0, 0.0, 0.0, 0.0))
    same = {"one": Fixed((1.0, 0.0, 0.0, 0.0)), "two": Fixed((1.0, 0.0, 0.0, 0.0))}
    chosen = choose_prompts(found, images, labels, same, logit_scale=10.0)
    assert chosen.search == BASELINE
    assert chosen.prompts.templates == ("a photo of a {}.",)
    expected = mixture(found.baseline_features, torch.ones(1))
    torch.testing.assert_close(chosen.class_features, expected)


def test_a_single_search_and_a_single_image_are_not_compared(found) -> None:
    images, labels = _images(found, (1.0, 0.0, 0.0, 0.0))
    chosen = choose_prompts(found, images, labels, _searches("single"), logit_scale=10.0)
    assert [(one.name, one.kept_out) for one in chosen.compared] == [("single", None)]
    chosen = choose_prompts(found, images[:1], labels[:1], _searches("uniform", "single"), logit_scale=10.0)
    assert chosen.search == "uniform"


def test_the_search_never_sees_the_fold_it_is_judged_on(found) -> None:
    images, labels = _images(found, (1.0, 0.0, 0.0, 0.0))
    sizes = []

    @dataclass(frozen=True)
    class Watching:
        def search(self, task: PromptTask, *, seed: int) -> Found:
            sizes.append(len(task.labels))
            return Found(torch.full((4,), 0.25))

    searches = {"first": Watching(), "second": Watching()}
    choose_prompts(found, images, labels, searches, logit_scale=10.0, n_folds=3)
    assert sizes[:6] == [8] * 6


def test_nothing_to_choose_from_is_refused(tiny, found) -> None:
    images, labels = _images(found, (1.0, 0.0, 0.0, 0.0))
    with pytest.raises(DataError, match="greedy is one"):
        choose_prompts(found, images, labels, {}, logit_scale=10.0)
    with pytest.raises(DataError, match="1 lists of wordings came with 2"):
        candidates(tiny, ["a", "b"], [["a"]], TEMPLATES)
    with pytest.raises(DataError, match="exactly one"):
        candidates(tiny, ["a"], [["a"]], ["{} {}"])


# --- wordings ---


def _bank(draws: torch.Generator, names: int = 2, wrong_first: bool = True):
    """Three classes; the first name of the second class is that of the third, its second name is right."""
    unit = torch.nn.functional.normalize
    centres = unit(torch.randn(3, 10, generator=draws), dim=-1)
    bank = [centres[k][None, None].repeat(names if k == 1 else 1, 2, 1) for k in range(3)]
    if wrong_first:
        bank[1][0] = unit(0.2 * centres[1] + centres[2], dim=-1)
    else:
        bank[1][1:] = unit(0.2 * centres[1] + centres[2], dim=-1)
    labels = torch.arange(3).repeat_interleave(6)
    images = unit(centres[labels] + 0.15 * torch.randn(18, 10, generator=draws), dim=-1)
    return bank, PromptTask(torch.stack([words[0] for words in bank]), ("{}", "a {}"), images, labels, 10.0)


def test_a_better_name_is_found() -> None:
    bank, task = _bank(torch.Generator().manual_seed(0))
    wording = choose_wordings(bank, task, n_folds=3, seed=0)
    assert (wording.way, wording.picked) == ("chosen", ((0,), (1,), (0,)))
    first, both, chosen = wording.kept_out
    assert chosen > both
    assert chosen > first
    vectors = averaged(bank, wording.picked)[:, 0]
    assert scored(task.image_features @ vectors.T, task.labels, logit_scale=10.0).accuracy == 1


def test_worse_names_are_left() -> None:
    bank, task = _bank(torch.Generator().manual_seed(0), names=3, wrong_first=False)
    wording = choose_wordings(bank, task, n_folds=3, seed=0)
    assert (wording.way, wording.picked) == ("first", FIRST)
    assert len(wording.kept_out) == 3


def test_without_further_names_nothing_is_decided() -> None:
    bank, task = _bank(torch.Generator().manual_seed(0), names=1)
    assert choose_wordings(bank, task, n_folds=3, seed=0).kept_out == ()


def _naive_climb(bank, task):
    """Two passes over the classes; each takes the name, or the mean of all, after which most are right."""
    choices: list[list[tuple[int, ...]]] = [[(j,) for j in range(len(words))] for words in bank]
    choices = [c if len(c) == 1 else [*c, tuple(range(len(c)))] for c in choices]
    picked = [c[0] for c in choices]

    def score(one):
        vectors = torch.nn.functional.normalize(averaged(bank, tuple(one)).mean(dim=1), dim=-1)
        return scored(task.image_features @ vectors.T, task.labels, logit_scale=task.logit_scale)

    for _ in range(2):
        for k, of_class in enumerate(choices):
            tried = [[*picked[:k], choice, *picked[k + 1 :]] for choice in of_class]
            places = range(len(tried))
            best = max(places, key=lambda j: (score(tried[j]), tried[j] == picked, -j))
            picked = tried[best]
    return tuple(picked)


@pytest.mark.parametrize("seed", range(6))
def test_the_climb_is_the_naive_one(seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize
    centres = unit(torch.randn(4, 6, generator=draws), dim=-1)
    bank = [unit(centres[k] + 0.6 * torch.randn(3 - k % 3, 2, 6, generator=draws), dim=-1) for k in range(4)]
    labels = torch.arange(4).repeat_interleave(5)
    images = unit(centres[labels] + 0.5 * torch.randn(20, 6, generator=draws), dim=-1)
    task = PromptTask(torch.stack([words[0] for words in bank]), ("{}", "a {}"), images, labels, 10.0)
    assert _pick("chosen", bank, task) == _naive_climb(bank, task)


def test_chosen_wordings_are_written_and_read(tiny, tmp_path) -> None:
    words = [["ant"], ["zzz", "bee", "wasp"], ["cat"]]
    found = candidates(tiny, LABELS, words, TEMPLATES)
    right = averaged(found.vectors, ((0,), (1,), (0,)))[:, 1]
    labels = torch.arange(3).repeat_interleave(4)
    images = right[labels] + 0.01 * torch.randn(12, 24, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.normalize(images, dim=-1)
    chosen = choose_prompts(found, images, labels, _searches("single"), logit_scale=10.0, n_folds=3)
    write_prompts(tmp_path / "prompts.json", chosen.prompts)
    vectors = class_vectors(tiny, LABELS, read_prompts(tmp_path / "prompts.json"), labels=LABELS)
    torch.testing.assert_close(vectors, chosen.class_features, rtol=0, atol=1e-5)
    assert chosen.prompts.wordings["ant"] == ("ant",)
    assert set(chosen.prompts.wordings["bee"]) <= {"zzz", "bee", "wasp"}
    assert found.baseline.wordings["bee"] == ("zzz",), "without a search the first name is read"
