"""One suite for every diagnostic of the registry: on pairs with captions, with labels, and with prompts."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from awase import registry
from awase.errors import DataError
from awase.functional.similarity import normalize
from awase.transfer._protocol import Diagnosis, Diagnostic
from awase.types import PairFeatures

NAMES = registry.names("diagnostic")
# names of settings that diagnostics share, small enough to be quick
LIGHT = {"n_replicates": 30, "batch_size": 8, "n_batches": 4, "temperature": 0.1, "most_pairs": 200}
KINDS = ("captioned", "labelled", "prompted")


def _random(n: int, seed: int) -> Tensor:
    return torch.randn(n, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _pairs(kind: str) -> PairFeatures:
    n = 24
    labels = tuple(f"class {i % 4}" for i in range(n))
    centres = normalize(_random(4, 0))
    images = normalize(centres[torch.arange(n) % 4] + 0.6 * normalize(_random(n, 1)))
    names = tuple(f"photo {i * 7 % n:02}" for i in range(n))
    if kind == "prompted":
        texts = centres[torch.arange(n) % 4]
        return PairFeatures(images, texts, torch.arange(n), names, labels=labels, logit_scale=20.0)
    owner = torch.cat([torch.arange(n), torch.arange(0, n, 2)])
    texts = normalize(images[owner] + 0.8 * normalize(_random(len(owner), 2)))
    captions = [f"a dog {row} on grass" for row in range(len(owner))]
    captions[4] = captions[1]  # two photos with one caption, and so one vector
    texts[4] = texts[1]
    return PairFeatures(
        images,
        texts,
        owner,
        names,
        captions=tuple(captions),
        labels=labels if kind == "labelled" else None,
        logit_scale=20.0,
    )


def _method(name: str, **settings: object) -> Diagnostic:
    kind = registry.load("diagnostic", name)
    known = {field.name for field in fields(kind)}
    method: Diagnostic = kind(**{key: value for key, value in {**LIGHT, **settings}.items() if key in known})
    return method


def _values(found: Diagnosis) -> dict[str, float | None]:
    return {
        f"{one.name} {part}": getattr(one, part)
        for one in found.estimates
        for part in ("value", "low", "high")
    }


def _assert_same(first: Diagnosis, second: Diagnosis) -> None:
    assert _values(first) == pytest.approx(_values(second), abs=1e-6)
    assert [chart.name for chart in first.charts] == [chart.name for chart in second.charts]
    for one, other in zip(first.charts, second.charts, strict=True):
        for line, twin in zip(one.lines, other.lines, strict=True):
            assert line.label == twin.label
            assert line.y == pytest.approx(twin.y, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_frozen_dataclass_of_the_protocol(name: str) -> None:
    method = _method(name)
    assert isinstance(method, Diagnostic)
    assert type(method).__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert eval(repr(method), {type(method).__name__: type(method)}) == method


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_it_says_numbers_and_figures_and_the_same_again(name: str, kind: str) -> None:
    state = torch.get_rng_state()
    pairs = _pairs(kind)
    found = _method(name).measure(pairs, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    names = [one.name for one in found.estimates]
    assert names
    assert len(set(names)) == len(names)
    for one in found.estimates:
        assert one.n > 0
        if one.low is not None:
            assert one.low <= one.value <= one.high
    for chart in found.charts:
        assert chart.lines
        assert all(line.x for line in chart.lines)
    assert found == _method(name).measure(pairs, seed=3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_rotation_changes_nothing(name: str, kind: str) -> None:
    pairs = _pairs(kind)
    turn = torch.linalg.qr(_random(10, 5)).Q
    texts = pairs.text_features @ turn
    if kind == "prompted":  # rounding must not tear the prompts of one class apart
        texts = texts[torch.arange(len(texts)) % 4]
    turned = replace(pairs, image_features=pairs.image_features @ turn, text_features=texts)
    _assert_same(_method(name).measure(pairs, seed=3), _method(name).measure(turned, seed=3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_another_order_of_the_pairs_changes_nothing(name: str, kind: str) -> None:
    pairs = _pairs(kind)
    draws = torch.Generator().manual_seed(6)
    order = torch.randperm(len(pairs), generator=draws)
    text_order = torch.randperm(len(pairs.image_of_text), generator=draws)
    moved = replace(
        pairs,
        image_features=pairs.image_features[order],
        text_features=pairs.text_features[text_order],
        image_of_text=order.argsort()[pairs.image_of_text][text_order],
        images=tuple(pairs.images[row] for row in order.tolist()),
        captions=pairs.captions and tuple(pairs.captions[row] for row in text_order.tolist()),
        labels=pairs.labels and tuple(pairs.labels[row] for row in order.tolist()),
    )
    _assert_same(_method(name).measure(pairs, seed=3), _method(name).measure(moved, seed=3))


@pytest.mark.parametrize("block_size", [1, 7, 256, 24])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_and_the_whole_give_one_answer(name: str, block_size: int) -> None:
    if not hasattr(_method(name), "block_size"):
        pytest.skip("nothing is cut into blocks")
    pairs = _pairs("captioned")
    whole, parts = (
        _method(name, block_size=size, n_replicates=0).measure(pairs, seed=3) for size in (None, block_size)
    )
    _assert_same(whole, parts)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_measured_as_what_it_holds(name: str) -> None:
    pairs = _pairs("labelled")
    half = replace(
        pairs, image_features=pairs.image_features.half(), text_features=pairs.text_features.half()
    )
    single = replace(
        half, image_features=half.image_features.float(), text_features=half.text_features.float()
    )
    _assert_same(_method(name).measure(half, seed=3), _method(name).measure(single, seed=3))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "loss_floor"])
def test_one_pair_is_refused_or_said_to_have_no_value(name: str) -> None:
    u = torch.tensor([[1.0, 0.0]])
    one = PairFeatures(u, u, torch.tensor([0]), ("a",))
    if name == "geometry":
        values = {e.name: e.value for e in _method(name).measure(one, seed=0).estimates}
        assert values["uniformity.images"] is None
        assert values["alignment"] == 0
        return
    with pytest.raises(DataError, match="at least two"):
        _method(name).measure(one, seed=0)


@pytest.mark.parametrize("name", ["temperature", "loss_floor", "bound"])
@pytest.mark.parametrize("temperature", [0.0, -0.1])
def test_a_temperature_must_be_positive(name: str, temperature: float) -> None:
    with pytest.raises(DataError, match="temperature must be positive"):
        _method(name, temperature=temperature).measure(_pairs("captioned"), seed=0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("margins", {"quantiles": (1.5,)}),
        ("margins", {"bins": 0}),
        ("temperature", {"delta": 0.0}),
        ("temperature", {"batch_size": 0}),
        ("false_negatives", {"batch_size": 0}),
        ("loss_floor", {"n_batches": 0}),
        ("completeness", {"alpha": 1.0}),
        ("geometry", {"sharpness": 0.0}),
        ("bound", {"r": (0,)}),
    ],
)
def test_settings_out_of_range_are_refused_at_once(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(DataError):
        _method(name, **settings)
