"""Photos for an image tower that learns: read once to know which can be, then batch by batch.

What is kept of a photo is its pixels, or what the tower makes of it before its first attention layer where
that stays frozen. When the capacity is used up, further photos are read anew each time. Left out: crops and
flips; every photo is one fixed view, as the encoder preprocesses it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import RowError
from awase.images import content_hash, decode, read_bytes
from awase.protocols import ImageEncoder
from awase.types import ImageReference

GIBIBYTE = 2**30
Compute = Callable[[Tensor], Tensor]  # pixels (b, 3, y, x) -> rows (b, ...)
_BATCH = 32  # photos computed at once: larger batches of large maps fall out of the processor's cache


class Photos:
    """Rows of photos by number, for one frozen encoder.

    Args:
        encoder: preprocesses them.
        references: the photos.
        compute: what is kept of a batch of pixels; None keeps the pixels.
        capacity: bytes to keep.
        workers: threads that read.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        references: Sequence[ImageReference],
        *,
        compute: Compute | None = None,
        capacity: int = GIBIBYTE,
        workers: int = 2,
    ) -> None:
        self._encoder, self._references, self._compute = encoder, tuple(references), compute
        self._capacity, self._workers = capacity, max(1, workers)
        self._kept: dict[int, Tensor] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._references)

    def rows(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        """One row a photo, in order, on the CPU.

        Raises:
            RowError: a photo can no longer be read.
        """
        wanted = numbers.tolist()
        missing = [number for number in dict.fromkeys(wanted) if number not in self._kept]
        fresh: dict[int, Tensor] = {}
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            for number, row in zip(some, self._computed(some), strict=True):
                fresh[number] = self._keep(number, row)
        return torch.stack([fresh[number] if number in fresh else self._kept[number] for number in wanted])

    @torch.no_grad()
    def _computed(self, numbers: Sequence[int]) -> Tensor:
        with ThreadPoolExecutor(self._workers) as pool:
            pixels = torch.stack(list(pool.map(self._pixels, numbers)))
        return pixels if self._compute is None else self._compute(pixels).cpu()

    def _pixels(self, number: int) -> Tensor:
        reference = self._references[number]
        return self._encoder.preprocess(decode(read_bytes(reference), name=reference.name))

    def _keep(self, number: int, row: Tensor) -> Tensor:
        if self._bytes + row.nbytes <= self._capacity:
            self._kept[number] = row.clone()  # a view would keep its whole batch
            self._bytes += row.nbytes
        return row


def checked(
    references: Sequence[ImageReference],
    *,
    workers: int = 2,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[str | RowError]:
    """The content hash of each photo that can be decoded, else its error."""

    def look(reference: ImageReference) -> str | RowError:
        try:
            data = read_bytes(reference)
            decode(data, name=reference.name)
        except RowError as error:
            return error
        return content_hash(data)

    found: list[str | RowError] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for answer in pool.map(look, references):
            found.append(answer)
            if progress is not None:
                progress(len(found), len(references))
    return found
