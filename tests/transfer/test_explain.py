"""What diagnostics say where the answer is known."""

import math

import pytest
import torch
from torch import Tensor

from awase.errors import DataError, UnknownMethodError
from awase.functional.false_negatives import loss_floor
from awase.functional.similarity import normalize
from awase.transfer._explain import ORDER, explain, load_diagnostics
from awase.transfer._groups import are_prompted, label_groups
from awase.transfer._pair_rows import pair_table
from awase.transfer._protocol import Diagnosis
from awase.transfer._rates import false_negative_rates
from awase.types import BadRow, PairFeatures


def _named(features: Tensor, texts: Tensor | None = None, **more: object) -> PairFeatures:
    names = tuple(f"{i:03}" for i in range(len(features)))
    texts = features if texts is None else texts
    return PairFeatures(features, texts, torch.arange(len(features)), names, **more)  # type: ignore[arg-type]


def _say(name: str, pairs: PairFeatures, **settings: object) -> Diagnosis:
    return explain(pairs, load_diagnostics([name], {"n_replicates": 0, **settings}))


def _value(found: Diagnosis, name: str) -> float | None:
    return {one.name: one.value for one in found.estimates}[name]


def test_all_of_them_in_the_order_of_the_card() -> None:
    found = load_diagnostics()
    assert tuple(found) == ORDER
    draws = torch.Generator().manual_seed(0)
    pairs = _named(normalize(torch.randn(12, 5, generator=draws)), logit_scale=30.0)
    done: list[tuple[int, int | None]] = []
    said = explain(
        pairs, load_diagnostics((), {"batch_size": 4}), progress=lambda n, total: done.append((n, total))
    )
    assert done[-1] == (7, 7)
    names = [one.name for one in said.estimates]
    assert len(names) == len(set(names))
    assert len(said.notes) == len(set(said.notes))


def test_settings_reach_the_diagnostics_that_know_them() -> None:
    found = load_diagnostics((), {"temperature": 0.02, "batch_size": 64, "delta": None})
    assert found["temperature"].temperature == found["bound"].temperature == 0.02  # type: ignore[attr-defined]
    assert found["temperature"].delta == 0.05  # type: ignore[attr-defined]
    with pytest.raises(UnknownMethodError, match="there are: bound, completeness"):
        load_diagnostics(["nothing"])


def test_margins_between_labels_are_those_of_zero_shot_for_prompts() -> None:
    """Two classes, prompts on the axes; one image of four lies nearer to the other prompt."""
    images = normalize(torch.tensor([[1.0, 0.2], [1.0, 0.1], [0.1, 1.0], [1.0, 0.9]]))
    prompts = torch.eye(2)[[0, 0, 1, 1]]
    pairs = _named(images, prompts, labels=("x", "x", "y", "y"), logit_scale=10.0)
    assert are_prompted(pairs)
    found = _say("margins", pairs)
    assert _value(found, "label_margin_not_positive.image_to_text") == 0.25
    assert not any(one.name.startswith("margin_") for one in found.estimates)
    assert "prompts" in found.notes[0]
    bound = _say("bound", pairs)
    assert _value(bound, "transfer_error_1.zero_shot") == 0.25
    assert _value(bound, "transfer_bound_1.zero_shot") >= 0.25


def test_labels_that_say_nothing_are_no_groups() -> None:
    u = torch.eye(3)
    assert label_groups(_named(u)) is None
    assert label_groups(_named(u, labels=("a", "a", "a"))) is None
    assert label_groups(_named(u, labels=("a", "b", "c"))) is None
    assert label_groups(_named(u, labels=("b", "a", "b"))).tolist() == [1, 0, 1]
    assert any("same label" in note for note in _say("margins", _named(u, labels=("a",) * 3)).notes)


def test_no_temperature_is_safe_without_a_margin_and_no_negative_one_is_printed() -> None:
    u = torch.eye(4)
    found = _say("temperature", _named(u, u.roll(1, 0)))
    assert _value(found, "margin_gamma") == -1
    assert _value(found, "largest_safe_temperature") is None
    assert any(note.startswith("No temperature is safe") for note in found.notes)
    assert found.charts == ()


def test_the_safe_temperature_follows_from_the_margin_of_both_directions() -> None:
    """The second image lies between both texts, while each text is clear: the smaller margin counts."""
    images = normalize(torch.tensor([[1.0, 0.2], [0.9, 1.0]], dtype=torch.float64))
    texts = torch.eye(2, dtype=torch.float64)
    cosine = images @ texts.T
    margin = min(float(cosine[i, i] - max(cosine[i, 1 - i], cosine[1 - i, i])) for i in range(2))
    found = _say("temperature", _named(images, texts, logit_scale=25.0), batch_size=16, delta=0.1)
    assert _value(found, "margin_gamma") == pytest.approx(margin)
    assert _value(found, "largest_safe_temperature") == pytest.approx(margin / math.log(320))
    assert _value(found, "temperature") == pytest.approx(0.04)
    assert _value(found, "margin_needed") == pytest.approx(0.04 * math.log(320))
    assert _value(found, "margin_enough") == 0.5


def test_a_logit_scale_is_clamped_and_a_missing_one_is_said() -> None:
    u = torch.eye(3)
    assert _value(_say("temperature", _named(u, logit_scale=1000.0)), "temperature") == pytest.approx(0.01)
    found = _say("temperature", _named(u))
    assert _value(found, "temperature") == pytest.approx(0.07)
    assert any("without a logit scale" in note for note in found.notes)


