"""awase transfer prompts, as a user meets it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from awase.transfer._templates import read_prompts

Run = Callable[..., Any]
TINY = ("--encoder", "tiny:0")
QUICK = ("--search", "uniform", "single", "greedy:most=3", "--folds", "2")
COLOURS = {"green_sheet": (30, 190, 40), "red_sheet": (200, 30, 30), "sea": (20, 40, 200)}


def _paint(folder: Path, numbers: range) -> None:
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            picture = Image.new("RGB", (32, 32), colour)
            for place in range(number + 1):
                picture.putpixel((place % 32, 5 + place // 32), (250, 250, 250))
            picture.save(folder / label / f"{number:02}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six images of each class to choose on and four to measure on."""
    _paint(tmp_path / "data" / "train", range(6))
    _paint(tmp_path / "data" / "val", range(20, 24))
    return tmp_path / "data"


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_it_chooses_measures_and_writes(awase: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = awase("transfer", "prompts", data, *TINY, *QUICK, "--shots", "4", "--draws", "2", "-o", out)
    assert ended.code == 0, ended.err
    for words in ("accuracy.gain", "accuracy.gain_over_uniform", "draws.gain", "prompts.json", "interval of"):
        assert words in ended.out
    prompts = read_prompts(out / "prompts.json")
    assert prompts.wordings == {"green_sheet": ("green sheet",), "red_sheet": ("red sheet",), "sea": ("sea",)}
    found = _json(out / "metrics.json")
    figures = {figure["name"]: figure for figure in found["estimates"]}
    gain = figures["accuracy"]["value"] - figures["accuracy.baseline"]["value"]
    assert figures["accuracy.gain"]["value"] == pytest.approx(gain)
    assert figures["accuracy"]["n"] == 12
    assert figures["selection.accuracy"]["n"] == 12
    assert figures["selection.accuracy"]["low"] is None
    assert figures["draws.gain"]["n"] == 2
    assert set(found["compared"]) == {"baseline", "uniform", "single", "greedy:most=3"}
    assert found["search"] in found["compared"]
    assert found["data"]["select"] == 12
    assert not found["data"]["made_test"]
    assert (out / "card.md").read_text("utf-8").startswith("# Prompt search")

    rows = pq.read_table(out / "images.parquet").to_pylist()
    sides = {side: {row["id"] for row in rows if row["side"] == side} for side in ("select", "test")}
    assert all(id.startswith("train/") for id in sides["select"])
    assert all(id.startswith("val/") for id in sides["test"])
    assert (len(sides["select"]), len(sides["test"])) == (12, 12)
    right = sum(row["predicted"] == row["label"] for row in rows if row["side"] == "test")
    assert right / 12 == pytest.approx(figures["accuracy"]["value"])
    weights = {row["template"]: row["weight"] for row in pq.read_table(out / "templates.parquet").to_pylist()}
    assert sum(weights.values()) == pytest.approx(1)
    assert {template for template, weight in weights.items() if weight} == set(prompts.templates)


def test_what_it_writes_is_what_classify_measures(awase: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--search", "weights:per_class=true,penalties=0.1,losses=likelihood", "--shots", "3")
    ended = awase("transfer", "prompts", data, *TINY, *words, "-o", out, "--json")
    assert ended.code == 0, ended.err
    chosen = {figure["name"]: figure["value"] for figure in ended.json["estimates"]}
    assert read_prompts(out / "prompts.json").class_weights
    assert any("weights of its own" in note for note in ended.json["notes"])
    ended = awase(
        "transfer",
        "classify",
        data,
        *TINY,
        "--templates",
        out / "prompts.json",
        "-o",
        tmp_path / "c",
        "--json",
    )
    assert ended.code == 0, ended.err
    measured = {figure["name"]: figure["value"] for figure in ended.json["estimates"]}
    assert measured["top_1_accuracy"] == pytest.approx(chosen["accuracy"])


def test_data_without_splits_gets_a_test_part_and_the_same_call_the_same_prompts(
    awase: Run, data: Path, tmp_path: Path
) -> None:
    words = ("transfer", "prompts", data / "train", *TINY, "--search", "greedy:most=2", "--lang", "ja")
    for out in (tmp_path / "one", tmp_path / "two"):
        ended = awase(*words, "--shots", "5", "--seed", "2", "-o", out, "-q")
        assert ended.code == 0, ended.err
        assert ended.out == ""
    assert (tmp_path / "one/prompts.json").read_bytes() == (tmp_path / "two/prompts.json").read_bytes()
    found = _json(tmp_path / "one" / "metrics.json")
    assert found["data"]["made_test"]
    assert (found["data"]["select"], found["data"]["test"]) == (9, 9)
    assert any("fewer than 5 images" in note for note in found["notes"])
    card = (tmp_path / "one" / "card.md").read_text("utf-8")
    assert "探索" in card
    assert "抽選" in card
    rows = pq.read_table(tmp_path / "one" / "images.parquet").to_pylist()
    assert len({row["hash"] for row in rows}) == 18


def test_photos_that_chose_prompts_are_no_test_of_them(awase: Run, data: Path, tmp_path: Path) -> None:
    words = ("transfer", "prompts", data / "train", *TINY, "--search", "single", "--shots", "3")
    assert awase(*words, "-o", tmp_path / "one", "-q").code == 0
    chose = read_prompts(tmp_path / "one" / "prompts.json").chosen_on
    assert len(chose) == 9
    measure = ("transfer", "classify", data / "train", *TINY, "--templates", tmp_path / "one/prompts.json")
    assert awase(*measure, "-o", tmp_path / "two", "-q").code == 0
    found = _json(tmp_path / "two" / "metrics.json")
    assert "Images that chose the prompts and are left out: 9." in found["notes"]
    assert len(pq.read_table(tmp_path / "two" / "rows.parquet")) == 9  # of 18


def test_an_image_on_both_sides_is_refused(awase: Run, data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "train" / "sea" / "03.png", data / "val" / "sea" / "copied.png")
    ended = awase(
        "transfer", "prompts", data, *TINY, "--search", "uniform", "--shots", "6", "-o", tmp_path / "o"
    )
    assert ended.code == 2
    assert "1 of the selection images is also among the test images" in ended.err
    assert "train/sea/03.png = val/sea/copied.png" in ended.err
    assert not (tmp_path / "o").exists()


def test_an_image_that_cannot_be_read_is_left_out_and_said(awase: Run, data: Path, tmp_path: Path) -> None:
    (data / "val" / "sea" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    ended = awase("transfer", "prompts", data, *TINY, "--search", "single", "-o", tmp_path / "o")
    assert ended.code == 3
    assert "val/sea/broken.png (unreadable_image)" in ended.out
    assert _json(tmp_path / "o" / "metrics.json")["error_codes"] == {"unreadable_image": 1}


def test_further_names_are_tried(awase: Run, data: Path, tmp_path: Path) -> None:
    names, codes = tmp_path / "wordings.json", tmp_path / "names.json"
    names.write_text(json.dumps({"sea": ["ocean", "water"], "red_sheet": "red paper"}), "utf-8")
    codes.write_text(json.dumps({"sea": "the sea"}), "utf-8")
    words = ("--wordings", names, "--class-names", codes, *QUICK, "-o", tmp_path / "o")
    ended = awase("transfer", "prompts", data, *TINY, *words)
    assert ended.code == 0, ended.err
    found = _json(tmp_path / "o" / "metrics.json")
    assert found["wording"] in ("first", "all", "chosen")
    assert any("Names of classes that are read" in note for note in found["notes"])
    assert set(read_prompts(tmp_path / "o" / "prompts.json").wordings["sea"]) <= {"the sea", "ocean", "water"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--search", "magic"), "there is no prompt_search 'magic'"),
        (("--search", "greedy", "greedy"), "names a search twice"),
        (("--search", "greedy:depth=3"), "greedy has no setting 'depth'"),
        (("--search", "weights:penalties=-1"), "penalties must be numbers from 0 on"),
        (("--templates", "a dog."), "no built-in set"),
        (("--templates", "{weighed}"), "holds weights or wordings of an earlier choice"),
        (("--baseline", "{weighed}"), "--baseline takes templates"),
        (("--test-split", "dev"), "no split 'dev'"),
        (("--wordings", "{missing}"), "cannot be read"),
        (("--wordings", "{weighed}"), "must hold an object of label and names"),
        (("--wordings", "{strangers}"), "the data has none of these"),
        (("--class-names", "{missing}"), "cannot be read"),
        (("--encoder", "nothing:0"), "names no adapter"),
    ],
)
def test_wrong_usage_is_one_line(awase: Run, data: Path, tmp_path: Path, words: Any, said: str) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("weighed", "missing", "strangers")}
    files["weighed"].write_text('{"templates": ["a {}."], "weights": [1.0]}', "utf-8")
    files["strangers"].write_text('{"zebra": ["horse"]}', "utf-8")
    given = [word.format_map(files) if word[1:-1] in files else word for word in words]
    ended = awase("transfer", "prompts", data, *TINY, *given, "-o", tmp_path / "o")
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
