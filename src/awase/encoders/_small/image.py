"""The image tower: a patch stem, residual convolutions on two grids, attention pooling, a small MLP.

The order of norm and convolution is that of ConvNeXt (Liu et al. 2022, arXiv 2201.03545) with full 3 x 3
convolutions, which a CPU does faster than many thin ones; a learned query for each head reads the cells, as
in Set Transformers (Lee et al. 2019, arXiv 1810.00825). There are no running statistics and no dropout, so
training and evaluation are one function of the pixels. Left out: attention between cells.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention

STRIDE = 8  # pixels to a cell of the grid
_CHANNELS = 32  # of a pooling head


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every cell of a map."""

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """The same shape."""
        normed: Tensor = super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return normed


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions beside the way straight on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """The same shape."""
        change: Tensor = self.second(functional.relu(self.first(self.norm(x))))
        return x + change


class PoolingLayer(nn.Module):
    """One learned query a head over all cells, cut like a transformer block.

    Args:
        width: of a cell.
        heads: number of queries.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.zeros(heads, _CHANNELS))
        self.key = nn.Linear(width, heads * _CHANNELS)
        self.value = nn.Linear(width, heads * _CHANNELS)

    def project(
        self, hidden: Float[Tensor, "b n w"]
    ) -> tuple[Float[Tensor, "b h 1 c"], Float[Tensor, "b h n c"], Float[Tensor, "b h n c"]]:
        """The same queries for every image; keys and values of its cells, norm included."""
        cells = self.norm(hidden)
        key, value = (
            part(cells).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.key, self.value)
        )
        return self.query[None, :, None].expand(len(hidden), -1, -1, -1), key, value

    def merge(
        self, hidden: Float[Tensor, "b q w"], attended: Float[Tensor, "b h 1 c"]
    ) -> Float[Tensor, "b 1 p"]:
        """Heads side by side; there is no way straight on, so `hidden` is not read."""
        return attended.transpose(1, 2).flatten(2)


class SmallImageTower(nn.Module):
    """Pixels to one embedding.

    Args:
        size: side of the square input in pixels, a multiple of 8.
        width: channels of a cell of the coarse grid (one cell in 8 x 8 pixels); the fine grid (4 x 4) has
            half.
        depth: residual blocks on each grid.
        heads: of the pooling.
        dimension: of the embedding.
    """

    first_patch = 0

    def __init__(self, *, size: int, width: int, depth: int, heads: int, dimension: int) -> None:
        super().__init__()
        self.grid = (size // STRIDE, size // STRIDE)
        self.dimension = dimension
        fine = width // 2
        self.stem = nn.Conv2d(3, fine, 8, stride=4, padding=2)
        self.fine = nn.ModuleList(ConvBlock(fine) for _ in range(depth))
        self.join_norm = ChannelNorm(fine)
        self.join = nn.Conv2d(fine, width, 2, stride=2)
        self.coarse = nn.ModuleList(ConvBlock(width) for _ in range(depth))
        self.positions = nn.Parameter(torch.zeros(self.grid[0] * self.grid[1], width))
        self.pooling = PoolingLayer(width, heads)
        self.final_norm = nn.LayerNorm(heads * _CHANNELS)
        self.widen = nn.Linear(heads * _CHANNELS, 2 * width)
        self.projection = nn.Linear(2 * width, dimension)

    @property
    def layers(self) -> Sequence[PoolingLayer]:
        """The one layer that attends."""
        return (self.pooling,)

    def embed(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b n w"]:
        """The cells of the coarse grid, row by row, with where they lie."""
        x = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        for block in self.fine:
            x = block(x)
        x = self.join(self.join_norm(x))
        for block in self.coarse:
            x = block(x)
        cells: Tensor = x.flatten(2).transpose(1, 2) + self.positions
        return cells

    def head(self, hidden: Float[Tensor, "b 1 p"]) -> Float[Tensor, "b d"]:
        """The un-normalised embedding from the pooled row."""
        embedding: Tensor = self.projection(functional.gelu(self.widen(self.final_norm(hidden[:, 0]))))
        return embedding

    def row_weights(self, rows: int) -> Float[Tensor, " q"]:
        """The only row is the one that is read."""
        return torch.ones(rows) / rows

    def forward(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        """Un-normalised embeddings of a batch."""
        hidden = self.embed(pixels)
        attended = scaled_dot_product_attention(*self.pooling.project(hidden))
        return self.head(self.pooling.merge(hidden[:, :1], attended))


def initialise(tower: SmallImageTower, *, generator: torch.Generator) -> None:
    """Random start: normal weights that keep the size of what goes through, residual ones scaled down."""
    for name, parameter in tower.named_parameters():
        with torch.no_grad():
            if parameter.ndim < 2:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
                continue
            deviation = 0.02 if name in ("positions", "pooling.query") else parameter[0].numel() ** -0.5
            if name.endswith("first.weight"):
                deviation *= 2**0.5  # a ReLU follows
            elif name.endswith("second.weight"):
                deviation /= (2 * len(tower.fine)) ** 0.5
            parameter.normal_(0.0, deviation, generator=generator)
