"""A residual head on unit vectors: what is learned when a tower stays frozen, starting as no change at all.

    y = x + narrow(gelu(widen(sqrt(d) x))) / sqrt(d)          kind `mlp`,    narrow = 0 at the start
    y = x + linear(sqrt(d) x) / sqrt(d)                        kind `linear`, linear = 0 at the start

The residual form is CLIP-Adapter's (Gao et al. 2021, arXiv 2110.04544) with the whole of x kept. sqrt(d)
brings the coordinates of a unit vector to size 1, so that one learning rate suits every width. The result is
not normalised. Left out: a change of width, which could not start as no change.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import dropout as drop
from torch.nn.functional import gelu, linear

from awase.errors import DataError

KINDS = ("mlp", "linear")


def head_shapes(kind: str, *, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a head.

    Args:
        kind: `mlp` or `linear`.
        width: of the vectors.
        hidden: of the layer in between; not read for `linear`.

    Raises:
        DataError: there is no such kind, or a size is not positive.

    Example:
        >>> head_shapes("linear", width=4, hidden=0)
        {'linear.weight': (4, 4), 'linear.bias': (4,)}
    """
    if kind not in KINDS:
        raise DataError(f"a head is one of {', '.join(KINDS)}, got {kind!r}.")
    if width < 1 or (kind == "mlp" and hidden < 1):
        raise DataError(f"a head needs positive sizes, got width {width} and hidden {hidden}.")
    if kind == "linear":
        return {"linear.weight": (width, width), "linear.bias": (width,)}
    return {
        "widen.weight": (hidden, width),
        "widen.bias": (hidden,),
        "narrow.weight": (width, hidden),
        "narrow.bias": (width,),
    }


def head_start(
    kind: str, *, width: int, hidden: int, generator: torch.Generator
) -> dict[str, Float[Tensor, "..."]]:
    """Weights with which a head changes nothing: `widen` uniform in +-1/sqrt(width), all else 0.

    Raises:
        DataError: see `head_shapes`.

    Example:
        >>> start = head_start("mlp", width=4, hidden=8, generator=torch.Generator().manual_seed(0))
        >>> x = torch.nn.functional.normalize(torch.ones(1, 4), dim=-1)
        >>> bool((residual_head(x, start) == x).all())
        True
    """
    weights = {
        name: torch.zeros(shape) for name, shape in head_shapes(kind, width=width, hidden=hidden).items()
    }
    if kind == "mlp":
        bound = 1 / math.sqrt(width)
        weights["widen.weight"].uniform_(-bound, bound, generator=generator)
    return weights


def residual_head(
    features: Float[Tensor, "b d"], weights: Mapping[str, Tensor], *, dropout: float = 0.0
) -> Float[Tensor, "b d"]:
    """Embeddings, not normalised, from unit vectors.

    Args:
        features: unit vectors.
        weights: as `head_start` names them; the names say which kind of head it is.
        dropout: share of the hidden units that are dropped, drawn from torch's generator; for training only.

    Raises:
        DataError: the weights are of no known head.

    Example:
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> turn = {"linear.weight": torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), "linear.bias": torch.zeros(2)}
        >>> residual_head(x, turn)
        tensor([[0., 1.]])
    """
    scale = math.sqrt(features.shape[-1])
    if "linear.weight" in weights:
        moved = linear(scale * features, weights["linear.weight"], weights["linear.bias"])
    elif "widen.weight" in weights:
        hidden = gelu(linear(scale * features, weights["widen.weight"], weights["widen.bias"]))
        if dropout:
            hidden = drop(hidden, p=dropout, training=True)
        moved = linear(hidden, weights["narrow.weight"], weights["narrow.bias"])
    else:
        raise DataError(f"no head has the weights {', '.join(sorted(weights)) or 'none'}.")
    return features + moved / scale
