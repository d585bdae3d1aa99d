"""Dataclasses as tensors and plain values: whole and back, and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from awase.engine.fields import pack, unpack
from awase.errors import DataError


@dataclass(frozen=True, eq=False)
class Kept:
    weight: Tensor
    layers: Mapping[str, Tensor]
    rate: float = 0.1
    name: str | None = None
    sizes: tuple[int, ...] = ()
    kind: Literal["a", "b"] = "a"
    owner: object = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def there_and_back(value: Kept) -> Kept:
    tensors, plain = pack(value, leave_out=("owner",))
    return unpack(Kept, tensors, json.loads(json.dumps(plain)), owner="me")


def test_everything_comes_back() -> None:
    made = Kept(
        torch.arange(6.0).reshape(2, 3).T,  # a view, which safetensors would refuse
        {"head/weight": torch.ones(2), "head.bias": torch.zeros(0, 2, dtype=torch.float64)},
        sizes=(1, 2),
        kind="b",
        facts={"n": 1, "of": {"deep": None}},
    )
    again = there_and_back(made)
    assert torch.equal(again.weight, made.weight)
    assert again.weight.is_contiguous()
    assert list(again.layers) == list(made.layers)
    for name in made.layers:
        assert torch.equal(again.layers[name], made.layers[name])
        assert again.layers[name].dtype == made.layers[name].dtype
    assert (again.rate, again.name, again.sizes, again.kind) == (0.1, None, (1, 2), "b")
    assert again.facts == made.facts
    assert again.owner == "me"


def test_an_empty_mapping_comes_back() -> None:
    assert there_and_back(Kept(torch.ones(1), {})).layers == {}


def test_what_is_neither_tensor_nor_plain_is_refused() -> None:
    with pytest.raises(DataError, match=r"Kept\.owner is a object"):
        pack(Kept(torch.ones(1), {}, owner=object()))


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"rate": "fast"}, "rate cannot be 'fast'"),
        ({"rate": True}, "rate cannot be True"),
        ({"sizes": [1, "2"]}, "sizes cannot be"),
        ({"kind": "c"}, "kind cannot be 'c'"),
        ({"name": 3}, "name cannot be 3"),
        ({"colour": "red"}, "has no colour"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(plain: dict[str, Any], said: str) -> None:
    tensors, good = pack(Kept(torch.ones(1), {"a": torch.ones(1)}))
    with pytest.raises(DataError, match=said):
        unpack(Kept, tensors, {**good, **plain})


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(DataError, match=r"lacks .*weight"):
        unpack(Kept, {}, {"rate": 0.1})
    with pytest.raises(DataError, match="is no dataclass"):
        unpack(int, {}, {})
