"""`awase tune compare` on photos of colours: tables, figure, resume, and what a user gets wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200), "grey": (128, 128, 128)}


def _photos(folder: Path, colour: tuple[int, int, int], n: int, seed: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(n):
        noise = random.integers(-25, 25, (12, 12, 3))
        pixels = np.clip(np.array(colour) + noise, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, (name, colour) in enumerate(COLOURS.items()):
        _photos(tmp_path / "colours" / name, colour, 8, number)
    _photos(tmp_path / "unknown", (250, 250, 20), 6, 9)
    _photos(tmp_path / "pets" / "white", (250, 250, 250), 3, 10)
    _photos(tmp_path / "pets" / "black", (5, 5, 5), 3, 11)
    (tmp_path / "pairs.csv").write_text(
        "image,caption,split\npets/white/0.png,a white square,dev\npets/black/0.png,a black square,dev\n"
        "pets/black/1.png,a dark square,train\n",
        "utf-8",
    )
    return tmp_path


def _words(data: Path, **more: Any) -> list[str]:
    given: dict[str, list[Any]] = {
        "--data": [data / "colours"],
        "--ood": [f"yellow={data / 'unknown'}"],
        "--other": [data / "pets"],
        "--retrieval": [f"pairs={data / 'pairs.csv'}"],
        "--retrieval-split": ["dev"],
        "--methods": ["tip_adapter", "taskres:epochs=2"],
        "--scores": ["mcm", "knn:k=1"],
        "--shots": [0, 1, 2],
        "--seeds": [1, 2],
        "--encoder": ["tiny:0"],
        "--output": [data / "out"],
    }
    given |= {f"--{name.replace('_', '-')}": values for name, values in more.items()}
    return [str(word) for name, values in given.items() if values is not None for word in (name, *values)]


def test_everything_is_measured_and_written(awase: Callable[..., Any], data: Path) -> None:
    done = awase("tune", "compare", *_words(data))
    assert done.code == 0, done.err
    out = data / "out"
    table = pq.read_table(out / "comparison.parquet").to_pylist()
    found = {(row["method"], row["shots"], row["figure"]): row for row in table}
    for method, shots in (("zero_shot", 0), ("tip_adapter", 1), ("taskres:epochs=2", 2)):
        for figure in (
            "accuracy",
            "auroc/mcm/yellow",
            "auroc/mcm/mean",
            "fpr/mcm/yellow",
            "auroc/mcm/held_out_classes",
            "base_accuracy",
            "new_accuracy",
            "harmonic_mean",
            "zero_shot/pets",
            "image_to_text_r1/pairs",
            "fit_seconds",
            "parameters",
        ):
            assert found[method, shots, figure]["mean"] >= 0, (method, figure)
    assert found["taskres:epochs=2", 2, "accuracy"]["seeds"] == 2
    # without shots there is nothing to compare a neighbour with
    assert found["zero_shot", 0, "auroc/knn:k=1/mean"]["mean"] is None
    assert found["taskres:epochs=2", 2, "auroc/knn:k=1/mean"]["mean"] > 0.5
    assert len(pq.read_table(out / "runs.parquet")) > len(table)
    page = (out / "comparison.md").read_text("utf-8")
    assert "16 test images, 4 classes" in page
    assert "| tip_adapter | 2 |" in page
    assert "tip_adapter" in done.out
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["higher_means"] == "in_distribution"
    assert "epochs=2" in summary["methods"]["taskres:epochs=2"]
    assert str(Path.home()) not in json.dumps(summary["data"])


def test_a_second_run_computes_nothing_and_says_the_same(awase: Callable[..., Any], data: Path) -> None:
    first = awase("tune", "compare", *_words(data))
    cells = {path: path.stat().st_mtime_ns for path in (data / "out" / "cells").iterdir()}
    second = awase("tune", "compare", *_words(data))
    assert first.out == second.out
    assert cells == {path: path.stat().st_mtime_ns for path in (data / "out" / "cells").iterdir()}
    more = awase("tune", "compare", *_words(data, seeds=[1, 2, 3]))
    assert more.code == 0
    assert len(list((data / "out" / "cells").iterdir())) == len(cells) + 4


def test_a_method_that_cannot_costs_its_rows(awase: Callable[..., Any], data: Path) -> None:
    done = awase("tune", "compare", *_words(data, shots=[1, 4], methods=["tip_adapter"]))
    assert done.code == 3  # 8 images a class, half of them test: no room for 4 shots and 4 to choose on
    assert "tip_adapter, 4 shots" in done.err
    assert "| tip_adapter | 1 |" in (data / "out" / "comparison.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": ["tipadapter"]}, "there is no tune 'tipadapter'"),
        ({"scores": ["mcm:temperatur=1"]}, "did you mean temperature"),
        ({"scores": ["mcm", "mcm"]}, "twice"),
        ({"methods": ["taskres", "taskres"]}, "twice"),
        ({"methods": ["taskres:epoch=1"]}, "epochs"),
        ({"shots": [-1]}, "from 0 on"),
        ({"ood": ["red=nowhere"]}, "nowhere"),
        ({"template": ["a photo"]}, "exactly one {}"),
    ],
)
def test_mistakes_get_one_line(
    awase: Callable[..., Any], data: Path, given: dict[str, list[Any]], said: str
) -> None:
    done = awase("tune", "compare", *_words(data, **given))
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_unknown_images_that_are_known_are_refused(awase: Callable[..., Any], data: Path) -> None:
    done = awase("tune", "compare", *_words(data, ood=[f"copies={data / 'colours' / 'red'}"]))
    assert done.code == 2
    assert "by content: red/" in done.err


def test_known_classes_are_left_out_of_the_unknown(awase: Callable[..., Any], data: Path) -> None:
    _photos(data / "mixed" / "red", (201, 30, 30), 2, 20)
    _photos(data / "mixed" / "pink", (250, 100, 150), 2, 21)
    done = awase("tune", "compare", *_words(data, ood=[data / "mixed"]))
    assert done.code == 0
    assert "Left out of mixed, being known classes" in (data / "out" / "comparison.md").read_text("utf-8")
