"""Which modules of which dual encoder play which part: text and image towers of the families that `hf` knows.

Every tower runs the model's own modules, so it equals the model's own features whatever attention it was
loaded with; `awase.protocols` says what is done with the two halves of a block.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from awase.encoders import _transformers as library
from awase.encoders._blocks import PoolingBlock, PostNormBlock, PreNormBlock
from awase.encoders._towers import Chain, TransformerImage, TransformerText, unchanged
from awase.errors import EncoderError

Pooling = Literal["end", "first", "last"]
CAUSAL = ("clip", "clipseg", "metaclip_2", "groupvit")
# queries, keys and values, as the families name them
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "query", "key", "value")
# 2 in these configurations is the mark of a time when the id was wrong: the largest id is meant
LEGACY_END = ("clip", "clipseg", "groupvit")


def pooling(kind: str) -> Pooling:
    """Where the text tower of a model type is read."""
    if kind in CAUSAL:
        return "end"
    return "last" if kind == "siglip" else "first"


def text_tower(model: Any, kind: str) -> TransformerText:
    """The text tower of a model, taken apart."""
    encoder: Any = library.text_encoder(model)
    if kind in (*CAUSAL, "siglip"):
        return TransformerText(
            causal=kind in CAUSAL,
            embedding=encoder.embeddings,
            layers=tuple(_pre_norm(block) for block in library.blocks(encoder)),
            norm=encoder.final_layer_norm,
            projection=encoder.head if kind == "siglip" else model.text_projection,
        )
    norm, projection = _bert_head(model, encoder, kind)
    return TransformerText(
        causal=False,
        embedding=encoder.embeddings,
        layers=tuple(_post_norm(block) for block in library.blocks(encoder)),
        norm=norm,
        projection=projection,
    )


def image_tower(model: Any, kind: str) -> TransformerImage | None:
    """The image tower of a model, taken apart; None where it is not a plain vision transformer."""
    encoder: Any = library.image_encoder(model)
    if kind in ("align", "groupvit"):
        return None
    grid = _grid(encoder.config)
    layers = library.blocks(encoder)
    if kind == "siglip":
        head = getattr(encoder, "head", None)
        if head is None:
            return None
        return TransformerImage(
            grid=grid,
            first_patch=0,
            embedding=encoder.embeddings,
            layers=(
                *(_pre_norm(block) for block in layers),
                _attention_pooling(head, encoder.post_layernorm),
            ),
            norm=unchanged,
            projection=unchanged,
        )
    if hasattr(encoder, "pre_layrnorm"):
        return TransformerImage(
            grid=grid,
            first_patch=1,
            embedding=Chain(encoder.embeddings, encoder.pre_layrnorm),
            layers=tuple(_pre_norm(block) for block in layers),
            norm=encoder.post_layernorm,
            projection=model.visual_projection,
        )
    if encoder.config.model_type == "vit" and hasattr(layers[0], "attention") and encoder.pooler is not None:
        return TransformerImage(
            grid=grid,
            first_patch=1,
            embedding=encoder.embeddings,
            layers=tuple(_vit(block) for block in layers),
            norm=encoder.layernorm,
            projection=Chain(encoder.pooler.dense, encoder.pooler.activation, model.visual_projection),
        )
    return None


def _bert_head(
    model: Any, encoder: Any, kind: str
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Norm of the rows, and what turns the read row into the embedding."""
    if kind == "altclip":
        outer = model.text_model
        return outer.pre_LN, Chain(outer.transformation, model.text_projection)
    if kind == "vision-text-dual-encoder":
        if encoder.pooler is None:
            raise EncoderError("the text tower was saved without its pooler, where it is read.")
        return unchanged, Chain(encoder.pooler.dense, encoder.pooler.activation, model.text_projection)
    return unchanged, model.text_projection


def _pre_norm(block: Any) -> PreNormBlock:
    attention = block.self_attn
    return PreNormBlock(
        heads=attention.num_heads,
        norm_1=block.layer_norm1,
        query=attention.q_proj,
        key=attention.k_proj,
        value=attention.v_proj,
        out=attention.out_proj,
        norm_2=block.layer_norm2,
        mlp=block.mlp,
    )


def _post_norm(block: Any) -> PostNormBlock:
    attention, output = block.attention, block.attention.output
    states = getattr(attention, "self", None)
    return PostNormBlock(
        heads=states.num_attention_heads,  # type: ignore[union-attr]
        query=states.query,  # type: ignore[union-attr]
        key=states.key,  # type: ignore[union-attr]
        value=states.value,  # type: ignore[union-attr]
        out=output.dense,
        norm_1=output.LayerNorm,
        mlp=Chain(block.intermediate, block.output.dense),
        norm_2=block.output.LayerNorm,
    )


def _vit(block: Any) -> PreNormBlock:
    attention = block.attention
    if hasattr(attention, "q_proj"):
        parts = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        heads, mlp = attention.num_attention_heads, block.mlp
    else:  # transformers before 5.20 or so: the layout of BERT around it
        inner = attention.attention
        parts = (inner.query, inner.key, inner.value, attention.output.dense)
        heads, mlp = inner.num_attention_heads, Chain(block.intermediate, block.output.dense)
    query, key, value, out = parts
    return PreNormBlock(
        heads=heads,
        norm_1=block.layernorm_before,
        query=query,
        key=key,
        value=value,
        out=out,
        norm_2=block.layernorm_after,
        mlp=mlp,
    )


def _attention_pooling(head: Any, norm: nn.Module) -> PoolingBlock:
    attention = head.attention
    return PoolingBlock(
        heads=attention.num_heads,
        norm_1=norm,
        probe=head.probe,
        in_weight=attention.in_proj_weight,
        in_bias=attention.in_proj_bias,
        out=attention.out_proj,
        norm_2=head.layernorm,
        mlp=head.mlp,
    )


def _grid(config: Any) -> tuple[int, int]:
    side = int(config.image_size) // int(config.patch_size)
    return side, side


def dtype_of(name: str) -> torch.dtype:
    """float32, float64, bfloat16 or float16.

    Raises:
        EncoderError: it is none of them.
    """
    known = ("float32", "float64", "bfloat16", "float16")
    if name not in known:
        raise EncoderError(f"dtype must be one of {', '.join(known)}, got {name!r}.")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
