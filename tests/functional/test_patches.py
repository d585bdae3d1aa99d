"""Patch features: the fast reading against forward passes whose last attention is changed, for two towers."""

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from awase.functional import patches
from awase.functional.patches import patch_features
from awase.registry import load


def fromarray(values: Tensor) -> Image.Image:
    return Image.fromarray(values.to(torch.uint8).numpy())


def tiny_tower():
    return load("encoder", "tiny").load("0").image_tower


def random_pixels(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def softmax_attention(parts: tuple[Tensor, Tensor, Tensor], allowed: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(c)) v over the allowed keys, written out."""
    query, key, value = parts
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return logits.masked_fill(~allowed, -torch.inf).softmax(-1) @ value


def vit_by_identity_mask(tower, image: Tensor) -> Tensor:
    """In the last layer rows may look at themselves alone; each patch then stands where the head reads."""
    hidden = tower.embed(image[None])
    n = hidden.shape[1]
    everything = torch.ones(n, n, dtype=torch.bool)
    for layer in tower.layers[:-1]:
        hidden = layer.merge(hidden, softmax_attention(layer.project(hidden), everything))
    last = tower.layers[-1]
    output = last.merge(hidden, softmax_attention(last.project(hidden), torch.eye(n, dtype=torch.bool)))
    rows = [tower.head(output[:, row : row + 1]) for row in range(tower.first_patch, n)]
    return normalize(torch.cat(rows), dim=-1)


class PoolingTower:
    """Cells read by one query, as the built-in model and SigLIP do; every number drawn from a generator."""

    grid = (2, 3)
    first_patch = 0

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(5)
        self.look, self.value = torch.randn(8, 2, generator=draw), torch.randn(8, 2 * 4, generator=draw)
        self.out, self.mix = torch.randn(8, 5, generator=draw), torch.randn(3, 8, generator=draw)

    @property
    def layers(self):
        return (self,)

    def embed(self, pixels):
        cells = torch.nn.functional.adaptive_avg_pool2d(pixels, self.grid)
        return torch.tanh(cells.flatten(2).transpose(1, 2) @ self.mix)

    def project(self, hidden):
        key = (hidden @ self.look).transpose(1, 2).unsqueeze(-1)  # (b, 2, n, 1)
        key = torch.nn.functional.pad(key, (0, 3))
        query = torch.zeros_like(key[:, :, :1])
        query[..., 0] = 3.0
        return query, key, (hidden @ self.value).unflatten(-1, (2, 4)).transpose(1, 2)

    def merge(self, hidden, attended):
        return attended.transpose(1, 2).flatten(2)

    def head(self, hidden):
        return torch.tanh(hidden[:, 0]) @ self.out

    def row_weights(self, rows):
        return torch.ones(rows) / rows


def pooling_by_one_cell(tower, image: Tensor) -> Tensor:
    """The query may look at one cell alone, cell after cell."""
    hidden = tower.embed(image[None])
    (layer,) = tower.layers
    query, key, value = layer.project(hidden)
    found = []
    for cell in range(hidden.shape[1]):
        allowed = torch.arange(hidden.shape[1]) == cell
        read = softmax_attention((query, key, value), allowed)
        found.append(tower.head(layer.merge(hidden[:, :1], read)))
    return normalize(torch.cat(found), dim=-1)


def test_a_vit_equals_its_identity_mask() -> None:
    tower, pixels = tiny_tower(), random_pixels(3)
    expected = torch.stack([vit_by_identity_mask(tower, image) for image in pixels])
    torch.testing.assert_close(patch_features(tower, pixels), expected, atol=1e-5, rtol=1e-5)


def test_pooling_reads_one_cell_alone() -> None:
    tower, pixels = PoolingTower(), random_pixels(3)
    expected = torch.stack([pooling_by_one_cell(tower, image) for image in pixels])
    torch.testing.assert_close(patch_features(tower, pixels), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_built_in_model_reads_its_cells() -> None:
    encoder = load("encoder", "builtin").load("")
    tower = encoder.image_tower
    draw = torch.Generator().manual_seed(2)
    pixels = encoder.preprocess(fromarray(torch.randint(0, 256, (40, 60, 3), generator=draw)))[None]
    found = patch_features(tower, pixels)
    assert found.shape[1] == tower.grid[0] * tower.grid[1]
    torch.testing.assert_close(found[0], pooling_by_one_cell(tower, pixels[0]), atol=1e-4, rtol=1e-4)


def test_unit_float32_without_gradient_on_the_grid() -> None:
    tower = load("encoder", "tiny").load("1", dtype="float64").image_tower
    found = patch_features(tower, random_pixels(2))
    assert found.shape == (2, 16, 24)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 16))


def test_no_patch_hears_of_another_in_the_last_layer() -> None:
    """The negative control: with the attention of the model as it is, patches are others."""
    tower, pixels = tiny_tower(), random_pixels(1)
    hidden = tower.embed(pixels)
    everything = torch.ones(hidden.shape[1], hidden.shape[1], dtype=torch.bool)
    for layer in tower.layers:
        hidden = layer.merge(hidden, softmax_attention(layer.project(hidden), everything))
    usual = normalize(torch.cat([tower.head(hidden[:, row : row + 1]) for row in range(1, 17)]), dim=-1)
    assert (patch_features(tower, pixels)[0] - usual).abs().max() > 0.05


@pytest.mark.parametrize("rows", [1, 16, 40, 10_000])
def test_blocks_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tower, pixels = tiny_tower(), random_pixels(5)
    whole = patch_features(tower, pixels)
    monkeypatch.setattr(patches, "_ROWS", rows)
    torch.testing.assert_close(patch_features(tower, pixels), whole, atol=1e-6, rtol=1e-6)


def test_no_images() -> None:
    assert patch_features(tiny_tower(), random_pixels(0)).shape == (0, 16, 24)
