"""Where a lower precision pays: towers in bfloat16 on a graphics card that has it, all else in float32.

Features, similarities and losses are computed in float32 whatever the towers do: a logit scale of 100 turns
the three digits of bfloat16 into errors of half a logit. On a CPU nothing is lowered unless it is asked
for: few have units for bfloat16 (AMX; there it is two to three times as fast), and on the others it is
slower. Left out: float16, which needs its losses scaled, and lower precisions.
"""

from contextlib import AbstractContextManager

import torch

from awase.errors import DataError

PRECISIONS = ("auto", "float32", "bfloat16")


def autocast(precision: str, device: str) -> AbstractContextManager[None]:
    """A context for the forward pass of a tower; what comes out may be bfloat16: call `.float()` on it.

    Args:
        precision: `auto` lowers on a CUDA device that computes in bfloat16, and never on a CPU; `float32`
            never lowers; `bfloat16` always does.
        device: where the tower computes, as torch names it.

    Raises:
        DataError: there is no such precision.

    Example:
        >>> with autocast("bfloat16", "cpu"):
        ...     (torch.eye(2) @ torch.eye(2)).dtype
        torch.bfloat16
        >>> with autocast("auto", "cpu"):
        ...     (torch.eye(2) @ torch.eye(2)).dtype
        torch.float32
    """
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=is_lowered(precision, device))


def is_lowered(precision: str, device: str) -> bool:
    """Whether `autocast` lowers anything: for the card of a model.

    Raises:
        DataError: there is no such precision.

    Example:
        >>> is_lowered("auto", "cpu"), is_lowered("bfloat16", "cpu")
        (False, True)
    """
    if precision not in PRECISIONS:
        raise DataError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if precision != "auto":
        return precision == "bfloat16"
    return torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported()
