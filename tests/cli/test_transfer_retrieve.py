"""The whole verb: photos and captions in, a folder out."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from awase.cli import main

COLOURS = ("red", "blue", "green", "yellow", "white", "black")


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AWASE_CACHE", str(tmp_path / "cache"))
    rows = ["image,caption,split"]
    for i, colour in enumerate(COLOURS):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{colour}.png")
        split = "dev" if i < 4 else "test"
        rows += [f"{colour}.png,a {colour} square,{split}", f"{colour}.png,nothing but {colour},{split}"]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["transfer", "retrieve", *map(str, words)])
    return int(ended.value.code)


def test_a_folder_of_results(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    words = (data, "--encoder", "tiny:0", "--split", "dev", "-k", "1", "2", "--replicates", "50", "-o", out)
    assert _run(*words, "--top", "2", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "metrics.json").read_text())
    assert printed == written
    names = [estimate["name"] for estimate in written["estimates"]]
    assert names[:2] == ["recall_at_1.image_to_text", "recall_at_2.image_to_text"]
    assert names[-1] == "rsum"
    assert written["counts"] == {"images": 4, "captions": 8, "failed": 0}
    assert written["data"]["split"] == "dev"
    captions = pq.read_table(out / "captions.parquet").to_pylist()
    assert len(captions) == 8
    assert len(captions[0]["top_images"]) == 2
    card = (out / "card.md").read_text()
    assert "Captions whose photo is among the first 2" in card


def test_vectors_of_a_file_give_the_same_figures(data: Path, tmp_path: Path, capsys) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    vectors = tmp_path / "vectors.safetensors"
    assert _run(data, "-e", "tiny:0", "-o", first, "--save-features", vectors, "-q") == 0
    assert _run("--features", vectors, "-o", second, "--lang", "ja", "-q") == 0
    assert capsys.readouterr().out == ""
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (first, second))
    assert one["estimates"] == other["estimates"]
    assert one["encoder"]["fingerprint"] == other["encoder"]["fingerprint"]
    assert "画像" in (second / "card.md").read_text("utf-8")
    # every sentence has its Japanese
    notes = (second / "card.md").read_text("utf-8").partition("## 注意点")[2].partition("##")[0]
    assert not any(word in notes for word in ("photos", "Ties", "Recall"))


def test_exit_codes(data: Path, tmp_path: Path, capsys) -> None:
    base = (data, "-e", "tiny:0", "-q", "--replicates", "0", "-o", tmp_path / "out")
    assert _run(*base, "--at-least", "rsum=601") == 1
    assert "less than the wanted 601" in capsys.readouterr().err
    with data.open("a") as file:
        file.write("gone.png,a missing photo,dev\n")
    assert _run(*base) == 3
    rows = pq.read_table(tmp_path / "out" / "captions.parquet").to_pylist()
    assert rows[-1]["error_code"] == "missing_image"
    assert "missing_image 1" in (tmp_path / "out" / "card.md").read_text().replace("\\", "")


def test_wrong_usage_is_told_in_one_line(data: Path, tmp_path: Path, capsys) -> None:
    for words, message in (
        ((), "give DATA"),
        ((data, "--features", "x.safetensors"), "one of the two"),
        (("--features", tmp_path / "none.safetensors"), "no such file"),
        (("--features", tmp_path / "none.safetensors", "--split", "dev"), "--split belongs to DATA"),
        ((data, "-e", "tiny:0", "--split", "val"), "holds no pair"),
    ):
        assert _run(*words, "-o", tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
