"""A tuned model comes back from the disk as it was, for every method; nothing else is taken for one."""

import copy
import io
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from awase import registry
from awase.errors import AwaseError, DataError, EncoderError
from awase.images import content_hash
from awase.tune._card import CARD, FORMAT, WEIGHTS, load_tuned, read_card, save_tuned
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task, Tuned, TuneMethod
from awase.tune._split import SplitRecord
from awase.tune.zero_shot import ZeroShot
from awase.types import Estimate, Features, ImageReference, LabelledImage

NAMES = ("red square", "green square", "blue_square")
COLOURS = ((200, 20, 20), (20, 200, 20), (20, 20, 200))
# as little training as tells the model from the one before
QUICK = {"epochs": 1, "steps_per_shot": 1}


def _task(encoder: Any) -> Task:
    frozen = Frozen.of(encoder, NAMES, ["a photo of a {}.", "the {}."])
    images, pixels = [], []
    for number in range(6):
        picture = Image.new("RGB", (32, 32), COLOURS[number % 3])
        picture.putpixel((number, 3), (255, 255, 255))
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        name = f"{NAMES[number % 3]}/{number}.png"
        images.append(LabelledImage(name, ImageReference(name, data=stream.getvalue()), NAMES[number % 3]))
        pixels.append(encoder.preprocess(picture))
    values = encoder.encode_image(torch.stack(pixels))
    hashes = tuple(content_hash(image.image) for image in images)
    features = Features(values, tuple(images), hashes, encoder.spec.fingerprint)
    labels = torch.arange(6) % 3
    return Task(frozen, features, labels, features.select([0, 1, 2]), labels[:3])


@pytest.fixture(scope="module")
def encoder() -> Any:
    return registry.load("encoder", "tiny").load("0")


@pytest.fixture(scope="module")
def task(encoder: Any) -> Task:
    return _task(encoder)


def _method(name: str) -> TuneMethod:
    kind = registry.load("tune", name)
    known = {field.name for field in fields(kind)}
    made: TuneMethod = kind(**{key: value for key, value in QUICK.items() if key in known})
    return made


@pytest.fixture(scope="module")
def fitted(task: Task) -> Callable[[str], tuple[TuneMethod, Tuned]]:
    made: dict[str, tuple[TuneMethod, Tuned]] = {}

    def fit(name: str) -> tuple[TuneMethod, Tuned]:
        if name not in made:
            method = _method(name)
            made[name] = method, method.fit(task, seed=1)
        return made[name]

    return fit


@pytest.mark.parametrize("name", registry.names("tune"))
def test_a_tuned_model_comes_back_to_the_last_bit(
    name: str, fitted: Any, task: Task, encoder: Any, tmp_path: Path
) -> None:
    method, tuned = fitted(name)
    save_tuned(tmp_path, tuned, method)
    loaded = load_tuned(tmp_path, encoder)
    assert type(loaded) is type(tuned)
    assert loaded.n_parameters == tuned.n_parameters
    before, after = tuned.evidence(task.train), loaded.evidence(task.train)
    assert torch.equal(before.similarity, after.similarity)
    assert torch.equal(before.class_features, after.class_features)
    assert torch.equal(before.image_features, after.image_features)
    texts = ["a red thing", "the sea"]
    assert torch.equal(tuned.text_features(texts), loaded.text_features(texts))
    card = read_card(tmp_path)
    assert (card.method, card.class_names, card.fingerprint) == (name, NAMES, encoder.spec.fingerprint)
    assert type(method)(**_tuples(card.settings)) == method


def _tuples(settings: Any) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


@pytest.mark.parametrize("name", registry.names("tune"))
def test_the_files_hold_tensors_and_json_alone(name: str, fitted: Any, tmp_path: Path) -> None:
    method, tuned = fitted(name)
    save_tuned(tmp_path, tuned, method)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CARD, WEIGHTS]
    content = json.loads((tmp_path / CARD).read_text("utf-8"))
    assert content["format"] == FORMAT
    assert {key.partition("/")[0] for key in load_file(tmp_path / WEIGHTS)} <= {"frozen", "tuned"}
    assert str(Path.home()) not in (tmp_path / CARD).read_text("utf-8")


def test_the_card_says_everything_it_was_told(encoder: Any, task: Task, tmp_path: Path) -> None:
    split = SplitRecord(7, 2, {"a": "1"}, {"b": "2"}, {"c": "3"}, {"red square": 1}, made_test=True)
    metric = Estimate("accuracy", 0.5, 0.1, 0.9, 4, "share", "more are right")
    facts = {
        "seed": 7,
        "split": split,
        "metrics": [metric],
        "labels": ["r", "g", "b"],
        "data": {"source": "x"},
    }
    save_tuned(tmp_path, task.frozen, ZeroShot(), facts=facts)
    card = read_card(tmp_path)
    assert (card.seed, card.split, card.metrics, card.labels) == (7, split, (metric,), ("r", "g", "b"))
    assert card.split.seen == {"1", "2"}
    assert card.encoder == encoder.spec
    assert card.templates == ("a photo of a {}.", "the {}.")
    assert card.logit_scale == encoder.logit_scale
    assert dict(card.facts) == {"data": {"source": "x"}}


