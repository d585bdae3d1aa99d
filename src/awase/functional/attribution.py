"""Signed relevance of every text token for the cosine of an image and a text (CLIP4DM, arXiv 2412.18404).

    s   = <v, t>                                        the plain cosine
    R_l = 1/H sum_h (ds/dA_l^h) * A_l^h                 no ReLU, A_l^h taken as an independent variable
    a_j = 1/L sum over the last L layers of R_l[e, j]   e = the row that is pooled

Nothing here forms an attention map or its gradient. The attention output of row e is o_e = sum_j A_ej v_j,
so with g = ds/do_e the derivative is ds/dA_ej = <g, v_j>, and

    a_j = 1/(L H) sum_{l,h} A_ej <g_l^h, v_{l,j}^h>

`attribute` picks between two exact ways: `replay` re-runs the pooled token alone (a causal tower: no token
that is read can see it), `full` runs all tokens of the last L layers with gradient (any tower, any pooling).
`operator` gives the matrix M with a = M v, for one text against many images.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.similarity import normalize
from awase.functional.towers import attend
from awase.protocols import AttentionLayer, TextTower
from awase.types import TokenBatch


class TokenScores(NamedTuple):
    """scores: signed relevance per token, 0 where a token cannot be read. cosine: s, in [-1, 1]."""

    scores: Float[Tensor, "b n"]
    cosine: Float[Tensor, " b"]


class TextOperator(NamedTuple):
    """rows @ v are the token scores for the unit image vector v; text_features @ v is the cosine."""

    rows: Float[Tensor, "b n d"]
    text_features: Float[Tensor, "b d"]


def attribute(
    tower: TextTower,
    tokens: TokenBatch,
    image_features: Float[Tensor, "b d"],
    *,
    layers: int = 3,
) -> TokenScores:
    """Token scores for pairs (text i, image i), by the fastest way that is exact for this tower.

    Args:
        tower: the text tower, in evaluation mode.
        tokens: b texts.
        image_features: their unit image vectors.
        layers: how many of the last layers are read; the paper uses 3.

    Returns:
        scores, negative = contradicts the image, and the cosine. Float32 or wider.

    Raises:
        DataError: layers lies outside 1..number of layers.
        ShapeError: the numbers of texts and images differ.

    Relates to:
        operator: the same scores for one text and any number of images.
    """
    if len(image_features) != len(tokens):
        raise ShapeError(f"{len(tokens)} texts need as many image vectors, got {len(image_features)}.")
    if tower.causal and is_one_hot(tokens.row_weights):
        return replay(tower, tokens, image_features, layers=layers)
    return full(tower, tokens, image_features, layers=layers)


def is_one_hot(row_weights: Float[Tensor, "b n"]) -> bool:
    """Whether every text is read at one row only (end of text, CLS, last), not by a mean."""
    return bool(((row_weights != 0).sum(dim=1) == 1).all())


def encode(tower: TextTower, tokens: TokenBatch) -> Float[Tensor, "b d"]:
    """Unit text vectors: the bare forward pass, without gradient."""
    with torch.no_grad():
        hidden = _advance(tower, tower.layers, tower.embed(tokens), tokens.mask)
        return normalize(tower.head(hidden, tokens.row_weights.to(hidden.dtype)).float())


def replay(
    tower: TextTower, tokens: TokenBatch, image_features: Float[Tensor, "b d"], *, layers: int = 3
) -> TokenScores:
    """`attribute` for causal towers pooled at one token: only that token is run with gradient.

    Exact because its keys and values are seen by no token that is read: those before it cannot look
    ahead, those behind it never reach s.
    """
    memory = _remember(tower, tokens, _last(tower, layers))
    with torch.enable_grad():
        trace = _replay_pooled(memory, None)
        text = tower.head(trace.hidden, torch.ones_like(trace.hidden[:, :, 0]))  # (b, d)
        cosine = (normalize(_at_least_float32(text)) * image_features.to(text.device)).sum(dim=-1)
        gradients = torch.autograd.grad(cosine.sum(), trace.outputs)
    scores = torch.stack(
        [
            torch.einsum("bhn,bhnc,bhc->bn", *(_at_least_float32(x) for x in (p, v, g[:, :, 0])))
            for p, v, g in zip(trace.weights, trace.values, gradients, strict=True)
        ]
    )
    heads = trace.weights[0].shape[1]
    mean = scores.sum(dim=0) / (len(gradients) * heads)  # (b, n), cut behind the last pooled token
    return TokenScores(_widen(mean, 1, tokens.ids.shape[1]), cosine.detach())


def full(
    tower: TextTower, tokens: TokenBatch, image_features: Float[Tensor, "b d"], *, layers: int = 3
) -> TokenScores:
    """`attribute` for any tower: all tokens of the last layers with gradient, one backward pass.

        a_j = 1/(L H) sum_{l,h} sum_i r_i A_ij <g_i, v_j>,    sum_i r_i = 1

    r are the pooling weights. With mean pooling all scores carry an extra 1/n: ranks inside a text are
    unaffected, thresholds are not comparable with those of other poolings.
    """
    used = _last(tower, layers)
    with torch.no_grad():
        hidden = tower.embed(tokens)
        hidden = _advance(tower, tower.layers[: len(tower.layers) - len(used)], hidden, tokens.mask)
    weights = tokens.row_weights.to(hidden.dtype)
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    outputs: list[Tensor] = []
    with torch.enable_grad():
        for layer in used:
            query, key, value = layer.project(hidden)
            attended = attend(tower, query, key, value, tokens.mask)
            if not attended.requires_grad:  # the weights are frozen: nothing upstream asks for it
                attended.requires_grad_()
            outputs.append(attended)
            kept.append((query.detach(), key.detach(), value.detach()))
            hidden = layer.merge(hidden, attended)
        text = tower.head(hidden, weights)
        cosine = (normalize(_at_least_float32(text)) * image_features.to(text.device)).sum(dim=-1)
        gradients = torch.autograd.grad(cosine.sum(), outputs)

    scores = torch.zeros_like(weights, dtype=cosine.dtype)
    for (query, key, value), gradient in zip(kept, gradients, strict=True):
        scores += _row_weighted(tower, query, key, value, gradient, tokens.mask, weights)
    return TokenScores(scores / (len(outputs) * kept[0][0].shape[1]), cosine.detach())


def operator(tower: TextTower, tokens: TokenBatch, *, layers: int = 3) -> TextOperator:
    """The matrix M of each text: token scores for an image are M v, its cosine is text_features v.

    s is linear in the unit image vector v, and attention does not depend on v, so the scores are linear
    in v. Row j is the forward-mode derivative of the text vector along A_ej v_j / (L H), injected at the
    attention output of every used layer at once.

    Raises:
        DataError: layers lies outside 1..number of layers, or the tower is not causal with one pooled
            token (use `attribute` there).
    """
    if not (tower.causal and is_one_hot(tokens.row_weights)):
        raise DataError("the operator form needs a causal tower pooled at one token; use attribute().")
    used = _last(tower, layers)
    memory = _remember(tower, tokens, used)
    with torch.no_grad():
        trace = _replay_pooled(memory, None)
    heads = trace.weights[0].shape[1]
    tangents = tuple(
        (p.unsqueeze(-1) * v).permute(2, 0, 1, 3).unsqueeze(3) / (len(used) * heads)  # (n, b, h, 1, c)
        for p, v in zip(trace.weights, trace.values, strict=True)
    )

    def text_features(*injected: Tensor) -> Tensor:
        hidden = _replay_pooled(memory, injected).hidden
        text = tower.head(hidden, torch.ones_like(hidden[:, :, 0]))
        return normalize(_at_least_float32(text))

    zeros = tuple(torch.zeros_like(o) for o in trace.outputs)

    def along(*tangent: Tensor) -> Tensor:
        derivative: Tensor = torch.func.jvp(text_features, zeros, tangent)[1]
        return derivative

    with torch.no_grad():
        rows = torch.func.vmap(along)(*tangents)  # (n, b, d), cut behind the last pooled token
        rows = _widen(rows, 0, tokens.ids.shape[1]).transpose(0, 1)  # (b, n, d)
        return TextOperator(rows, text_features(*zeros))


def padding_score(scores: Float[Tensor, "b n"], tokens: TokenBatch) -> Float[Tensor, " b"] | None:
    """Sum of the scores on padding that the tower attends to: evidence that belongs to no word.

    Returns:
        None where no padding is attended to.

    Example:
        >>> ids, mask = torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool)
        >>> filled = torch.tensor([[False, True, True]])
        >>> tokens = TokenBatch(ids, mask, torch.eye(3)[2:], (((0, 1), (0, 0), (0, 0)),), (False,), filled)
        >>> padding_score(torch.tensor([[1.0, 0.25, 0.5]]), tokens)
        tensor([0.7500])
    """
    if tokens.is_padding is None:
        return None
    return (scores * tokens.is_padding.to(scores.device)).sum(dim=1)


class _Memory(NamedTuple):
    """What the pooled token needs of the others, layer by layer."""

    layers: Sequence[AttentionLayer]
    keys: list[Tensor]  # (b, h, n, c) each
    values: list[Tensor]
    hidden: Tensor  # the pooled token as it enters the first of these layers, (b, 1, w)
    pooled: Int[Tensor, " b"]


class _Trace(NamedTuple):
    """The pooled token's way through the layers."""

    outputs: list[Tensor]  # attention outputs per head, (b, h, 1, c) each
    weights: list[Tensor]  # its attention row, (b, h, n) each
    values: list[Tensor]  # the values it read, its own included, (b, h, n, c) each
    hidden: Tensor


