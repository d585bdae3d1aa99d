"""Contrastive objectives against naive loops in float64, their known answers, and their gradients."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.contrastive import (
    cyclip_loss,
    group_targets,
    info_nce,
    multi_positive_info_nce,
    pair_logits,
    regularized_info_nce,
    regularizer,
    sigmoid_loss,
    soft_target_info_nce,
)
from awase.functional.similarity import normalize

SCALES = (1.0, 1 / 0.07, 100.0)
GROUPS = torch.tensor([0, 1, 0, 2, 3, 1, 0])
Matrix = list[list[float]]


def _pairs(
    n: int = 7, d: int = 5, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Pairs that resemble each other about as much as they differ."""
    generator = torch.Generator().manual_seed(seed)
    shared, images, texts = torch.randn(3, n, d, generator=generator, dtype=torch.float64)
    return normalize(shared + images).to(dtype), normalize(shared + texts).to(dtype)


# --- naive twins: plain loops over plain numbers, written from the papers


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _log_sum_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def _naive_direction(
    queries: Matrix, items: Matrix, scale: float, right: Callable[[int, int], bool]
) -> float:
    """- 1/n sum_i log( sum_{j right} exp(s q_i t_j) / sum_j exp(s q_i t_j) )."""
    losses = []
    for i, query in enumerate(queries):
        logits = [scale * _dot(query, item) for item in items]
        own = [logit for j, logit in enumerate(logits) if right(i, j)]
        losses.append(_log_sum_exp(logits) - _log_sum_exp(own))
    return math.fsum(losses) / len(losses)


def _naive_info_nce(u: Matrix, w: Matrix, scale: float) -> float:
    """L_S of Chen et al. 2024: the sum of both directions."""

    def own(i: int, j: int) -> bool:
        return i == j

    return _naive_direction(u, w, scale, own) + _naive_direction(w, u, scale, own)


