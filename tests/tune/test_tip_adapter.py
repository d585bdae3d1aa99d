"""Tip-Adapter against the paper's formula written as loops, and the answers known beforehand."""

import math
from dataclasses import replace

import pytest
import torch

from awase.errors import DataError
from awase.registry import load
from awase.tune._protocol import Task
from awase.tune.tip_adapter import TipAdapter, cache_logits


def _naive_logits(task, images, alpha, beta):
    """100 f T^T + alpha exp(-beta (1 - f F^T)) L, image by image and shot by shot."""
    rows = []
    for f in images.values.double():
        row = []
        for k, t in enumerate(task.frozen.class_features.double()):
            cache = sum(
                math.exp(-beta * (1 - float(f @ key)))
                for key, label in zip(task.train.values.double(), task.train_labels.tolist(), strict=True)
                if label == k
            )
            row.append(task.frozen.logit_scale * float(f @ t) + alpha * cache)
        rows.append(row)
    return torch.tensor(rows)


def _with(task: Task, **changes) -> Task:
    parts = ("frozen", "train", "train_labels", "validation", "validation_labels")
    return Task(**{name: changes.get(name, getattr(task, name)) for name in parts})


def _without_validation(task: Task) -> Task:
    return _with(task, validation=task.validation.select([]), validation_labels=task.validation_labels[:0])


@pytest.mark.parametrize(("alpha", "beta"), [(1.17, 1.0), (3.0, 5.5), (0.5, 20.0)])
def test_similarity_is_the_papers_logits_over_the_logit_scale(embedding_task, alpha, beta) -> None:
    task, test, _ = embedding_task()
    tuned = TipAdapter(alpha=alpha, beta=beta).fit(task, seed=1)
    expected = _naive_logits(task, test, alpha, beta) / 100
    torch.testing.assert_close(tuned.evidence(test).similarity, expected, rtol=0, atol=1e-6)