def _remember(tower: TextTower, tokens: TokenBatch, used: Sequence[AttentionLayer]) -> _Memory:
    pooled = tokens.row_weights.argmax(dim=1)
    # Positions behind the last pooled token cannot influence any s.
    if int(pooled.max()) + 1 < tokens.ids.shape[1]:
        tokens = tokens.cut(int(pooled.max()) + 1)
    keys, values = [], []
    with torch.no_grad():
        hidden = tower.embed(tokens)
        hidden = _advance(tower, tower.layers[: len(tower.layers) - len(used)], hidden, tokens.mask)
        entering = hidden[torch.arange(len(tokens)), pooled].unsqueeze(1)  # (b, 1, w)
        for index, layer in enumerate(used):
            query, key, value = layer.project(hidden)
            keys.append(key)
            values.append(value)
            if index + 1 < len(used):  # nothing reads the other tokens behind the last layer
                hidden = layer.merge(hidden, attend(tower, query, key, value, tokens.mask))
    return _Memory(used, keys, values, entering, pooled)


def _replay_pooled(memory: _Memory, injected: Sequence[Tensor] | None) -> _Trace:
    """Run the pooled token alone; `injected` is added to the attention output of each layer."""
    hidden = memory.hidden
    positions = torch.arange(memory.keys[0].shape[2], device=hidden.device)
    is_self = (positions == memory.pooled.unsqueeze(1)).view(len(hidden), 1, 1, -1)  # (b, 1, 1, n)
    is_behind = (positions > memory.pooled.unsqueeze(1)).view(len(hidden), 1, 1, -1)
    outputs, weights, values = [], [], []
    for index, layer in enumerate(memory.layers):
        query, own_key, own_value = layer.project(hidden)  # (b, h, 1, c)
        # The token's own key and value belong to the graph, those of the others are constants.
        key = torch.where(is_self.transpose(2, 3), own_key, memory.keys[index])  # (b, h, n, c)
        value = torch.where(is_self.transpose(2, 3), own_value, memory.values[index])
        logits = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])  # (b, h, 1, n)
        weight = logits.masked_fill(is_behind, -torch.inf).softmax(dim=-1)
        output = weight @ value  # (b, h, 1, c)
        if injected is not None:
            output = output + injected[index]
        elif torch.is_grad_enabled() and not output.requires_grad:
            output.requires_grad_()  # the weights are frozen: nothing upstream asks for it
        outputs.append(output)
        weights.append(weight[:, :, 0].detach())
        values.append(value.detach())
        hidden = layer.merge(hidden, output)
    return _Trace(outputs, weights, values, hidden)


