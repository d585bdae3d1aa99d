"""Names of classes that spoil a measurement are listed in a warning."""

import warnings

import pytest

from awase.ood._lexicon import Synset, WordNet
from awase.ood._names import duplicate_names, overlapping_names, warn_of_duplicates, warn_of_overlap

WORDNET = WordNet(
    nouns={
        1: Synset(("dog", "domestic_dog"), (), False),
        2: Synset(("husky",), (1,), False),
        3: Synset(("house",), (), False),
    },
    adjectives={},
)


def test_duplicates_are_found_after_normalisation():
    assert duplicate_names(["a dog", "A_Dog", "cat", "a  dog", "Cat", "house"]) == (
        ("a dog", "A_Dog", "a  dog"),
        ("cat", "Cat"),
    )
    assert duplicate_names(["dog", "dogs"]) == ()
    with pytest.warns(UserWarning, match=r"1 class names occur more than once \('dog' = 'Dog'\)"):
        warn_of_duplicates(["dog", "Dog"])


def test_overlap_without_wordnet_is_equality():
    assert overlapping_names(["dog", "cat"], ["husky", "DOG"]) == (("DOG", "dog"),)
    with pytest.warns(UserWarning, match=r"'DOG' is 'dog'.*no WordNet"):
        warn_of_overlap(["dog", "cat"], ["husky", "DOG"])


def test_overlap_with_wordnet_finds_synonyms_and_kinds_but_not_what_is_wider():
    assert overlapping_names(["dog"], ["Husky", "domestic dog", "house", "dog"], WORDNET) == (
        ("Husky", "dog"),
        ("domestic dog", "dog"),
        ("dog", "dog"),
    )
    assert overlapping_names(["husky"], ["dog"], WORDNET) == ()
    with pytest.warns(UserWarning, match=r"1 unknown classes .*'husky' is 'dog'"):
        warn_of_overlap(["dog"], ["husky"], WORDNET)


def test_long_lists_are_cut():
    with pytest.warns(UserWarning, match="; and 5 more"):
        warn_of_overlap([f"c{i}" for i in range(15)], [f"C{i}" for i in range(15)])


def test_clean_names_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_duplicates(["dog", "cat"])
        warn_of_overlap(["dog", "cat"], ["house"], WORDNET)
