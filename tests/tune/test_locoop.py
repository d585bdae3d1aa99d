"""LoCoOp's background and loss against loops written from the paper; where its patches come from."""

import dataclasses
import io
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from awase.errors import DataError, EncoderError
from awase.functional.patches import patch_features
from awase.training import loop
from awase.tune.coop import CoOp
from awase.tune.locoop import LoCoOp, background, n_top, negative_entropy, shot_patches
from awase.types import ImageReference, LabelledImage

MakeTask = Callable[..., Any]


def _background_by_loops(logits: torch.Tensor, labels: torch.Tensor, top: int) -> list[list[bool]]:
    """Section 4.2: J = {i : rank of the ground truth in region i > K}."""
    rows = []
    for image, label in zip(logits.tolist(), labels.tolist(), strict=True):
        ranks = [sorted(patch, reverse=True).index(patch[label]) + 1 for patch in image]
        rows.append([rank > top for rank in ranks])
    return rows


def _loss_by_loops(logits: torch.Tensor, chosen: list[list[bool]]) -> float:
    """L_ood = - mean over the regions in J of H(p)."""
    entropies = []
    for image, marks in zip(logits.tolist(), chosen, strict=True):
        for patch, is_chosen in zip(image, marks, strict=True):
            if is_chosen:
                total = sum(math.exp(value) for value in patch)
                p = [math.exp(value) / total for value in patch]
                entropies.append(-sum(q * math.log(q) for q in p if q > 0))
    return -sum(entropies) / len(entropies) if entropies else 0.0


@pytest.mark.parametrize("top", [1, 2, 4])
def test_background_and_loss_equal_the_loops(top: int) -> None:
    generator = torch.Generator().manual_seed(top)
    logits = 5 * torch.randn(6, 9, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (6,), generator=generator)
    chosen = background(logits, labels, top=top)
    assert chosen.tolist() == _background_by_loops(logits, labels, top)
    expected = _loss_by_loops(logits, chosen.tolist())
    assert math.isclose(float(negative_entropy(logits, chosen)), expected, rel_tol=1e-12)


def test_ties_make_no_background() -> None:
    logits = torch.zeros(1, 1, 4)
    assert not background(logits, torch.tensor([3]), top=1).any()


def test_where_every_patch_shows_the_class_the_loss_is_zero() -> None:
    logits = torch.zeros(2, 3, 4, requires_grad=True)
    loss = negative_entropy(logits, torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not logits.grad.any()


def test_a_step_down_the_loss_raises_the_entropy_of_the_background_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 4, generator=generator).requires_grad_()
    chosen = torch.tensor([[True, False]])
    negative_entropy(logits, chosen).backward()
    assert not logits.grad[0, 1].any()
    with torch.no_grad():
        assert negative_entropy(logits - 0.1 * logits.grad, chosen) < negative_entropy(logits, chosen)


@pytest.mark.parametrize(
    ("share", "k", "expected"), [(0.2, 1000, 200), (0.2, 10, 2), (0.2, 2, 1), (0.99, 10, 9), (0.25, 10, 3)]
)
def test_the_share_follows_the_number_of_classes(share: float, k: int, expected: int) -> None:
    assert n_top(share, k) == expected


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, float("nan")])
def test_shares_outside_are_refused(share: float) -> None:
    with pytest.raises(DataError, match="share"):
        n_top(share, 10)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DataError, match="two classes"):
        n_top(0.2, 1)


def test_without_weight_it_is_coop(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    ours = LoCoOp(weight=0.0, epochs=3, learning_rate=0.02).fit(task, seed=0)
    theirs = CoOp(epochs=3, learning_rate=0.02).fit(task, seed=0)
    assert torch.equal(ours.shift, theirs.shift)


def test_the_first_loss_is_that_of_the_paper(prompt_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    task, _, _ = prompt_task()
    losses: list[float] = []

    def kept(*arguments: Any, **settings: Any) -> list[float]:
        losses.extend(loop.train(*arguments, **settings))
        return losses

    monkeypatch.setattr("awase.tune._context.train", kept)
    LoCoOp(context="words", epochs=1, batch_size=1000, top=0.25, weight=0.5).fit(task, seed=0)
    classes = task.frozen.class_features
    local = (100 * task.train.patches @ classes.T).double()
    regular = _loss_by_loops(local, _background_by_loops(local, task.train_labels, 2))
    plain = torch.nn.functional.cross_entropy(100 * task.train.values @ classes.T, task.train_labels)
    assert math.isclose(losses[0], float(plain) + 0.5 * regular, rel_tol=1e-4)


def test_background_patches_end_up_less_like_any_class(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()

    def entropy(method: Any) -> float:
        classes = method.fit(task, seed=0).class_features()
        p = (100 * task.train.patches[:, 1:] @ classes.T).softmax(dim=2)
        return float(-(p * p.clamp_min(1e-30).log()).sum(dim=2).mean())

    settings: dict[str, Any] = {"epochs": 15, "learning_rate": 0.02, "context": "words"}
    assert entropy(LoCoOp(**settings)) > entropy(CoOp(**settings))


def _with_photos(task: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    images = []
    for image in task.train.images:
        buffer = io.BytesIO()
        pixels = torch.randint(256, (8, 8, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(buffer, "PNG")
        images.append(LabelledImage(image.id, ImageReference(image.id, data=buffer.getvalue()), image.label))
    train = dataclasses.replace(task.train, images=tuple(images), patches=None)
    return dataclasses.replace(task, train=train)


def test_patches_are_read_from_the_pixels_where_they_did_not_come(prompt_task: MakeTask) -> None:
    task = _with_photos(prompt_task(shots=5)[0])  # 40 images: more than one block
    patches = shot_patches(task)
    encoder = task.frozen.encoder
    last = encoder.preprocess(Image.open(io.BytesIO(task.train.images[-1].image.data)).convert("RGB"))
    assert patches.shape == (40, 16, 24)
    assert torch.allclose(patches[-1], patch_features(encoder.image_tower, last[None])[0], atol=1e-6)
    given = dataclasses.replace(task, train=dataclasses.replace(task.train, patches=patches))
    method = LoCoOp(epochs=1, learning_rate=0.02)
    assert torch.equal(method.fit(task, seed=0).shift, method.fit(given, seed=0).shift)


def test_an_image_tower_that_is_not_taken_apart_is_refused(prompt_task: MakeTask) -> None:
    task, _, _ = prompt_task()
    encoder = task.frozen.encoder
    vectors = ("preprocess", "encode_image", "encode_text", "spec", "logit_scale")
    members = (*vectors, "tokenize", "text_tower", "default_template", "default_threshold")
    blind = SimpleNamespace(**{name: getattr(encoder, name) for name in members})
    train = dataclasses.replace(task.train, patches=None)
    other = dataclasses.replace(task, train=train, frozen=dataclasses.replace(task.frozen, encoder=blind))
    with pytest.raises(EncoderError, match="use coop"):
        LoCoOp(epochs=1).fit(other, seed=0)
    LoCoOp(epochs=1, weight=0.0).fit(other, seed=0)  # no patches are needed
