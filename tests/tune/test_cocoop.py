"""CoCoOp: with h = 0 it is CoOp; otherwise every image is compared with prompts of its own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, linear, relu

from awase.errors import DataError
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.tune import cocoop
from awase.tune.cocoop import CoCoOp, ConditionalContext

MakeTask = Callable[..., Any]


def _meta(width: int = 32, d: int = 24, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    shapes = {
        "narrow_weight": (3, d),
        "narrow_bias": (3,),
        "widen_weight": (width, 3),
        "widen_bias": (width,),
    }
    return {n: torch.randn(s, generator=generator, dtype=dtype) for n, s in shapes.items()}


def _tuned(
    task: Any, meta: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32
) -> ConditionalContext:
    shift = 0.3 * torch.randn(5, 32, generator=torch.Generator().manual_seed(3), dtype=dtype)
    return ConditionalContext(task.frozen, shift, meta, "a photo of a ", "", ".")


def _by_hand(tuned: ConditionalContext, f: torch.Tensor) -> torch.Tensor:
    """Equations 2 and 3 of the paper for one image, prompt by prompt."""
    meta = tuned.meta
    encoder: Any = tuned.frozen.encoder
    hidden = relu(linear(f, meta["narrow_weight"].to(f), meta["narrow_bias"].to(f)))
    bias = linear(hidden, meta["widen_weight"].to(f), meta["widen_bias"].to(f))
    cosines = []
    for name in tuned.frozen.class_names:
        tokens = encoder.tokenize([f"a photo of a {name}."])
        embedded = encoder.text_tower.embed(tokens).clone()
        embedded[0, 1:6] += tuned.shift.to(f) + bias
        cosines.append((normalize(run_text(encoder.text_tower, tokens, embedded)) @ f)[0])
    return torch.stack(cosines)


@pytest.mark.parametrize("encoder", ["0", "bidirectional-0"])
def test_every_image_meets_its_own_prompts(encoder: str, prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task(encoder=encoder, shots=1)
    tuned = _tuned(task, _meta())
    similarity = tuned.evidence(test).similarity
    for row, f in zip(similarity, test.values, strict=True):
        assert torch.allclose(row, _by_hand(tuned, f), atol=1e-5)


@pytest.mark.parametrize("rows", [1, 100, 10**6])
def test_blocks_give_what_the_whole_gives(
    rows: int, prompt_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, test, _ = prompt_task(dtype="float64")
    tuned = _tuned(task, _meta())
    whole = tuned.evidence(test).similarity
    monkeypatch.setattr(cocoop, "_ROWS", rows)
    assert torch.allclose(tuned.evidence(test).similarity, whole, atol=1e-6)
    assert torch.allclose(tuned.evidence(test.select([7, 2])).similarity, whole[[7, 2]], atol=1e-6)


def test_a_zeroed_last_layer_is_coop(prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    meta = _meta() | {"widen_weight": torch.zeros(32, 3), "widen_bias": torch.zeros(32)}
    tuned = _tuned(task, meta)
    plain = tuned.unconditional.evidence(test)
    assert torch.equal(tuned.evidence(test).similarity, plain.similarity)
    # and so do the prompts of each image, on the long way
    rows = torch.stack([_by_hand(tuned, f) for f in test.values])
    assert torch.allclose(rows, plain.similarity, atol=1e-5)
    assert not torch.allclose(_tuned(task, _meta()).evidence(test).similarity, plain.similarity, atol=1e-2)


@pytest.mark.parametrize("encoder", ["0", "bidirectional-0"])
def test_no_images_give_no_rows(encoder: str, prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task(encoder=encoder, shots=1)
    assert _tuned(task, _meta()).evidence(test.select([])).similarity.shape == (0, 8)


def test_patches_meet_the_context_without_a_bias(prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    tuned = _tuned(task, _meta())
    evidence = tuned.evidence(test)
    assert torch.equal(evidence.class_features, tuned.unconditional.class_features())
    assert torch.equal(evidence.patch_features, test.patches)


def test_new_classes_get_the_images_context(prompt_task: MakeTask) -> None:
    task, test, _ = prompt_task()
    tuned = _tuned(task, _meta())
    similarity = tuned.evidence(test, ["green bird", "dog"]).similarity
    assert torch.allclose(similarity[:, 1], tuned.evidence(test).similarity[:, 0], atol=1e-5)


def test_one_step_has_the_gradient_of_the_plain_path(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task(dtype="float64", shots=1)
    method = CoCoOp(epochs=1, batch_size=1000, learning_rate=1e-5, meta_start="linear")
    start = dataclasses.replace(method, epochs=0).fit(task, seed=0)
    after = method.fit(task, seed=0)
    plain = ConditionalContext(
        task.frozen,
        start.shift.clone().requires_grad_(),
        {name: value.clone().requires_grad_() for name, value in start.meta.items()},
        start.before,
        start.after,
        start.suffix,
    )
    rows = torch.stack([_by_hand(plain, f) for f in task.train.values.double()])
    cross_entropy(100 * rows, task.train_labels).backward()
    learned = {"shift": after.shift, **after.meta}
    for name, leaf in {"shift": plain.shift, **plain.meta}.items():
        step = leaf.detach() - 1e-5 * (leaf.grad + 5e-4 * leaf.detach())
        assert torch.allclose(learned[name], step, rtol=1e-9, atol=1e-15), name


def test_the_bottleneck_is_a_sixteenth(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    meta = CoCoOp(epochs=0).fit(task, seed=0).meta
    assert {name: tuple(value.shape) for name, value in meta.items()} == {
        "narrow_weight": (1, 24),
        "narrow_bias": (1,),
        "widen_weight": (32, 1),
        "widen_bias": (32,),
    }
    assert not meta["widen_weight"].any()
    assert meta["narrow_weight"].any()


def test_an_unknown_start_is_refused(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    with pytest.raises(DataError, match="meta_start"):
        CoCoOp(meta_start="ones").fit(task, seed=0)