def _naive_distance(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def _naive_regularizer(u: Matrix, w: Matrix, part: str) -> float:
    n = len(u)
    near = math.fsum(_naive_distance(u[i], w[i]) for i in range(n)) / n
    away = math.fsum(_naive_distance(u[i], w[j]) for i in range(n) for j in range(n) if i != j) / (
        n * (n - 1)
    )
    return {"positives": near, "negatives": -away, "both": near - away}[part]


def _naive_multi_positive(u: Matrix, w: Matrix, scale: float, groups: Sequence[int]) -> float:
    def right(i: int, j: int) -> bool:
        return groups[i] == groups[j]

    return _naive_direction(u, w, scale, right) + _naive_direction(w, u, scale, right)


def _naive_soft_target(u: Matrix, w: Matrix, scale: float, of_text: Matrix, of_image: Matrix) -> float:
    """Sum over directions of the mean KL(target || softmax)."""
    total = 0.0
    for queries, items, targets in ((u, w, of_text), (w, u, of_image)):
        for query, target in zip(queries, targets, strict=True):
            logits = [scale * _dot(query, item) for item in items]
            normalizer = _log_sum_exp(logits)
            for logit, share in zip(logits, target, strict=True):
                if share > 0:
                    total += share * (math.log(share) - (logit - normalizer)) / len(queries)
    return total


def _naive_sigmoid(u: Matrix, w: Matrix, scale: float, bias: float, groups: Sequence[int]) -> float:
    """Zhai et al. 2023, equation 1."""
    total = 0.0
    for i, image in enumerate(u):
        for j, text in enumerate(w):
            sign = 1 if groups[i] == groups[j] else -1
            total += math.log1p(math.exp(-sign * (scale * _dot(image, text) + bias)))
    return total / len(u)


def _naive_cyclip(u: Matrix, w: Matrix, scale: float, in_modal: float, cross_modal: float) -> float:
    """Goel et al. 2022: the mean of both directions of InfoNCE, and two consistencies over n."""
    n = len(u)
    inside = sum((_dot(u[j], u[k]) - _dot(w[j], w[k])) ** 2 for j in range(n) for k in range(n)) / n
    across = sum((_dot(u[j], w[k]) - _dot(u[k], w[j])) ** 2 for j in range(n) for k in range(n)) / n
    return _naive_info_nce(u, w, scale) / 2 + in_modal * inside + cross_modal * across


def _assert_equal(loss: Tensor, oracle: float, relative: float = 1e-6) -> None:
    assert float(loss) == pytest.approx(oracle, rel=relative, abs=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("form", "factor"), [("sum", 1.0), ("mean", 0.5)])
def test_losses_equal_the_naive_ones(scale: float, form: str, factor: float) -> None:
    images, texts = _pairs()
    u, w, groups = images.tolist(), texts.tolist(), GROUPS.tolist()
    common: Any = {"logit_scale": scale, "form": form}
    plain = _naive_info_nce(u, w, scale)
    _assert_equal(info_nce(images, texts, **common), factor * plain)
    for part in ("positives", "negatives", "both"):
        _assert_equal(
            regularized_info_nce(images, texts, weight=0.3, part=part, **common),
            factor * (plain + 0.3 * _naive_regularizer(u, w, part)),
        )
    _assert_equal(
        multi_positive_info_nce(images, texts, groups=GROUPS, **common),
        factor * _naive_multi_positive(u, w, scale, groups),
    )
    to_texts, to_images = torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    to_texts[to_texts < 0.3] = 0.0
    to_texts, to_images = to_texts / to_texts.sum(1, keepdim=True), to_images / to_images.sum(1, keepdim=True)
    _assert_equal(
        soft_target_info_nce(images, texts, text_targets=to_texts, image_targets=to_images, **common),
        factor * _naive_soft_target(u, w, scale, to_texts.tolist(), to_images.tolist()),
    )


@pytest.mark.parametrize("scale", SCALES)
def test_sigmoid_and_cyclip_equal_the_naive_ones(scale: float) -> None:
    images, texts = _pairs(seed=3)
    u, w = images.tolist(), texts.tolist()
    _assert_equal(
        sigmoid_loss(images, texts, logit_scale=scale, logit_bias=-10.0),
        _naive_sigmoid(u, w, scale, -10.0, range(7)),
    )
    _assert_equal(
        sigmoid_loss(images, texts, logit_scale=scale, logit_bias=-1.5, groups=GROUPS),
        _naive_sigmoid(u, w, scale, -1.5, GROUPS.tolist()),
    )
    _assert_equal(
        cyclip_loss(images, texts, logit_scale=scale, in_modal=0.3, cross_modal=0.7),
        _naive_cyclip(u, w, scale, 0.3, 0.7),
    )


def test_float32_stays_near_float64() -> None:
    images, texts = _pairs(64, 32, seed=2)
    groups = torch.arange(64) // 3
    for name, loss in _every(groups).items():
        narrow = float(loss(images.float(), texts.float()))
        assert narrow == pytest.approx(float(loss(images, texts)), rel=1e-5), name


def _every(groups: Tensor, scale: float = 10.0) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """All objectives as functions of the features alone."""

    def soft(u: Tensor, w: Tensor) -> Tensor:
        like = group_targets(groups, share=0.4, dtype=torch.promote_types(u.dtype, torch.float32))
        return soft_target_info_nce(u, w, logit_scale=scale, text_targets=like, image_targets=like)

    def regularized(part: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda u, w: regularized_info_nce(u, w, logit_scale=scale, weight=0.5, part=part)

    return {
        "info_nce": lambda u, w: info_nce(u, w, logit_scale=scale),
        **{f"regularized_{part}": regularized(part) for part in ("positives", "negatives", "both")},
        "multi_positive": lambda u, w: multi_positive_info_nce(u, w, logit_scale=scale, groups=groups),
        "soft_target": soft,
        "sigmoid": lambda u, w: sigmoid_loss(u, w, logit_scale=scale, logit_bias=-4.0, groups=groups),
        "cyclip": lambda u, w: cyclip_loss(u, w, logit_scale=scale),
    }


@pytest.mark.parametrize("name", _every(GROUPS))
def test_gradients_are_those_of_the_value(name: str) -> None:
    images, texts = (side.requires_grad_() for side in _pairs(seed=4))
    assert torch.autograd.gradcheck(_every(GROUPS)[name], (images, texts))


def test_logit_scale_and_bias_learn() -> None:
    images, texts = _pairs(seed=5)
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: info_nce(images, texts, logit_scale=s), (scale,))
    assert torch.autograd.gradcheck(
        lambda s, b: sigmoid_loss(images, texts, logit_scale=s, logit_bias=b), (scale, bias)
    )


@pytest.mark.parametrize("name", _every(GROUPS))
@pytest.mark.parametrize("n_devices", [2, 3])
def test_the_mean_over_devices_is_the_loss_of_the_batch(name: str, n_devices: int) -> None:
    n = 12
    images, texts = (side.requires_grad_() for side in _pairs(n, seed=6))
    groups = torch.tensor([0, 1, 2, 0, 1, 3, 4, 0, 5, 5, 6, 7])
    b = n // n_devices
    losses = []
    for device in range(n_devices):
        own = slice(device * b, (device + 1) * b)
        banks: Any = {"image_bank": images, "text_bank": texts}
        groups_of: Any = {"groups": groups[own], "group_bank": groups}
        place: Any = {"offset": device * b}
        u, w = images[own], texts[own]
        losses.append(_on_device(name, u, w, banks, groups_of, place))
    mean = torch.stack(losses).mean()
    whole = _every(groups)[name](images, texts)
    assert float(mean.detach()) == pytest.approx(float(whole.detach()), rel=1e-12)
    for spread, one in zip(
        torch.autograd.grad(mean, (images, texts)), torch.autograd.grad(whole, (images, texts)), strict=True
    ):
        torch.testing.assert_close(spread, one, rtol=1e-9, atol=1e-12)


def _on_device(name: str, u: Tensor, w: Tensor, banks: Any, groups: Any, place: Any) -> Tensor:
    if name == "multi_positive":
        return multi_positive_info_nce(u, w, logit_scale=10.0, **banks, **groups, **place)
    if name == "sigmoid":
        return sigmoid_loss(u, w, logit_scale=10.0, logit_bias=-4.0, **banks, **groups, **place)
    if name == "soft_target":
        targets = group_targets(**groups, share=0.4, **place, dtype=torch.float64)
        return soft_target_info_nce(
            u, w, logit_scale=10.0, text_targets=targets, image_targets=targets, **banks
        )
    if name == "cyclip":
        return cyclip_loss(u, w, logit_scale=10.0, **banks, **place)
    if name == "info_nce":
        return info_nce(u, w, logit_scale=10.0, **banks, **place)
    part = name.removeprefix("regularized_")
    return regularized_info_nce(u, w, logit_scale=10.0, weight=0.5, part=part, **banks, **place)


@pytest.mark.parametrize("name", _every(GROUPS))
def test_rotation_and_order_change_nothing(name: str) -> None:
    images, texts = _pairs(seed=7)
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q
    order = torch.randperm(7, generator=generator)
    before = float(_every(GROUPS)[name](images, texts))
    assert float(_every(GROUPS)[name](images @ rotation, texts @ rotation)) == pytest.approx(before, rel=1e-9)
    assert float(_every(GROUPS[order])[name](images[order], texts[order])) == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("name", _every(GROUPS))
def test_both_directions_count_alike(name: str) -> None:
    images, texts = _pairs(seed=8)
    loss = _every(GROUPS)[name]
    assert float(loss(images, texts)) == pytest.approx(float(loss(texts, images)), rel=1e-12)


# --- known answers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["sum", "mean"])
def test_weight_0_is_the_plain_loss_to_the_last_bit(dtype: torch.dtype, form: str) -> None:
    images, texts = _pairs(33, 16, dtype=dtype)
    common: Any = {"logit_scale": 1 / 0.07, "form": form}
    plain = info_nce(images, texts, **common)
    assert torch.equal(regularized_info_nce(images, texts, weight=0.0, **common), plain)
    assert torch.equal(cyclip_loss(images, texts, in_modal=0.0, cross_modal=0.0, **common), plain)


def test_the_regulariser_is_2_less_twice_the_cosine() -> None:
    images, texts = _pairs(50, 16, dtype=torch.float32)
    expected = 2 - 2 * float((images.double() * texts.double()).sum(1).mean())
    assert float(regularizer(images, texts)) == pytest.approx(expected, abs=1e-6)


def test_the_pull_on_a_pair_is_the_same_however_near_it_is() -> None:
    """d (lambda * reg) / d cos_ii = -2 lambda / B: it does not fade as InfoNCE's own does."""
    b, weight = 6, 0.3
    raw = torch.randn(b, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    _, texts = _pairs(b, 4)
    images = normalize(raw)
    (pull,) = torch.autograd.grad(weight * regularizer(images, texts), raw, retain_graph=True)
    cosines = (images * texts).sum(dim=1)
    (of_cosines,) = torch.autograd.grad(cosines.sum(), raw)  # row i depends on cos_ii alone
    torch.testing.assert_close(pull, -2 * weight / b * of_cosines, rtol=1e-9, atol=1e-12)

    # pairs that are told apart for certain: InfoNCE has nearly no gradient left, the regulariser its all
    near = torch.eye(b, dtype=torch.float64).requires_grad_()
    far = normalize(torch.eye(b, dtype=torch.float64) + 0.1)
    (fading,) = torch.autograd.grad(info_nce(normalize(near), far, logit_scale=100.0), near)
    (pulling,) = torch.autograd.grad(regularizer(normalize(near), far), near)
    assert float(fading.norm()) < 1e-9 < 0.05 < float(pulling.norm())


@pytest.mark.parametrize("b", [2, 8, 100])
def test_embeddings_that_are_all_alike(b: int) -> None:
    same = torch.tensor([[0.6, 0.8]], dtype=torch.float64).expand(b, 2)
    _assert_equal(info_nce(same, same, logit_scale=20.0), math.log(b))
    _assert_equal(info_nce(same, same, logit_scale=20.0, form="sum"), 2 * math.log(b))
    assert float(regularizer(same, same)) == 0.0


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
@pytest.mark.parametrize("b", [2, 16])
def test_orthonormal_aligned_pairs(b: int, temperature: float) -> None:
    eye = torch.eye(b, dtype=torch.float64)
    expected = math.log1p((b - 1) * math.exp(-1 / temperature))
    assert float(info_nce(eye, eye, logit_scale=1 / temperature)) == pytest.approx(expected, abs=1e-14)
    assert float(regularizer(eye, eye)) == 0.0


def test_antipodal_pairs() -> None:
    images, _ = _pairs()
    _assert_equal(regularizer(images, -images), 4.0)
    _assert_equal(
        regularizer(
            torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), part="negatives"
        ),
        -4.0,
    )


@pytest.mark.parametrize("m", [2, 3, 5])
def test_doubles_cost_log_m_and_nothing_with_several_positives(m: int) -> None:
    things = torch.arange(4).repeat_interleave(m)
    perfect = torch.eye(4, dtype=torch.float64)[things]
    for scale in (100.0, 1000.0):  # temperature towards 0
        _assert_equal(info_nce(perfect, perfect, logit_scale=scale), math.log(m), 1e-12)
        several = multi_positive_info_nce(perfect, perfect, logit_scale=scale, groups=things)
        targets = group_targets(things, dtype=torch.float64)
        soft = soft_target_info_nce(
            perfect, perfect, logit_scale=scale, text_targets=targets, image_targets=targets
        )
        assert abs(float(several)) < 1e-12
        assert abs(float(soft)) < 1e-12
    # at a higher temperature the floor is not reached from above: the others still count
    assert float(info_nce(perfect, perfect, logit_scale=3.0)) > math.log(m) + 0.01


@pytest.mark.parametrize("r", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_loss_bounds_the_error(r: int, temperature: float) -> None:
    """mean log sum_j exp((f_j - f_i)/tau) >= log(1 + r) * top-r error, for any scores, ties too."""
    generator = torch.Generator().manual_seed(r)
    for features in (
        _pairs(40, 8, seed=r),
        tuple(
            normalize(torch.randint(-1, 2, (40, 3), generator=generator).double() + 1e-9) for _ in range(2)
        ),
    ):
        logits = pair_logits(*features, logit_scale=1 / temperature)
        for side in logits:
            own = side.diagonal()[:, None]
            error = ((side >= own).sum(dim=1) - 1 >= r).double().mean()
            assert float((side - own).logsumexp(dim=1).mean()) >= math.log(1 + r) * float(error) - 1e-12


def test_groups_of_one_are_info_nce() -> None:
    images, texts = _pairs()
    alone, eye = torch.arange(7), torch.eye(7, dtype=torch.float64)
    plain = float(info_nce(images, texts, logit_scale=9.0))
    several = multi_positive_info_nce(images, texts, logit_scale=9.0, groups=alone)
    soft = soft_target_info_nce(images, texts, logit_scale=9.0, text_targets=eye, image_targets=eye)
    assert float(several) == pytest.approx(plain, rel=1e-12)
    assert float(soft) == pytest.approx(plain, rel=1e-12)
    assert torch.equal(group_targets(GROUPS, share=0.0), torch.eye(7))
    together = multi_positive_info_nce(
        images, texts, logit_scale=9.0, groups=torch.zeros(7, dtype=torch.long)
    )
    assert float(together) == 0.0  # everything is right


def test_several_positives_are_content_with_one_and_soft_targets_are_not() -> None:
    """An image whose second caption is lost: found is found, but not evenly."""
    images = torch.eye(3, dtype=torch.float64)[[0, 0, 1]]
    texts = torch.eye(3, dtype=torch.float64)[[0, 2, 1]]
    groups = torch.tensor([0, 0, 1])
    scale = 50.0
    of_images = [multi_positive_info_nce(images, texts, logit_scale=scale, groups=groups, form="sum")]
    targets = group_targets(groups).double()
    of_images.append(
        soft_target_info_nce(
            images, texts, logit_scale=scale, text_targets=targets, image_targets=targets, form="sum"
        )
    )
    # by hand: the images find a text of theirs; the lost text is as near to all three images: log(3/2) in 1/3
    _assert_equal(of_images[0], math.log(3 / 2) / 3, 1e-9)
    assert float(of_images[1]) > 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_first(dtype: torch.dtype) -> None:
    images, texts = _pairs(40, 16, seed=9)
    images, texts = images.to(dtype), texts.to(dtype)
    groups = torch.arange(40) // 2
    for name, loss in _every(groups, scale=100.0).items():
        value = loss(images.clone().requires_grad_(), texts)
        assert value.dtype == torch.float32, name
        assert float(value.detach()) == pytest.approx(
            float(loss(images.double(), texts.double())), rel=1e-4
        ), name
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = loss(images.float(), texts.float())
        assert float(inside) == pytest.approx(float(value.detach()), rel=1e-6), name


# --- what is refused


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_logit_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(DataError, match="logit_scale"):
        info_nce(*_pairs(), logit_scale=scale)


def test_settings_out_of_range_are_refused() -> None:
    images, texts = _pairs()
    one: Any = {"logit_scale": 1.0}
    with pytest.raises(DataError, match="form must be one of mean, sum"):
        info_nce(images, texts, form="average", **one)
    for weight in (-0.1, math.nan):
        with pytest.raises(DataError, match="weight must be at least 0"):
            regularized_info_nce(images, texts, weight=weight, **one)
        with pytest.raises(DataError, match="in_modal must be at least 0"):
            cyclip_loss(images, texts, in_modal=weight, **one)
    with pytest.raises(DataError, match="part must be one of"):
        regularizer(images, texts, part="all")
    with pytest.raises(DataError, match="no negatives"):
        regularizer(images[:1], texts[:1], part="both")
    with pytest.raises(DataError, match="share"):
        group_targets(GROUPS, share=1.5)
    with pytest.raises(DataError, match="at least one pair"):
        info_nce(images[:0], texts[:0], **one)


def test_targets_that_are_no_distribution_are_refused() -> None:
    images, texts = _pairs(2)
    good = torch.eye(2, dtype=torch.float64)
    for bad in (2 * good, good - 0.1, torch.full_like(good, math.nan)):
        with pytest.raises(DataError, match="distribution"):
            soft_target_info_nce(images, texts, logit_scale=1.0, text_targets=good, image_targets=bad)


def test_sides_that_do_not_fit_are_refused() -> None:
    images, texts = _pairs()
    with pytest.raises(ShapeError, match="come together"):
        info_nce(images, texts, logit_scale=1.0, image_bank=images)
    half = torch.full((7, 14), 1 / 14, dtype=torch.float64)  # for a bank that is not there
    with pytest.raises(ShapeError, match="targets"):
        soft_target_info_nce(images, texts, logit_scale=1.0, text_targets=half, image_targets=half)
