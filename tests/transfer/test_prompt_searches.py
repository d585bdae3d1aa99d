"""One suite for every prompt search that the registry knows, and an oracle for each, on made-up vectors."""

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from awase import registry
from awase.errors import DataError, ShapeError
from awase.transfer._folds import folds, kept_out_score
from awase.transfer._mixture import mixture
from awase.transfer._prompt_task import Found, PromptSearch, PromptTask, Score, only, pooled, scored
from awase.transfer.prompts import greedy as greedy_module
from awase.transfer.prompts import weights as weights_module
from awase.transfer.prompts.greedy import Greedy, counted, path
from awase.transfer.prompts.weights import Weights

NAMES = registry.names("prompt_search")
LEARNING = [name for name in NAMES if name != "uniform"]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("weights", {"per_class": True}),
]
LIGHT: dict[str, dict[str, Any]] = {
    "greedy": {"most": 4, "n_folds": 3},
    "weights": {"penalties": (0.3, 0.03), "losses": ("likelihood",), "n_folds": 2, "steps": 15},
}


def _task(
    seed: int = 0, *, k: int = 4, each: int = 6, noise: tuple[float, ...] = (2, 0.6, 1, 3, 0.8)
) -> PromptTask:
    """Templates that see the classes through more or less noise; the second sees them best."""
    draws = torch.Generator().manual_seed(seed)
    d = 12
    centres = torch.randn(k, d, generator=draws)
    shaken = torch.stack([centres + s * torch.randn(k, d, generator=draws) for s in noise], dim=1)
    labels = torch.arange(k).repeat_interleave(each)
    images = centres[labels] + 1.1 * torch.randn(k * each, d, generator=draws)
    unit = torch.nn.functional.normalize
    templates = tuple(f"template {j} {{}}" for j in range(len(noise)))
    return PromptTask(unit(shaken, dim=-1), templates, unit(images, dim=-1), labels, 20.0)


@pytest.fixture(scope="module")
def task() -> PromptTask:
    return _task()


def _search(name: str, **settings: Any) -> PromptSearch:
    search: PromptSearch = registry.load("prompt_search", name)(**{**LIGHT.get(name, {}), **settings})
    return search


def test_the_searches_are_all_here() -> None:
    assert NAMES == ("greedy", "single", "uniform", "weights")


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_the_search_is_a_frozen_dataclass_of_its_protocol(name: str, settings: dict[str, Any]) -> None:
    search = _search(name, **settings)
    assert isinstance(search, PromptSearch)
    assert is_dataclass(search)
    assert type(search).__dataclass_params__.frozen  # type: ignore[attr-defined]
    values = {field.name: getattr(search, field.name) for field in fields(search)}
    assert type(search)(**values) == search
    assert repr(search).startswith(type(search).__name__ + "(")


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_weights_are_convex_and_equal_seeds_repeat_them(
    name: str, settings: dict[str, Any], task: PromptTask
) -> None:
    state = torch.get_rng_state()
    found = _search(name, **settings).search(task, seed=3)
    assert isinstance(found, Found)
    assert torch.equal(state, torch.get_rng_state())
    assert tuple(found.weights.shape) == ((4, 5) if settings else (5,))
    assert bool((found.weights >= 0).all())
    torch.testing.assert_close(found.weights.sum(dim=-1), torch.ones(found.weights.shape[:-1]))
    assert found.trials
    again = _search(name, **settings).search(task, seed=3)
    assert torch.equal(again.weights, found.weights)
    assert again.trials == found.trials


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_another_order_of_the_templates_is_another_order_of_the_weights(
    name: str, settings: dict[str, Any], task: PromptTask
) -> None:
    order = [3, 0, 4, 1, 2]
    turned = replace(
        task,
        prompt_features=task.prompt_features[:, order],
        templates=tuple(task.templates[j] for j in order),
    )
    weights = _search(name, **settings).search(task, seed=3).weights
    torch.testing.assert_close(
        _search(name, **settings).search(turned, seed=3).weights, weights[..., order], rtol=0, atol=2e-3
    )


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_turning_all_vectors_changes_nothing(name: str, settings: dict[str, Any], task: PromptTask) -> None:
    turn = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(5))).Q
    turned = replace(
        task, prompt_features=task.prompt_features @ turn, image_features=task.image_features @ turn
    )
    weights = _search(name, **settings).search(task, seed=3).weights
    torch.testing.assert_close(
        _search(name, **settings).search(turned, seed=3).weights, weights, rtol=0, atol=2e-3
    )


