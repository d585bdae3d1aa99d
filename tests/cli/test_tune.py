"""awase tune fit and predict, as a user meets them."""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from awase.images import content_hash
from awase.tune._card import read_card
from awase.types import ImageReference

Run = Callable[..., Any]
TINY = ("--encoder", "tiny:0")
# a toy model knows no colours by name, so the cache has to outweigh the words
TIP = ("--method", "tip_adapter", "--option", "alpha=1000", "beta=30")
COLOURS = {"green_sheet": (30, 190, 40), "red_sheet": (200, 30, 30), "sea": (20, 40, 200)}


def _paint(path: Path, colour: tuple[int, int, int], number: int) -> None:
    """A sheet of one colour, with a few pixels that tell it from all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (32, 32), colour)
    for place in range(number + 1):
        picture.putpixel((place % 32, 5 + place // 32), (250, 250, 250))
    picture.save(path)


def _folders(root: Path, each: int, *, start: int = 0) -> Path:
    for label, colour in COLOURS.items():
        for number in range(start, start + each):
            _paint(root / label / f"{number:02}.png", colour, number)
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return _folders(tmp_path / "data", 10)


@pytest.fixture
def split_data(tmp_path: Path) -> Path:
    _folders(tmp_path / "split" / "train", 6)
    _folders(tmp_path / "split" / "val", 4, start=20)
    return tmp_path / "split"


@pytest.fixture
def model(awase: Run, split_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    ended = awase("tune", "fit", split_data, *TINY, *TIP, "--shots", "3", "-o", folder)
    assert ended.code == 0, ended.err
    return folder


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "results.parquet").to_pylist()
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    return rows


def test_fit_on_class_folders_keeps_a_test_part_out_and_records_it(
    awase: Run, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = awase("tune", "fit", data, *TINY, *TIP, "--shots", "2", "-o", out)
    assert ended.code == 0, ended.err
    for words in ("accuracy", "accuracy.zero_shot", "accuracy.gain", "drawn out of the data", "tune predict"):
        assert words in ended.out
    assert sorted(path.name for path in out.iterdir()) == ["card.json", "card.md", "tuned.safetensors"]
    card = read_card(out)
    split = card.split
    assert card.labels == tuple(COLOURS)
    assert card.class_names == ("green sheet", "red sheet", "sea")
    assert split.made_test
    assert (len(split.train), len(split.validation), len(split.test)) == (6, 6, 15)
    sides = [set(side) for side in (split.train, split.validation, split.test)]
    assert len(set.union(*sides)) == 27
    for side in (split.train, split.validation, split.test):
        for name, known in side.items():
            assert content_hash(ImageReference(name, path=data / name)) == known
    figures = {metric.name: metric for metric in card.metrics}
    assert figures["accuracy"].value == 1.0
    assert figures["accuracy"].n == 15
    gain = figures["accuracy"].value - figures["accuracy.zero_shot"].value
    assert figures["accuracy.gain"].value == pytest.approx(gain)
    text = (out / "card.md").read_text("utf-8")
    assert "sea" in text
    assert "6 to learn from" in text


def test_the_splits_of_the_data_are_used(awase: Run, split_data: Path, model: Path) -> None:
    split = read_card(model).split
    assert not split.made_test
    assert all(name.startswith("train/") for name in [*split.train, *split.validation])
    assert all(name.startswith("val/") for name in split.test)
    assert len(split.test) == 12
    ended = awase("tune", "fit", split_data, *TINY, "--test-split", "test", "-o", model, "--fresh")
    assert ended.code == 2
    assert "no split 'test'; it has: train 18, val 12" in ended.err
    ended = awase("tune", "fit", split_data, *TINY, "--test-split", "train", "-o", model, "--fresh")
    assert "cannot be both" in ended.err


def test_a_second_call_finds_the_model_and_another_one_is_kept_apart(
    awase: Run, split_data: Path, model: Path
) -> None:
    before = (model / "card.json").read_bytes()
    words = ("tune", "fit", split_data, *TINY, *TIP, "-o", model)
    ended = awase(*words, "--shots", "3")
    assert ended.code == 0, ended.err
    assert "there already" in ended.out
    assert (model / "card.json").read_bytes() == before
    ended = awase(*words, "--shots", "2")
    assert ended.code == 2
    assert "holds another model (tip_adapter; other shots)" in ended.err
    assert (model / "card.json").read_bytes() == before
    assert awase(*words, "--shots", "2", "--fresh").code == 0
    assert read_card(model).split.shots == 2


def test_json_says_what_the_card_says(awase: Run, split_data: Path, tmp_path: Path) -> None:
    words = (
        "tune",
        "fit",
        split_data,
        *TINY,
        "-m",
        "zero_shot",
        "--shots",
        "2",
        "-o",
        tmp_path / "out",
        "--json",
    )
    said = awase(*words).json
    assert said["method"] == "zero_shot"
    assert said["split"]["train"] == 6
    figures = {metric["name"]: metric["value"] for metric in said["metrics"]}
    assert figures["accuracy"] == figures["accuracy.zero_shot"]
    assert figures["accuracy.gain"] == 0.0
    assert str(Path.home()) not in (tmp_path / "out" / "card.json").read_text("utf-8")


def test_an_image_on_both_sides_is_refused_by_name(awase: Run, split_data: Path, tmp_path: Path) -> None:
    shutil.copy(split_data / "train" / "sea" / "00.png", split_data / "val" / "sea" / "copy.png")
    ended = awase(
        "tune", "fit", split_data, *TINY, "--shots", "5", "--validation", "1", "-o", tmp_path / "out"
    )
    assert ended.code == 2
    assert "train/sea/00.png = val/sea/copy.png" in ended.err
    assert not (tmp_path / "out" / "card.json").exists()


def test_equal_images_stay_on_one_side_of_a_drawn_test(awase: Run, data: Path, tmp_path: Path) -> None:
    for number in range(10):
        shutil.copy(data / "sea" / f"{number:02}.png", data / "sea" / f"copy{number:02}.png")
    ended = awase("tune", "fit", data, *TINY, "-m", "tip_adapter", "--shots", "2", "-o", tmp_path / "out")
    assert ended.code == 0, ended.err
    split = read_card(tmp_path / "out").split
    assert not split.seen & set(split.test.values())


def test_bad_images_are_left_out_and_said(awase: Run, data: Path, tmp_path: Path) -> None:
    (data / "sea" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    ended = awase("tune", "fit", data, *TINY, "-m", "tip_adapter", "--shots", "2", "-o", tmp_path / "out")
    assert ended.code == 3, ended.err
    assert "sea/broken.png (unreadable_image)" in ended.out
    bad = read_card(tmp_path / "out").facts["bad_rows"]
    assert [row["id"] for row in bad] == ["sea/broken.png"]


def test_a_table_serves_as_well(awase: Run, data: Path, tmp_path: Path) -> None:
    lines = ["photo,kind,split"]
    for path in sorted(data.glob("*/*.png")):
        split = "test" if path.stem > "05" else "train"
        lines.append(f"{path.relative_to(data)},{path.parent.name},{split}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    columns = ("--image-column", "photo", "--label-column", "kind", "--images", data)
    words = (*TIP, "--shots", "4", "--validation", "2", "-o", tmp_path / "out", "--json")
    ended = awase("tune", "fit", table, *columns, *TINY, *words)
    assert ended.code == 0, ended.err
    assert ended.json["split"]["test"] == 12
    assert ended.json["metrics"][0]["value"] == 1.0


def test_names_from_a_file_are_read_and_labels_stay_in_the_rows(
    awase: Run, split_data: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.json"
    names.write_text('{"sea": "a blue sheet"}', "utf-8")
    out = tmp_path / "named"
    words = ("-m", "zero_shot", "--shots", "1", "--class-names", names, "--template", "one {}", "the {}")
    ended = awase("tune", "fit", split_data, *TINY, *words, "-o", out)
    assert ended.code == 0, ended.err
    card = read_card(out)
    assert card.class_names == ("green sheet", "red sheet", "a blue sheet")
    assert card.templates == ("one {}", "the {}")
    ended = awase(
        "tune", "predict", split_data / "val", "--model", out, "-o", tmp_path / "rows", "--top", "9"
    )
    assert ended.code == 0, ended.err
    assert set(_rows(tmp_path / "rows")[0]["classes"]) == set(COLOURS)


def test_settings_are_passed_on(awase: Run, split_data: Path, tmp_path: Path) -> None:
    words = ("tune", "fit", split_data, *TINY, "--shots", "2", "-o", tmp_path / "out")
    ended = awase(*words, "-m", "taskres", "--option", "epochs=1", "alpha=0.25")
    assert ended.code == 0, ended.err
    settings = read_card(tmp_path / "out").settings
    assert (settings["epochs"], settings["alpha"]) == (1, 0.25)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "taskres", "--option", "epoch=1"), "taskres has no setting 'epoch'; did you mean epochs?"),
        (("-m", "magic"), "there is no tune 'magic'; there are: clip_adapter"),
        (("-m", "taskres", "--interpolate", "0.5"), "lora, full"),
        (("-m", "tip_adapter", "--shots", "30"), "'green_sheet' has 5"),
        (("-m", "tip_adapter", "--train-split", "train"), "has no splits"),
        (("-m", "tip_adapter", "--template", "no place"), "exactly one {}"),
        (("-m", "tip_adapter", "--test-share", "1"), "test share"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    awase: Run, data: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    ended = awase("tune", "fit", data, *TINY, "--shots", "2", *words, "-o", tmp_path / "out")
    assert ended.code == 2
    assert message.replace("green_sheet", "green sheet") in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_odd_folders_are_said_in_one_line(awase: Run, data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "sea")
    shutil.rmtree(data / "red_sheet")
    ended = awase("tune", "fit", data, *TINY, "-o", tmp_path / "out")
    assert (ended.code, "one folder for each class, two at least" in ended.err) == (2, True)
    flat = tmp_path / "flat"
    _paint(flat / "a.png", (1, 2, 3), 0)
    ended = awase("tune", "fit", flat, *TINY, "-o", tmp_path / "out")
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1
    ended = awase("tune", "fit", tmp_path / "nothing", *TINY, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "nothing" in ended.err


def test_one_image_a_class_is_too_few_and_may_be_allowed(awase: Run, tmp_path: Path) -> None:
    data = _folders(tmp_path / "few", 2)
    words = ("tune", "fit", data, *TINY, "-m", "tip_adapter", "--shots", "4", "-o", tmp_path / "out")
    ended = awase(*words)
    assert ended.code == 2
    assert "--allow-fewer" in ended.err
    ended = awase(*words, "--allow-fewer")
    assert ended.code == 0, ended.err
    assert "too few images, and how many they gave: green sheet 1" in ended.out
    assert read_card(tmp_path / "out").split.fewer == {"green sheet": 1, "red sheet": 1, "sea": 1}


def test_predict_writes_a_row_for_every_image(
    awase: Run, model: Path, split_data: Path, tmp_path: Path
) -> None:
    (split_data / "val" / "sea" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    out = tmp_path / "rows"
    words = (
        "tune",
        "predict",
        split_data / "val",
        "--model",
        model,
        "-o",
        out,
        "--top",
        "2",
        "--batch-size",
        "5",
    )
    ended = awase(*words)
    assert ended.code == 3, ended.err
    assert "1 failed (unreadable_image 1)" in ended.out
    assert "accuracy" in ended.out
    rows = _rows(out)
    assert len(rows) == 13
    assert list(rows[0]) == [
        *("id", "image", "class", "probability", "classes", "probabilities", "label", "seen"),
        *("error_code", "error"),
    ]
    for row in rows:
        if row["id"].endswith("broken.png"):
            assert row["error_code"] == "unreadable_image"
            assert row["class"] is row["classes"] is row["probability"] is None
        else:
            assert row["class"] == row["label"] == row["id"].split("/")[0] == row["classes"][0]
            assert row["probability"] == row["probabilities"][0] > row["probabilities"][1]
            assert len(row["classes"]) == 2
            assert row["seen"] is False
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["counts"] == {"images": 13, "errors": 1, "with_label": 12, "seen": 0}
    assert summary["classes"] == dict.fromkeys(COLOURS, 4)
    assert summary["estimates"][0]["value"] == 1.0
    again = awase(*words, "--json")
    assert again.code == 3
    assert again.json["counts"] == summary["counts"]


def test_the_batch_size_changes_no_row(awase: Run, model: Path, split_data: Path, tmp_path: Path) -> None:
    for size in ("1", "64"):
        words = ("--model", model, "-o", tmp_path / size, "--batch-size", size, "--quiet")
        assert awase("tune", "predict", split_data / "val", *words).code == 0
    one, many = _rows(tmp_path / "1"), _rows(tmp_path / "64")
    assert [row["classes"] for row in one] == [row["classes"] for row in many]
    for a, b in zip(one, many, strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)


def test_images_that_were_learned_from_are_no_accuracy(
    awase: Run, model: Path, split_data: Path, tmp_path: Path
) -> None:
    ended = awase(
        "tune", "predict", split_data / "train", "--model", model, "-o", tmp_path / "rows", "--json"
    )
    assert ended.code == 0, ended.err
    assert ended.json["counts"]["seen"] == len(read_card(model).split.seen) == 18
    assert ended.json["estimates"] == []


def test_unlabelled_photos_get_classes_and_no_accuracy(
    awase: Run, model: Path, split_data: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (split_data / "val").glob("*/*.png"):
        shutil.copy(path, flat / f"{path.parent.name}-{path.name}")
    ended = awase("tune", "predict", flat, "--model", model, "-o", tmp_path / "rows")
    assert ended.code == 0, ended.err
    assert "accuracy" not in ended.out
    rows = _rows(tmp_path / "rows")
    assert len(rows) == 12
    assert all(row["id"].startswith(row["class"]) and row["label"] is None for row in rows)


def test_a_stopped_prediction_goes_on(
    awase: Run, model: Path, split_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tune_predict = importlib.import_module("awase.cli._tune_predict")
    words = ("tune", "predict", split_data / "val", "--model", model, "--batch-size", "4", "--quiet")
    assert awase(*words, "-o", tmp_path / "whole").code == 0
    calls = 0
    real = _tune_predict.predict

    def dies(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(_tune_predict, "predict", dies)
    assert awase(*words, "-o", tmp_path / "cut").code == 130
    assert not (tmp_path / "cut" / "results.parquet").exists()
    monkeypatch.setattr(_tune_predict, "predict", real)
    assert awase(*words, "-o", tmp_path / "cut").code == 0
    assert _rows(tmp_path / "cut") == _rows(tmp_path / "whole")
    other = awase(*words, "--top", "1", "-o", tmp_path / "cut")
    assert other.code == 2
    assert "--fresh" in other.err


def test_predict_refuses_what_is_no_model_or_another_encoder(
    awase: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    words = ("tune", "predict", data, "-o", tmp_path / "rows")
    ended = awase(*words, "--model", data)
    assert (ended.code, "holds no tuned model" in ended.err) == (2, True)
    ended = awase(*words, "--model", model, "--encoder", "tiny:1")
    assert (ended.code, "was tuned on encoder tiny:0" in ended.err) == (2, True)
    ended = awase(*words, "--model", model, "--interpolate", "0.5")
    assert (ended.code, "tip_adapter has no way back" in ended.err) == (2, True)
    (model / "tuned.safetensors").write_bytes(b"no tensors")
    ended = awase(*words, "--model", model)
    assert (ended.code, "is damaged" in ended.err) == (2, True)
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "rows").exists()


def test_weights_go_back_as_far_as_asked(awase: Run, split_data: Path, tmp_path: Path) -> None:
    words = (
        "tune",
        "fit",
        split_data,
        *TINY,
        "-m",
        "full",
        "--shots",
        "2",
        "--option",
        "epochs=2",
        "rate=0.01",
    )
    for name, more in (("all", ()), ("none", ("--interpolate", "0"))):
        assert awase(*words, *more, "-o", tmp_path / name).code == 0
    assert read_card(tmp_path / "none").settings["strength"] == 0.0
    figures = {metric.name: metric.value for metric in read_card(tmp_path / "none").metrics}
    assert figures["accuracy.gain"] == 0.0
    predict = ("tune", "predict", split_data / "val", "--quiet", "--model")
    assert awase(*predict, tmp_path / "none", "-o", tmp_path / "1").code == 0
    assert awase(*predict, tmp_path / "all", "--interpolate", "0", "-o", tmp_path / "2").code == 0
    assert awase(*predict, tmp_path / "all", "-o", tmp_path / "3").code == 0
    assert _rows(tmp_path / "1") == _rows(tmp_path / "2") != _rows(tmp_path / "3")


def test_a_killed_fit_goes_on_to_the_same_weights(
    awase: Run, split_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tune_fit = importlib.import_module("awase.cli._tune_fit")
    words = (
        "tune",
        "fit",
        split_data,
        *TINY,
        "-m",
        "taskres",
        "--shots",
        "3",
        "--option",
        "epochs=300",
        "--quiet",
    )
    assert awase(*words, "-o", tmp_path / "whole").code == 0

    @contextmanager
    def dying(label: str, **named: object) -> Iterator[Callable[[int, int | None], None]]:
        def progress(done: int, total: int | None) -> None:
            if label == "fitting" and done == 250:
                raise KeyboardInterrupt

        yield progress

    real = _tune_fit.progress_bar
    monkeypatch.setattr(_tune_fit, "progress_bar", dying)
    assert awase(*words, "-o", tmp_path / "cut").code == 130
    assert list((tmp_path / "cut").rglob("training.safetensors"))
    assert not (tmp_path / "cut" / "card.json").exists()
    monkeypatch.setattr(_tune_fit, "progress_bar", real)
    assert awase(*words, "-o", tmp_path / "cut").code == 0
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [
        "card.json",
        "card.md",
        "tuned.safetensors",
    ]
    whole, cut = (load_file(tmp_path / name / "tuned.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_help_needs_no_torch(awase_process: Run) -> None:
    for verb in ("fit", "predict"):
        ended = awase_process("tune", verb, "--help")
        assert ended.code == 0, ended.err
        assert "Examples" in ended.out
