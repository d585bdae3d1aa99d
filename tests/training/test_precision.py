"""Precision is lowered where it was asked for, and nowhere else."""

import pytest
import torch

from awase.errors import DataError
from awase.functional.image_tower import run_image
from awase.registry import load
from awase.training.precision import PRECISIONS, autocast, is_lowered


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_cpu_lowers_only_when_told_to(precision: str) -> None:
    with autocast(precision, "cpu"):
        assert (torch.eye(2) @ torch.eye(2)).dtype == (
            torch.bfloat16 if precision == "bfloat16" else torch.float32
        )
    assert (torch.eye(2) @ torch.eye(2)).dtype == torch.float32
    assert is_lowered(precision, "cpu") == (precision == "bfloat16")


def test_an_untouched_precision_changes_no_bit() -> None:
    tower = load("encoder", "tiny").load("0").image_tower
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with autocast("auto", "cpu"):
        inside = run_image(tower, pixels)
    assert torch.equal(inside, run_image(tower, pixels))


def test_a_lowered_tower_comes_close_and_learns_in_float32() -> None:
    tower = load("encoder", "tiny").load("0").image_tower.requires_grad_(True)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.normalize(run_image(tower, pixels), dim=1)
    with autocast("bfloat16", "cpu"):
        embeddings = run_image(tower, pixels)
    lowered = torch.nn.functional.normalize(embeddings.float(), dim=1)
    cosines = (whole * lowered).sum(dim=1)
    assert (cosines > 0.999).all()
    assert not torch.equal(whole, lowered)
    lowered.sum().backward()
    assert {p.grad.dtype for p in tower.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_unknown_precision_is_refused(device: str) -> None:
    with pytest.raises(DataError, match="auto, float32, bfloat16, got 'half'"):
        autocast("half", device)
