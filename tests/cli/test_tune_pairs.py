"""awase tune pairs, as a user meets it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from awase.encoders import tuned

Run = Callable[..., Any]
TINY = ("--encoder", "tiny:0")
LIGHT = ("--steps", "4", "--batch-size", "4", "--recipe", "hidden=8", "dropout=0")
COLOURS = ("red", "green", "blue", "white")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWASE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two captions for each of twelve photos, of which the last four are dev."""
    lines = ["image,caption,split,label"]
    for number in range(12):
        photo = Image.new("RGB", (32, 32), COLOURS[number % 4])
        photo.putpixel((number, 3), (9, 9, 9))
        (tmp_path / "photos").mkdir(exist_ok=True)
        photo.save(tmp_path / "photos" / f"{number}.png")
        split = "train" if number < 8 else "dev"
        for text in ("a {} sheet", "a sheet, {}"):
            lines.append(
                f'{number}.png,"{text.format(COLOURS[number % 4])} {number}",{split},{COLOURS[number % 4]}'
            )
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def words(data: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("tune", "pairs", data, "--images", tmp_path / "photos", *LIGHT, "--dev-split", "dev")


def test_a_model_comes_out_that_other_verbs_take(
    awase: Run, words: tuple[object, ...], data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    ended = awase(*words, *TINY, "-o", out, "--objective", "regularized", "--option", "weight=0.3")
    assert ended.code == 0, ended.err
    assert "recall_at_1.image_to_text.gain" in ended.out
    assert f"awase transfer retrieve {data} --encoder tuned:{out}" in ended.out
    facts = json.loads((out / "config.json").read_text("utf-8"))["facts"]
    assert facts["settings"]["objective"] == "Regularized(weight=0.3, part='positives', form='mean')"
    assert facts["settings"]["head_rate"] == 1e-4  # the default is written out
    assert (facts["data"]["pairs"], facts["data"]["photos"], facts["data"]["dev_pairs"]) == (16, 8, 8)
    assert list(facts["losses"]) == ["1", "2", "3", "4"]
    assert set(facts["measured"]) == {"0", "4"}
    card = (out / "card.md").read_text("utf-8")
    assert "chose nothing" in card
    assert facts["data"]["fingerprint"] in card
    assert (out / "training_loss.svg").exists()
    assert not (out / "checkpoint").exists()
    # the same command again does nothing; another one is refused, --fresh replaces
    before = (out / "tuned.safetensors").stat().st_mtime_ns
    again = awase(*words, *TINY, "-o", out, "--objective", "regularized", "--option", "weight=0.3")
    assert again.code == 0
    assert "--fresh" in again.out
    assert (out / "tuned.safetensors").stat().st_mtime_ns == before
    other = awase(*words, *TINY, "-o", out)
    assert other.code == 2
    assert "other recipe" in other.err
    assert awase(*words, *TINY, "-o", out, "--fresh", "--lang", "ja").code == 0
    assert "開発データ" in (out / "card.md").read_text("utf-8")
    ended = awase(
        "check",
        data,
        "--images",
        tmp_path / "photos",
        "--encoder",
        f"tuned:{out}",
        "-o",
        tmp_path / "c",
        "--json",
    )
    assert ended.code == 0, ended.err
    assert ended.json["encoder"]["adapter"] == "tuned"
    assert ended.json["encoder"]["fingerprint"] == tuned.load(str(out)).spec.fingerprint


@pytest.mark.parametrize("train", [["text"], ["both"], ["heads", "text"], ["image+heads"]])
def test_any_part_learns(awase: Run, words: tuple[object, ...], tmp_path: Path, train: list[str]) -> None:
    ended = awase(
        *words, *TINY, "--train", *train, "--rate", "1e-3", "--chunk", "2", "-o", tmp_path / "m", "--json"
    )
    assert ended.code == 0, ended.err
    said = {name.partition("/")[0] for name in load_file(tmp_path / "m" / "tuned.safetensors")}
    wanted = {"head"} if "heads" in "".join(train) else set()
    assert said == wanted | ({"tower"} if train != ["heads"] else set())
    assert {e["name"] for e in ended.json["estimates"]} >= {"recall_at_10.text_to_image.before"}


def test_a_small_model_from_scratch(awase: Run, words: tuple[object, ...], tmp_path: Path) -> None:
    out = tmp_path / "model"
    small = ("--scratch", "small", "--scratch-option", "size=32", "width=16", "dimension=16", "layers=1")
    ended = awase(*words, *small, "--option", "form=sum", "--keep", "best", "-o", out)
    assert ended.code == 0, ended.err
    content = json.loads((out / "config.json").read_text("utf-8"))
    assert (content["base"]["adapter"], content["base"]["name"]) == ("small", "./base")
    assert content["facts"]["settings"]["rate"] == 1e-3
    # the words are those of the training captions alone
    vocabulary = json.loads((out / "base" / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    assert "7" in vocabulary
    assert "11" not in vocabulary
    assert tuned.load(str(out)).encode_text(["a red sheet"]).shape == (1, 16)
    # another recipe is refused before the base that lies there is touched
    before = (out / "base" / "model.safetensors").read_bytes()
    assert awase(*words, *small, "width=8", "-o", out).code == 2
    assert (out / "base" / "model.safetensors").read_bytes() == before


def test_bad_rows_are_left_out_and_counted(
    awase: Run, words: tuple[object, ...], data: Path, tmp_path: Path
) -> None:
    with data.open("a", encoding="utf-8") as stream:
        stream.write("gone.png,nothing,train,red\n")
    ended = awase(*words, *TINY, "-o", tmp_path / "m")
    assert ended.code == 3
    facts = json.loads((tmp_path / "m" / "config.json").read_text("utf-8"))["facts"]
    assert [row["error_code"] for row in facts["bad_rows"]] == ["missing_image"]
    assert awase(*words, *TINY, "-o", tmp_path / "m").code == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--split", "fold"], "no split 'fold'"),
        (["--dev-split", "train"], "both"),
        (["--train", "wings"], "wings"),
        (["--objective", "magic"], "info_nce"),
        (["--option", "weight=1"], "form"),
        (["--recipe", "depth=3"], "weight_decay"),
        (["--temperature", "hot"], "learned"),
        (["--scratch", "large"], "small"),
        (["--scratch-option", "size=32"], "--scratch"),
        (["--objective", "regularized", "--option", "weight=-1"], "weight"),
    ],
)
def test_what_cannot_be_done_is_said(
    awase: Run, words: tuple[object, ...], tmp_path: Path, given: list[str], message: str
) -> None:
    ended = awase(*words, *TINY, "-o", tmp_path / "m", *given)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "m" / "config.json").exists()


def test_test_pairs_choose_nothing(awase: Run, data: Path, words: tuple[object, ...], tmp_path: Path) -> None:
    data.write_text(data.read_text("utf-8").replace(",dev,", ",test,"), "utf-8")
    ended = awase(*words[:-1], "test", *TINY, "--keep", "best", "-o", tmp_path / "m")
    assert ended.code == 2
    assert "test pairs" in ended.err


def test_numbers_go_to_tensorboard(awase: Run, words: tuple[object, ...], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    ended = awase(*words, *TINY, "--report-to", "tensorboard", "-o", tmp_path / "m")
    assert ended.code == 0, ended.err
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,
    )

    events = EventAccumulator(str(tmp_path / "m" / "runs"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/loss", "train/logit_scale", "train/learning_rate"} <= tags
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]


def test_two_processes_under_torchrun_give_what_one_gives(
    awase: Run, words: tuple[object, ...], tmp_path: Path
) -> None:
    given = [*words, *TINY, "--objective", "regularized", "--train", "heads", "text", "--rate", "1e-3", "-q"]
    one, two = tmp_path / "one", tmp_path / "two"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "awase", *map(str, given), "-o", str(two)],
            env={**shared, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    assert awase(*given, "-o", one).code == 0
    for process in started:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    first, second = (load_file(place / "tuned.safetensors") for place in (one, two))
    assert first.keys() == second.keys()
    for name, value in first.items():
        if name.startswith("head/"):
            torch.testing.assert_close(second[name], value, atol=2e-5, rtol=1e-4)
    # not weight by weight: the keys' biases change nothing, so Adam makes steps out of their rounding
    texts = [tuned.load(str(place)).encode_text(["a red sheet", "blue"]) for place in (one, two)]
    torch.testing.assert_close(texts[1], texts[0], atol=1e-4, rtol=0)
    contents = [json.loads((place / "config.json").read_text("utf-8")) for place in (one, two)]
    assert [content["facts"]["n_devices"] for content in contents] == [1, 2]
    losses = [list(content["facts"]["losses"].values()) for content in contents]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
