"""`awase ood fit | score | evaluate` from end to end, on photos made here and the toy encoder."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.cli.conftest import Ended

COLOURS = {"red_fox": (200, 40, 30), "blue_jay": (30, 60, 200), "green_frog": (40, 180, 50)}
MODEL = ("--encoder", "tiny:0", "--workers", "0", "--batch-size", "16")
Run = Callable[..., Ended]


def _photos(folder: Path, colour: tuple[int, int, int] | None, n: int, seed: int) -> None:
    """Photos of one colour with noise, or of noise alone."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(seed)
    for number in range(n):
        pixels = draws.normal(0, 15, (24, 24, 3)) + (draws.uniform(0, 255, 3) if colour is None else colour)
        if colour is None:
            pixels += draws.normal(0, 90, (24, 24, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """animals/train and animals/test with three classes, noise/ without, flat/ without splits."""
    root = tmp_path_factory.mktemp("ood")
    for seed, (name, colour) in enumerate(COLOURS.items()):
        _photos(root / "animals" / "train" / name, colour, 24, seed)
        _photos(root / "animals" / "test" / name, colour, 10, 50 + seed)
        _photos(root / "flat" / name, colour, 24, 100 + seed)
    _photos(root / "noise", None, 30, 900)
    return root


@pytest.fixture(scope="module")
def detector(places: Path) -> Path:
    """A kNN detector: the toy encoder's words mean nothing, its vectors of colours do."""
    from awase.cli import main

    words = ["ood", "fit", places / "animals", "--method", "knn", "--output", places / "detector", "--quiet"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in (*words, *MODEL)])
    assert ended.value.code == 0
    return places / "detector"


def test_fit_says_what_it_did_and_how_to_go_on(awase: Run, places: Path, tmp_path: Path) -> None:
    ended = awase("ood", "fit", places / "animals", "--output", tmp_path / "d", *MODEL)
    assert (ended.code, ended.err) == (0, "")
    assert "mcm over 3 classes: threshold set on 72 images" in ended.out
    assert "at least 95 % of known images" in ended.out
    assert "A higher score means in-distribution" in ended.out
    assert f"awase ood score PHOTOS --detector {tmp_path / 'd'}" in ended.out
    facts = json.loads((tmp_path / "d" / "detector.json").read_text("utf-8"))
    assert facts["classes"]["names"] == ["blue jay", "green frog", "red fox"]
    assert facts["classes"]["labels"] == ["blue_jay", "green_frog", "red_fox"]
    assert facts["classes"]["templates"] == ["a photo of a {}."]
    assert facts["provenance"]["splits"] == {"train": "train", "calibrate": "train", "divided": True}
    assert len(facts["calibration"]) == 72


def test_settings_templates_and_names_reach_the_detector(awase: Run, places: Path, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"red_fox": "fox"}', "utf-8")
    words = ("--option", "temperature=0.5", "--template", "a {}", "one {}", "--keep", "0.9", "--alpha", "0.2")
    more = ("--class-names", tmp_path / "names.json", "--sets", "aps", "--seed", "4", "--json")
    ended = awase("ood", "fit", places / "flat", "--output", tmp_path / "d", *words, *more, *MODEL)
    assert ended.code == 0, ended.err
    assert ended.json["settings"] == "Mcm(temperature=0.5)"
    assert (ended.json["keep"], ended.json["alpha"], ended.json["sets"]) == (0.9, 0.2, "aps")
    assert ended.json["seed"] == 4
    facts = json.loads((tmp_path / "d" / "detector.json").read_text("utf-8"))
    assert facts["classes"]["names"] == ["blue jay", "green frog", "fox"]
    assert facts["classes"]["templates"] == ["a {}", "one {}"]


def test_a_score_that_learns_divides_the_train_split(awase: Run, places: Path, tmp_path: Path) -> None:
    words = ("--method", "knn", "--output", tmp_path / "d", "--json")
    found = awase("ood", "fit", places / "animals", *words, *MODEL).json
    assert (found["n_training"], found["n_calibration"]) == (36, 36)
    found = awase("ood", "fit", places / "animals", "--shots", "4", *words, *MODEL).json
    assert (found["n_training"], found["n_calibration"]) == (12, 60)
    found = awase("ood", "fit", places / "animals", "--calibrate-split", "test", *words, *MODEL).json
    assert (found["n_training"], found["n_calibration"]) == (72, 30)
    assert found["splits"] == {"train": "train", "calibrate": "test", "divided": False}
    found = awase("ood", "fit", places / "flat", "--hold-out", "0.3", *words, *MODEL).json
    assert (found["n_training"], found["n_calibration"]) == (27, 24)
    assert found["counts"]["held_out"] == 21


def test_a_score_that_reads_patches(awase: Run, places: Path, tmp_path: Path) -> None:
    words = ("--method", "gl_mcm", "--output", tmp_path / "d", "--quiet")
    assert awase("ood", "fit", places / "flat", *words, *MODEL).code == 0
    more = ("--detector", tmp_path / "d", "--output", tmp_path / "out", "--json", "--workers", "0")
    ended = awase("ood", "score", places / "noise", *more)
    assert (ended.code, ended.json["counts"]["errors"]) == (0, 0)


def test_a_tuned_model_takes_the_place_of_its_encoder(awase: Run, places: Path, tmp_path: Path) -> None:
    tune = ("--method", "tip_adapter", "--shots", "2", "--output", tmp_path / "tuned", "--quiet")
    ended = awase("tune", "fit", places / "animals", *tune, *MODEL)
    assert ended.code == 0, ended.err
    fit = ("--tuned", tmp_path / "tuned", "--output", tmp_path / "d", "--json")
    ended = awase("ood", "fit", places / "animals", *fit, *MODEL)
    assert ended.code == 0, ended.err
    facts = json.loads((tmp_path / "d" / "detector.json").read_text("utf-8"))
    seen = json.loads((tmp_path / "tuned" / "card.json").read_text("utf-8"))["split"]
    tuned_on = {*seen["train"].values(), *seen["validation"].values()}
    assert len(tuned_on) >= 6
    assert not tuned_on & set(facts["calibration"])
    words = ("ood", "score", places / "noise", "--detector", tmp_path / "d", "--output", tmp_path / "out")
    ended = awase(*words, "--workers", "0")
    assert ended.code == 2
    assert "belongs to tuned model" in ended.err
    assert awase(*words, "--tuned", tmp_path / "tuned", "--workers", "0", "--quiet").code == 0
    ended = awase(
        "ood", "fit", places / "animals", *fit, "--calibrate-split", "train", "--template", "{}", *MODEL
    )
    assert ended.code == 2
    assert "has its own classes and templates" in ended.err


def test_score_gives_a_row_for_each_image(awase: Run, places: Path, detector: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    _photos(mixed, COLOURS["red_fox"], 3, 7)
    (mixed / "broken.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 50)
    (mixed / "notes.txt").write_text("no photo")
    out = tmp_path / "out"
    ended = awase("ood", "score", mixed, "--detector", detector, "--output", out, "--csv", "--workers", "0")
    assert ended.code == 3
    assert "4 images" in ended.out
    assert "1 failed (unreadable_image 1)" in ended.out
    table = pq.read_table(out / "results.parquet")
    assert table.schema.metadata[b"higher_means"] == b"in_distribution"
    rows = table.to_pylist()
    columns = [
        "id",
        "image",
        "class",
        "score",
        "p_value",
        "decision",
        "prediction_set",
        "error_code",
        "error",
    ]
    assert table.column_names == columns
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    bad = [row for row in rows if row["error_code"] is not None]
    assert [row["error_code"] for row in bad] == ["unreadable_image"]
    assert bad[0]["score"] is None
    good = [row for row in rows if row["error_code"] is None]
    assert {row["decision"] for row in good} <= {"keep", "abstain"}
    assert all(0 < row["p_value"] <= 1 for row in good)
    assert all(set(row["prediction_set"]) <= set(COLOURS) for row in good)
    lines = (out / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    with (out / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == [row["id"] for row in rows]
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["higher_means"] == "in_distribution"
    assert summary["counts"]["errors"] == 1
    assert summary["counts"]["kept"] + summary["counts"]["abstained"] == 3


def test_known_photos_are_kept_and_noise_is_not(
    awase: Run, places: Path, detector: Path, tmp_path: Path
) -> None:
    for name, source in (("known", places / "animals" / "test"), ("noise", places / "noise")):
        ended = awase(
            "ood",
            "score",
            source,
            "--detector",
            detector,
            "--output",
            tmp_path / name,
            "--quiet",
            "--workers",
            "0",
        )
        assert ended.code == 0, ended.err
        assert ended.out == ""
    kept = {
        name: [
            row["decision"] == "keep"
            for row in pq.read_table(tmp_path / name / "results.parquet").to_pylist()
        ]
        for name in ("known", "noise")
    }
    assert sum(kept["known"]) >= 24  # of 30
    assert sum(kept["noise"]) <= 10  # of 30


def test_fail_over_is_an_exit_code(awase: Run, places: Path, detector: Path, tmp_path: Path) -> None:
    words = ("ood", "score", places / "noise", "--detector", detector, "--output", tmp_path, "--workers", "0")
    ended = awase(*words, "--fail-over", "0.1")
    assert ended.code == 1
    assert "are unknown, more than --fail-over 10.0%" in ended.err


def test_a_second_run_does_nothing_and_another_detector_is_refused(
    awase: Run, places: Path, detector: Path, tmp_path: Path
) -> None:
    words = ("ood", "score", places / "noise", "--output", tmp_path / "out", "--workers", "0")
    first = awase(*words, "--detector", detector, "--json")
    before = (tmp_path / "out" / "results.parquet").read_bytes()
    again = awase(*words, "--detector", detector, "--json")
    assert (first.json["rows_in_these_seconds"], again.json["rows_in_these_seconds"]) == (30, 0)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == before
    awase("ood", "fit", places / "flat", "--output", tmp_path / "other", "--quiet", *MODEL)
    ended = awase(*words, "--detector", tmp_path / "other")
    assert ended.code == 2
    assert "holds another run: detector was" in ended.err
    assert awase(*words, "--detector", tmp_path / "other", "--fresh").code == 0


def test_failed_rows_can_be_tried_again(awase: Run, detector: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    _photos(mixed, None, 5, 7)
    whole = (mixed / "002.png").read_bytes()
    (mixed / "002.png").write_bytes(whole[:60])
    words = ("ood", "score", mixed, "--detector", detector, "--output", tmp_path / "out", "--workers", "0")
    assert awase(*words).code == 3
    (mixed / "002.png").write_bytes(whole)
    ended = awase(*words, "--retry-failed", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["counts"]["errors"] == 0
    assert ended.json["rows_in_these_seconds"] == 1


def test_evaluate_with_a_detector(awase: Run, places: Path, detector: Path, tmp_path: Path) -> None:
    words = ("--id", places / "animals", "--ood", places / "noise", "--workers", "0", "--replicates", "100")
    ended = awase("ood", "evaluate", "--detector", detector, *words, "--output", tmp_path / "e.json")
    assert (ended.code, ended.err) == (0, "")
    for said in (
        "AUROC",
        "AUPR in",
        "FPR at TPR 0.95",
        "id_positive",
        "kept.id",
        "set_coverage",
        "id_accuracy",
    ):
        assert said in ended.out, said
    content = json.loads((tmp_path / "e.json").read_text("utf-8"))
    figures = {figure["name"]: figure for figure in content["estimates"]}
    assert figures["auroc.noise"]["value"] > 0.7
    assert content["counts"] == {"id": 30, "noise": 30}
    assert content["higher_means"] == "in_distribution"
    assert content["convention"] == "id_positive"
    assert figures["kept.id"]["low"] <= figures["kept.id"]["value"] <= figures["kept.id"]["high"]
    met = ("--at-least", "auroc.noise=0.5", "--at-most", "fpr_at_tpr.noise=1", "--quiet")
    assert awase("ood", "evaluate", "--detector", detector, *words, *met).code == 0
    missed = awase("ood", "evaluate", "--detector", detector, *words, "--at-most", "auroc.noise=0.1")
    assert missed.code == 1
    assert "more than the wanted 0.1" in missed.err


def test_evaluate_agrees_with_the_files_that_score_writes(
    awase: Run, places: Path, detector: Path, tmp_path: Path
) -> None:
    for name, source in (("known", places / "animals" / "test"), ("noise", places / "noise")):
        words = ("--detector", detector, "--output", tmp_path / name, "--quiet", "--workers", "0")
        assert awase("ood", "score", source, *words).code == 0
    files = ("--id-scores", tmp_path / "known" / "results.parquet")
    more = ("--ood-scores", tmp_path / "noise" / "results.parquet", "--replicates", "0", "--json")
    by_files = awase("ood", "evaluate", *files, *more).json
    images = ("--id", places / "animals", "--ood", places / "noise", "--replicates", "0", "--workers", "0")
    by_images = awase("ood", "evaluate", "--detector", detector, *images, "--json").json
    for name in ("auroc.noise", "aupr_in.noise", "fpr_at_tpr.noise"):
        values = [
            next(figure["value"] for figure in found["estimates"] if figure["name"] == name)
            for found in (by_files, by_images)
        ]
        assert values[0] == pytest.approx(values[1], abs=1e-9), name


def test_the_worked_example_from_files(awase: Run, tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text("score\n0.9\n0.8\n0.7\n0.7\n", "utf-8")
    (tmp_path / "other.csv").write_text("score\n0.7\n0.6\n0.95\n", "utf-8")
    words = ("--id-scores", tmp_path / "known.csv", "--ood-scores", f"far={tmp_path / 'other.csv'}")
    for convention, fpr in (("id_positive", 2 / 3), ("ood_positive", 1.0), ("mcm_nearest", 2 / 3)):
        with pytest.warns(UserWarning, match="fewer than 20"):
            ended = awase(
                "ood", "evaluate", *words, "--convention", convention, "--json", "--replicates", "0"
            )
        figures = {figure["name"]: figure["value"] for figure in ended.json["estimates"]}
        assert figures["auroc.far"] == pytest.approx(7 / 12)
        assert figures["fpr_at_tpr.far"] == pytest.approx(fpr), convention
        assert any("fewer than 20" in said for said in ended.json["warnings"])


def test_images_that_made_the_detector_are_refused(
    awase: Run, places: Path, detector: Path, tmp_path: Path
) -> None:
    words = ("ood", "evaluate", "--detector", detector, "--ood", places / "noise", "--workers", "0")
    ended = awase(*words, "--id", places / "animals", "--split", "train")
    assert ended.code == 2
    assert (
        "72 of the images that the detector was made from are also among the known test images" in ended.err
    )
    assert "blue_jay/000.png" in ended.err
    ended = awase(*words, "--id", places / "animals", "--split", "train", "--unseen")
    assert ended.code == 2
    assert "no image is left" in ended.err
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    source = next((places / "animals" / "test" / "red_fox").iterdir())
    (mixed / "copy.png").write_bytes(source.read_bytes())
    ended = awase(*words[:4], "--id", places / "animals", "--ood", mixed, "--workers", "0")
    assert ended.code == 2
    assert "1 of the known images is also among the images of mixed" in ended.err


def test_what_was_held_out_can_be_measured_on(awase: Run, places: Path, tmp_path: Path) -> None:
    words = ("--method", "knn", "--hold-out", "0.3", "--output", tmp_path / "d", "--quiet")
    assert awase("ood", "fit", places / "flat", *words, *MODEL).code == 0
    more = ("--id", places / "flat", "--ood", places / "noise", "--unseen", "--replicates", "0", "--json")
    ended = awase("ood", "evaluate", "--detector", tmp_path / "d", *more, "--workers", "0")
    assert ended.code == 0, ended.err
    assert ended.json["counts"]["id"] == 21
    assert ended.json["left_out"] == 51


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "mmc"), "there is no ood 'mmc'"),
        (("--option", "warmth=1"), "mcm has no setting 'warmth'"),
        (("--option", "temperature=warm"), "temperature takes a number"),
        (("--option", "temperature=-1"), "temperature must be positive"),
        (("--keep", "1"), "--keep must lie between 0 and 1"),
        (("--sets", "raps"), "--sets takes lac or aps"),
        (("--template", "a photo"), "exactly one {}"),
        (("--train-split", "dev"), "has the splits test, train"),
        (("--calibrate-split", "test", "--hold-out", "0.2"), "--hold-out divides one pool"),
        (("--class-names", "nowhere.json"), "nowhere.json cannot be read"),
    ],
)
def test_what_fit_cannot_do_is_said_in_one_line(
    words: tuple[str, ...], said: str, awase: Run, places: Path, tmp_path: Path
) -> None:
    ended = awase("ood", "fit", places / "animals", "--output", tmp_path / "d", *words, *MODEL)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_odd_data_is_told_apart(awase: Run, places: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "an empty folder" in awase("ood", "fit", empty, *MODEL).err
    assert "not there" in awase("ood", "fit", tmp_path / "gone", *MODEL).err
    ended = awase("ood", "fit", places / "noise", "--output", tmp_path / "d", *MODEL)
    assert ended.code == 2
    assert "has no class" in ended.err
    single = tmp_path / "single"
    for name, colour in list(COLOURS.items())[:2]:
        _photos(single / name, colour, 1, 3)
    ended = awase("ood", "fit", single, "--method", "knn", "--output", tmp_path / "d", *MODEL)
    assert ended.code == 2
    assert "of 2 images 2 train" in ended.err
    with pytest.warns(UserWarning, match="needs at least 19 calibration rows and there are 2"):
        ended = awase("ood", "fit", single, "--output", tmp_path / "d", *MODEL)
    assert ended.code == 0
    assert "too few" in ended.out


def test_broken_photos_are_left_out_of_a_fit_and_told_of(awase: Run, tmp_path: Path) -> None:
    for seed, (name, colour) in enumerate(COLOURS.items()):
        _photos(tmp_path / "data" / name, colour, 8, seed)
    (tmp_path / "data" / "red_fox" / "003.png").write_bytes(b"broken")
    ended = awase("ood", "fit", tmp_path / "data", "--output", tmp_path / "d", *MODEL)
    assert ended.code == 3
    assert "1 photo could not be read and took no part" in ended.out
    assert "003.png" in ended.out


def test_another_encoder_is_refused(awase: Run, places: Path, detector: Path, tmp_path: Path) -> None:
    words = ("ood", "score", places / "noise", "--output", tmp_path, "--workers", "0")
    ended = awase(*words, "--detector", detector, "--encoder", "tiny:1")
    assert ended.code == 2
    assert "the detector belongs to" in ended.err
    assert "tiny:0" in ended.err
    ended = awase(*words, "--detector", places / "noise")
    assert ended.code == 2
    assert "there is no detector in" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give scores (--id-scores FILE --ood-scores FILE) or a detector"),
        (("--id-scores", "a.csv"), "--ood-scores FILE is missing"),
        (("--detector", "d"), "--id and --ood missing"),
        (("--id-scores", "a.csv", "--ood-scores", "b.csv", "--id", "x"), "one of the two"),
        (("--id-scores", "a.csv", "--ood-scores", "b.csv"), "a.csv"),
        (("--id-scores", "a.csv", "--ood-scores", "x=b.csv", "x=c.csv"), "two sets are called 'x'"),
        (("--id-scores", "a.csv", "--ood-scores", "b.csv", "--tpr", "0"), "tpr must lie"),
        (("--id-scores", "a.csv", "--ood-scores", "b.csv", "--convention", "mine"), "id_positive"),
        (
            ("--id-scores", "a.csv", "--ood-scores", "b.csv", "--at-least", "auroc"),
            "--at-least takes NAME=VALUE",
        ),
    ],
)
def test_what_evaluate_cannot_do_is_said_in_one_line(words: tuple[str, ...], said: str, awase: Run) -> None:
    ended = awase("ood", "evaluate", *words)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    awase: Run, awase_process: Run, places: Path, detector: Path, tmp_path: Path
) -> None:
    """kill -9 in the middle: the second run does the rest, and the rows are those of a run in one go."""
    many = tmp_path / "many"
    _photos(many, None, 560, 1)  # a part has 512 rows
    words = ["ood", "score", many, "--detector", detector, "--workers", "0", "--batch-size", "4", "--quiet"]
    command = [sys.executable, "-m", "awase", *map(str, words), "--output", str(tmp_path / "killed")]
    child = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    manifest = tmp_path / "killed" / "manifest.jsonl"
    # its second line says that the first part is whole
    while not (manifest.is_file() and manifest.read_bytes().count(b"\n") > 1) and time.monotonic() < deadline:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "killed" / "results.parquet").exists()
    ended = awase(*words[:-1], "--output", tmp_path / "killed", "--json")
    assert ended.code == 0, ended.err
    assert 0 < ended.json["rows_in_these_seconds"] < 560
    assert awase(*words, "--output", tmp_path / "whole").code == 0
    rows = [pq.read_table(tmp_path / name / "results.parquet").to_pylist() for name in ("killed", "whole")]
    assert len(rows[0]) == 560
    assert rows[0] == rows[1]


def test_help_teaches_with_examples(awase: Run) -> None:
    for verb in ("fit", "score", "evaluate"):
        ended = awase("ood", verb, "--help")
        assert ended.code == 0
        assert "Examples" in ended.out
        assert f"awase ood {verb}" in ended.out


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; import awase.cli.ood_fit, awase.cli.ood_score, awase.cli.ood_evaluate; "
        "print([name for name in ('torch', 'pyarrow', 'numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