def test_the_home_folder_stays_out_of_the_card(
    encoder: Any, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    elsewhere = copy.copy(encoder)
    elsewhere.spec = replace(encoder.spec, name=str(tmp_path / "home" / "my-clip"))
    frozen = replace(task.frozen, encoder=elsewhere)
    save_tuned(tmp_path, frozen, ZeroShot())
    assert read_card(tmp_path).encoder.name == "~/my-clip"


def test_another_encoder_is_refused(fitted: Any, tmp_path: Path) -> None:
    method, tuned = fitted("taskres")
    save_tuned(tmp_path, tuned, method)
    with pytest.raises(EncoderError, match="was tuned on encoder tiny:0"):
        load_tuned(tmp_path, registry.load("encoder", "tiny").load("1"))


def test_features_of_another_encoder_are_refused(fitted: Any, task: Task, tmp_path: Path) -> None:
    method, tuned = fitted("taskres")
    save_tuned(tmp_path, tuned, method)
    foreign = replace(task.train, encoder="another")
    with pytest.raises(DataError, match="another"):
        load_tuned(tmp_path).evidence(foreign)


def test_vectors_are_enough_without_an_encoder(fitted: Any, task: Task, tmp_path: Path) -> None:
    method, tuned = fitted("tip_adapter")
    save_tuned(tmp_path, tuned, method)
    loaded = load_tuned(tmp_path)
    assert torch.equal(loaded.evidence(task.train).similarity, tuned.evidence(task.train).similarity)
    with pytest.raises(DataError, match="encoder"):
        loaded.text_features(["a dog"])


def test_a_kill_between_both_files_leaves_no_model_that_loads(
    fitted: Any, task: Task, tmp_path: Path
) -> None:
    method, tuned = fitted("taskres")
    save_tuned(tmp_path, tuned, method)
    card = (tmp_path / CARD).read_bytes()
    save_tuned(tmp_path, replace(tuned, residual=tuned.residual + 1), method)
    (tmp_path / CARD).write_bytes(card)
    with pytest.raises(DataError, match="of another model than its card"):
        load_tuned(tmp_path)


def _no_card(folder: Path) -> None:
    (folder / CARD).unlink()


def _no_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _torn(folder: Path) -> None:
    text = (folder / CARD).read_text("utf-8")
    (folder / CARD).write_text(text[: len(text) // 2], "utf-8")


def _flipped(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(data))


def _deep(folder: Path) -> None:
    (folder / CARD).write_text("[" * 100_000, "utf-8")


def _edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / CARD).read_text("utf-8"))
        change(content)
        (folder / CARD).write_text(json.dumps(content), "utf-8")

    return damage


_SPLIT = {"seed": 1, "shots": 1, "train": {}, "validation": {}, "test": {}, "fewer": {}, "made_test": False}
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no card": (_no_card, "awase tune fit"),
    "no weights": (_no_weights, "no tuned.safetensors"),
    "torn card": (_torn, "is damaged"),
    "one bit": (_flipped, "is damaged or of another model"),
    "nested without end": (_deep, "is damaged"),
    "newer": (_edit(lambda c: c.update(format="awase.tuned/2")), "install a newer awase"),
    "foreign": (_edit(lambda c: c.update(format="x")), "no card of a tuned model"),
    "a list": (lambda folder: (folder / CARD).write_text("[1]"), "no card of a tuned model"),
    "unknown method": (_edit(lambda c: c.update(method="magic")), "there is no tune 'magic'"),
    "method of another folder": (_edit(lambda c: c.update(method="../x")), "there is no tune"),
    "no split": (_edit(lambda c: c.pop("split")), "is damaged"),
    "split of numbers": (
        _edit(lambda c: c.update(split={**_SPLIT, "train": {"a": 1}})),
        "is damaged",
    ),
    "too few names": (_edit(lambda c: c["frozen"].update(class_names=["a"])), "is damaged"),
    "a name of a number": (
        _edit(lambda c: c["frozen"].update(class_names=[1, 2, 3])),
        "does not fit together",
    ),
    "a missing value": (_edit(lambda c: c["tuned"].pop("alpha")), "lacks alpha"),
    "an unknown value": (_edit(lambda c: c["tuned"].update(magic=1)), "has no magic"),
    "a value of another type": (_edit(lambda c: c["tuned"].update(alpha="x")), "does not fit together"),
    "a metric that is none": (_edit(lambda c: c.update(metrics=[{"a": 1}])), "is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_damaged_is_refused_in_one_line(kind: str, fitted: Any, tmp_path: Path) -> None:
    damage, message = DAMAGE[kind]
    method, tuned = fitted("taskres")
    save_tuned(tmp_path, tuned, method)
    load_tuned(tmp_path)
    damage(tmp_path)
    with pytest.raises(AwaseError, match=message) as raised:
        load_tuned(tmp_path)
    assert len(str(raised.value)) < 600


def test_tensors_that_do_not_belong_are_refused(fitted: Any, tmp_path: Path) -> None:
    method, tuned = fitted("taskres")
    save_tuned(tmp_path, tuned, method)
    tensors = load_file(tmp_path / WEIGHTS)
    save_file({**tensors, "tuned/magic": torch.zeros(1)}, tmp_path / WEIGHTS)
    from awase.files import hash_file

    _edit(lambda c: c["weights"].update(sha256=hash_file(tmp_path / WEIGHTS)))(tmp_path)
    with pytest.raises(DataError, match="has no magic"):
        load_tuned(tmp_path)


def test_a_model_of_another_method_is_not_saved_under_its_name(fitted: Any, tmp_path: Path) -> None:
    _, tuned = fitted("taskres")
    with pytest.raises(DataError, match="zero_shot makes a Frozen, got a TaskResidual"):
        save_tuned(tmp_path, tuned, ZeroShot())
    assert not list(tmp_path.iterdir())


def test_what_json_cannot_hold_is_refused_before_anything_is_written(task: Task, tmp_path: Path) -> None:
    for value in (float("nan"), object()):
        with pytest.raises(DataError, match="JSON"):
            save_tuned(tmp_path, task.frozen, ZeroShot(), facts={"note": value})
    assert not list(tmp_path.iterdir())
