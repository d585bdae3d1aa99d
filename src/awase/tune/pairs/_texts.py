"""Captions as a text tower reads them, tokenised once and cut to the longest of each batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from awase.protocols import TokenEncoder
from awase.types import TokenBatch

_CHUNK = 1024  # captions in one call of the tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Token ids of many captions, padded to one length; character ranges are not kept."""

    ids: Int[Tensor, "m n"]
    mask: Bool[Tensor, "m n"]
    row_weights: Float[Tensor, "m n"]
    is_padding: Bool[Tensor, "m n"] | None

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: Int[Tensor, " b"]) -> TokenBatch:
        """These captions, as long as the longest of them."""
        mask = self.mask[rows]
        length = int(mask.any(dim=0).nonzero().max()) + 1 if bool(mask.any()) else 1
        return TokenBatch(
            ids=self.ids[rows, :length],
            mask=mask[:, :length],
            row_weights=self.row_weights[rows, :length],
            spans=((),) * len(rows),
            truncated=(False,) * len(rows),
            is_padding=None if self.is_padding is None else self.is_padding[rows, :length],
        )


def tokenize(encoder: TokenEncoder, captions: Sequence[str]) -> Tokens:
    """All captions as tokens, on the encoder's device.

    Args:
        encoder: its tokenizer is read.
        captions: at least one.

    Raises:
        RowError: a caption cannot be read.

    Example:
        >>> from awase.registry import load
        >>> tokens = tokenize(load("encoder", "tiny").load("0"), ["a dog", "a dog on the grass"])
        >>> tokens.ids.shape, tokens.batch(torch.tensor([0])).ids.shape
        (torch.Size([2, 8]), torch.Size([1, 4]))
    """
    parts = [encoder.tokenize(captions[i : i + _CHUNK]) for i in range(0, len(captions), _CHUNK)]
    length = max(part.ids.shape[1] for part in parts)

    def joined(values: Sequence[Tensor]) -> Tensor:
        return torch.cat([pad(value, (0, length - value.shape[1])) for value in values])

    paddings = [part.is_padding for part in parts if part.is_padding is not None]
    return Tokens(
        ids=joined([part.ids for part in parts]),
        mask=joined([part.mask for part in parts]),
        row_weights=joined([part.row_weights for part in parts]),
        is_padding=joined(paddings) if len(paddings) == len(parts) else None,
    )