@pytest.mark.parametrize("name", LEARNING)
def test_a_template_that_sees_better_is_preferred(name: str) -> None:
    plain = _task(1, each=10, noise=(6, 6, 0.1, 6))
    weights = _search(name).search(plain, seed=0).weights
    assert int(weights.argmax()) == 2
    assert plain.score(weights) > plain.score(torch.full((4,), 0.25))


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_one_image_and_one_template_are_enough(name: str, settings: dict[str, Any], task: PromptTask) -> None:
    for few in (task.select([7]), task.select([0, 9]), replace(task.select([7]), templates=task.templates)):
        assert bool(_search(name, **settings).search(few, seed=0).weights.isfinite().all())
    alone = replace(task, prompt_features=task.prompt_features[:, :1], templates=task.templates[:1])
    weights = _search(name, **settings).search(alone, seed=0).weights
    assert torch.equal(weights, torch.ones_like(weights))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("greedy", {"most": 0}),
        ("greedy", {"n_folds": 1}),
        ("weights", {"penalties": ()}),
        ("weights", {"penalties": (-1.0,)}),
        ("weights", {"losses": ("hinge",)}),
        ("weights", {"n_folds": 1}),
        ("weights", {"steps": 0}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="got"):
        registry.load("prompt_search", name)(**settings)


# --- what is compared ---


def test_the_score_agrees_with_a_loop(task: PromptTask) -> None:
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0])
    prompts, images = task.prompt_features.double(), task.image_features.double()
    hits, chances = 0, 0.0
    for image, label in zip(images, task.labels.tolist(), strict=True):
        cosines = []
        for of_class in prompts:
            mean = sum(float(w) * v for w, v in zip(weights, of_class, strict=True))
            cosines.append(float(image @ mean / mean.norm()))
        hits += cosines.index(max(cosines)) == label
        exponents = [math.exp(20 * cosine) for cosine in cosines]
        chances += exponents[label] / sum(exponents)
    score = task.score(weights)
    assert score.accuracy == hits / len(images)
    assert score.probability == pytest.approx(chances / len(images), abs=2e-6)


def test_more_right_images_come_before_surer_ones_and_ties_go_to_the_lower_class() -> None:
    assert Score(0.6, 0.1) > Score(0.5, 0.9)
    assert Score(0.5, 0.2) > Score(0.5, 0.1)
    assert scored(torch.tensor([[0.5, 0.5]]), torch.tensor([1]), logit_scale=10) == Score(0.0, 0.5)


def test_scores_of_parts_are_the_score_of_the_whole(task: PromptTask) -> None:
    weights = only(1, 5)
    rows = [list(range(0, 7)), list(range(7, 8)), list(range(8, 24))]
    whole = pooled([(task.select(part).score(weights), len(part)) for part in rows])
    assert whole.accuracy == task.score(weights).accuracy
    assert whole.probability == pytest.approx(task.score(weights).probability, abs=2e-6)


def test_folds_look_at_every_row_once_and_spread_the_classes() -> None:
    labels = torch.tensor([0] * 6 + [1] * 6 + [2])
    parts = folds(labels, 3, seed=2)
    assert sorted(row for _, kept in parts for row in kept) == list(range(13))
    for rest, kept in parts:
        assert sorted(rest + kept) == list(range(13))
        assert [int((labels[kept] == label).sum()) for label in (0, 1)] == [2, 2]
    assert parts == folds(labels, 3, seed=2)
    assert parts != folds(labels, 3, seed=3)
    assert len(folds(labels[:2], 5, seed=0)) == 2
    for n_folds, n in ((1, 13), (2, 1)):
        with pytest.raises(DataError, match="cannot be cut"):
            folds(labels[:n], n_folds, seed=0)


def test_kept_out_images_have_no_say(task: PromptTask) -> None:
    seen: list[int] = []

    def weigh(part: PromptTask) -> Tensor:
        seen.append(len(part.labels))
        return only(1, 5)

    score = kept_out_score(task, weigh, 4, seed=0)
    assert seen == [18] * 4
    assert score.accuracy == task.score(only(1, 5)).accuracy


def test_a_task_whose_parts_do_not_fit_is_refused(task: PromptTask) -> None:
    with pytest.raises(ShapeError, match="1 templates came with vectors of 5"):
        replace(task, templates=("{}",))
    with pytest.raises(DataError, match=r"0 \.\. 3"):
        replace(task, labels=task.labels + 1)
    with pytest.raises(DataError, match="there are none"):
        task.select([])
    with pytest.raises(DataError, match="positive"):
        replace(task, logit_scale=0.0)


# --- greedy ---


