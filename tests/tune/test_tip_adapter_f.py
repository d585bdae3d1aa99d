"""Tip-Adapter-F: no epochs are Tip-Adapter, and training is the recipe's, step by step."""

import math

import torch

from awase.training.sampler import ShuffledBatches
from awase.tune._protocol import Task
from awase.tune.tip_adapter import TipAdapter
from awase.tune.tip_adapter_f import TipAdapterF


def test_no_epochs_are_tip_adapter(embedding_task) -> None:
    task, test, _ = embedding_task()
    trained, plain = TipAdapterF(epochs=0).fit(task, seed=1), TipAdapter().fit(task, seed=1)
    assert (trained.alpha, trained.beta) == (plain.alpha, plain.beta)
    assert torch.equal(trained.evidence(test).similarity, plain.evidence(test).similarity)


def test_alpha_zero_is_zero_shot_even_after_training(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = TipAdapterF(alpha=0.0, epochs=3).fit(task, seed=1)
    assert torch.equal(tuned.evidence(test).similarity, task.frozen.evidence(test).similarity)


def test_training_is_adamw_with_a_cosine_on_the_papers_logits(embedding_task) -> None:
    """The recipe again without the loop: logits by the formula, rates set by hand."""
    task, _, _ = embedding_task()
    tuned = TipAdapterF(alpha=2.0, beta=3.0, epochs=4, batch_size=8).fit(task, seed=5)

    keys = torch.nn.Parameter(task.train.values.clone())
    optimizer = torch.optim.AdamW([keys], lr=1e-3, eps=1e-4)
    batches = ShuffledBatches(20, 8, 5)
    for step in range(12):  # 20 shots in batches of 8: 3 steps an epoch
        optimizer.param_groups[0]["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / 12))
        rows = batches.rows(step)
        f = task.train.values[rows]
        cache = torch.stack(
            [
                torch.exp(-3.0 * (1 - f @ keys[task.train_labels == k].T)).sum(dim=1)
                for k in range(len(task.frozen.class_names))
            ],
            dim=1,
        )
        logits = 100.0 * f @ task.frozen.class_features.T + 2.0 * cache
        loss = torch.nn.functional.cross_entropy(logits, task.train_labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(tuned.keys, keys.detach(), rtol=0, atol=1e-5)
    assert not torch.allclose(tuned.keys, task.train.values, atol=1e-4)


def test_alpha_and_beta_are_chosen_after_training_on_validation_alone(embedding_task) -> None:
    task, _, _ = embedding_task(noise=0.6)
    tuned = TipAdapterF(epochs=3).fit(task, seed=1)
    assert len(tuned.tried["accuracy"]) == 20 * 200
    validation = tuned.evidence(task.validation).similarity.argmax(1) == task.validation_labels
    assert float(validation.double().mean()) == float(tuned.tried["accuracy"].max())
    kept = Task(
        task.frozen, task.train, task.train_labels, task.validation.select([]), task.validation_labels[:0]
    )
    fixed = TipAdapterF(epochs=3).fit(kept, seed=1)
    assert (fixed.alpha, fixed.beta) == (1.17, 1.0)
    assert torch.equal(fixed.keys, tuned.keys)  # validation images have no say in the weights


def test_parameters_are_the_keys(embedding_task) -> None:
    task, _, _ = embedding_task()
    assert TipAdapterF(epochs=1).fit(task, seed=1).n_parameters == 5 * 4 * 16
