"""A row per image and per caption: where its right item stands, and what stands first instead."""

from collections.abc import Sequence

import pyarrow as pa
from torch import Tensor

from awase.functional.placements import Placed
from awase.functional.top_k import Top
from awase.transfer._retrieve import Retrieval
from awase.types import BadRow, PairFeatures

Columns = dict[str, pa.Array]


def image_rows(pairs: PairFeatures, found: Retrieval, *, top: Top | None = None) -> pa.Table:
    """Images as queries, one row each.

    Columns: image, captions (how many it has), rank (from 1), right_text and first_text (rows of the
    captions), right_caption and first_caption, right_score, first_score, ties, average_precision; with `top`
    top_texts and top_scores.
    """
    placed = found.found.image_to_text
    counts = pairs.image_of_text.bincount(minlength=len(pairs.image_features))
    columns: Columns = {
        "image": pa.array(pairs.images, pa.string()),
        "captions": pa.array(counts.numpy()),
        **_placed(placed, "text"),
        **_words("caption", pairs.captions, placed),
        "average_precision": pa.array(found.average_precision.numpy()),
        **_top(top, "texts"),
    }
    return pa.table(columns)


def caption_rows(
    pairs: PairFeatures, found: Retrieval, *, bad: Sequence[BadRow] = (), top: Top | None = None
) -> pa.Table:
    """Captions as queries, one row each, and behind them the rows that could not be read.

    Columns: caption, image, rank (from 1), right_image and first_image (rows of the images),
    first_image_name, right_score, first_score, ties, rank_in_image (place of this caption when its image is
    the query), error_code, error; with `top` top_images and top_scores.
    """
    placed = found.found.text_to_image
    names = pa.array(pairs.images, pa.string())
    empty = pa.nulls(len(pairs.text_features), pa.string())
    ranks = found.found.text_ranks
    columns: Columns = {
        "caption": empty if pairs.captions is None else pa.array(pairs.captions, pa.string()),
        "image": names.take(pa.array(pairs.image_of_text.numpy())),
        **_placed(placed, "image"),
        "first_image_name": names.take(pa.array(placed.first.numpy())),
        **({} if ranks is None else {"rank_in_image": pa.array((ranks + 1).numpy())}),
        "error_code": empty,
        "error": empty,
        **_top(top, "images"),
    }
    table = pa.table(columns)
    if not bad:
        return table
    failed = {
        "caption": [row.caption for row in bad],
        "image": [row.image for row in bad],
        "error_code": [row.error_code for row in bad],
        "error": [row.error for row in bad],
    }
    rest = pa.table({name: pa.array(values, pa.string()) for name, values in failed.items()})
    return pa.concat_tables([table, rest], promote_options="default")


def _placed(placed: Placed, item: str) -> Columns:
    return {
        "rank": pa.array((placed.ranks + 1).numpy()),
        f"right_{item}": pa.array(placed.right.numpy()),
        f"first_{item}": pa.array(placed.first.numpy()),
        "right_score": _floats(placed.right_scores),
        "first_score": _floats(placed.first_scores),
        "ties": pa.array(placed.ties.numpy()),
    }


def _words(what: str, words: Sequence[str] | None, placed: Placed) -> Columns:
    if words is None:
        return {}
    every = pa.array(words, pa.string())
    return {
        f"right_{what}": every.take(pa.array(placed.right.numpy())),
        f"first_{what}": every.take(pa.array(placed.first.numpy())),
    }


def _top(top: Top | None, items: str) -> Columns:
    if top is None:
        return {}
    return {f"top_{items}": _lists(top.indices), "top_scores": _lists(top.scores.float())}


def _lists(values: Tensor) -> pa.Array:
    flat = pa.array(values.reshape(-1).numpy())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _floats(values: Tensor) -> pa.Array:
    return pa.array(values.float().numpy())
