"""The linear probe: the minimum that it says it finds, its scale, and its choice of C."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from awase.errors import DataError
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task
from awase.tune.linear_probe import LinearProbe, search_c, standardise


def _naive_probabilities(x, y, c):
    """Multinomial regression from its definition: sum of cross-entropies + |W|^2 / (2 C), free intercept."""
    n, d = x.shape
    k = int(y.max()) + 1

    def loss(flat):
        weight, bias = flat[: k * d].reshape(k, d), flat[k * d :]
        z = x @ weight.T + bias
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        wrong = np.exp(log_p) - np.eye(k)[y]
        value = -log_p[np.arange(n), y].sum() + (weight**2).sum() / (2 * c)
        return value, np.concatenate(((wrong.T @ x + weight / c).ravel(), wrong.sum(axis=0)))

    found = minimize(loss, np.zeros(k * d + k), jac=True, method="BFGS", options={"gtol": 1e-7})
    weight, bias = found.x[: k * d].reshape(k, d), found.x[k * d :]
    return lambda images: torch.tensor(images @ weight.T + bias).softmax(dim=1)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("c", [0.1, 10.0])
def test_it_is_the_regularised_minimum(embedding_task, k, c) -> None:
    task, test, _ = embedding_task(k=k, d=6)
    tuned = LinearProbe(c=c).fit(task, seed=1)
    # two classes are one vector w of penalty |w|^2 / 2C; as rows +-w/2 they would pay half of that
    equal = c / 2 if k == 2 else c
    naive = _naive_probabilities(task.train.values.double().numpy(), task.train_labels.numpy(), equal)
    probabilities = (test.values @ tuned.weight.T + tuned.bias).softmax(dim=1)
    torch.testing.assert_close(probabilities.double(), naive(test.values.double().numpy()), rtol=0, atol=2e-4)


def test_similarity_keeps_the_order_of_classes_and_has_the_scale_of_cosines(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = LinearProbe(c=1000.0).fit(task, seed=1)
    logits = test.values @ tuned.weight.T + tuned.bias
    similarity = tuned.evidence(test).similarity
    assert torch.equal(similarity.argsort(dim=1), logits.argsort(dim=1))
    shown, cosines = (
        tuned.evidence(task.validation).similarity,
        task.frozen.evidence(task.validation).similarity,
    )
    spread = [float(values.std(dim=1, correction=0).mean()) for values in (shown, cosines)]
    assert spread[0] == pytest.approx(spread[1], rel=1e-4)
    assert float(shown.mean()) == pytest.approx(float(cosines.mean()), abs=1e-5)


def test_strength_zero_is_zero_shot_to_the_last_bit_and_a_half_lies_halfway(embedding_task) -> None:
    task, test, _ = embedding_task()
    none, half, whole = (
        LinearProbe(c=1.0, strength=strength).fit(task, seed=1).evidence(test).similarity
        for strength in (0.0, 0.5, 1.0)
    )
    assert torch.equal(none, task.frozen.evidence(test).similarity)
    torch.testing.assert_close(half, (none + whole) / 2, rtol=0, atol=1e-6)
    assert not torch.allclose(none, whole, atol=1e-3)


def test_c_is_chosen_on_validation_and_the_search_is_recorded(embedding_task) -> None:
    task, _, _ = embedding_task(noise=0.8)
    tuned = LinearProbe().fit(task, seed=1)
    assert tuned.tried["c"][:7].tolist() == [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6]
    assert len(tuned.tried["c"]) > 7
    best = float(tuned.tried["accuracy"].max())
    winners = tuned.tried["c"][tuned.tried["accuracy"] == best]
    assert tuned.c == float(winners.min())
    right = tuned.evidence(task.validation).similarity.argmax(1) == task.validation_labels
    assert float(right.double().mean()) == best


def test_without_validation_c_is_fixed(embedding_task) -> None:
    task, _, _ = embedding_task()
    bare = Task(
        task.frozen, task.train, task.train_labels, task.validation.select([]), task.validation_labels[:0]
    )
    tuned = LinearProbe().fit(bare, seed=1)
    assert tuned.c == 10.0
    assert len(tuned.tried["c"]) == 0


def test_the_search_closes_in_on_the_best_c() -> None:
    asked: list[float] = []

    def validate(c: float) -> float:
        asked.append(c)
        return -abs(np.log10(c) - 2.6)

    assert np.log10(search_c(validate)) == pytest.approx(2.6, abs=0.05)
    assert len(set(asked)) <= 7 + 2 + 8  # the list, both ends, a new middle a step
    assert search_c(lambda c: 0.5) == 1e-7  # all alike: the strongest regularisation


def test_scale_is_positive_even_where_nothing_spreads() -> None:
    flat = torch.full((3, 2), 0.5)
    assert standardise(flat, flat) == (1.0, 0.0)


def test_other_classes_are_refused_and_known_ones_may_be_reordered(embedding_task) -> None:
    task, test, _ = embedding_task()
    tuned = LinearProbe(c=1.0).fit(task, seed=1)
    with pytest.raises(DataError, match="no others"):
        tuned.evidence(test, ["class 1", "unheard of"])
    similarity = tuned.evidence(test, ["class 2", "class 1"]).similarity
    torch.testing.assert_close(similarity, tuned.evidence(test).similarity[:, [2, 1]], rtol=0, atol=1e-6)


def test_one_class_and_bad_settings_are_refused(embedding_task) -> None:
    task, _, _ = embedding_task(k=2)
    one = Task(
        Frozen(("only",), task.frozen.class_features[:1], 100.0, "toy"),
        task.train,
        torch.zeros(len(task.train), dtype=torch.long),
        task.validation.select([]),
        task.validation_labels[:0],
    )
    with pytest.raises(DataError, match="2 classes"):
        LinearProbe().fit(one, seed=1)
    with pytest.raises(DataError, match="c must be positive"):
        LinearProbe(c=0.0).fit(task, seed=1)
    with pytest.raises(DataError, match="strength"):
        LinearProbe(strength=1.5).fit(task, seed=1)


def test_precision_follows_the_features(embedding_task) -> None:
    task, _, _ = embedding_task()
    tuned = LinearProbe(c=1.0).fit(task, seed=1)
    assert tuned.weight.dtype == tuned.bias.dtype == torch.float32
    assert tuned.n_parameters == 5 * 16 + 5
