"""A row a pair for `awase transfer explain`: its margins both ways and the wrong items that come nearest."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from awase.functional.margins import margins
from awase.transfer._groups import label_groups
from awase.types import BadRow, PairFeatures

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("caption", pa.string()),
        ("label", pa.string()),
        ("cosine", pa.float32()),
        ("margin_image_to_text", pa.float32()),
        ("margin_text_to_image", pa.float32()),
        ("nearest_wrong_text", pa.string()),
        ("nearest_wrong_image", pa.string()),
        ("is_tie", pa.bool_()),
        ("margins_between", pa.string()),
        ("error_code", pa.string()),
        ("error", pa.string()),
    ]
)


def pair_table(pairs: PairFeatures, bad: Sequence[BadRow] = ()) -> pa.Table:
    """One row a text with its image, then the rows that failed.

    With labels, margins and nearest items are those of other labels: an item of the same label is not wrong.

    Example:
        >>> import torch
        >>> u = torch.eye(2)
        >>> table = pair_table(PairFeatures(u, u, torch.arange(2), ("a", "b")))
        >>> table.column("nearest_wrong_image").to_pylist()
        ['b', 'a']
    """
    groups = label_groups(pairs)
    image, text = margins(
        pairs.image_features, pairs.text_features, image_of_text=pairs.image_of_text, groups=groups
    )
    owner, captions, labels = pairs.image_of_text, pairs.captions, pairs.labels
    rows = owner.tolist()
    nearest = image.nearest_wrong[owner].tolist()
    columns: dict[str, list[Any]] = {
        "image": [pairs.images[row] for row in rows],
        "caption": [None] * len(rows) if captions is None else list(captions),
        "label": [None if labels is None else labels[row] for row in rows],
        "cosine": text.own.tolist(),
        "margin_image_to_text": image.margin[owner].tolist(),
        "margin_text_to_image": text.margin.tolist(),
        "nearest_wrong_text": [str(place) if captions is None else captions[place] for place in nearest],
        "nearest_wrong_image": [pairs.images[place] for place in text.nearest_wrong.tolist()],
        "is_tie": ((image.margin[owner] == 0) | (text.margin == 0)).tolist(),
        "margins_between": ["items" if groups is None else "labels"] * len(rows),
    }
    failed = {
        "image": [row.image for row in bad],
        "caption": [row.caption for row in bad],
        "error_code": [row.error_code for row in bad],
        "error": [row.error for row in bad],
    }
    nothing = [None] * len(rows)
    whole = {
        name: [*columns.get(name, nothing), *failed.get(name, [None] * len(bad))] for name in SCHEMA.names
    }
    return pa.table(whole, schema=SCHEMA)
