"""The image tower: frozen convolutional maps, one attention-pooling layer, a small MLP.

Every head averages over the cells of an 8 x 8 grid. Most heads average a slice of the networks'
last maps with equal weights, which is what their classifiers did; the others learn where to look
and read the bottleneck and middle maps, where colour and small things survive. So the whole
picture-to-vector step is one attention layer, and heat maps see all of it.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from awase.encoders._builtin.convnet import HEAD_CHANNELS, EfficientNetLite


class PoolingLayer(nn.Module):
    """One row of attention over the cells, cut like a transformer block.

    Args:
        averaged: channels that are averaged with equal weights; a multiple of `channels`.
        attended: channels that the learned heads read.
        heads: number of learned heads.
        channels: of one head.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, *, averaged: int, attended: int, heads: int, channels: int) -> None:
        super().__init__()
        self.averaged = averaged
        self.channels = channels
        self.even_heads = averaged // channels
        # fixed standardisation of the channels, taken from training photos
        self.register_buffer("shift", torch.zeros(attended))
        self.register_buffer("scale", torch.ones(attended))
        self.look = nn.Linear(attended, heads)
        self.value = nn.Linear(attended, heads * channels)

    def project(
        self, hidden: Float[Tensor, "b n w"]
    ) -> tuple[Float[Tensor, "b h 1 c"], Float[Tensor, "b h n c"], Float[Tensor, "b h n c"]]:
        """One query, keys and values per head; hidden rows are averaged channels, then attended."""
        even = hidden[..., : self.averaged]
        attended = (hidden[..., self.averaged :] - self.shift) * self.scale
        # a learned head scores cells by one linear map: a constant query that reads channel 0 of
        # the keys says the same in the form of an attention layer; the even heads' keys are zero
        scores = torch.cat([even.new_zeros(*even.shape[:2], self.even_heads), self.look(attended)], -1)
        scores = scores.transpose(1, 2).unsqueeze(-1) * math.sqrt(self.channels)  # (b, h, n, 1)
        key = functional.pad(scores, (0, self.channels - 1))
        query = torch.zeros_like(key[:, :, :1])
        query[..., 0] = 1.0
        value = torch.cat([even, self.value(attended)], -1)
        return query, key, value.view(*value.shape[:2], -1, self.channels).transpose(1, 2)

    def merge(
        self, hidden: Float[Tensor, "b 1 w"], attended: Float[Tensor, "b h 1 c"]
    ) -> Float[Tensor, "b 1 p"]:
        """Heads side by side; there is no residual, so `hidden` is not read."""
        return attended.transpose(1, 2).flatten(2)

    def read(
        self, average: Float[Tensor, "b averaged"], cells: Float[Tensor, "b n attended"]
    ) -> Float[Tensor, "b p"]:
        """What `pool` gives, with `look` and `value` run as modules: what was put around them counts.

        A head's value of the mean is read off the values of all heads, four times what `pool` computes and a
        sixteenth of what `project` does.
        """
        weights = self.look((cells - self.shift) * self.scale).softmax(1)  # (b, n, heads)
        pooled = (weights.transpose(1, 2) @ cells - self.shift) * self.scale  # (b, heads, attended)
        values = self.value(pooled).view(*pooled.shape[:2], -1, self.channels)  # (b, heads, heads, c)
        own = values.diagonal(dim1=1, dim2=2).transpose(1, 2)  # (b, heads, c)
        return torch.cat([average, own.flatten(1)], -1)

    def pool(
        self, average: Float[Tensor, "b averaged"], cells: Float[Tensor, "b n attended"]
    ) -> Float[Tensor, "b p"]:
        """What project, attention and merge give, from maps averaged beforehand: for training.

        A value is linear in its cell, so cells are pooled first and projected once per head.
        """
        # the standardisation is folded in: the softmax ignores a constant, and weights sum to 1
        weights = functional.linear(cells, self.look.weight * self.scale).softmax(1)  # (b, n, heads)
        pooled = (weights.transpose(1, 2).to(cells.dtype) @ cells - self.shift) * self.scale
        value = self.value.weight.view(-1, self.channels, self.value.in_features)  # (heads, c, w)
        bias = self.value.bias.view(-1, self.channels)
        read = torch.einsum("bhw,hcw->bhc", pooled, value) + bias
        return torch.cat([average, read.flatten(1)], -1)


