"""Files of vectors: read back as they were written, mapped, and refused with a reason."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from awase.engine.feature_files import open_features, open_pair_features, write_pair_features
from awase.errors import DataError
from awase.functional.similarity import normalize
from awase.types import PairFeatures


def _unit(n: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return normalize(torch.randn(n, 256, generator=torch.Generator().manual_seed(seed))).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_was_written_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    pairs = PairFeatures(
        _unit(3, 0, dtype),
        _unit(5, 1, dtype),
        torch.tensor([0, 1, 2, 2, 0]),
        ("a", "b", "c"),
        encoder="abc",
        logit_scale=50.5,
    )
    path = tmp_path / "deeper" / "vectors.safetensors"
    write_pair_features(path, pairs)
    again = open_pair_features(path)
    assert torch.equal(again.image_features, pairs.image_features)
    assert torch.equal(again.text_features, pairs.text_features)
    assert torch.equal(again.image_of_text, pairs.image_of_text)
    assert again.image_features.dtype is dtype
    assert (again.encoder, again.logit_scale, again.images) == ("abc", 50.5, ("0", "1", "2"))
    assert list(path.parent.iterdir()) == [path]


def test_one_memory_for_both_sides_is_written_twice(tmp_path: Path) -> None:
    same = torch.eye(2)
    write_pair_features(tmp_path / "a.st", PairFeatures(same, same, torch.arange(2), ("a", "b")))
    assert open_pair_features(tmp_path / "a.st").logit_scale is None


def test_without_owners_rows_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "a.st"
    save_file({"image_features": torch.eye(2), "text_features": torch.eye(2)}, path)
    assert open_pair_features(path).image_of_text.tolist() == [0, 1]
    save_file({"image_features": torch.eye(3)[:2], "text_features": torch.eye(3)}, path)
    with pytest.raises(DataError, match="no image_of_text"):
        open_pair_features(path)


def test_vectors_are_mapped_and_not_read(tmp_path: Path) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the kernel does not tell what is in memory")

    def anonymous() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "RssAnon" in line)

    path = tmp_path / "a.st"
    save_file({"vectors": torch.zeros(200_000, 64)}, path)  # 51 MB
    before = anonymous()
    vectors = open_features(path)
    assert float(vectors[-1, -1]) == 0
    assert anonymous() - before < 25_000  # kB


def test_one_matrix(tmp_path: Path) -> None:
    path = tmp_path / "a.st"
    save_file({"embeddings": torch.eye(2)}, path)
    assert open_features(path).shape == open_features(path, "image_features").shape == (2, 2)
    save_file({"a": torch.eye(2), "b": torch.eye(2)}, path)
    assert open_features(path, "b").shape == (2, 2)
    for name in (None, "image_features"):
        with pytest.raises(DataError, match=r"a \(2, 2\), b \(2, 2\)"):
            open_features(path, name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_features": None}, "no image_features"),
        ({"image_features": torch.ones(2, 2, dtype=torch.long)}, "floating-point"),
        ({"image_features": torch.ones(2)}, "floating-point"),
        ({"image_features": 3 * torch.eye(2)}, "rows 0, 1; normalise"),
        ({"image_features": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}, "rows 1"),
        ({"text_features": torch.full((2, 2), torch.nan)}, "text features must be unit"),
        ({"text_features": torch.eye(3)[:2]}, "2 numbers and text vectors 3"),
        ({"image_of_text": torch.tensor([0.0, 1.0])}, "whole number"),
        ({"image_of_text": torch.tensor([0, 5])}, "not there"),
        ({"image_of_text": torch.tensor([0, 0])}, "row 1"),
    ],
)
def test_bad_content(tmp_path: Path, change: dict, message: str) -> None:
    content = {
        "image_features": torch.eye(2),
        "text_features": torch.eye(2).clone(),
        "image_of_text": torch.arange(2),
        **change,
    }
    save_file({name: value for name, value in content.items() if value is not None}, tmp_path / "a.st")
    with pytest.raises(DataError, match=message):
        open_pair_features(tmp_path / "a.st")


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_pair_features(tmp_path / "none.st")
    (tmp_path / "a.st").write_bytes(b"not vectors")
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        open_features(tmp_path / "a.st")
    save_file(
        {"image_features": torch.eye(2), "text_features": torch.eye(2)},
        tmp_path / "b.st",
        {"logit_scale": "-1"},
    )
    with pytest.raises(DataError, match="positive number, got '-1'"):
        open_pair_features(tmp_path / "b.st")
