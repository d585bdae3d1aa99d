"""What the image tower makes of photos before its attention layers, once a photo, in memory.

LoRA changes attention alone, so this part of the work (all convolutions of the built-in model, reading and
scaling the photo) is the same at every step, for every seed and before and after tuning. Nothing is thrown
out: when the capacity is used up, further photos are computed each time they are asked for, which still
helps where a data set is gone through in order again and again. Left out: a cache on disk.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from awase.engine.features import pixels
from awase.errors import DataError, EncoderError
from awase.functional.image_tower import image_prefix
from awase.protocols import Encoder, ImageTower, PatchEncoder, TrainableEncoder
from awase.types import Features

_BATCH = 8  # photos in one pass: larger batches of large maps fall out of the processor's cache
GIBIBYTE = 2**30
Compute = Callable[[ImageTower, Float[Tensor, "b 3 y x"]], Float[Tensor, "b ..."]]


class PrefixCache:
    """Rows of `image_prefix` by content hash, for one frozen encoder.

    Args:
        encoder: the encoder, before any tuning.
        capacity: bytes to keep; 0 keeps nothing. One photo takes 242 kB with the built-in model, 605 kB with
            a ViT-B/16.
        compute: what is kept of a batch of pixels.

    Raises:
        EncoderError: the image tower cannot be taken apart.

    Example:
        >>> from awase.registry import load
        >>> PrefixCache(load("encoder", "tiny").load("0")).n_bytes
        0
    """

    def __init__(
        self, encoder: Encoder, *, capacity: int = 2 * GIBIBYTE, compute: Compute = image_prefix
    ) -> None:
        image_tower_of(encoder)
        self.encoder, self.capacity, self.compute = encoder, capacity, compute
        self.n_bytes = 0
        self._rows: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, images: Features) -> Float[Tensor, "b ..."]:
        """One row an image, in order, on the CPU.

        Raises:
            DataError: the features are of another encoder.
            RowError: a photo can no longer be read.
        """
        if images.encoder != self.encoder.spec.fingerprint:
            raise DataError(
                f"these images were encoded by {images.encoder}, and what is kept here is of "
                f"{self.encoder.spec.fingerprint}."
            )
        missing = [row for row, key in enumerate(images.hashes) if key not in self._rows]
        fresh: dict[str, Tensor] = {}
        for start in range(0, len(missing), _BATCH):
            batch = images.select(missing[start : start + _BATCH])
            for key, row in zip(batch.hashes, self._computed(batch), strict=True):
                fresh[key] = self._kept(key, row)
        if not len(images):
            return torch.empty(0, 0)
        return torch.stack([fresh[key] if key in fresh else self._rows[key] for key in images.hashes])

    @torch.no_grad()
    def _computed(self, images: Features) -> Float[Tensor, "b ..."]:
        tower = image_tower_of(self.encoder)
        return self.compute(tower, on_device(self.encoder, pixels(self.encoder, images.images))).cpu()

    def _kept(self, key: str, row: Tensor) -> Tensor:
        size = row.numel() * row.element_size()
        if key not in self._rows and self.n_bytes + size <= self.capacity:
            self._rows[key] = row.clone()  # a view would keep its whole batch
            self.n_bytes += size
        return row


def image_tower_of(encoder: Encoder) -> ImageTower:
    """The image tower in its parts.

    Raises:
        EncoderError: it cannot be taken apart.
    """
    if not isinstance(encoder, PatchEncoder):
        raise EncoderError(
            f"the image tower of {encoder.spec.adapter}:{encoder.spec.name} cannot be taken apart, so it "
            "cannot be tuned; choose towers=text."
        )
    return encoder.image_tower


def on_device(encoder: Encoder, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
    """Pixels where the encoder's weights are, and as precise."""
    if isinstance(encoder, TrainableEncoder):
        return images.to(next(encoder.module.parameters()))
    return images
