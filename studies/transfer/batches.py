"""Which captions make up batch number i: a function of the seed and i alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from awase.training.sampler import seeded


@dataclass(frozen=True)
class CaptionBatches:
    """Batches of different images with one or more captions each, drawn anew every epoch.

    Args:
        captions_of: rows of the captions of every image, `(n, c)`.
        batch_size: captions in a batch.
        each: captions of one image in a batch; 1 keeps groups apart.
        seed: of the order and of the choice of captions.
    """

    captions_of: Tensor
    batch_size: int
    seed: int
    each: int = 1

    @property
    def n_rows(self) -> int:
        """Captions there are."""
        return self.captions_of.numel()

    @property
    def per_epoch(self) -> int:
        """Whole batches in a pass over the images."""
        return max(1, len(self.captions_of) * self.each // self.batch_size)

    def rows(self, step: int) -> Tensor:
        """Captions of the batch of a step."""
        epoch, place = divmod(step, self.per_epoch)
        generator = seeded(self.seed, epoch)
        order = torch.randperm(len(self.captions_of), generator=generator)
        choice = torch.rand(self.captions_of.shape, generator=generator).argsort(dim=1)[:, : self.each]
        size = self.batch_size // self.each
        images = order[place * size : (place + 1) * size]
        return self.captions_of[images].gather(1, choice[images]).flatten()
