"""Vectors of texts: one file per encoder and list, whole or not at all, and a killed run goes on."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from awase.engine import texts as module
from awase.engine.texts import encode_texts
from awase.errors import DataError
from awase.registry import load

TEXTS = [f"{'long ' * (i % 3)}text {i}" for i in range(10)]


class KilledError(Exception):
    pass


class Counting:
    """The tiny encoder, which counts the texts it is asked for and may die."""

    def __init__(self, name: str = "0", *, die_after: int | None = None) -> None:
        self._encoder = load("encoder", "tiny").load(name)
        self.spec, self.logit_scale = self._encoder.spec, self._encoder.logit_scale
        self.preprocess, self.encode_image = self._encoder.preprocess, self._encoder.encode_image
        self.asked, self.die_after = 0, die_after

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        if self.die_after is not None and self.asked >= self.die_after:
            raise KilledError
        self.asked += len(texts)
        return self._encoder.encode_text(texts)


class Nameless:
    """Has no spec."""

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return torch.eye(3)[: len(texts)]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(module, "_PART", 4)


def test_vectors_come_back_in_the_order_of_the_texts(tmp_path):
    encoder = Counting()
    vectors = encode_texts(encoder, TEXTS, folder=tmp_path, batch_size=3)
    one_by_one = torch.cat([encoder.encode_text([text]) for text in TEXTS])
    assert torch.allclose(vectors, one_by_one, atol=1e-6)


def test_the_second_call_reads_the_file(tmp_path):
    first = encode_texts(Counting(), TEXTS, folder=tmp_path)
    again = Counting()
    assert encode_texts(again, TEXTS, folder=tmp_path).equal(first)
    assert again.asked == 0
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(again.spec.fingerprint)


def test_another_encoder_and_other_texts_have_files_of_their_own(tmp_path):
    for name, texts in (("0", TEXTS), ("1", TEXTS), ("0", TEXTS[::-1]), ("0", TEXTS[:9])):
        encoder = Counting(name)
        encode_texts(encoder, texts, folder=tmp_path)
        assert encoder.asked == len(texts)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_killed_run_goes_on_from_its_parts(tmp_path):
    whole = encode_texts(Counting(), TEXTS, folder=tmp_path / "whole")
    with pytest.raises(KilledError):
        encode_texts(Counting(die_after=8), TEXTS, folder=tmp_path / "killed")
    assert len(list((tmp_path / "killed").iterdir())) == 2
    encoder = Counting()
    assert encode_texts(encoder, TEXTS, folder=tmp_path / "killed").equal(whole)
    assert encoder.asked == 2
    assert len(list((tmp_path / "killed").iterdir())) == 1


def test_a_damaged_file_is_made_anew(tmp_path):
    whole = encode_texts(Counting(), TEXTS, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    for damage in (b"", b"nonsense" * 9, file.read_bytes()[:-8]):
        file.write_bytes(damage)
        encoder = Counting()
        assert encode_texts(encoder, TEXTS, folder=tmp_path).equal(whole)
        assert encoder.asked == 10


def test_progress_is_told_part_by_part(tmp_path):
    told: list[tuple[int, int | None]] = []
    encode_texts(Counting(), TEXTS, folder=tmp_path, progress=lambda *of: told.append(of))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_the_folder_is_the_users_cache_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AWASE_CACHE", str(tmp_path))
    encode_texts(Counting(), TEXTS)
    assert len(list((tmp_path / "texts").iterdir())) == 1


def test_an_encoder_without_a_spec_keeps_nothing(tmp_path):
    assert encode_texts(Nameless(), ["a", "b"], folder=tmp_path).equal(torch.eye(3)[:2])
    assert list(tmp_path.iterdir()) == []


def test_no_texts_are_an_error(tmp_path):
    with pytest.raises(DataError, match="no texts"):
        encode_texts(Counting(), [], folder=tmp_path)
