"""The dual encoder of the study: two small heads over frozen vectors, and a logit scale."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

HIDDEN, DIMENSION = 512, 128


class Head(nn.Module):
    """Frozen vector to unit vector: a standardisation fixed beforehand, one hidden layer and a linear way
    past it.

    Args:
        mean: of the training vectors.
        scale: their standard deviation.
    """

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.past = nn.Linear(len(mean), DIMENSION)
        self.widen = nn.Linear(len(mean), HIDDEN)
        self.narrow = nn.Linear(HIDDEN, DIMENSION)
        self.drop = nn.Dropout(0.1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Unit vectors."""
        x = (vectors - self.mean) / self.scale
        hidden = self.drop(nn.functional.gelu(self.widen(x)))
        return normalize(self.past(x) + self.narrow(hidden), dim=-1)


class Heads(nn.Module):
    """Both heads and the temperature.

    Args:
        images: training vectors of the images, for the standardisation.
        texts: those of the texts.
        temperature: fixed; None starts at 0.07 and learns, clamped at 0.01 as in CLIP.
    """

    def __init__(self, images: Tensor, texts: Tensor, *, temperature: float | None) -> None:
        super().__init__()
        self.image = Head(images.mean(0), images.std() * torch.ones(images.shape[1]))
        self.text = Head(texts.mean(0), texts.std() * torch.ones(texts.shape[1]))
        start = torch.tensor(math.log(1 / (temperature or 0.07)))
        self.log_scale = nn.Parameter(start, requires_grad=temperature is None)

    @property
    def logit_scale(self) -> Tensor:
        """1 / temperature."""
        return self.log_scale.exp().clamp(max=100.0)
