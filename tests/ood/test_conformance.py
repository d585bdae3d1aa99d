"""What every score in the registry promises, whatever it computes."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from awase.engine.fields import pack, unpack
from awase.errors import DataError
from awase.functional.detection import auroc
from awase.ood._protocol import HIGHER_MEANS, Known, Learner, Scorer
from awase.registry import load, names
from awase.types import Evidence

K, D = 6, 32
CLASSES = tuple(f"class {i}" for i in range(K))
SETTINGS: dict[str, dict[str, Any]] = {
    "neglabel": {"nouns": tuple(f"word{i}" for i in range(90)), "share": 0.5, "groups": 9}
}
NAMES = [name for name in names("ood") if load("ood", name).__module__.startswith("awase.")]


def unit(*shape: int, seed: int) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


PROTOTYPES = unit(K, D, seed=0)


class Words:
    """Knows the class names by their prototypes; every other text has a direction of its own."""

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Tensor:
        for i, name in enumerate(CLASSES):
            if name in text:
                return PROTOTYPES[i]
        return unit(D, seed=1000 + sum(ord(letter) * i for i, letter in enumerate(text)))


def evidence(n: int, *, known: bool, seed: int) -> Evidence:
    """Known images lie near a prototype, patches too; unknown ones anywhere."""
    noise, patch_noise = unit(n, D, seed=seed), unit(n, 4, D, seed=seed + 1)
    near = PROTOTYPES[torch.arange(n) % K]
    images = torch.nn.functional.normalize(2 * near + noise, dim=1) if known else noise
    patches = patch_noise
    if known:
        patches = torch.nn.functional.normalize(near[:, None] + patch_noise, dim=2)
    return Evidence(images @ PROTOTYPES.T, images, PROTOTYPES, patches)


def fitted(name: str) -> Scorer:
    method = load("ood", name)(**SETTINGS.get(name, {}))
    if not isinstance(method, Learner):
        return method
    train = evidence(4 * K, known=True, seed=10)
    return method.fit(Known(train, torch.arange(4 * K) % K, CLASSES, Words(), "a photo of a {}."))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def scorer(name):
    return fitted(name)


@pytest.fixture
def test_images():
    return evidence(30, known=True, seed=20)


def as_dtype(one: Evidence, dtype: torch.dtype) -> Evidence:
    parts = (one.similarity, one.image_features, one.class_features, one.patch_features)
    return Evidence(*(part.to(dtype) for part in parts))


def test_the_registry_lists_every_score():
    wanted = "energy entropy gl_mcm kl_matching knn logit_gap mahalanobis max_logit mcm msp neglabel variance"
    assert set(wanted.split()) <= set(NAMES)


def test_it_keeps_to_the_protocol(name, scorer):
    assert isinstance(scorer, Scorer)
    assert scorer.higher_means == HIGHER_MEANS
    method = load("ood", name)
    assert method.needs_patches == scorer.needs_patches
    if hasattr(method, "fit"):
        assert method.scorer is type(scorer)


def test_higher_means_in_distribution(scorer):
    scores = [scorer.score(evidence(200, known=known, seed=30)) for known in (True, False)]
    assert auroc(id_scores=scores[0], ood_scores=scores[1]) > 0.9


def test_it_is_deterministic(name, scorer, test_images):
    assert scorer.score(test_images).equal(scorer.score(test_images))
    again, first = pack(fitted(name)), pack(scorer)
    assert again[1] == first[1]
    assert all(again[0][field].equal(first[0][field]) for field in first[0])


def test_the_order_of_rows_does_not_matter(scorer, test_images):
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0)).tolist()
    mixed = scorer.score(test_images.select(order))
    assert mixed.tolist() == pytest.approx(scorer.score(test_images)[order].tolist(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("size", [1, 7, 30])
def test_blocks_give_what_the_whole_gives(scorer, test_images, size):
    parts = [scorer.score(test_images.select(slice(i, i + size))) for i in range(0, 30, size)]
    assert torch.cat(parts).tolist() == pytest.approx(scorer.score(test_images).tolist(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("elements", [1, 50])
def test_its_own_blocks_do_not_matter(name, test_images, elements, monkeypatch):
    whole = fitted(name).score(test_images)
    module = load("ood", name).__module__
    real = __import__("awase.ood._rows", fromlist=["blocks"]).blocks

    def small(n: int, width: int, **_: Any) -> Any:
        return real(n, width, elements=elements)

    monkeypatch.setattr("awase.ood._rows.blocks", small)
    monkeypatch.setattr(f"{module}.blocks", small, raising=False)
    assert fitted(name).score(test_images).tolist() == pytest.approx(whole.tolist(), rel=1e-5, abs=1e-6)


def test_no_images_give_no_scores(scorer, test_images):
    assert scorer.score(test_images.select(slice(0, 0))).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_narrow_features_give_wide_scores(scorer, test_images, dtype):
    narrow = as_dtype(test_images, dtype)
    scores = scorer.score(narrow)
    assert scores.dtype.itemsize >= 4
    # what was rounded on the way in is all that differs from the same numbers in float32
    assert scores.tolist() == pytest.approx(
        scorer.score(as_dtype(narrow, torch.float32)).tolist(), rel=2e-5, abs=1e-5
    )


def test_its_repr_is_its_constructor_call(name):
    method = load("ood", name)
    for settings in ({}, SETTINGS.get(name, {})):
        made = method(**settings)
        shown = repr(made)
        assert shown.startswith(f"{method.__name__}(")
        for field in fields(method):
            assert f"{field.name}={getattr(made, field.name)!r}" in shown
        assert method(**{field.name: getattr(made, field.name) for field in fields(method)}) == made


def test_what_is_fitted_is_kept_as_tensors_and_plain_values(scorer, test_images):
    tensors, plain = pack(scorer)
    back = unpack(type(scorer), tensors, plain)
    assert back.score(test_images).equal(scorer.score(test_images))
    assert "tensor(" not in repr(scorer)
    assert len(repr(scorer)) < 300


def test_a_nan_is_an_error(scorer, test_images):
    broken = as_dtype(test_images, torch.float32)
    for part in (broken.similarity, broken.image_features, broken.patch_features):
        part[3] = math.nan
    with pytest.raises(DataError, match=r"row 3.*leave out"):
        scorer.score(broken)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("warm", [name for name in NAMES if hasattr(load("ood", name), "temperature")])
def test_a_temperature_that_is_not_positive_is_an_error(warm, temperature, test_images):
    made = load("ood", warm)(**{**SETTINGS.get(warm, {}), "temperature": temperature})
    known = Known(test_images, torch.arange(30) % K, CLASSES, Words())
    with pytest.raises(DataError, match="temperature must be positive"):
        _run(made, known)


def test_one_class_is_an_error_where_classes_are_compared(name, test_images):
    one = Evidence(
        test_images.similarity[:, :1], test_images.image_features, PROTOTYPES[:1], test_images.patch_features
    )
    method = load("ood", name)(**SETTINGS.get(name, {}))
    known = Known(one, torch.zeros(30, dtype=torch.int64), CLASSES[:1], Words())

    if name in ("max_logit", "energy", "knn", "mahalanobis", "neglabel"):
        assert bool(_run(method, known).isfinite().all())
    else:
        with pytest.raises(DataError, match="at least 2, got 1"):
            _run(method, known)


def _run(method: Scorer | Learner, known: Known) -> Tensor:
    scorer = method.fit(known) if isinstance(method, Learner) else method
    return scorer.score(known.evidence)