def test_alpha_zero_is_zero_shot_to_the_last_bit(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = TipAdapter(alpha=0.0).fit(task, seed=1)
    assert torch.equal(tuned.evidence(test).similarity, task.frozen.evidence(test).similarity)


def test_beta_zero_counts_the_shots_and_changes_no_ranking(embedding_task) -> None:
    task, test, _ = embedding_task(shots=3)
    tuned = TipAdapter(alpha=2.0, beta=0.0).fit(task, seed=1)
    added = tuned.evidence(test).similarity - task.frozen.evidence(test).similarity
    torch.testing.assert_close(added, torch.full_like(added, 2.0 * 3 / 100), rtol=0, atol=1e-6)


def test_a_cached_image_gets_the_label_of_its_key_where_the_cache_is_strong_and_sharp(embedding_task) -> None:
    task, _, _ = embedding_task(noise=2.0)
    assert (task.frozen.evidence(task.train).similarity.argmax(1) != task.train_labels).any()
    tuned = TipAdapter(alpha=1e6, beta=1e4).fit(task, seed=1)
    assert torch.equal(tuned.evidence(task.train).similarity.argmax(1), task.train_labels)


def test_blocks_give_what_the_whole_gives(monkeypatch, embedding_task) -> None:
    task, test, _ = embedding_task()
    values = torch.eye(5)[task.train_labels]
    whole = cache_logits(test.values, task.train.values, values, 2.0)
    for block in (1, 7, len(test)):
        monkeypatch.setattr("awase.tune.tip_adapter._BLOCK", block)
        blocked = cache_logits(test.values, task.train.values, values, 2.0)
        torch.testing.assert_close(blocked, whole, rtol=0, atol=1e-6)
    assert cache_logits(test.values[:0], task.train.values, values, 2.0).shape == (0, 5)


def test_without_validation_the_papers_settings_stay(embedding_task) -> None:
    task, _, _ = embedding_task()
    tuned = TipAdapter().fit(_without_validation(task), seed=1)
    assert (tuned.alpha, tuned.beta) == (1.17, 1.0)
    assert len(tuned.tried["accuracy"]) == 0


def test_the_search_takes_the_first_best_on_validation(embedding_task) -> None:
    task, _, _ = embedding_task(noise=0.6)
    tuned = TipAdapter(alpha_limit=3.0, beta_limit=7.0).fit(task, seed=1)
    best = (-1.0, 0.0, 0.0)
    for i in range(20):  # alpha outside, beta inside, both upwards; a tie changes nothing
        for j in range(200):
            alpha, beta = 0.1 + i * 2.9 / 20, 0.1 + j * 6.9 / 200
            place = 200 * i + j
            assert math.isclose(float(tuned.tried["alpha"][place]), alpha)
            assert math.isclose(float(tuned.tried["beta"][place]), beta)
            if float(tuned.tried["accuracy"][place]) > best[0]:
                best = (float(tuned.tried["accuracy"][place]), alpha, beta)
    assert (tuned.alpha, tuned.beta) == pytest.approx(best[1:])
    for place in (0, 777, 3999):
        pair = {name: float(tuned.tried[name][place]) for name in ("alpha", "beta")}
        logits = _naive_logits(task, task.validation, **pair)
        right = (logits.argmax(1) == task.validation_labels).double().mean()
        assert float(tuned.tried["accuracy"][place]) == pytest.approx(float(right))


def test_new_classes_have_their_text_alone_and_known_ones_keep_the_cache(embedding_task) -> None:
    task, test, _ = embedding_task(d=24)
    encoder = load("encoder", "tiny").load("0")
    tuned = TipAdapter(alpha=2.0, beta=3.0).fit(task, seed=1)
    whole = tuned.evidence(test).similarity
    swapped = tuned.evidence(test, ["class 3", "class 0"]).similarity
    torch.testing.assert_close(swapped, whole[:, [3, 0]], rtol=0, atol=1e-6)
    with pytest.raises(DataError, match="encoder"):
        tuned.evidence(test, ["cow", "class 1"])
    reading = replace(tuned, frozen=replace(task.frozen, encoder=encoder))
    similarity = reading.evidence(test, ["cow", "class 1"]).similarity
    text = encoder.encode_text(["a photo of a cow."])[0]
    torch.testing.assert_close(similarity[:, 0], test.values @ text, rtol=0, atol=1e-6)
    torch.testing.assert_close(similarity[:, 1], whole[:, 1], rtol=0, atol=1e-6)


def test_the_cache_helps_where_texts_are_off(embedding_task) -> None:
    task, test, labels = embedding_task(shots=8)
    before = (task.frozen.evidence(test).similarity.argmax(1) == labels).double().mean()
    after = (TipAdapter().fit(task, seed=1).evidence(test).similarity.argmax(1) == labels).double().mean()
    assert after > before


@pytest.mark.parametrize("settings", [{"alpha": -1.0}, {"beta": float("nan")}, {"alpha_limit": 0.0}])
def test_settings_out_of_range_are_refused(embedding_task, settings) -> None:
    with pytest.raises(DataError, match="must be at least"):
        TipAdapter(**settings).fit(embedding_task()[0], seed=1)


def test_a_class_without_shots_is_refused_by_name(embedding_task) -> None:
    task, _, _ = embedding_task()
    rows = [row for row, label in enumerate(task.train_labels.tolist()) if label != 2]
    short = _with(task, train=task.train.select(rows), train_labels=task.train_labels[rows])
    with pytest.raises(DataError, match="1 of 5 classes have no training image: class 2"):
        TipAdapter().fit(short, seed=1)


def test_features_of_another_encoder_are_refused(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = TipAdapter(alpha=1.0, beta=1.0).fit(task, seed=1)
    other = type(test)(test.values, test.images, test.hashes, "another")
    with pytest.raises(DataError, match="another"):
        tuned.evidence(other)
