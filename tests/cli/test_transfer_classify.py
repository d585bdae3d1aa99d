"""awase transfer classify, as a user meets it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

Run = Callable[..., Any]
TINY = ("--encoder", "tiny:0", "--replicates", "50", "--offline")
COLOURS = {"green_sheet": (30, 190, 40), "red_sheet": (200, 30, 30), "sea": (20, 40, 200)}
FIGURES = {"reliability.svg", "confidence.svg", "class_accuracy.svg", "confusion.svg"}
ROWS = {"rows.parquet", "classes.parquet", "confusion.parquet"}


def _folders(root: Path, each: int, *, start: int = 0) -> Path:
    """Sheets of one colour, with a few pixels that tell each from all others."""
    for label, colour in COLOURS.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + each):
            picture = Image.new("RGB", (32, 32), colour)
            for place in range(number + 1):
                picture.putpixel((place % 32, 5 + place // 32), (250, 250, 250))
            picture.save(root / label / f"{number:02}.png")
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return _folders(tmp_path / "data", 6)


@pytest.fixture
def split_data(tmp_path: Path) -> Path:
    _folders(tmp_path / "split" / "train", 4)
    _folders(tmp_path / "split" / "val", 3, start=20)
    return tmp_path / "split"


def _metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
    return content


def test_a_folder_of_classes_is_measured_and_written(awase: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = awase("transfer", "classify", data, *TINY, "-o", out)
    assert ended.code == 0, ended.err
    for words in ("top_1_accuracy", "ece_floor", "No temperature was fitted", "Top-5 accuracy is left out"):
        assert words in ended.out
    assert {path.name for path in out.iterdir()} == {"metrics.json", "card.md"} | FIGURES | ROWS
    found = _metrics(out)
    value = {estimate["name"]: estimate["value"] for estimate in found["estimates"]}
    rows = pq.read_table(out / "rows.parquet").to_pylist()
    assert len(rows) == 18 == found["data"]["n"]
    assert value["top_1_accuracy"] == pytest.approx(sum(row["correct"] for row in rows) / 18)
    assert value["mean_confidence"] == pytest.approx(sum(row["confidence"] for row in rows) / 18)
    confusion = pq.read_table(out / "confusion.parquet").to_pylist()
    assert sum(row["n"] for row in confusion) == 18
    right = sum(row["n"] for row in confusion if row["label"] == row["class"])
    assert right == sum(row["correct"] for row in rows)
    classes = pq.read_table(out / "classes.parquet").to_pylist()
    assert [row["label"] for row in classes] == list(COLOURS)
    assert [row["n"] for row in classes] == [6, 6, 6]
    assert found["prompts"]["templates"] == ["a photo of a {}."]
    assert found["encoder"]["adapter"] == "tiny"
    assert "fitted_temperature" not in value
    assert str(Path.home()) not in (out / "metrics.json").read_text("utf-8")
    # the same command gives the same numbers
    again = awase("transfer", "classify", data, *TINY, "-o", out, "--json")
    assert json.loads(again.out)["estimates"] == found["estimates"]


def test_answers_are_those_of_names_and_templates_by_hand(awase: Run, data: Path, tmp_path: Path) -> None:
    from awase.engine.features import encode_images
    from awase.engine.prototypes import encode_classes
    from awase.registry import load

    encoder = load("encoder", "tiny").load("0")
    out = tmp_path / "out"
    names = tmp_path / "names.json"
    names.write_text('{"sea": "deep water"}', "utf-8")
    templates = tmp_path / "templates.txt"
    templates.write_text("one {}.\n", "utf-8")
    words = ("--class-names", names, "--templates", templates, "a {}.")
    assert awase("transfer", "classify", data, *TINY, *words, "-o", out).code == 0
    features, _ = encode_images(encoder, load("image_reader", "class_folders").open_images(data))
    vectors = encode_classes(encoder, ["green sheet", "red sheet", "deep water"], ["one {}.", "a {}."])
    expected = (features.values @ vectors.T).argmax(dim=1).tolist()
    rows = {row["id"]: row["class"] for row in pq.read_table(out / "rows.parquet").to_pylist()}
    assert rows == {
        image.id: list(COLOURS)[place] for image, place in zip(features.images, expected, strict=True)
    }


def test_a_temperature_is_fitted_on_another_split_alone(awase: Run, split_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = awase("transfer", "classify", split_data, *TINY, "--calibrate-split", "train", "-o", out)
    assert ended.code == 0, ended.err
    found = _metrics(out)
    value = {estimate["name"]: estimate for estimate in found["estimates"]}
    assert found["data"]["split"] == "val"
    assert found["data"]["n"] == 9
    assert value["fitted_temperature"]["n"] == found["calibration"]["n"] == 12
    assert value["ece_after"]["n"] == 9
    rows = pq.read_table(out / "rows.parquet").to_pylist()
    assert all(row["id"].startswith("val/") for row in rows)
    assert all(row["confidence_after"] is not None for row in rows)

    shutil.copy(split_data / "val" / "sea" / "20.png", split_data / "train" / "sea" / "other_name.png")
    ended = awase("transfer", "classify", split_data, *TINY, "--calibrate-split", "train", "-o", out)
    assert ended.code == 2
    assert "other_name.png" in ended.err
    assert "also among the images that are measured on" in ended.err


def test_a_share_is_taken_away_for_the_temperature(awase: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert awase("transfer", "classify", data, *TINY, "--calibrate-share", "0.5", "-o", out, "-q").out == ""
    found = _metrics(out)
    assert (found["calibration"]["n"], found["data"]["n"]) == (9, 9)
    assert len(pq.read_table(out / "rows.parquet")) == 9


def test_prompts_with_weights_and_wordings_are_read(awase: Run, data: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.json"
    content = {
        "templates": ["a {}.", "{}"],
        "weights": [1.0, 0.0],
        "class_names": {"sea": ["water", "ocean"]},
    }
    prompts.write_text(json.dumps(content), "utf-8")
    ended = awase(
        "transfer", "classify", data, *TINY, "--templates", prompts, "-o", tmp_path / "out", "--json"
    )
    assert ended.code == 0, ended.err
    assert ended.json["prompts"]["weights"] == [1.0, 0.0]
    prompts.write_text(json.dumps({**content, "class_names": {"fire": ["fire"]}}), "utf-8")
    ended = awase("transfer", "classify", data, *TINY, "--templates", prompts, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "the data has none of these" in ended.err


def test_bad_photos_are_rows_and_the_run_goes_on(awase: Run, data: Path, tmp_path: Path) -> None:
    (data / "sea" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    out = tmp_path / "out"
    ended = awase("transfer", "classify", data, *TINY, "-o", out, "--lang", "ja")
    assert ended.code == 3
    assert "count for nothing: 1 (unreadable_image 1)" in ended.out
    rows = pq.read_table(out / "rows.parquet").to_pylist()
    assert [row["id"] for row in rows if row["error_code"]] == ["sea/broken.png"]
    assert _metrics(out)["data"]["n"] == 18
    card = (out / "card.md").read_text("utf-8")
    assert card.startswith("# ゼロショット分類")
    assert "読めずに集計から除いた画像：1 枚" in card


def test_limits_make_the_exit_code(awase: Run, data: Path, tmp_path: Path) -> None:
    words = ("transfer", "classify", data, *TINY, "-o", tmp_path / "out", "-q")
    assert awase(*words, "--at-least", "top_1_accuracy=0").code == 0
    ended = awase(*words, "--at-most", "nll=0")
    assert ended.code == 1
    assert "nll is" in ended.err
    assert awase(*words, "--at-least", "no_such=1").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--templates", "simpel"), "no built-in set"),
        (("--templates", "a dog"), "no built-in set"),
        (("--split", "test"), "names 'test'"),
        (("--calibrate-split", "test"), "names 'test'"),
        (("--split", "val", "--calibrate-split", "val"), "fit the temperature on another one"),
        (("--calibrate-split", "train", "--calibrate-share", "0.5"), "one of the two"),
        (("--calibrate-share", "1"), "must lie in"),
        (("--binning", "odd"), "equal_width"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    awase: Run, split_data: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    ended = awase("transfer", "classify", split_data, *TINY, *words, "-o", tmp_path / "out")
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_one_class_or_none_is_not_zero_shot(awase: Run, data: Path, tmp_path: Path) -> None:
    for label in ("sea", "red_sheet"):
        shutil.rmtree(data / label)
    words = ("--reader", "class_folders", "-o", tmp_path / "out")
    ended = awase("transfer", "classify", data, *TINY, *words)
    assert ended.code == 2
    assert "has one class, 'green_sheet'" in ended.err
    ended = awase("transfer", "classify", data / "green_sheet", *TINY, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "has no class" in ended.err


def test_the_help_and_the_page_name_every_set_of_templates() -> None:
    import re

    import awase.cli.transfer_classify as verb
    from awase.transfer._templates import TEMPLATES

    source = Path(verb.__file__).read_text("utf-8")
    page = Path(__file__).resolve().parents[2] / "docs" / "transfer.md"
    for name in TEMPLATES:
        assert re.search(rf"[ (\"]{name}[,)\"]", source), name
        assert f"`{name}`" in page.read_text("utf-8"), name