def _naive_path(task: PromptTask, most: int) -> list[int]:
    """Caruana et al. 2004: at every step try each template, and keep that after which the whole is best."""
    added: list[int] = []
    for _ in range(most):
        scores = [task.score(counted([*added, j], len(task.templates))) for j in range(len(task.templates))]
        added.append(max(range(len(scores)), key=lambda j: (scores[j].accuracy, scores[j].probability, -j)))
    return added


@pytest.mark.parametrize("seed", range(4))
def test_the_greedy_path_is_the_naive_one(seed: int) -> None:
    made = _task(seed)
    assert path(made, 5) == _naive_path(made, 5)


@pytest.mark.parametrize("held", [0, 60, 400])
def test_blocks_of_images_change_nothing(
    held: int, monkeypatch: pytest.MonkeyPatch, task: PromptTask
) -> None:
    whole = path(task, 5)
    monkeypatch.setattr(greedy_module, "_HELD", held)
    assert path(task, 5) == whole


def test_the_length_of_the_path_is_the_best_on_folds(task: PromptTask) -> None:
    search = Greedy(most=5, n_folds=4)
    found = search.search(task, seed=1)
    kept_out = [trial.kept_out for trial in found.trials]
    length = kept_out.index(max(kept_out)) + 1
    assert torch.equal(found.weights, counted(path(task, 5)[:length], 5))
    expected = kept_out_score(task, lambda part: counted(path(part, 5)[:2], 5), 4, seed=1)
    assert kept_out[1] == expected


def test_a_template_may_be_added_twice() -> None:
    assert counted([1, 1, 0], 3).tolist() == pytest.approx([1 / 3, 2 / 3, 0])


# --- weights ---


def _objective(task: PromptTask, weights: Tensor, penalty: float, loss: str) -> float:
    """The formula of the module, in float64."""
    rows = weights.double().expand(task.prompt_features.shape[:2])
    logits = 20 * task.image_features.double() @ mixture(task.prompt_features.double(), rows).T
    chance = logits.softmax(dim=1)[torch.arange(len(logits)), task.labels]
    pull = (math.log(rows.shape[1]) + torch.special.xlogy(rows, rows).sum(dim=1)).mean()
    value = (1 - chance).mean() if loss == "probability" else -chance.log().mean()
    return float(value + penalty * pull)


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("loss", ["probability", "likelihood"])
def test_the_weights_minimise_the_objective(per_class: bool, loss: str, task: PromptTask) -> None:
    search = Weights(per_class=per_class, steps=200)
    found = search.fit(task, penalty=0.1, loss=loss)
    least = _objective(task, found, 0.1, loss)
    assert least < _objective(task, torch.full((5,), 0.2), 0.1, loss) - 1e-3
    draws = torch.Generator().manual_seed(0)
    for _ in range(30):
        near = found.double() * (1 + 0.1 * torch.randn(found.shape, generator=draws))
        assert _objective(task, near / near.sum(dim=-1, keepdim=True), 0.1, loss) > least - 1e-6


def test_cosines_with_prompts_and_with_mixtures_agree(
    monkeypatch: pytest.MonkeyPatch, task: PromptTask
) -> None:
    weights = torch.rand(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direct = task.image_features.double() @ mixture(task.prompt_features.double(), weights).T
    torch.testing.assert_close(weights_module._similarity(task)(weights), direct, rtol=0, atol=1e-12)
    monkeypatch.setattr(weights_module, "_HELD", 0)
    torch.testing.assert_close(weights_module._similarity(task)(weights), direct, rtol=0, atol=1e-12)


def test_a_large_penalty_weighs_all_alike_and_none_does_not(task: PromptTask) -> None:
    strict = Weights().fit(task, penalty=1e4, loss="likelihood")
    torch.testing.assert_close(strict, torch.full((5,), 0.2), rtol=0, atol=1e-3)
    assert float(Weights().fit(task, penalty=0, loss="likelihood").max()) > 0.4


def test_loss_and_penalty_are_the_best_on_folds(task: PromptTask) -> None:
    search = Weights(penalties=(1.0, 0.01), n_folds=3)
    found = search.search(task, seed=1)
    assert [trial.what for trial in found.trials] == [
        "probability, penalty 1",
        "likelihood, penalty 1",
        "probability, penalty 0.01",
        "likelihood, penalty 0.01",
    ]
    kept_out = [trial.kept_out for trial in found.trials]
    best = kept_out.index(max(kept_out))
    penalty, loss = [(1.0, "probability"), (1.0, "likelihood"), (0.01, "probability"), (0.01, "likelihood")][
        best
    ]
    assert torch.equal(found.weights, search.fit(task, penalty=penalty, loss=loss))
    assert Weights(penalties=(0.1,), losses=("likelihood",)).search(task, seed=1).trials[0].kept_out is None
