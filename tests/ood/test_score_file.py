import json
import math
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

from awase.errors import DataError
from awase.ood._score_file import ScoreFile, read_scores

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "one, two", "score": 0.5, "right": True, "error_code": None},
    {"id": "b", "text": 'a "quote"\nand a line', "score": None, "right": None, "error_code": "missing_image"},
    {"id": "c", "text": "", "score": -3, "right": False, "error_code": None},
    {"id": "d", "text": "日本", "score": None, "right": None, "error_code": "unreadable_image"},
    {"id": "e", "text": "x", "score": 1e-300, "right": True, "error_code": None},
    {"id": "f", "text": "x", "score": None, "right": None, "error_code": "missing_image"},
]


def write(rows, path):
    if path.suffix in (".jsonl", ".ndjson"):
        lines = [json.dumps({k: v for k, v in row.items() if v is not None or k == "id"}) for row in rows]
        path.write_text("\n".join(lines) + "\n")
        return path
    names = list(rows[0]) if rows else list(ROWS[0])
    table = pa.table({name: [row[name] for row in rows] for name in names})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=2)
    else:
        options = pa.csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
        pa.csv.write_csv(table, path, options)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".CSV"])
def test_every_format_holds_the_same_scores(tmp_path, suffix):
    found = read_scores(write(ROWS, tmp_path / f"scores{suffix}"), correct_column="right")
    assert isinstance(found, ScoreFile)
    assert found.scores.dtype == torch.float64
    assert found.scores.tolist() == [0.5, -3.0, 1e-300]
    assert found.correct.tolist() == [True, False, True]
    assert (found.errors, found.n_failed) == ({"missing_image": 2, "unreadable_image": 1}, 3)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_the_column_may_have_another_name_and_errors_may_be_absent(tmp_path, suffix):
    rows = [{"id": str(i), "mcm": i / 7, "score": "text"} for i in range(9)]
    found = read_scores(write(rows, tmp_path / f"s{suffix}"), column="mcm")
    assert found.scores.tolist() == [i / 7 for i in range(9)]
    assert found.correct is None
    assert found.errors == {}


@pytest.mark.parametrize("dtype", [pa.float16(), pa.float32(), pa.int32(), pa.int64()])
def test_parquet_numbers_of_any_type(tmp_path, dtype):
    values = pa.array([1.0, -2.0, 3.0]).cast(dtype)
    pq.write_table(pa.table({"score": values}), tmp_path / "s.parquet")
    assert read_scores(tmp_path / "s.parquet").scores.tolist() == [1.0, -2.0, 3.0]


def test_infinite_scores_and_a_mark_and_semicolons(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbfscore;note\n-inf;a,b\n1.5;\n")
    assert read_scores(tmp_path / "s.csv").scores.tolist() == [-math.inf, 1.5]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_row_with_neither_score_nor_error_is_named(tmp_path, suffix):
    rows = [*ROWS, {**ROWS[0], "score": None}]
    with pytest.raises(DataError, match=r"row 7 has no number in the column 'score' and no code"):
        read_scores(write(rows, tmp_path / f"s{suffix}"))
    rows = [ROWS[0], {**ROWS[0], "right": None}]
    with pytest.raises(DataError, match=r"row 2 has neither true nor false in the column 'right'"):
        read_scores(write(rows, tmp_path / f"s{suffix}"), correct_column="right")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_nan_is_no_score(tmp_path, suffix):
    path = tmp_path / f"s{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"score": [1.0, math.nan]}), path)
    else:
        path.write_text('{"score": 1}\n{"score": NaN}\n' if suffix == ".jsonl" else "score\n1\nnan\n")
    with pytest.raises(DataError, match="row 2 has no number"):
        read_scores(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path, suffix):
    path = write(ROWS, tmp_path / f"s{suffix}")
    with pytest.raises(DataError, match=r"s\.\w+: there is no column 'mcm'; found: 'id', 'text', 'score'"):
        read_scores(path, column="mcm")
    with pytest.raises(DataError, match="there is no column 'is_right'"):
        read_scores(path, correct_column="is_right")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "id,score\na,high\n", "invalid value 'high'"),
        ("s.csv", "id,score\na,1\nb\n", "Expected 2 columns, got 1"),
        ("s.csv", "score,score\n1,2\n", "more than one column 'score'"),
        ("s.csv", "", "Empty CSV file"),
        ("s.jsonl", '{"score": "high"}\n', "number"),
        ("s.jsonl", '{"score": 1}\nrubbish\n', "Invalid value"),
        ("s.jsonl", "", "cannot be read as jsonl|no column"),
        ("s.parquet", "PAR1 not really", "cannot be read as parquet"),
        ("s.txt", "score\n1\n", r"scores are read from \.parquet, \.csv"),
        ("s", "score\n1\n", "scores are read from"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_scores(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_in_parquet_and_a_missing_file_are_refused(tmp_path):
    pq.write_table(pa.table({"score": ["0.5"]}), tmp_path / "s.parquet")
    with pytest.raises(DataError, match="the column 'score' holds string, and double is expected"):
        read_scores(tmp_path / "s.parquet")
    with pytest.raises(DataError, match="there is no such file"):
        read_scores(tmp_path / "t.csv")


def test_no_rows_are_no_scores(tmp_path):
    (tmp_path / "s.csv").write_text("id,score\n")
    assert len(read_scores(tmp_path / "s.csv").scores) == 0


def test_other_fields_of_json_lines_may_hold_anything(tmp_path):
    lines = [
        '{"score": 1, "words": [1]}',
        '{"words": {"a": [null]}, "score": 2}',
        '{"score": 0.5, "words": "x"}',
    ]
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    assert read_scores(tmp_path / "s.jsonl").scores.tolist() == [1.0, 2.0, 0.5]


PEAK = """
import resource, sys
from awase.ood._evaluate import evaluate_scores
from awase.ood._score_file import read_scores
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = peak()
known, unknown = (read_scores(path).scores for path in sys.argv[1:])
read = peak()
evaluate_scores(id_scores=known, ood={"o": unknown}, n_replicates=2)
print(len(known), len(unknown), read - start, peak() - read)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_follows_the_scores_and_not_the_file(tmp_path):
    n = 200_000
    text = pa.array(["a long text that nobody asked for, again and again, in every row " * 3] * n)
    table = pa.table({"text": text, "score": torch.rand(n, dtype=torch.float64).numpy()})
    files = [tmp_path / "s.parquet", tmp_path / "s.csv"]
    pq.write_table(table, files[0], use_dictionary=False, compression="none", row_group_size=50_000)
    pa.csv.write_csv(table, files[1])
    assert all(path.stat().st_size > 38_000_000 for path in files)
    run = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, files)], capture_output=True, text=True, check=True
    )
    known, unknown, reading, evaluating = map(int, run.stdout.split())
    assert known == unknown == n
    # kilobytes: the scores of both files are 3200, the files 78,000; code that is first used now counts too
    assert reading < 40_000
    assert evaluating < 5 * 3200 + 40_000
