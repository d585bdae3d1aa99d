"""The examples run as their first lines say, on the toy model and on the one that ships with awase."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _run(folder: Path, name: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *options],
        check=False,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env={"PATH": "", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "check_photos.py",
        "classify_photos.py",
        "heat_map.py",
        "ood_photos.py",
        "own_checkpoint.py",
        "retrieve_photos.py",
        "search_prompts.py",
        "train_pairs.py",
        "tune_few_shots.py",
    }


@pytest.mark.parametrize("encoder", ["tiny:0", "builtin"])
def test_check_photos(tmp_path: Path, encoder: str) -> None:
    shown = _run(tmp_path, "check_photos.py", "--encoder", encoder)
    assert "does not fit" in shown
    assert "'pairs': 79" in shown
    assert "'errors': 0" in shown


@pytest.mark.parametrize("encoder", ["tiny:0", "builtin"])
def test_own_checkpoint(tmp_path: Path, encoder: str) -> None:
    shown = _run(tmp_path, "own_checkpoint.py", encoder, "--recall", "0.3")
    assert "for this encoder only" in shown
    assert "ocalisation" in shown


def test_heat_map(tmp_path: Path) -> None:
    from PIL import Image

    _run(tmp_path, "heat_map.py", "--encoder", "tiny:0")
    with Image.open(tmp_path / "heat_map.png") as picture:
        assert picture.size == (341, 512)


@pytest.mark.parametrize("encoder", ["tiny:0", "builtin"])
def test_ood_photos(tmp_path: Path, encoder: str) -> None:
    shown = _run(tmp_path, "ood_photos.py", "--encoder", encoder)
    assert "higher score means in_distribution" in shown
    assert shown.count("p-value") == 10


@pytest.mark.parametrize("encoder", ["tiny:0", "builtin"])
def test_tune_few_shots(tmp_path: Path, encoder: str) -> None:
    shown = _run(tmp_path, "tune_few_shots.py", "--encoder", encoder)
    assert "accuracy.gain" in shown
    assert "the same: True" in shown


@pytest.mark.parametrize("encoder", ["tiny:0", "builtin"])
def test_classify_photos(tmp_path: Path, encoder: str) -> None:
    shown = _run(tmp_path, "classify_photos.py", "--encoder", encoder)
    assert "12 photos, 0 that could not be read" in shown
    assert "top_1_accuracy" in shown


def test_search_prompts(tmp_path: Path) -> None:
    shown = _run(tmp_path, "search_prompts.py", "--encoder", "tiny:0", "--output", "prompts.json")
    assert "12 photos, 0 that could not be read" in shown
    assert "accuracy.gain" in shown
    assert "interval of the difference" in shown
    assert (tmp_path / "prompts.json").is_file()


def test_retrieve_photos(tmp_path: Path) -> None:
    shown = _run(tmp_path, "retrieve_photos.py", "--encoder", "tiny:0")
    assert "26 photos, 26 captions, 0 rows failed" in shown
    assert "recall_at_5.text_to_image" in shown


@pytest.mark.parametrize("encoder", ["tiny:0", "builtin"])
def test_train_pairs(tmp_path: Path, encoder: str) -> None:
    shown = _run(tmp_path, "train_pairs.py", "--encoder", encoder)
    assert "19 pairs to learn from, 11 to measure on, 0 bad rows" in shown
    assert "recall_at_5.text_to_image.gain" in shown
    assert "saved, loaded, the same: True" in shown
