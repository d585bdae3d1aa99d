"""TaskRes: the residual starts at nothing, and is trained as the recipe says."""

import math

import pytest
import torch

from awase.errors import DataError
from awase.training.sampler import ShuffledBatches
from awase.tune.taskres import TaskRes, TaskResidual, shifted


def test_no_epochs_are_zero_shot_to_the_last_bit(embedding_task) -> None:
    task, test, _ = embedding_task()
    # negative control: normalising these unit vectors again would change some last bits
    again = torch.nn.functional.normalize(task.frozen.class_features, dim=1)
    assert not torch.equal(again, task.frozen.class_features)
    evidence = TaskRes(epochs=0).fit(task, seed=1).evidence(test)
    assert torch.equal(evidence.class_features, task.frozen.class_features)
    assert torch.equal(evidence.similarity, task.frozen.evidence(test).similarity)


def test_alpha_zero_is_zero_shot_too(embedding_task) -> None:
    task, test, _ = embedding_task()
    evidence = TaskRes(alpha=0.0, epochs=3).fit(task, seed=1).evidence(test)
    assert torch.equal(evidence.similarity, task.frozen.evidence(test).similarity)


def test_similarity_is_the_cosine_with_the_shifted_text(embedding_task) -> None:
    task, test, _ = embedding_task()
    residual = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    similarity = TaskResidual(task.frozen, residual, 0.5).evidence(test).similarity
    for i, f in enumerate(test.values):
        for k, t in enumerate(task.frozen.class_features):
            moved = t + 0.5 * residual[k]
            assert float(similarity[i, k]) == pytest.approx(float(f @ moved / moved.norm()), abs=1e-6)


def test_training_is_adam_with_a_warm_epoch_and_a_cosine(embedding_task) -> None:
    """The recipe again without the loop: Adam 2e-3, one epoch at 1e-5, then half a cosine."""
    task, _, _ = embedding_task()
    tuned = TaskRes(epochs=4, batch_size=8).fit(task, seed=5)
    x = torch.nn.Parameter(torch.zeros(5, 16))
    optimizer = torch.optim.Adam([x], lr=2e-3, weight_decay=5e-4)
    batches = ShuffledBatches(20, 8, 5)
    for step in range(12):
        cosine = 2e-3 * 0.5 * (1 + math.cos(math.pi * (step - 3) / 9))
        optimizer.param_groups[0]["lr"] = 1e-5 if step < 3 else cosine
        rows = batches.rows(step)
        moved = task.frozen.class_features + 0.5 * x
        logits = 100.0 * task.train.values[rows] @ (moved / moved.norm(dim=1, keepdim=True)).T
        loss = torch.nn.functional.cross_entropy(logits, task.train_labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(x.detach().abs().max()) > 1e-3
    torch.testing.assert_close(tuned.residual, x.detach(), rtol=0, atol=1e-5)


def test_epochs_go_by_the_shots(embedding_task) -> None:
    for shots, expected in ((1, 100), (4, 100), (5, 200)):
        task, _, _ = embedding_task(k=2, shots=shots)
        steps: list[tuple[int, int | None]] = []
        TaskRes(batch_size=256).fit(task, seed=1, progress=lambda *told: steps.append(told))  # noqa: B023
        assert steps == [(step, expected) for step in range(1, expected + 1)]


def test_a_class_without_a_residual_keeps_its_vector() -> None:
    texts = torch.nn.functional.normalize(
        torch.randn(50, 9, generator=torch.Generator().manual_seed(2)), dim=1
    )
    residual = torch.zeros_like(texts)
    residual[0] = 1.0
    moved = shifted(texts, residual, 0.5)
    assert torch.equal(moved[1:], texts[1:])
    assert not torch.equal(moved[0], texts[0])


def test_it_learns(embedding_task) -> None:
    task, test, labels = embedding_task(shots=8)
    before = (task.frozen.evidence(test).similarity.argmax(1) == labels).double().mean()
    tuned = TaskRes(epochs=60).fit(task, seed=1)
    assert (tuned.evidence(test).similarity.argmax(1) == labels).double().mean() > before
    assert tuned.n_parameters == 5 * 16


def test_known_classes_keep_their_residual_under_another_order(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = TaskRes(epochs=10).fit(task, seed=1)
    swapped = tuned.evidence(test, ["class 4", "class 1"])
    torch.testing.assert_close(
        swapped.similarity, tuned.evidence(test).similarity[:, [4, 1]], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("settings", [{"alpha": -0.5}, {"epochs": -1}])
def test_settings_out_of_range_are_refused(embedding_task, settings) -> None:
    with pytest.raises(DataError, match="must be at least 0"):
        TaskRes(**settings).fit(embedding_task()[0], seed=1)
