"""Training on pairs: every part that can learn, no step as no change, equal results however it is run."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from awase import registry
from awase.errors import DataError, EncoderError, LeakError
from awase.functional.retrieval import ranks
from awase.images import from_pixels
from awase.protocols import Encoder
from awase.tune.pairs._fit import PairTask, TrainedPairs, fit_pairs
from awase.tune.pairs._recipe import PairRecipe
from awase.tune.pairs._rows import PairRows, read_rows
from awase.types import BadRow, Pair

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200), "white": (250, 250, 250)}
PARTS = [("heads",), ("text",), ("image",), ("image", "text"), ("heads", "text"), ("heads", "image", "text")]


def pairs(n_train: int = 16, n_dev: int = 8) -> list[Pair | BadRow]:
    """Noisy sheets of four colours with two captions each."""
    draws = np.random.default_rng(0)
    rows: list[Pair | BadRow] = []
    for i in range(n_train + n_dev):
        name, colour = list(COLOURS.items())[i % 4]
        noisy = np.clip(draws.integers(-20, 20, (32, 32, 3)) + colour, 0, 255).astype(np.uint8)
        photo = from_pixels(Image.fromarray(noisy), f"{i}.png")
        split = "train" if i < n_train else "dev"
        rows += [
            Pair(f"{i}-{word}", photo, f"{word} {name} sheet {i}", label=name, split=split)
            for word in ("a", "one")
        ]
    return rows


def task_of(encoder: Encoder, parts: tuple[str, ...], rows: Sequence[Pair | BadRow]) -> PairTask:
    def side(split: str) -> PairRows:
        return read_rows(
            encoder,
            rows,
            split=split,
            image_features="image" not in parts,
            text_features="text" not in parts,
        )

    return PairTask(encoder, side("train"), side("dev"))


def recipe_of(name: str = "info_nce", **settings: Any) -> PairRecipe:
    given = {"steps": 6, "batch_size": 8, "rate": 1e-3, "hidden": 16} | settings
    return PairRecipe(registry.load("objective", name)(), **given)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    found: Encoder = registry.load("encoder", "tiny").load("0")
    return found


@pytest.fixture(scope="module")
def rows() -> list[Pair | BadRow]:
    return pairs()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWASE_CACHE", str(tmp_path / "cache"))


def numbers(trained: TrainedPairs) -> dict[str, Tensor]:
    heads = {f"{side}/{name}": v for side, head in trained.heads.items() for name, v in head.items()}
    return {**trained.weights, **heads, "scale": torch.tensor(trained.logit_scale)}


def assert_equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("parts", PARTS, ids="+".join)
def test_what_learns_changes_and_nothing_else(
    encoder: Encoder, rows: list[Pair | BadRow], parts: tuple[str, ...]
) -> None:
    before = encoder.encode_text(["a red sheet"])
    task = task_of(encoder, parts, rows)
    trained = fit_pairs(task, recipe_of(parts=parts), seed=3)
    assert torch.equal(encoder.encode_text(["a red sheet"]), before)  # the base is not touched
    assert set(trained.heads) == ({"image", "text"} if "heads" in parts else set())
    assert {name.partition(".")[0] for name in trained.weights} == set(parts) - {"heads"}
    assert trained.encoder.spec.fingerprint != encoder.spec.fingerprint
    assert len(trained.losses) == 6
    assert trained.n_parameters > 0
    # the encoder that comes out says what was measured on the dev pairs
    dev = task.dev
    assert dev is not None
    photos = [registry.load("encoder", "tiny").load("0").preprocess(_open(image)) for image in dev.images]
    found = ranks(
        trained.encoder.encode_image(torch.stack(photos)),
        trained.encoder.encode_text(dev.captions),
        image_of_text=dev.image_of_text,
    )
    by_name = {estimate.name: estimate.value for estimate in trained.estimates}
    assert by_name["recall_at_1.text_to_image"] == float((found.text_to_image < 1).double().mean())
    assert by_name["recall_at_5.image_to_text"] == float((found.image_to_text < 5).double().mean())
    gain = by_name["recall_at_5.text_to_image.gain"]
    assert gain == pytest.approx(
        by_name["recall_at_5.text_to_image"] - by_name["recall_at_5.text_to_image.before"]
    )


def _open(reference: Any) -> Image.Image:
    from awase.images import load_image

    return load_image(reference)


@pytest.mark.parametrize("parts", [("heads",), ("image", "text")], ids="+".join)
def test_no_step_is_the_base_to_the_last_bit(
    encoder: Encoder, rows: list[Pair | BadRow], parts: tuple[str, ...]
) -> None:
    trained = fit_pairs(task_of(encoder, parts, rows), recipe_of(parts=parts, steps=0), seed=3)
    assert (trained.weights, trained.heads) == ({}, {})
    assert torch.equal(trained.encoder.encode_text(["a dog"]), encoder.encode_text(["a dog"]))
    assert trained.encoder.spec.fingerprint == encoder.spec.fingerprint
    assert trained.encoder.logit_scale == encoder.logit_scale
    assert {e.value for e in trained.estimates if e.name.endswith(".gain")} == {0.0}


def test_training_on_colours_finds_them(encoder: Encoder) -> None:
    rows = [row for row in pairs(32, 16) if isinstance(row, Pair)]
    recipe = recipe_of("multi_positive", groups="label", steps=80, batch_size=16, head_rate=1e-2, hidden=64)
    trained = fit_pairs(task_of(encoder, ("heads",), [*rows]), recipe, seed=0)
    shares = []
    for model in (encoder, trained.encoder):
        said = {name: [r.caption for r in rows if r.label == name and r.split == "train"] for name in COLOURS}
        classes = torch.stack([model.encode_text(captions).mean(dim=0) for captions in said.values()])
        dev = [row for row in rows if row.split == "dev"][::2]
        images = model.encode_image(torch.stack([model.preprocess(_open(row.image)) for row in dev]))
        right = torch.tensor([list(COLOURS).index(str(row.label)) for row in dev])
        shares.append(float(((images @ classes.T).argmax(dim=1) == right).double().mean()))
    assert shares[0] <= 0.6
    assert shares[1] >= 0.9


@pytest.mark.parametrize("name", registry.names("objective"))
def test_a_chunked_batch_has_the_gradient_of_the_whole(
    encoder: Encoder, rows: list[Pair | BadRow], name: str
) -> None:
    task = task_of(encoder, ("heads",), rows)
    whole, chunked = (
        fit_pairs(task, recipe_of(name, steps=3, chunk=chunk, dropout=0.0), seed=1) for chunk in (None, 3)
    )
    for key, value in numbers(whole).items():
        torch.testing.assert_close(numbers(chunked)[key], value, atol=2e-5, rtol=1e-4)


def test_chunks_through_both_towers(encoder: Encoder, rows: list[Pair | BadRow]) -> None:
    parts = ("image", "text")
    whole, chunked = (
        fit_pairs(task_of(encoder, parts, rows), recipe_of(parts=parts, steps=1, chunk=chunk), seed=1)
        for chunk in (None, 3)
    )
    assert list(chunked.losses.values()) == pytest.approx(list(whole.losses.values()), rel=1e-5)
    assert len(chunked.weights) == len(whole.weights)


def test_a_frozen_embedding_stays_as_it_was(encoder: Encoder, rows: list[Pair | BadRow]) -> None:
    parts = ("image", "text")
    trained = fit_pairs(
        task_of(encoder, parts, rows), recipe_of(parts=parts, embedding="frozen", steps=2), seed=1
    )
    names = set(trained.weights)
    assert names
    assert not any("patches" in name or "pieces" in name or "positions" in name for name in names)
    whole = fit_pairs(task_of(encoder, parts, rows), recipe_of(parts=parts, steps=2), seed=1)
    assert names < set(whole.weights)


def test_equal_seeds_give_equal_weights_and_others_do_not(
    encoder: Encoder, rows: list[Pair | BadRow]
) -> None:
    task = task_of(encoder, ("heads", "text"), rows)
    state = torch.get_rng_state()
    first, again, other = (
        fit_pairs(task, recipe_of(parts=("heads", "text")), seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(state, torch.get_rng_state())
    assert_equal(numbers(first), numbers(again))
    assert not torch.equal(numbers(first)["text/narrow.weight"], numbers(other)["text/narrow.weight"])


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_fit import fit_pairs, recipe_of, registry, pairs, task_of
def die(done, total):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
task = task_of(registry.load("encoder", "tiny").load("0"), ("heads", "text"), pairs())
recipe = recipe_of(parts=("heads", "text"), steps=9, keep="best", measure_every=2)
fit_pairs(task, recipe, seed=4, checkpoint=Path({folder!r}), save_every=2, progress=die)
"""


