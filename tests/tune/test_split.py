"""Splits: what is drawn for the test, how classes are numbered and halved, and what a record keeps."""

import json
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from awase.errors import DataError
from awase.functional.splits import class_index
from awase.tune._split import SplitRecord, base_and_new, keep_test


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_a_drawn_test_part_shares_no_image_with_the_rest(
    rows: list[tuple[int, int]], share: float, seed: int
) -> None:
    labels, hashes = [label for label, _ in rows], [str(image) for _, image in rows]
    rest, test = keep_test(labels, hashes, share=share, seed=seed)
    assert sorted(rest + test) == list(range(len(rows)))
    assert not {hashes[row] for row in rest} & {hashes[row] for row in test}
    for label in set(labels):
        assert any(labels[row] == label for row in rest) or len(set(hashes)) < len(hashes)


@given(st.integers(2, 40), st.floats(0.05, 0.95))
def test_a_drawn_test_part_has_its_share_of_each_class(n: int, share: float) -> None:
    labels = [0] * n + [1] * (2 * n)
    _, test = keep_test(labels, [str(row) for row in range(3 * n)], share=share, seed=0)
    for label, total in ((0, n), (1, 2 * n)):
        assert sum(labels[row] == label for row in test) == max(int(share * total + 1e-9), 1)


def test_the_drawn_test_part_is_the_same_whatever_the_order_of_the_files() -> None:
    labels, hashes = [0, 0, 0, 0, 1, 1, 1, 1], list("abcdefgh")
    _, test = keep_test(labels, hashes, share=0.5, seed=3)
    _, turned = keep_test(labels[::-1], hashes[::-1], share=0.5, seed=3)
    assert {hashes[row] for row in test} == {hashes[::-1][row] for row in turned}
    other = [keep_test(labels, hashes, share=0.5, seed=seed)[1] for seed in range(8)]
    assert len({tuple(rows) for rows in other}) > 1


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="test share"):
        keep_test([0, 1], ["a", "b"], share=share, seed=0)


def test_classes_are_numbered_in_the_order_of_their_names() -> None:
    assert torch.equal(class_index(["b", "a"], ["a", "b"]), torch.tensor([1, 0]))
    assert class_index([], ["a"]).dtype == torch.long
    with pytest.raises(DataError, match="'None', 'x'"):
        class_index(["x", None, "a"], ["a"])


def test_base_is_the_first_half_by_name() -> None:
    assert base_and_new(["d", "a", "c", "b"]) == (("a", "b"), ("c", "d"))
    assert base_and_new("edcba") == (("a", "b", "c"), ("d", "e"))
    with pytest.raises(DataError, match="at least 4"):
        base_and_new("abc")


def test_a_record_survives_json() -> None:
    record = SplitRecord(3, 2, {"a": "1"}, {"b": "2"}, {"c": "3"}, {"cat": 1}, made_test=True)
    assert SplitRecord.from_json(json.loads(json.dumps(asdict(record)))) == record
    assert record.seen == {"1", "2"}
