"""Chunks give the gradient of the whole batch, dropout included, with the activations of one chunk only."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from awase import registry
from awase.errors import DataError
from awase.training.contrast import Contrast
from awase.training.gradient_cache import cached_backward

N_ROWS = 11
GROUPS = torch.arange(N_ROWS) // 2
Embed = Callable[[Tensor], tuple[Tensor, Tensor]]


class Towers(nn.Module):
    """Two towers that share their last layer, and a learned scale."""

    def __init__(self, *, dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # constructors draw from the global generator
            torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
            self.image = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(dropout))
            self.text = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Dropout(dropout))
            self.common = nn.Linear(16, 8)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.to(dtype)
        generator = torch.Generator().manual_seed(1)
        self.photos = torch.randn(N_ROWS, 6, generator=generator, dtype=torch.float64).to(dtype)
        self.texts = torch.randn(N_ROWS, 5, generator=generator, dtype=torch.float64).to(dtype)
        self.chunks: list[tuple[int, bool]] = []

    def embed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        self.chunks.append((len(rows), torch.is_grad_enabled()))
        images, texts = self.common(self.image(self.photos[rows])), self.common(self.text(self.texts[rows]))
        return nn.functional.normalize(images, dim=-1), nn.functional.normalize(texts, dim=-1)

    def loss(self, images: Tensor, texts: Tensor, name: str = "regularized") -> Tensor:
        zero = self.log_scale.detach() * 0
        batch = Contrast(images, texts, self.log_scale.exp(), zero, GROUPS)
        return registry.load("objective", name)().loss(batch)

    def gradients(self) -> dict[str, Tensor | None]:
        return {name: parameter.grad for name, parameter in self.named_parameters()}


def _whole(towers: Towers, name: str) -> Tensor:
    value = towers.loss(*towers.embed(torch.arange(N_ROWS)), name)
    value.backward()
    return value.detach()


@pytest.mark.parametrize("name", registry.names("objective"))
@pytest.mark.parametrize("chunk", [1, 4, 11])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=["double", "single"]
)
def test_chunks_give_the_gradient_of_the_batch(
    name: str, chunk: int, dtype: torch.dtype, tolerance: float
) -> None:
    whole, parts = Towers(dtype=dtype), Towers(dtype=dtype)
    expected = _whole(whole, name)
    rows = torch.arange(N_ROWS)
    value = cached_backward(parts.embed, rows, lambda u, w: parts.loss(u, w, name), chunk=chunk)
    assert not value.requires_grad
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    for key, gradient in whole.gradients().items():
        scale = float(gradient.abs().max())
        error = float((parts.gradients()[key] - gradient).abs().max())
        assert error <= tolerance * max(1.0, scale), key


def test_the_loss_of_each_chunk_alone_is_another() -> None:
    """Negative control: accumulating over small batches is not the same gradient."""
    whole, parts = Towers(), Towers()
    _whole(whole, "info_nce")
    for rows in torch.arange(10).split(5):
        zero = parts.log_scale.detach() * 0
        batch = Contrast(*parts.embed(rows), parts.log_scale.exp(), zero, GROUPS[rows])
        (registry.load("objective", "info_nce")().loss(batch) / 2).backward()
    gradients = [towers.gradients()["common.weight"] for towers in (whole, parts)]
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) > 0.05


def test_dropout_draws_the_same_units_twice_and_nothing_further() -> None:
    towers, reference = Towers(dropout=0.5), Towers(dropout=0.5)
    rows = torch.arange(N_ROWS)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(torch.Generator().manual_seed(5).get_state())
        features = [reference.embed(part) for part in rows.split(4)]
        after_one_pass_and_the_loss = torch.rand(4)[1:]
    images, texts = (torch.cat(side) for side in zip(*features, strict=True))
    expected = reference.loss(images, texts)
    expected.backward()
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(torch.Generator().manual_seed(5).get_state())
        value = cached_backward(
            towers.embed, rows, lambda u, w: towers.loss(u, w) + 0 * torch.rand(1)[0], chunk=4
        )
        assert torch.equal(torch.rand(3), after_one_pass_and_the_loss)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=0)
    for key, gradient in reference.gradients().items():
        torch.testing.assert_close(towers.gradients()[key], gradient, rtol=1e-10, atol=1e-13)


def test_gradients_are_added_to_what_is_there() -> None:
    once, twice = Towers(), Towers()
    rows = torch.arange(N_ROWS)
    cached_backward(once.embed, rows, once.loss, chunk=4)
    for _ in range(2):
        cached_backward(twice.embed, rows, twice.loss, chunk=4)
    for key, gradient in once.gradients().items():
        torch.testing.assert_close(twice.gradients()[key], 2 * gradient)


def test_each_chunk_is_embedded_without_graph_and_then_with() -> None:
    towers = Towers()
    cached_backward(towers.embed, torch.arange(N_ROWS), towers.loss, chunk=4)
    assert towers.chunks == [(n, graph) for graph in (False, True) for n in (4, 4, 3)]
    towers.chunks.clear()
    cached_backward(towers.embed, torch.arange(N_ROWS), towers.loss, chunk=N_ROWS)
    assert towers.chunks == [(N_ROWS, True)]  # fits: no second forward pass


def test_only_one_chunk_is_kept() -> None:
    """The most elements that autograd keeps at a time: of one chunk, not of the batch."""

    def most_kept(chunk: int) -> int:
        towers, kept, most = Towers(), 0, 0

        class Kept:
            def __init__(self, tensor: Tensor) -> None:
                nonlocal kept, most
                self.tensor = tensor
                kept += tensor.numel()
                most = max(most, kept)

            def __del__(self) -> None:
                nonlocal kept
                kept -= self.tensor.numel()

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda held: held.tensor):
            # the square of the features stands for a loss that keeps little itself
            cached_backward(towers.embed, torch.arange(N_ROWS), lambda u, w: (u * w).sum(), chunk=chunk)
        return most

    weights = sum(p.numel() for p in Towers().common.parameters())  # kept by every graph
    assert most_kept(1) - weights < 0.35 * (most_kept(N_ROWS) - weights)


@pytest.mark.parametrize("frozen", ["image", "text", "both"])
def test_frozen_sides_are_passed_over(frozen: str) -> None:
    whole, parts = Towers(), Towers()
    for towers in (whole, parts):
        towers.common.requires_grad_(False)
        if frozen != "text":
            towers.image.requires_grad_(False)
        if frozen != "image":
            towers.text.requires_grad_(False)
    _whole(whole, "regularized")
    cached_backward(parts.embed, torch.arange(N_ROWS), parts.loss, chunk=4)
    for key, gradient in whole.gradients().items():
        if gradient is None:
            assert parts.gradients()[key] is None, key
        else:
            torch.testing.assert_close(parts.gradients()[key], gradient)
    assert parts.gradients()["log_scale"] is not None


def test_a_loss_that_reads_one_side_only() -> None:
    towers = Towers()
    cached_backward(towers.embed, torch.arange(N_ROWS), lambda u, w: u.square().sum(dim=0)[0], chunk=4)
    assert towers.gradients()["text.0.weight"] is None
    assert towers.gradients()["image.0.weight"] is not None


def test_weights_that_autocast_has_cast_without_graph_are_cast_again() -> None:
    whole, parts = Towers(dtype=torch.float32), Towers(dtype=torch.float32)
    rows = torch.arange(N_ROWS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _whole(whole, "info_nce")
        cached_backward(parts.embed, rows, parts.loss, chunk=4)
    gradient = parts.gradients()["image.0.weight"]
    assert gradient is not None
    assert float(nn.functional.cosine_similarity(
        gradient.flatten(), whole.gradients()["image.0.weight"].flatten(), dim=0
    )) > 0.98  # fmt: skip


def test_nothing_to_do_is_refused() -> None:
    towers = Towers()
    with pytest.raises(DataError, match="chunk must be at least 1"):
        cached_backward(towers.embed, torch.arange(3), towers.loss, chunk=0)
    with pytest.raises(DataError, match="at least one row"):
        cached_backward(towers.embed, torch.arange(0), towers.loss, chunk=4)