def test_a_run_killed_with_kill_9_goes_on_to_the_same_result(
    encoder: Encoder, rows: list[Pair | BadRow], tmp_path: Path
) -> None:
    script = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == -9, done.stderr
    task = task_of(encoder, ("heads", "text"), rows)
    recipe = recipe_of(parts=("heads", "text"), steps=9, keep="best", measure_every=2)
    steps: list[int] = []
    resumed = fit_pairs(
        task, recipe, seed=4, checkpoint=tmp_path / "run", progress=lambda n, total: steps.append(n)
    )
    whole = fit_pairs(task, recipe, seed=4)
    assert steps == [5, 6, 7, 8, 9]  # saved behind step 4
    assert_equal(numbers(whole), numbers(resumed))
    assert resumed.losses == whole.losses
    assert resumed.measured == whole.measured
    assert list(whole.measured) == [0, 2, 4, 6, 8, 9]
    assert resumed.estimates == whole.estimates
    with pytest.raises(DataError, match="another run"):
        fit_pairs(
            task, recipe_of(parts=("heads", "text"), steps=9, rate=1e-4), seed=4, checkpoint=tmp_path / "run"
        )


def test_the_best_weights_are_those_of_the_best_measurement(
    encoder: Encoder, rows: list[Pair | BadRow]
) -> None:
    # a rate that ruins the model after a few steps
    wild: dict[str, Any] = {"head_rate": 0.5, "warmup": 0.0, "steps": 8, "measure_every": 1}
    task = task_of(encoder, ("heads",), rows)
    best = fit_pairs(task, recipe_of(keep="best", **wild), seed=0)
    last = fit_pairs(task, recipe_of(**wild), seed=0)
    rsums = {step: values["rsum"] for step, values in best.measured.items()}
    assert best.measured == last.measured
    assert best.kept_step == min(step for step, value in rsums.items() if value == max(rsums.values()))
    assert last.kept_step == 8
    reached = 100 * sum(e.value for e in best.estimates if e.name.count(".") == 1)
    assert reached == pytest.approx(max(rsums.values()))
    without = PairTask(encoder, task.train)
    with pytest.raises(DataError, match="dev"):
        fit_pairs(without, recipe_of(keep="best"), seed=0)
    assert fit_pairs(without, recipe_of(steps=1), seed=0).estimates == ()


