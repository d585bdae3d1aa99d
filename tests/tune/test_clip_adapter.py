"""CLIP-Adapter: the formula, that norms cancel, and that adapters trained side by side do not meet."""

import math

import pytest
import torch

from awase.errors import DataError
from awase.training.sampler import ShuffledBatches, seeded
from awase.tune._protocol import Task
from awase.tune.clip_adapter import ClipAdapter, adapt


def _naive(f, down, up, ratio):
    """ratio A(f) + (1 - ratio) f with A = Linear-ReLU-Linear-ReLU, not normalised."""
    hidden = [max(0.0, float(row @ f)) for row in down]
    adapted = [max(0.0, sum(float(w) * h for w, h in zip(row, hidden, strict=True))) for row in up]
    return torch.tensor([ratio * a + (1 - ratio) * float(x) for a, x in zip(adapted, f, strict=True)])


def _weights(d: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(d // 4, d, generator=generator), torch.randn(d, d // 4, generator=generator)


def test_it_is_the_papers_network(embedding_task) -> None:
    _, test, _ = embedding_task()
    down, up = _weights()
    adapted = adapt(test.values, down, up, 0.2)
    for f, row in zip(test.values[:20], adapted, strict=False):
        mixed = _naive(f, down, up, 0.2)
        torch.testing.assert_close(row, mixed / mixed.norm(), rtol=0, atol=1e-6)


def test_raw_norms_cancel(embedding_task) -> None:
    """Nothing has a bias, so un-normalised features, which the paper feeds in, give the same result."""
    _, test, _ = embedding_task()
    down, up = _weights()
    norms = torch.linspace(0.1, 30.0, len(test))[:, None]
    for ratio in (0.2, 0.7, 1.0):
        torch.testing.assert_close(
            adapt(norms * test.values, down, up, ratio),
            adapt(test.values, down, up, ratio),
            rtol=0,
            atol=1e-6,
        )


def test_ratio_zero_is_zero_shot_to_the_last_bit(embedding_task) -> None:
    task, test, _ = embedding_task()
    # negative control: normalising these unit vectors again would change some last bits
    assert not torch.equal(torch.nn.functional.normalize(test.values, dim=1), test.values)
    tuned = ClipAdapter(ratio=0.0).fit(task, seed=1)
    assert torch.equal(tuned.image_features(test), test.values)
    assert torch.equal(tuned.evidence(test).similarity, task.frozen.evidence(test).similarity)


def test_training_is_coops_sgd(embedding_task) -> None:
    """The recipe again without the loop, for one ratio, from the same initial weights."""
    task, _, _ = embedding_task()
    tuned = ClipAdapter(ratio=0.5, epochs=4, batch_size=8).fit(task, seed=5)
    generator = seeded(5, 0)
    down = torch.nn.Parameter((2 * torch.rand(4, 16, generator=generator) - 1) / 16**0.5)
    up = torch.nn.Parameter((2 * torch.rand(16, 4, generator=generator) - 1) / 4**0.5)
    start = down.detach().clone()
    optimizer = torch.optim.SGD([down, up], lr=2e-3, momentum=0.9, weight_decay=5e-4)
    batches = ShuffledBatches(20, 8, 5)
    for step in range(12):
        cosine = 2e-3 * 0.5 * (1 + math.cos(math.pi * (step - 3) / 9))
        optimizer.param_groups[0]["lr"] = 1e-5 if step < 3 else cosine
        rows = batches.rows(step)
        f = task.train.values[rows]
        mixed = 0.5 * torch.relu(torch.relu(f @ down.T) @ up.T) + 0.5 * f
        logits = 100.0 * (mixed / mixed.norm(dim=1, keepdim=True)) @ task.frozen.class_features.T
        loss = torch.nn.functional.cross_entropy(logits, task.train_labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((down.detach() - start).abs().max()) > 1e-3
    torch.testing.assert_close(tuned.down, down.detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(tuned.up, up.detach(), rtol=0, atol=1e-5)


def test_adapters_side_by_side_are_those_trained_alone(embedding_task) -> None:
    task, _, _ = embedding_task(noise=0.6)
    both = ClipAdapter(ratios=(0.6, 0.2), epochs=10).fit(task, seed=2)
    alone = ClipAdapter(ratio=both.ratio, epochs=10).fit(task, seed=2)
    torch.testing.assert_close(both.down, alone.down, rtol=0, atol=1e-6)
    torch.testing.assert_close(both.up, alone.up, rtol=0, atol=1e-6)
    assert both.tried["ratio"].tolist() == [0.2, 0.6]
    best = both.tried["ratio"][int(both.tried["accuracy"].argmax())]
    assert both.ratio == float(best)


def test_without_validation_the_ratio_is_the_papers(embedding_task) -> None:
    task, _, _ = embedding_task()
    bare = Task(
        task.frozen, task.train, task.train_labels, task.validation.select([]), task.validation_labels[:0]
    )
    assert ClipAdapter(epochs=1).fit(bare, seed=1).ratio == 0.2


def test_a_tie_goes_to_the_smaller_ratio(embedding_task) -> None:
    task, _, _ = embedding_task(noise=0.01)  # everything is right under every ratio
    assert ClipAdapter(ratios=(0.6, 0.3), epochs=1).fit(task, seed=1).ratio == 0.3


def test_it_learns_and_has_two_matrices(embedding_task) -> None:
    task, test, labels = embedding_task(shots=8)
    before = (task.frozen.evidence(test).similarity.argmax(1) == labels).double().mean()
    tuned = ClipAdapter(ratio=0.6, epochs=60, rate=0.02).fit(task, seed=1)
    assert (tuned.evidence(test).similarity.argmax(1) == labels).double().mean() > before
    assert tuned.n_parameters == 2 * 16 * 4


def test_images_are_adapted_for_other_classes_too(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = ClipAdapter(ratio=0.6, epochs=5).fit(task, seed=1)
    evidence = tuned.evidence(test, ["class 4", "class 0"])
    assert torch.equal(evidence.image_features, tuned.image_features(test))
    expected = tuned.image_features(test) @ task.frozen.class_features[[4, 0]].T
    torch.testing.assert_close(evidence.similarity, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"ratio": 1.5}, {"ratios": (0.2, -0.1)}, {"ratios": ()}, {"epochs": -1}]
)
def test_settings_out_of_range_are_refused(embedding_task, settings) -> None:
    with pytest.raises(DataError, match=r"ratio|epochs"):
        ClipAdapter(**settings).fit(embedding_task()[0], seed=1)