def test_false_negatives_by_label_are_the_closed_formulas_and_are_counted() -> None:
    u = normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    pairs = _named(u, labels=tuple("abcd"[i % 4] for i in range(40)))
    found = _say("false_negatives", pairs, batch_size=9)
    assert _value(found, "false_negatives.labels") == pytest.approx(8 / 4)
    assert _value(found, "any_false_negative.labels") == pytest.approx(1 - 0.75**8)
    # without replacement: 8 others out of 39, 9 of them of the same label
    assert _value(found, "false_negatives.counted") == pytest.approx(8 * 9 / 39, rel=0.05)
    floor = _say("loss_floor", pairs, batch_size=9)
    assert _value(floor, "loss_floor.labels") == pytest.approx(loss_floor(torch.full((4,), 0.25), 9))


def test_a_batch_larger_than_the_data_leaves_the_formulas_and_says_so() -> None:
    u = torch.eye(4)
    pairs = _named(u, labels=("a", "a", "b", "b"), logit_scale=10.0)
    found = _say("false_negatives", pairs, batch_size=64)
    assert _value(found, "any_false_negative.labels") == pytest.approx(1, abs=1e-9)
    assert "any_false_negative.counted" not in {one.name for one in found.estimates}
    assert any("not counted in batches of 64" in note for note in found.notes)
    assert any("batches of 4" in note for note in _say("loss_floor", pairs, batch_size=64).notes)


def test_perfect_features_have_no_loss_above_their_floor() -> None:
    """Spec section 9, item 4: everything twice, so the floor is log 2 and the excess nothing."""
    u = torch.eye(8, dtype=torch.float64).repeat(2, 1)
    pairs = _named(u, labels=tuple(str(i % 8) for i in range(16)))
    found = _say("loss_floor", pairs, batch_size=16, temperature=0.01)
    assert _value(found, "batch_floor") == pytest.approx(math.log(2))
    assert _value(found, "batch_excess") == pytest.approx(0, abs=1e-9)


def _captioned() -> PairFeatures:
    """Photos a and b share a caption; c says the same with other nouns in between; d is another thing."""
    vectors = normalize(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.0, 0.0, 1.0]]))
    captions = ("a dog on grass", "a dog on grass", "the dog sits in the grass", "a red car")
    return _named(torch.eye(4)[:, :3] * 0 + vectors, vectors, captions=captions)


def test_proxies_each_tell_another_story() -> None:
    pairs = _captioned()
    rates, notes = false_negative_rates(pairs)
    assert [one.proxy for one in rates] == ["equal_captions", "similar_captions", "nouns", "outscored"]
    assert notes == []
    third = 1 / 3
    values = {one.proxy: one.values.tolist() for one in rates}
    assert values["equal_captions"] == pytest.approx([third, third, 0, 0])
    assert values["similar_captions"] == pytest.approx([2 * third] * 3 + [0])
    assert values["nouns"] == pytest.approx([2 * third] * 3 + [0])
    # the vectors of a and b are equal: each scores as high for the other
    assert values["outscored"] == pytest.approx([third, third, 0, 0] * 2)
    assert all(float(one.weights.sum()) == pytest.approx(1) for one in rates)


def test_captions_of_one_image_are_no_false_negatives_of_each_other() -> None:
    u = torch.eye(2)
    pairs = PairFeatures(
        u, u[[0, 0, 1]], torch.tensor([0, 0, 1]), ("a", "b"), captions=("a dog", "a dog", "a cat")
    )
    rates = false_negative_rates(pairs, ["equal_captions", "similar_captions", "outscored"])[0]
    assert all(float(one.values.sum()) == 0 for one in rates)


def test_what_cannot_be_had_is_left_out_with_a_note_or_refused_by_name() -> None:
    vectors = _named(torch.eye(3))
    rates, notes = false_negative_rates(vectors)
    assert [one.proxy for one in rates] == ["similar_captions", "outscored"]
    assert len(notes) == 2
    with pytest.raises(DataError, match="no captions"):
        false_negative_rates(vectors, ["nouns"])
    with pytest.raises(DataError, match="need labels"):
        false_negative_rates(vectors, ["labels"])
    with pytest.raises(DataError, match="no proxy 'guess'"):
        false_negative_rates(vectors, ["guess"])
    with pytest.raises(DataError, match="cosine"):
        false_negative_rates(vectors, ["similar_captions"], threshold=1.5)


def test_the_curve_is_of_a_draw_where_pairs_are_many() -> None:
    draws = torch.Generator().manual_seed(0)
    pairs = _named(normalize(torch.randn(60, 5, generator=draws)))
    found = _say("completeness", pairs, most_pairs=20)
    assert any("20 images with 20 texts, drawn of 60" in note for note in found.notes)
    assert found.estimates[0].n == 20


def test_the_table_has_a_row_for_each_text_and_each_bad_row() -> None:
    u = torch.eye(3)[[0, 0, 1]]
    pairs = PairFeatures(
        u, u, torch.arange(3), ("a", "b", "c"), captions=("one", "one", "two"), labels=("x", "x", "y")
    )
    bad = BadRow("7", "d.jpg", "three", "missing_image", "no such file")
    rows = pair_table(pairs, [bad]).to_pylist()
    assert len(rows) == 4
    assert rows[0]["margin_image_to_text"] == 1
    assert rows[0]["nearest_wrong_text"] == "two"
    assert rows[2]["nearest_wrong_image"] == "a"
    assert rows[0]["margins_between"] == "labels"
    assert [row["is_tie"] for row in rows] == [False, False, False, None]
    assert rows[3]["error_code"] == "missing_image"
    assert rows[3]["margin_text_to_image"] is None
    without = pair_table(PairFeatures(u, u, torch.arange(3), ("a", "b", "c"), captions=("one", "one", "two")))
    assert [row["is_tie"] for row in without.to_pylist()] == [True, True, False]
