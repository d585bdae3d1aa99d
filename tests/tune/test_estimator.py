"""The estimator: scikit-learn's own checks, and that it is the methods with another face."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from awase.errors import DataError
from awase.registry import load
from awase.tune import FewShotClassifier
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task
from awase.types import Features, ImageReference, LabelledImage

CHECKED: dict[str, dict[str, Any]] = {
    "linear_probe": {"c": 10.0},
    "tip_adapter": {},
    "taskres": {"epochs": 20},
    "clip_adapter": {"epochs": 20, "ratio": 0.2, "batch_size": 256},
}
CANNOT_APPLY = {
    "check_estimators_dtypes": "a row of its data is zero once it is cast to integers, and a zero vector, "
    "which is what a broken image leaves, has no direction; the dtypes have a test of their own below",
}


@parametrize_with_checks(
    [FewShotClassifier(name, options=options) for name, options in CHECKED.items()],
    expected_failed_checks=lambda estimator: CANNOT_APPLY,
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def _blobs(n: int = 12, d: int = 8, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(["ant", "bee", "cow"], n)
    return np.repeat(np.eye(3, d), n, axis=0) + noise * rng.normal(size=(3 * n, d)), y


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("method", CHECKED)
def test_dtypes(method: str, dtype: Any) -> None:
    x, y = _blobs()
    x = (100 * x).astype(dtype)
    model = FewShotClassifier(method, options=CHECKED[method]).fit(x, y)
    assert model.score(x, y) > 0.8
    assert model.predict_proba(x).dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert model.predict(x.astype(np.float32)).tolist() == model.predict(x).tolist()


def test_without_an_encoder_zero_shot_is_the_nearest_class_mean() -> None:
    x, y = _blobs()
    model = FewShotClassifier("zero_shot").fit(x, y)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    means = np.stack([unit[y == label].mean(axis=0) for label in ("ant", "bee", "cow")])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert model.predict(x).tolist() == model.classes_[(unit @ means.T).argmax(axis=1)].tolist()
    np.testing.assert_allclose(model.decision_function(x), 100 * unit @ means.T, rtol=1e-9)


def test_it_is_the_method_with_another_face() -> None:
    """Fitted by hand on the same vectors, the model is the same."""
    x, y = _blobs()
    model = FewShotClassifier("tip_adapter", options={"beta": 5.5, "alpha": 2.0}).fit(x.astype(np.float32), y)
    values = torch.nn.functional.normalize(torch.tensor(x, dtype=torch.float32), dim=1)
    labels = torch.arange(3).repeat_interleave(12)
    images = tuple(LabelledImage(str(i), ImageReference(str(i), data=b"")) for i in range(36))
    features = Features(values, images, tuple(map(str, range(36))), "arrays")
    means = torch.stack([values[labels == k].mean(dim=0) for k in range(3)])
    frozen = Frozen(("ant", "bee", "cow"), torch.nn.functional.normalize(means, dim=1), 100.0, "arrays")
    task = Task(frozen, features, labels, features.select([]), labels[:0])
    by_hand = load("tune", "tip_adapter")(beta=5.5, alpha=2.0).fit(task, seed=0)
    logits = 100 * by_hand.evidence(features).similarity
    np.testing.assert_allclose(model.decision_function(x), logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(model.predict_proba(x), logits.softmax(dim=1).numpy(), atol=1e-5)


def test_shots_and_validation_are_drawn_and_recorded_by_the_method() -> None:
    x, y = _blobs(n=30)
    model = FewShotClassifier("tip_adapter", shots=5).fit(x, y)
    assert model.tuned_.keys.shape == (15, 8)
    assert len(model.tuned_.tried["accuracy"]) == 4000  # chosen on the 4 validation images of each class
    assert torch.equal(model.tuned_.keys, clone(model).fit(x, y).tuned_.keys)
    other = FewShotClassifier("tip_adapter", shots=5, random_state=1).fit(x, y)
    assert not torch.equal(model.tuned_.keys, other.tuned_.keys)
    with pytest.raises(DataError, match="fewer"):
        FewShotClassifier("tip_adapter", shots=40).fit(x, y)


def test_all_but_the_validation_images_train_where_shots_are_not_given() -> None:
    x, y = _blobs(n=10)
    model = FewShotClassifier("tip_adapter", validation=3).fit(np.concatenate((x, x[:4])), [*y, *y[:4]])
    kept = {tuple(row) for row in model.tuned_.keys.tolist()}
    assert len(kept) == 21  # 30 distinct images without 9; equal ones stay on one side
    assert len(model.tuned_.tried["accuracy"]) == 4000


@pytest.mark.parametrize("state", [3, np.int64(3), np.random.RandomState(3), None])
def test_random_state_takes_what_scikit_learn_takes(state: Any) -> None:
    x, y = _blobs()
    model = FewShotClassifier("taskres", options={"epochs": 1}, random_state=state).fit(x, y)
    assert list(model.classes_) == sorted(set(y))


def test_it_works_in_grid_search_and_cross_validation() -> None:
    x, y = _blobs()
    grid = GridSearchCV(FewShotClassifier(), {"options": [{"c": 1e-6}, {"c": 10.0}]}, cv=3).fit(x, y)
    assert grid.best_params_["options"] in ({"c": 1e-6}, {"c": 10.0})
    assert cross_val_score(FewShotClassifier("zero_shot"), x, y, cv=3).mean() > 0.8


def _photos(folder: Path) -> tuple[list[Path], list[str]]:
    rng = np.random.default_rng(0)
    paths, labels = [], []
    for label, colour in (("ant", (200, 30, 30)), ("big_bee", (30, 30, 200))):
        for i in range(4):
            noise = rng.integers(-25, 25, size=(32, 32, 3))
            path = folder / f"{label}{i}.png"
            Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(path)
            paths.append(path)
            labels.append(label)
    return paths, labels


def test_photos_with_an_encoder(tmp_path: Path) -> None:
    paths, labels = _photos(tmp_path)
    model = FewShotClassifier("taskres", encoder="tiny:0", options={"epochs": 50, "rate": 0.05})
    model.fit(paths, labels)
    assert model.tuned_.frozen.class_names == ("ant", "big bee")
    assert model.n_features_in_ == 24
    assert model.predict([str(path) for path in paths]).tolist() == labels
    encoder = load("encoder", "tiny").load("0")
    pixels = torch.stack([encoder.preprocess(Image.open(path)) for path in paths])
    by_array = model.predict_proba(encoder.encode_image(pixels).numpy())
    np.testing.assert_allclose(by_array, model.predict_proba(paths), atol=1e-4)


def test_a_method_that_needs_the_text_tower(tmp_path: Path) -> None:
    paths, labels = _photos(tmp_path)
    encoder = load("encoder", "tiny").load("0")
    model = FewShotClassifier("coop", encoder=encoder, options={"epochs": 2, "n_tokens": 4})
    assert model.fit(paths, labels).predict_proba(paths).shape == (8, 2)


def test_class_names_by_class_or_in_order() -> None:
    x, y = _blobs(d=24)
    by_order = FewShotClassifier("zero_shot", encoder="tiny:0", class_names=["an ant", "a bee", "a cow"])
    by_class = FewShotClassifier(
        "zero_shot", encoder="tiny:0", class_names={"cow": "a cow", "ant": "an ant", "bee": "a bee"}
    )
    assert by_order.fit(x, y).tuned_.frozen.class_names == ("an ant", "a bee", "a cow")
    np.testing.assert_array_equal(by_order.predict_proba(x), by_class.fit(x, y).predict_proba(x))


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    x, y = _blobs()
    paths, labels = _photos(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    refused: list[tuple[FewShotClassifier, Any, Any, str]] = [
        (FewShotClassifier(options={"epochs": 3}), x, y, "linear_probe has no option epochs"),
        (FewShotClassifier(), paths, labels, "need an encoder"),
        (FewShotClassifier(class_names=["a", "b", "c"]), x, y, "needs an encoder"),
        (FewShotClassifier(encoder="tiny:0", class_names=["a"]), paths, labels, "1 class_names"),
        (FewShotClassifier(encoder="tiny:0", class_names={"ant": "a"}), paths, labels, "big_bee"),
        (FewShotClassifier(encoder="tiny:0"), paths, labels[:-1], "8 images came with 7 labels"),
        (FewShotClassifier(encoder="tiny:0"), [*paths, tmp_path / "broken.png"], [*labels, "ant"], "broken"),
        (FewShotClassifier(), np.concatenate((x, np.zeros((1, 8)))), [*y, "ant"], "no direction"),
        (FewShotClassifier("coop"), x, y, "encoder"),
    ]
    for model, images, classes, message in refused:
        with pytest.raises(DataError, match=message):
            model.fit(images, classes)
    with pytest.raises(LookupError, match="taskres"):
        FewShotClassifier("task_res").fit(x, y)


def test_the_package_alone_imports_neither_scikit_learn_nor_torch() -> None:
    code = (
        "import sys, awase.tune as tune\n"
        "before = {'sklearn', 'torch'} & set(sys.modules)\n"
        "from awase.tune import FewShotClassifier\n"
        "print(before, 'sklearn' in sys.modules, hasattr(tune, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["set()", "True", "False"]