@pytest.mark.parametrize(("temperature", "scale"), [("fixed", 100.0), (0.05, 20.0), ("learned", None)])
def test_the_temperature_is_fixed_or_learned(
    encoder: Encoder, rows: list[Pair | BadRow], temperature: Any, scale: float | None
) -> None:
    task = task_of(encoder, ("heads",), rows)
    trained = fit_pairs(task, recipe_of(temperature=temperature, steps=2), seed=0)
    if scale is not None:
        assert trained.encoder.logit_scale == trained.logit_scale == pytest.approx(scale, rel=1e-6)
    else:
        assert trained.logit_scale != 100.0
        assert trained.logit_scale <= 100.0 * (1 + 1e-6)  # as CLIP clamps it


def test_a_scratch_run_and_the_sigmoid_loss_start_where_the_objective_says(
    encoder: Encoder, rows: list[Pair | BadRow]
) -> None:
    task = task_of(encoder, ("heads",), rows)
    fixed: dict[str, Any] = {"temperature": "fixed", "steps": 1}
    assert fit_pairs(task, recipe_of(**fixed), seed=0, from_scratch=True).logit_scale == pytest.approx(
        1 / 0.07
    )
    sigmoid = fit_pairs(task, recipe_of("sigmoid", **fixed), seed=0)
    objective = registry.load("objective", "sigmoid")
    assert sigmoid.logit_scale == pytest.approx(objective.initial_scale, rel=1e-6)
    assert sigmoid.logit_bias != objective.initial_bias  # the bias learns all the same