class PooledHead(nn.Module):
    """Pooled row to embedding: a fixed standardisation, then an MLP."""

    shift: Tensor
    scale: Tensor

    def __init__(self, pooled: int, hidden: int, dimension: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(pooled))
        self.register_buffer("scale", torch.ones(pooled))
        self.drop = nn.Dropout(dropout)
        self.widen = nn.Linear(pooled, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, dimension)

    def forward(self, pooled: Float[Tensor, "*b p"]) -> Float[Tensor, "*b d"]:
        """Un-normalised image embeddings."""
        standard = (pooled - self.shift) * self.scale
        x = functional.gelu(self.widen(self.drop(standard)))
        embedding: Tensor = self.project(self.drop(self.norm(x)))
        return embedding


class PhotoTower(nn.Module):
    """Pixels to one embedding.

    Args:
        networks: names of the convolutional networks.
        size: side of the square input in pixels.
        heads: number of learned pooling heads.
        channels: of one pooling head; divides 1280.
        hidden: width of the MLP.
        dimension: of the embedding.
        dropout: used while training only.
    """

    first_patch = 0

    def __init__(
        self,
        *,
        networks: Sequence[str],
        size: int,
        heads: int,
        channels: int,
        hidden: int,
        dimension: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.grid = (size // 32, size // 32)
        self.dimension = dimension
        self.networks = nn.ModuleDict({name: EfficientNetLite(name) for name in networks})
        nets = [net for net in self.networks.values() if isinstance(net, EfficientNetLite)]
        self.pooling = PoolingLayer(
            averaged=HEAD_CHANNELS * len(nets),
            attended=sum(net.neck_channels + net.middle_channels for net in nets),
            heads=heads,
            channels=channels,
        )
        pooled = HEAD_CHANNELS * len(nets) + heads * channels
        self.pooled_head = PooledHead(pooled, hidden, dimension, dropout)

    @property
    def layers(self) -> Sequence[PoolingLayer]:
        """The one layer that attends."""
        return (self.pooling,)

    def embed(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b n w"]:
        """Per cell of the grid, row by row: last maps, then bottlenecks, then middle maps."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        maps = [network(pixels) for network in self.networks.values()]
        columns = [m.head.flatten(2) for m in maps] + [m.neck.flatten(2) for m in maps]
        columns += [functional.avg_pool2d(m.middle, 2).flatten(2) for m in maps]
        return torch.cat(columns, dim=1).transpose(1, 2).contiguous()

    def compact(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b m"]:
        """All that the pooling needs of an image, in a row: last maps averaged, then the cells it attends to.

        A quarter of what `embed` gives, and as far as the convolutions reach.
        """
        hidden = self.embed(pixels)
        averaged = self.pooling.averaged
        return torch.cat([hidden[..., :averaged].mean(1), hidden[..., averaged:].flatten(1)], dim=1)

    def from_compact(self, rows: Float[Tensor, "b m"]) -> Float[Tensor, "b d"]:
        """The un-normalised embedding from `compact`, as `forward` gives it but for rounding."""
        averaged = self.pooling.averaged
        cells = rows[:, averaged:].view(len(rows), self.grid[0] * self.grid[1], -1)
        embedding: Tensor = self.pooled_head(self.pooling.read(rows[:, :averaged], cells))
        return embedding

    def head(self, hidden: Float[Tensor, "b 1 p"]) -> Float[Tensor, "b d"]:
        """The un-normalised embedding from the pooled row."""
        embedding: Tensor = self.pooled_head(hidden[:, 0])
        return embedding

    def row_weights(self, rows: int) -> Float[Tensor, " q"]:
        """The only row is the one that is read."""
        return torch.ones(rows) / rows

    def forward(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
        """Un-normalised embeddings of a batch."""
        hidden = self.embed(pixels)
        query, key, value = self.pooling.project(hidden)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.head(self.pooling.merge(hidden[:, :1], attended))
