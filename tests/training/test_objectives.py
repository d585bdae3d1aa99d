"""One suite for every contrastive objective that the registry knows."""

import inspect
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from awase import registry
from awase.errors import DataError, ShapeError
from awase.functional.similarity import normalize
from awase.training.contrast import Contrast, Objective

NAMES = registry.names("objective")
HAS_BIAS = {"sigmoid"}


def _method(name: str, **settings: Any) -> Objective:
    objective: Objective = registry.load("objective", name)(**settings)
    return objective


def _batch(
    n: int = 9, *, seed: int = 0, groups: Tensor | None = None, dtype: torch.dtype = torch.float64
) -> Contrast:
    generator = torch.Generator().manual_seed(seed)
    shared, images, texts = torch.randn(3, n, 6, generator=generator, dtype=torch.float64)
    return Contrast(
        normalize(2 * shared + images).to(dtype),
        normalize(2 * shared + texts).to(dtype),
        torch.tensor(10.0, dtype=dtype),
        torch.tensor(-5.0, dtype=dtype),
        torch.arange(n) if groups is None else groups,
    )


def test_all_objectives_are_there() -> None:
    assert set(NAMES) >= {"info_nce", "regularized", "multi_positive", "soft_target", "sigmoid", "cyclip"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_an_objective_and_a_value(name: str) -> None:
    method = registry.load("objective", name)
    objective = method()
    assert isinstance(objective, Objective)
    assert objective.initial_scale > 0
    namespace = {method.__name__: method}
    assert eval(repr(objective), namespace) == objective
    for setting in fields(method):
        with pytest.raises(FrozenInstanceError):
            setattr(objective, setting.name, None)
    assert inspect.getdoc(method)


@pytest.mark.parametrize("name", NAMES)
def test_it_repeats_and_does_not_read_the_order(name: str) -> None:
    batch = _batch(groups=torch.tensor([0, 1, 0, 2, 3, 3, 4, 5, 0]))
    objective = _method(name)
    value = objective.loss(batch)
    assert torch.equal(value, objective.loss(batch))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    shuffled = replace(
        batch,
        image_features=batch.image_features[order],
        text_features=batch.text_features[order],
        groups=batch.groups[order] + 17,  # the numbers themselves mean nothing
    )
    assert float(objective.loss(shuffled)) == pytest.approx(float(value), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_it_keeps_single_and_double_and_widens_half(name: str, dtype: torch.dtype) -> None:
    value = _method(name).loss(_batch(dtype=dtype))
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    assert value.shape == ()
    assert float(value) == pytest.approx(float(_method(name).loss(_batch())), rel=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_features_scale_and_bias(name: str) -> None:
    batch = _batch(groups=torch.tensor([0, 1, 0, 2, 3, 3, 4, 5, 0]))

    def loss(u: Tensor, w: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        value = _method(name).loss(
            replace(batch, image_features=u, text_features=w, logit_scale=scale, logit_bias=bias)
        )
        return value if name in HAS_BIAS else value + 0 * bias

    inputs = [
        part.clone().requires_grad_()
        for part in (batch.image_features, batch.text_features, batch.logit_scale, batch.logit_bias)
    ]
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)  # in full: test_contrastive.py
    gradients = torch.autograd.grad(loss(*inputs), inputs)
    for gradient in gradients[:3]:
        assert float(gradient.abs().max()) > 0
    assert (float(gradients[3]) != 0) == (name in HAS_BIAS)


@pytest.mark.parametrize("name", NAMES)
def test_right_pairs_cost_less_than_wrong_ones(name: str) -> None:
    batch = _batch()
    wrong = replace(batch, text_features=batch.text_features.roll(1, dims=0))
    assert float(_method(name).loss(batch)) < float(_method(name).loss(wrong))


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_of_groups_holds(name: str) -> None:
    """Groups are read by those that bear two of one in a batch, and by no other."""
    apart, together = _batch(), _batch(groups=torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 3]))
    objective = _method(name)
    same = torch.equal(objective.loss(apart), objective.loss(together))
    assert same == objective.groups_apart


@pytest.mark.parametrize("name", [name for name in NAMES if not _method(name).groups_apart])
def test_two_of_a_group_cost_nothing_where_groups_may_meet(name: str) -> None:
    """Perfect features of two captions of one image: no floor is left."""
    features = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 2]]
    scale, bias = torch.tensor(30.0, dtype=torch.float64), torch.tensor(-15.0, dtype=torch.float64)
    together, apart = (
        float(_method(name).loss(Contrast(features, features, scale, bias, groups)))
        for groups in (torch.tensor([0, 0, 1, 2]), torch.arange(4))
    )
    assert together < 1e-3
    assert apart >= math.log(2) / 2


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_bring_pairs_together(name: str) -> None:
    """From random vectors: every image finds its own text."""
    generator = torch.Generator().manual_seed(2)
    raw = [torch.randn(12, 8, generator=generator).requires_grad_() for _ in range(2)]
    objective = _method(name)
    scale, bias = torch.tensor(objective.initial_scale), torch.tensor(objective.initial_bias)
    losses = []
    for _ in range(50):
        value = objective.loss(Contrast(normalize(raw[0]), normalize(raw[1]), scale, bias, torch.arange(12)))
        for side, gradient in zip(raw, torch.autograd.grad(value, raw), strict=True):
            side.data -= 0.05 * gradient.sign()
        losses.append(float(value.detach()))
    similarity = normalize(raw[0].detach()) @ normalize(raw[1].detach()).T
    assert similarity.argmax(dim=1).tolist() == list(range(12))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *[(name, {"form": "average"}) for name in NAMES if name != "sigmoid"],
        ("regularized", {"weight": -0.1}),
        ("regularized", {"weight": float("nan")}),
        ("regularized", {"part": "everything"}),
        ("cyclip", {"in_modal": -1.0}),
        ("cyclip", {"cross_modal": -1.0}),
        ("soft_target", {"share": 1.1}),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_runs(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(settings))):
        _method(name, **settings)


def test_whole_numbers_will_do() -> None:
    batch = _batch()
    for name, key in (("regularized", "weight"), ("soft_target", "share"), ("cyclip", "in_modal")):
        whole, broken = _method(name, **{key: 1}), _method(name, **{key: 1.0})
        assert torch.equal(whole.loss(batch), broken.loss(batch))


def test_settings_of_nothing_are_info_nce() -> None:
    batch = _batch(groups=torch.tensor([0, 1, 0, 2, 3, 3, 4, 5, 0]))
    plain = _method("info_nce").loss(batch)
    assert torch.equal(_method("regularized", weight=0.0).loss(batch), plain)
    assert torch.equal(_method("cyclip", in_modal=0.0, cross_modal=0.0).loss(batch), plain)
    assert float(_method("soft_target", share=0.0).loss(batch)) == pytest.approx(float(plain), rel=1e-12)


@pytest.mark.parametrize("name", ["info_nce", "regularized", "multi_positive", "soft_target"])
def test_the_sum_is_twice_the_mean(name: str) -> None:
    batch = _batch(groups=torch.tensor([0, 1, 0, 2, 3, 3, 4, 5, 0]))
    values = [float(_method(name, form=form).loss(batch)) for form in ("sum", "mean")]
    assert values[0] == pytest.approx(2 * values[1], rel=1e-12)


def test_half_a_batch_of_banks_is_refused() -> None:
    batch = _batch()
    with pytest.raises(ShapeError, match="come together"):
        replace(batch, image_bank=batch.image_features)
