"""WordNet's files are read as wndb(5) describes them; a small database is written here in that format."""

import os
from pathlib import Path

import pytest

from awase.errors import DataError
from awase.ood._lexicon import WordNet, find_wordnet, key, open_wordnet

LICENCE = "  1 This stands where the licence stands, and ends in two blanks.  \n"
NOUNS = """\
00000100 03 n 01 entity 0 000 | what is
00000200 05 n 02 animal 0 beast 0 001 @ 00000100 n 0000 | a living thing
00000300 05 n 02 dog 0 domestic_dog 0 002 @ 00000200 n 0000 ~ 00000400 n 0000 | a pet; "it barked | and ran"
00000400 05 n 01 husky 0 001 @ 00000300 n 0000 | pulls sledges
00000500 18 n 01 Laika 0 001 @i 00000400 n 0000 | was in space
00000600 18 n 02 dog 1 chap 0 001 @ 00000100 n 0000 | a fellow
00000700 15 n 02 paris 0 City_of_Light 0 001 @i 00000100 n 0000 | written small by mistake
00000800 06 n 0b house 0 hut 0 a1 0 b1 0 c1 0 d1 0 e1 0 f1 0 g1 0 h1 0 42 0 001 @ 00000100 n 0000 | eleven
00000900 05 n 01 French_bulldog 0 001 @ 00000300 n 0000 | with a capital letter
"""
ADJECTIVES = """\
00000100 00 a 02 red 0 afloat(p) 0 001 ! 00000200 a 0101 | a colour
00000200 00 s 02 emergent 0 Gallic 0 002 & 00000100 a 0000 + 00000200 n 0101 | coming
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.noun").write_text(LICENCE + NOUNS)
    (tmp_path / "data.adj").write_text(LICENCE + ADJECTIVES)
    return tmp_path


@pytest.fixture
def wordnet(folder):
    return open_wordnet(folder)


def test_meanings_are_read(wordnet: WordNet):
    assert len(wordnet.nouns) == 9
    assert wordnet.nouns[300].words == ("dog", "domestic_dog")
    assert wordnet.nouns[300].parents == (200,)  # what lies below it is no parent
    assert not wordnet.nouns[300].is_instance
    assert wordnet.nouns[500].is_instance
    assert len(wordnet.nouns[800].words) == 11  # counted in hexadecimal


def test_proper_nouns_are_no_candidates(wordnet: WordNet):
    nouns = wordnet.common_nouns()
    assert list(nouns) == sorted(set(nouns))
    assert {"dog", "domestic dog", "chap", "husky", "house", "a1"} <= set(nouns)
    assert not {"Laika", "paris", "City of Light", "French bulldog", "42"} & set(nouns)
    assert wordnet.plain_adjectives() == ("afloat", "emergent", "red")


def test_a_name_covers_its_synonyms_kinds_and_examples_in_every_sense(wordnet: WordNet):
    dog = {"dog", "domestic dog", "husky", "laika", "french bulldog", "chap"}
    assert wordnet.covered_by(["dog"]) == dog
    assert wordnet.covered_by([" DOG "]) == dog
    assert wordnet.covered_by(["Domestic_Dog"]) == dog - {"chap"}
    assert wordnet.covered_by(["husky"]) == {"husky", "laika"}
    assert wordnet.covered_by(["chap", "husky"]) == {"chap", "dog", "husky", "laika"}


def test_plurals_lists_and_unknown_names(wordnet: WordNet):
    assert {"huskys", "husky", "laika"} <= wordnet.covered_by(["huskys"])
    assert {"husky", "chap"} <= wordnet.covered_by(["husky, chap"])
    assert wordnet.covered_by(["spaceship"]) == {"spaceship"}
    assert wordnet.covered_by([]) == frozenset()


def test_key_folds_case_spaces_and_underscores():
    assert key(" Golden_Retriever ") == key("golden  retriever") == "golden retriever"


def test_a_folder_that_is_named_is_looked_into_alone(folder, tmp_path_factory, monkeypatch):
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    assert find_wordnet() == folder
    assert find_wordnet(empty) is None
    below = tmp_path_factory.mktemp("wordnet")
    (below / "dict").symlink_to(folder)
    assert find_wordnet(str(below)) == below / "dict"


def test_nltk_data_is_found(folder, tmp_path_factory, monkeypatch):
    data = tmp_path_factory.mktemp("nltk")
    (data / "corpora").mkdir()
    (data / "corpora" / "wordnet").symlink_to(folder)
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setenv("NLTK_DATA", os.pathsep.join(["", str(data)]))
    assert find_wordnet() == data / "corpora" / "wordnet"


def test_no_database_says_what_to_do(tmp_path):
    with pytest.raises(DataError) as raised:
        open_wordnet(tmp_path)
    for word in ("wordnet-base", "nltk.downloader", "unzip", "WNSEARCHDIR", "nouns", str(tmp_path)):
        assert word in str(raised.value)


@pytest.mark.parametrize(
    "line", ["00000300 05 n 02 dog", "no numbers here at all", "00000300 05 n zz dog 0 000 | x"]
)
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "data.noun").write_text(LICENCE + NOUNS + line + "\n")
    (tmp_path / "data.adj").write_text(ADJECTIVES)
    with pytest.raises(DataError, match=r"data.noun, line 11 .*install WordNet anew"):
        open_wordnet(tmp_path)


@pytest.mark.slow
def test_the_real_one():
    found = find_wordnet()
    if found is None:
        pytest.skip("WordNet's database is not installed (Debian: wordnet-base)")
    wordnet = open_wordnet(Path(found))
    nouns, adjectives = wordnet.common_nouns(), wordnet.plain_adjectives()
    assert 60_000 < len(nouns) < 100_000
    assert 15_000 < len(adjectives) < 25_000
    assert {"golden retriever", "tench"} <= set(nouns)
    assert "Paris" not in nouns
    assert {"golden retriever", "husky", "domestic dog"} <= wordnet.covered_by(["dog"])
    assert "cat" not in wordnet.covered_by(["dog"])
