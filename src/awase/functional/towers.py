"""A text tower run from its input embeddings on, with gradient: what learned prompts need.

    embedding = head(layers(embedded))

`awase.functional.attribution.encode` is the same without gradient and from token ids; there and here the
attention is the tower's own: causal, or bidirectional with the padding masked. Left out: the image tower,
which `awase.functional.image_tower` runs, and texts that share beginnings (`awase.functional.text_tree`).
"""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from awase.errors import ShapeError
from awase.protocols import TextTower
from awase.types import TokenBatch


def run_text(tower: TextTower, tokens: TokenBatch, embedded: Float[Tensor, "b n w"]) -> Float[Tensor, "b d"]:
    """Un-normalised embeddings of texts whose tokens are already embedded, differentiable in `embedded`.

    Args:
        tower: any text tower, in evaluation mode.
        tokens: the texts; their mask and row weights are read, their ids are not.
        embedded: what enters the first layer, `tower.embed(tokens)` or a changed copy of it.

    Returns:
        One row a text, in the dtype of the tower. With `tower.embed(tokens)` unchanged it is what the
        encoder itself computes before it normalises.

    Raises:
        ShapeError: embedded and tokens are of different sizes.

    Example:
        >>> import torch
        >>> from awase.registry import load
        >>> encoder = load("encoder", "tiny").load("0")
        >>> tokens = encoder.tokenize(["a dog", "a black cat"])
        >>> features = run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens))
        >>> own = encoder.encode_text(["a dog", "a black cat"])
        >>> bool(torch.allclose(torch.nn.functional.normalize(features, dim=-1), own, atol=1e-6))
        True
    """
    if embedded.shape[:2] != tokens.ids.shape:
        raise ShapeError(
            f"embeddings of {tuple(embedded.shape[:2])} tokens do not fit tokens {tuple(tokens.ids.shape)}."
        )
    hidden = embedded
    for layer in tower.layers:
        query, key, value = layer.project(hidden)
        hidden = layer.merge(hidden, attend(tower, query, key, value, tokens.mask))
    return tower.head(hidden, tokens.row_weights.to(hidden.dtype))


def attend(
    tower: TextTower,
    query: Float[Tensor, "b h n c"],
    key: Float[Tensor, "b h n c"],
    value: Float[Tensor, "b h n c"],
    mask: Bool[Tensor, "b n"],
) -> Float[Tensor, "b h n c"]:
    """Fused attention. A causal tower needs no padding mask: what is read lies before the padding."""
    if tower.causal:
        return scaled_dot_product_attention(query, key, value, is_causal=True)
    if bool(mask.all()):
        return scaled_dot_product_attention(query, key, value)
    return scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
