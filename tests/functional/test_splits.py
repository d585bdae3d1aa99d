"""Drawing shots: who is on which side, for every seed, order and number of shots."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awase.errors import DataError, ShapeError
from awase.functional.splits import Shots, draw_shots


def data(per_class: int, n_classes: int) -> tuple[list[int], list[str]]:
    labels = [label for label in range(n_classes) for _ in range(per_class)]
    return labels, [f"{label}/{i}" for i, label in enumerate(labels)]


def drawn_names(drawn: Shots, hashes: list[str]) -> tuple[set[str], set[str]]:
    return {hashes[row] for row in drawn.train}, {hashes[row] for row in drawn.validation}


def test_counts_of_each_class_and_no_row_on_both_sides() -> None:
    labels, hashes = data(20, 5)
    drawn = draw_shots(labels, hashes, shots=7, validation=4, seed=3)
    assert Counter(labels[row] for row in drawn.train) == dict.fromkeys(range(5), 7)
    assert Counter(labels[row] for row in drawn.validation) == dict.fromkeys(range(5), 4)
    assert not set(drawn.train) & set(drawn.validation)
    assert drawn.fewer == ()


def test_rows_come_by_class() -> None:
    labels, hashes = data(6, 3)
    drawn = draw_shots(labels, hashes, shots=2, validation=2, seed=1)
    assert [labels[row] for row in drawn.train] == [0, 0, 1, 1, 2, 2]


def test_more_shots_hold_fewer_shots_of_one_seed() -> None:
    labels, hashes = data(24, 4)
    before: set[str] = set()
    for shots in (1, 2, 4, 8, 16):
        train, _ = drawn_names(
            draw_shots(labels, hashes, shots=shots, validation=min(shots, 4), seed=2), hashes
        )
        assert before < train
        before = train


def test_nested_also_where_a_class_has_too_few() -> None:
    labels, hashes = data(9, 2)
    before: set[str] = set()
    for shots in (1, 2, 4, 8, 16):
        drawn = draw_shots(labels, hashes, shots=shots, validation=min(shots, 4), seed=2, allow_fewer=True)
        train, held = drawn_names(drawn, hashes)
        assert before <= train
        assert held
        before = train


def test_seeds_draw_differently() -> None:
    labels, hashes = data(50, 2)
    sets = [frozenset(draw_shots(labels, hashes, shots=5, validation=2, seed=s).train) for s in range(20)]
    assert len(set(sets)) == 20


def test_every_image_is_drawn_equally_often() -> None:
    labels, hashes = data(10, 1)
    counts = Counter(
        row
        for seed in range(2000)
        for row in draw_shots(labels, hashes, shots=3, validation=2, seed=seed).train
    )
    # mean 600, standard deviation sqrt(2000 * 0.3 * 0.7) = 20.5
    assert min(counts.values()) > 600 - 5 * 20.5
    assert max(counts.values()) < 600 + 5 * 20.5


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(0, 4))
def test_neither_order_nor_class_numbers_matter(seed: int, shots: int, validation: int) -> None:
    labels, hashes = data(10, 3)
    first = draw_shots(labels, hashes, shots=shots, validation=validation, seed=seed)
    order = list(range(len(labels)))
    random.Random(seed).shuffle(order)
    other_hashes = [hashes[i] for i in order]
    other = draw_shots(
        [(labels[i] + 1) % 3 for i in order], other_hashes, shots=shots, validation=validation, seed=seed
    )
    assert drawn_names(first, hashes) == drawn_names(other, other_hashes)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcdefghijkl")), min_size=1, max_size=40),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 100),
)
def test_equal_images_stay_on_one_side(
    rows: list[tuple[int, str]], shots: int, validation: int, seed: int
) -> None:
    labels, hashes = [label for label, _ in rows], [hash for _, hash in rows]
    drawn = draw_shots(labels, hashes, shots=shots, validation=validation, seed=seed, allow_fewer=True)
    train, held = drawn_names(drawn, hashes)
    assert not train & held
    # of equal images one at most, and none that carries two labels
    assert len(train) == len(drawn.train)
    assert len(held) == len(drawn.validation)
    for hash in train | held:
        assert len({label for label, other in rows if other == hash}) == 1


def test_a_copy_is_no_second_shot() -> None:
    drawn = draw_shots([0] * 5, ["a", "a", "a", "b", "c"], shots=2, validation=1, seed=1)
    assert set(drawn.train + drawn.validation) == {0, 3, 4}
    with pytest.raises(DataError, match="class 0 has 3"):
        draw_shots([0] * 5, ["a", "a", "a", "b", "c"], shots=3, validation=1, seed=1)


def test_too_few_is_an_error_that_names_the_classes() -> None:
    labels, hashes = [0] * 8 + [1] * 3, [str(i) for i in range(11)]
    with pytest.raises(DataError, match=r"need 6 distinct images of every class: class 1 has 3\. .*allow"):
        draw_shots(labels, hashes, shots=4, validation=2, seed=0)


def test_fewer_is_recorded_and_shared_out() -> None:
    labels, hashes = [0] * 8 + [1] * 3 + [2], [str(i) for i in range(12)]
    drawn = draw_shots(labels, hashes, shots=4, validation=2, seed=0, allow_fewer=True)
    assert drawn.fewer == (1, 2)
    assert Counter(labels[row] for row in drawn.train) == {0: 4, 1: 2, 2: 1}
    assert Counter(labels[row] for row in drawn.validation) == {0: 2, 1: 1}


@pytest.mark.parametrize(("shots", "validation"), [(0, 1), (-1, 0), (1, -1)])
def test_numbers_out_of_range(shots: int, validation: int) -> None:
    with pytest.raises(DataError, match="at least 1"):
        draw_shots([0, 0], ["a", "b"], shots=shots, validation=validation, seed=0)


def test_labels_and_hashes_belong_together() -> None:
    with pytest.raises(ShapeError, match="2 labels came with 1"):
        draw_shots([0, 0], ["a"], shots=1, validation=0, seed=0)