def _row_weighted(
    tower: TextTower,
    query: Float[Tensor, "b h n c"],
    key: Float[Tensor, "b h n c"],
    value: Float[Tensor, "b h n c"],
    gradient: Float[Tensor, "b h n c"],
    mask: Bool[Tensor, "b n"],
    weights: Float[Tensor, "b n"],
) -> Float[Tensor, "b n"]:
    """sum_h sum_i r_i A_ij <g_i, v_j>, reading only the rows i that any text of the batch pools."""
    if is_one_hot(weights):
        row = weights.argmax(dim=1)
        texts = torch.arange(len(row), device=row.device)
        query, gradient = query[texts, :, row].unsqueeze(2), gradient[texts, :, row].unsqueeze(2)
        rows, r = row.unsqueeze(1), torch.ones_like(weights[:, :1])
    else:
        rows, r = torch.arange(query.shape[2], device=query.device).expand(len(query), -1), weights
    logits = _at_least_float32(query @ key.transpose(2, 3)) / math.sqrt(query.shape[-1])  # (b, h, q, n)
    allowed = mask.unsqueeze(1)  # (b, 1, n)
    if tower.causal:
        allowed = allowed & (torch.arange(mask.shape[1], device=mask.device) <= rows.unsqueeze(2))
    attention = logits.masked_fill(~allowed.unsqueeze(1), -torch.inf).softmax(dim=-1)
    read = attention.transpose(2, 3) @ (_at_least_float32(gradient) * r[:, None, :, None])  # (b, h, n, c)
    return (read * _at_least_float32(value)).sum(dim=(1, 3))


def _advance(
    tower: TextTower,
    layers: Sequence[AttentionLayer],
    hidden: Float[Tensor, "b n w"],
    mask: Bool[Tensor, "b n"],
) -> Float[Tensor, "b n w"]:
    for layer in layers:
        query, key, value = layer.project(hidden)
        hidden = layer.merge(hidden, attend(tower, query, key, value, mask))
    return hidden


def _last(tower: TextTower, layers: int) -> Sequence[AttentionLayer]:
    if not 1 <= layers <= len(tower.layers):
        raise DataError(f"layers must lie in 1..{len(tower.layers)} for this text tower, got {layers}.")
    return tower.layers[len(tower.layers) - layers :]


def _widen(values: Tensor, dim: int, length: int) -> Tensor:
    """Zeros appended along `dim`: positions behind every pooled token score exactly 0."""
    shape = list(values.shape)
    shape[dim] = length - shape[dim]
    return torch.cat([values, values.new_zeros(shape)], dim=dim)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
