"""NegLabel: the choice of the negatives, the score against its formula, and the answers known beforehand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.ood._protocol import Known
from awase.ood.neglabel import NegLabel, NegLabelScorer, farthest, group_scores
from awase.registry import load
from awase.types import Evidence


def unit(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Recorder:
    """Every text has a direction of its own; remembers what it was asked."""

    def __init__(self, d: int = 16) -> None:
        self.d, self.asked = d, list[str]()

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        self.asked += texts
        return torch.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> Tensor:
        return unit(self.d, seed=sum(ord(letter) * (i + 1) for i, letter in enumerate(text)))


def known(names: Sequence[str], encoder: Recorder | None = None, template: str = "a photo of a {}.") -> Known:
    classes = unit(len(names), 16, seed=99)
    nothing = Evidence(torch.zeros(0, len(names)), torch.zeros(0, 16), classes)
    return Known(nothing, torch.zeros(0, dtype=torch.int64), names, encoder or Recorder(), template)


WORDS = tuple(f"word{i}" for i in range(60))


def naive(ids: list[float], groups: list[list[float]], temperature: float) -> float:
    known = sum(math.exp(s / temperature) for s in ids)
    scores = [known / (known + sum(math.exp(s / temperature) for s in group)) for group in groups]
    return sum(scores) / len(scores)


def test_the_score_is_its_formula():
    ids, negatives = 0.2 + 0.05 * draw(7, 5, seed=1), 0.2 + 0.05 * draw(7, 4, 6, seed=2)
    expected = [
        naive(a, b, 0.01) for a, b in zip(ids.double().tolist(), negatives.double().tolist(), strict=True)
    ]
    assert group_scores(ids / 0.01, negatives / 0.01).tolist() == pytest.approx(expected, rel=1e-5)


def test_known_answers():
    ids = draw(4, 5, seed=3)
    assert group_scores(ids, torch.zeros(4, 0, 0)).tolist() == [1.0] * 4  # no negatives
    # negatives that are the known labels once again
    assert group_scores(ids, ids[:, None]).tolist() == pytest.approx([0.5] * 4)
    scores = group_scores(ids, draw(4, 3, 2, seed=4))
    assert bool(((scores > 0) & (scores < 1)).all())
    # more groups with the same duplicates in each
    one = draw(4, 1, 6, seed=5)
    assert group_scores(ids, one.repeat(1, 9, 1)).tolist() == pytest.approx(group_scores(ids, one).tolist())


def test_order_inside_a_group_does_not_matter_and_between_groups_does():
    ids, negatives = draw(4, 5, seed=6), draw(4, 3, 8, seed=7)
    inside = negatives[:, :, torch.randperm(8, generator=torch.Generator().manual_seed(7))]
    assert group_scores(ids, inside).tolist() == pytest.approx(group_scores(ids, negatives).tolist())
    mixed = negatives.reshape(4, -1)[
        :, torch.randperm(24, generator=torch.Generator().manual_seed(7))
    ].reshape(4, 3, 8)
    assert group_scores(ids, mixed).tolist() != pytest.approx(group_scores(ids, negatives).tolist(), rel=1e-4)


def test_extreme_similarities_neither_overflow_nor_vanish():
    ids = torch.tensor([[9000.0, 0.0], [-9000.0, -9000.0], [0.0, 0.0]])
    negatives = torch.tensor([0.0, 0.0, 9000.0])[:, None, None].repeat(1, 2, 3)
    assert group_scores(ids, negatives).tolist() == [1.0, 0.0, 0.0]


def test_farthest_is_the_lowest_percentile_with_ties_to_the_first():
    candidates, classes = unit(40, 16, seed=1), unit(7, 16, seed=2)
    candidates[30] = candidates[3]
    near = np.quantile((candidates @ classes.T).numpy(), 0.95, axis=1)
    expected = sorted(range(40), key=lambda row: (near[row], row))[:6]
    assert farthest(candidates, classes, percentile=0.95, share=0.15).tolist() == expected
    both = farthest(candidates, classes, percentile=0.95, share=1.0).tolist()
    assert both.index(3) + 1 == both.index(30)
    assert len(farthest(candidates, classes, percentile=0.95, share=0.001)) == 1


def test_fit_keeps_the_share_of_each_part_of_speech_and_drops_the_remainder():
    nouns, adjectives = WORDS, tuple(f"quality{i}" for i in range(20))
    scorer = NegLabel(nouns=nouns, adjectives=adjectives, share=0.3, groups=5).fit(known(["dog", "cat"]))
    assert len(scorer.words) == len(scorer.negatives) == 20
    assert scorer.n_dropped == 4  # 18 nouns and 6 adjectives in 5 groups
    assert scorer.groups == 5
    classes = torch.stack([Recorder().vector(f"the nice {name}") for name in ("dog", "cat")])
    assert scorer.class_features.equal(classes)
    kept: list[str] = []
    for words, template in ((nouns, "the nice {}"), (adjectives, "This is a {} photo")):
        near = {
            word: np.quantile((classes @ Recorder().vector(template.format(word))).numpy(), 0.95)
            for word in words
        }
        kept += sorted(words, key=lambda word: near[word])[: round(0.3 * len(words))]
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:20]
    assert list(scorer.words) == [kept[row] for row in order]
    for word, vector in zip(scorer.words, scorer.negatives, strict=True):
        template = "the nice {}" if word in nouns else "This is a {} photo"
        assert vector.equal(Recorder().vector(template.format(word)))


def test_the_scorer_scores_with_its_own_texts():
    scorer = NegLabel(nouns=WORDS, share=0.5, groups=3).fit(known(["dog", "cat"]))
    images = unit(6, 16, seed=5)
    expected = [
        naive(
            (scorer.class_features.double() @ image).tolist(),
            (scorer.negatives.double() @ image).reshape(3, -1).tolist(),
            0.01,
        )
        for image in images.double()
    ]
    evidence = Evidence(draw(6, 2, seed=8), images, torch.zeros(2, 16))
    assert scorer.score(evidence).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_without_a_template_the_known_side_is_what_the_model_says():
    encoder = Recorder()
    scorer = NegLabel(nouns=WORDS, share=0.5, groups=3, template=None).fit(known(["dog", "cat"], encoder))
    assert encoder.asked[0].startswith("a photo of a word")
    assert len(scorer.class_features) == 0
    images, similarity = unit(6, 16, seed=5), 0.1 * draw(6, 2, seed=9)
    expected = [
        naive(said, (scorer.negatives.double() @ image).reshape(3, -1).tolist(), 0.01)
        for said, image in zip(similarity.double().tolist(), images.double(), strict=True)
    ]
    scores = scorer.score(Evidence(similarity, images, torch.zeros(2, 16)))
    assert scores.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_words_that_are_classes_are_no_negatives():
    scorer = NegLabel(nouns=("Dog", "hot_dog", "tree", "CAT ", "car"), share=1.0).fit(
        known(["dog", "hot dog", "cat"])
    )
    assert set(scorer.words) == {"tree", "car"}
    with pytest.raises(DataError, match="no candidate word is left"):
        NegLabel(nouns=("Dog", "cat")).fit(known(["dog", "cat"]))


def test_wordnet_gives_the_candidates_without_kinds_of_the_classes(tmp_path):
    (tmp_path / "data.noun").write_text(
        "00000100 05 n 01 dog 0 000 | pet\n"
        "00000200 05 n 01 husky 0 001 @ 00000100 n 0000 | dog\n"
        "00000300 18 n 01 Laika 0 001 @i 00000200 n 0000 | was in space\n"
        "00000400 06 n 02 house 0 hut 0 000 | home\n"
    )
    (tmp_path / "data.adj").write_text("00000100 00 a 01 red 0 000 | colour\n")
    encoder = Recorder()
    scorer = NegLabel(wordnet=str(tmp_path), share=1.0).fit(known(["dog"], encoder))
    assert set(scorer.words) == {"house", "hut", "red"}
    # all of them are encoded, so that the file with their vectors serves other classes too
    assert "the nice husky" in encoder.asked
    assert "This is a red photo" in encoder.asked
    with pytest.raises(DataError, match="wordnet-base"):
        NegLabel(wordnet=str(tmp_path / "nowhere")).fit(known(["dog"]))


def test_vectors_of_the_words_are_kept_for_other_classes(tmp_path):
    tiny = load("encoder", "tiny").load("0")
    classes = tiny.encode_text(["dog"])
    one = Known(
        Evidence(torch.zeros(0, 1), torch.zeros(0, 24), classes),
        torch.zeros(0, dtype=torch.int64),
        ["dog"],
        tiny,
    )
    method = NegLabel(nouns=WORDS, cache=str(tmp_path))
    told: list[tuple[int, int | None]] = []
    first = method.fit(one, progress=lambda done, total: told.append((done, total)))
    assert told == [(60, 60)]
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    other = method.fit(Known(one.evidence, one.labels, ["house"], tiny))
    assert kept.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]
    assert first.words != other.words


def test_the_seed_shuffles():
    fits = [NegLabel(nouns=WORDS, share=1.0, groups=4, seed=seed).fit(known(["dog"])) for seed in (0, 0, 1)]
    assert fits[0].words == fits[1].words != fits[2].words
    assert set(fits[0].words) == set(fits[2].words)


@pytest.mark.parametrize(
    "settings",
    [
        {"share": 0.0},
        {"share": 1.5},
        {"percentile": -0.1},
        {"groups": 0},
        {"template": "no place"},
        {"temperature": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(DataError, match=r"must lie in|exactly one|must be positive"):
        NegLabel(nouns=WORDS, **settings).fit(known(["dog"]))


def test_the_models_own_template_needs_a_place_for_the_word():
    with pytest.raises(DataError, match=r"exactly one .*'a photo'"):
        NegLabel(nouns=WORDS, template=None).fit(known(["dog"], template="a photo"))


def test_it_needs_an_encoder_and_features_of_the_same_width():
    with pytest.raises(DataError, match="needs the encoder"):
        NegLabel(nouns=WORDS).fit(Known(known(["dog"]).evidence, torch.zeros(0, dtype=torch.int64), ["dog"]))
    scorer = NegLabel(nouns=WORDS).fit(known(["dog"]))
    assert isinstance(scorer, NegLabelScorer)
    with pytest.raises(ShapeError, match="7 dimensions"):
        scorer.score(Evidence(torch.zeros(2, 1), unit(2, 7), torch.zeros(1, 7)))
