"""awase transfer explain, as a user meets it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from awase.cli._explain_pairs import read_labels
from awase.errors import DataError
from awase.functional.similarity import normalize
from awase.report.transfer_wording import estimate_words, label_words, note_words
from awase.report.words_charts import CHARTS
from awase.transfer._explain import explain, load_diagnostics
from awase.types import PairFeatures

Run = Callable[..., Any]
TINY = ("--encoder", "tiny:0", "--replicates", "20", "--offline", "--batch-size-trained", "4")
QUICK = ("--replicates", "20", "--batch-size-trained", "4")


def _metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
    return content


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    draws = torch.Generator().manual_seed(0)
    images = normalize(torch.randn(6, 8, generator=draws))
    texts = normalize(images[[0, 1, 2, 3, 4, 5, 0]] + 0.3 * torch.randn(7, 8, generator=draws))
    path = tmp_path / "vectors.safetensors"
    owners = torch.tensor([0, 1, 2, 3, 4, 5, 0])
    save_file({"image_features": images, "text_features": texts, "image_of_text": owners}, path)
    return path


def test_pairs_are_explained_and_written(awase: Run, bad_pairs: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = awase("transfer", "explain", bad_pairs, "--images", photos, *TINY, "-o", out)
    assert ended.code == 3, ended.err
    for words in ("margin_q50.image_to_text", "modality_gap", "Gap is not margin", "could not be read"):
        assert words in ended.out
    found = _metrics(out)
    assert found["counts"] == {"images": 6, "texts": 12, "labels": None, "failed": 3}
    figures = {f"{chart['name']}.svg" for chart in found["charts"]}
    written = {path.name for path in out.iterdir()}
    assert written == {"metrics.json", "card.md", "pairs.parquet"} | (figures & written)
    assert {"margins.svg", "any_false_negative.svg", "completeness.svg"} <= written
    rows = pq.read_table(out / "pairs.parquet").to_pylist()
    assert len(rows) == 15
    assert {row["error_code"] for row in rows} == {None, "missing_image", "unreadable_image", "empty_caption"}
    # "a dog on grass" stands with all six photos
    value = {estimate["name"]: estimate["value"] for estimate in found["estimates"]}
    assert value["false_negatives.equal_captions"] == pytest.approx(3 * 0.5 * 5 / 10)


def test_class_folders_are_explained_by_their_prompts(awase: Run, tmp_path: Path) -> None:
    for place, (label, colour) in enumerate({"red_sheet": "red", "sea": "blue", "snow": "white"}.items()):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            picture = Image.new("RGB", (32, 32), colour)
            picture.putpixel((number, place), (9, 9, 9))
            picture.save(tmp_path / "data" / label / f"{number}.png")
    out = tmp_path / "out"
    ended = awase("transfer", "explain", tmp_path / "data", *TINY, "-o", out, "--lang", "ja", "--quiet")
    assert ended.code == 0, ended.err
    found = _metrics(out)
    assert found["counts"] == {"images": 9, "texts": 9, "labels": 3, "failed": 0}
    assert found["prompts"]["templates"] == ["a photo of a {}."]
    names = {estimate["name"] for estimate in found["estimates"]}
    assert "transfer_error_1.zero_shot" in names
    assert "any_false_negative.counted" in names
    card = (out / "card.md").read_text("utf-8")
    assert "余裕の中央値" in card
    assert "Gap is not margin" not in card


def test_every_number_figure_and_note_has_words_in_both_languages() -> None:
    draws = torch.Generator().manual_seed(0)
    images = normalize(torch.randn(6, 8, generator=draws))
    texts = normalize(images + 0.3 * torch.randn(6, 8, generator=draws))
    captioned = PairFeatures(
        images, texts, torch.arange(6), tuple("abcdef"), captions=tuple(f"dog {i}" for i in range(6))
    )
    labelled = replace(captioned, captions=None, labels=tuple("xyxyxy"), logit_scale=50.0)
    prompted = replace(labelled, text_features=texts[[0, 1, 0, 1, 0, 1]])
    easy = replace(captioned, image_features=texts)  # a positive margin, so a safe temperature
    for pairs in (captioned, labelled, prompted, easy):
        for size in (4, 64):
            found = explain(pairs, load_diagnostics((), {"batch_size": size, "n_replicates": 0}))
            for estimate in found.estimates:
                for language in ("en", "ja"):
                    said = estimate_words(estimate.name, language)
                    assert "{" not in said
                    assert said != estimate.name
                    assert not said.endswith(("image_to_text", "text_to_image"))
            for chart in found.charts:
                assert chart.name in CHARTS
                for label in [*(line.label for line in chart.lines), *chart.marks]:
                    assert any(ord(sign) > 0x3000 for sign in label_words(label, "ja")), label
            for note in found.notes:
                assert note_words(note, "ja") != note, note


def test_vectors_in_one_file_and_in_two_say_the_same(awase: Run, vectors: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    both = load_file(vectors)
    images, texts = tmp_path / "images.safetensors", tmp_path / "texts.safetensors"
    save_file({"anything": both["image_features"]}, images)
    save_file({key: both[key] for key in ("text_features", "image_of_text")}, texts)
    said = []
    for words in (("--features", vectors), ("--image-features", images, "--text-features", texts)):
        ended = awase(
            "transfer", "explain", *words, *QUICK, "-o", tmp_path / "out", "--json", "--diagnostic", "margins"
        )
        assert ended.code == 0, ended.err
        said.append(ended.json["estimates"])
    assert said[0] == said[1]


def test_only_what_is_asked_for_and_its_limits(awase: Run, vectors: Path, tmp_path: Path) -> None:
    words = ("transfer", "explain", "--features", vectors, *QUICK, "-o", tmp_path / "out", "--json")
    ended = awase(*words, "--diagnostic", "bound", "geometry", "--top", "1", "2", "--temperature", "0.5")
    assert ended.code == 0, ended.err
    names = [estimate["name"] for estimate in ended.json["estimates"]]
    assert "transfer_bound_2.image_to_text" in names
    assert "alignment" in names
    assert not any(name.startswith("margin") for name in names)
    assert "temperature=0.5" in ended.json["diagnostics"]["bound"]
    failed = awase(*words, "--diagnostic", "geometry", "--at-most", "alignment=0.0001")
    assert failed.code == 1


def test_what_is_refused_in_one_line(awase: Run, vectors: Path, pairs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    zero = torch.eye(4)
    zero[2] = 0
    save_file({"image_features": zero, "text_features": torch.eye(4)}, broken)
    short, texts = tmp_path / "short.safetensors", tmp_path / "texts.safetensors"
    save_file({"image_features": torch.eye(4)[:3]}, short)
    save_file({"text_features": torch.eye(4)}, texts)
    cases = [
        ((), "give DATA, or vectors"),
        ((pairs, "--features", vectors), "give DATA, or vectors"),
        (("--image-features", short), "--text-features FILE is missing"),
        (("--features", vectors, "--text-features", texts), "leave out --image-features"),
        (("--image-features", short, "--text-features", texts), "3 rows and --text-features 4"),
        (("--features", broken), "rows 2"),
        (("--features", vectors, "--temperature", "0"), "temperature must be positive"),
        (("--features", vectors, "--delta", "2"), "delta in (0, 1)"),
        (("--features", vectors, "--diagnostic", "nothing"), "there is no diagnostic"),
        (("--features", vectors, "--proxy", "guess"), "no proxy 'guess'"),
    ]
    for words, expected in cases:
        ended = awase("transfer", "explain", *words, "-o", tmp_path / "out")
        assert ended.code == 2, words
        assert expected in ended.err, ended.err
        assert len(ended.err.strip().splitlines()) == 1


def test_labels_by_line_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"b": "cat", "a": "dog"}', "utf-8")
    assert read_labels(path, ("a", "b")) == ("dog", "cat")
    with pytest.raises(DataError, match="no class for 1 images, such as 'c'"):
        read_labels(path, ("a", "c"))
    lines = tmp_path / "labels.txt"
    lines.write_text("dog\n", "utf-8")
    with pytest.raises(DataError, match="one class for each of 2 images, got 1"):
        read_labels(lines, ("a", "b"))
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "gone.txt", ("a",))