def test_groups_are_kept_apart_or_are_all_right(encoder: Encoder, rows: list[Pair | BadRow]) -> None:
    side = task_of(encoder, ("heads",), rows).train
    assert side.groups("image").tolist() == [i // 2 for i in range(32)]
    assert side.groups("label").tolist() == [i // 2 % 4 for i in range(32)]
    assert len(set(side.groups("caption").tolist())) == 32
    task = task_of(encoder, ("heads",), rows)
    # four labels kept apart leave batches of four
    apart = fit_pairs(task, recipe_of(groups="label", steps=1), seed=0)
    assert apart.per_epoch == 8
    together = fit_pairs(task, recipe_of("multi_positive", groups="label", steps=1), seed=0)
    assert together.per_epoch == 4
    twice = fit_pairs(task, recipe_of("multi_positive", each=2, steps=1), seed=0)
    assert list(twice.losses.values()) != list(together.losses.values())
    with pytest.raises(DataError, match="multi_positive"):
        recipe_of(each=2)
    nameless = [Pair(r.id, r.image, r.caption, split=r.split) for r in rows if isinstance(r, Pair)]
    with pytest.raises(DataError, match="label"):
        task_of(encoder, ("heads",), nameless).train.groups("label")


def test_bad_rows_are_rows_and_equal_photos_are_one(encoder: Encoder, tmp_path: Path) -> None:
    from awase.types import ImageReference

    good = pairs(4, 0)
    assert isinstance(good[0], Pair)
    copy = ImageReference("copy.png", data=good[0].image.data)
    broken = ImageReference("broken.png", data=b"\x89PNG\r\n\x1a\nbroken")
    rows = [
        *good,
        Pair("copy", copy, "the same again", split="train"),
        Pair("broken", broken, "a cat", split="train"),
        BadRow("empty", "x.png", "", "empty_caption", "no caption"),
    ]
    for image_features in (True, False):
        found = read_rows(encoder, rows, split="train", image_features=image_features, text_features=False)
        assert len(found.images) == 4
        assert found.image_of_text.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0]
        assert {row.id: row.error_code for row in found.bad} == {
            "broken": "unreadable_image",
            "empty": "empty_caption",
        }
    with pytest.raises(DataError, match="no pair that can be read"):
        read_rows(encoder, rows[-2:], split=None, image_features=False, text_features=False)


def test_a_caption_that_cannot_be_tokenised_costs_its_row_alone(tmp_path: Path) -> None:
    small = registry.load("encoder", "small")
    small.create(tmp_path / "m", ["a red sheet"], size=32, width=16, dimension=16)
    rows = pairs(4, 0)
    assert isinstance(rows[0], Pair)
    rows.append(Pair("odd", rows[0].image, "a lone \ud800 surrogate", split="train"))
    for text_features in (True, False):
        found = read_rows(
            small.load(str(tmp_path / "m")),
            rows,
            split="train",
            image_features=False,
            text_features=text_features,
        )
        assert [row.error_code for row in found.bad] == ["bad_caption"]
        assert len(found) == 8


def test_a_photo_on_both_sides_is_refused(encoder: Encoder) -> None:
    rows = pairs(4, 4)
    leak = rows[0]
    assert isinstance(leak, Pair)
    rows.append(Pair("leak", leak.image, "again", split="dev"))
    with pytest.raises(LeakError, match="training photos"):
        task_of(encoder, ("heads",), rows)


@pytest.mark.parametrize(
    "settings",
    [
        {"parts": ("wings",)},
        {"parts": ()},
        {"batch_size": 1},
        {"chunk": 0},
        {"temperature": "warm"},
        {"temperature": -1.0},
        {"dropout": 2.0},
        {"head": "deep"},
        {"keep": "worst"},
        {"groups": "photo"},
        {"precision": "float8"},
        {"rate": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        recipe_of(**settings)


def test_towers_that_cannot_learn_are_refused(rows: list[Pair | BadRow]) -> None:
    class Vectors:
        spec = registry.load("encoder", "tiny").load("0").spec
        logit_scale = 10.0

        def preprocess(self, image: Image.Image) -> Tensor:
            return torch.zeros(3, 1, 1)

        def encode_image(self, pixels: Tensor) -> Tensor:
            return normalize(torch.arange(1.0, 1 + 4 * len(pixels)).reshape(-1, 4).sin(), dim=1)

        def encode_text(self, texts: Any) -> Tensor:
            return normalize(torch.arange(1.0, 1 + 4 * len(texts)).reshape(-1, 4).cos(), dim=1)

    heads = fit_pairs(task_of(Vectors(), ("heads",), rows), recipe_of(steps=2), seed=0)
    assert set(heads.heads) == {"image", "text"}
    with pytest.raises(EncoderError, match="cannot be changed"):
        fit_pairs(task_of(Vectors(), ("text",), rows), recipe_of(parts=("text",)), seed=0)
