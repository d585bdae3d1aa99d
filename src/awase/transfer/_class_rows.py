"""What zero-shot says of one image, as a row; an image that cannot be read is a row with its error."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from awase.images import readable
from awase.transfer._answers import Answers
from awase.types import BadRow, Features

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("class", pa.string()),
        pa.field("correct", pa.bool_()),
        pa.field("rank", pa.int64()),
        pa.field("confidence", pa.float64()),
        pa.field("confidence_after", pa.float64()),
        pa.field("top", pa.list_(pa.field("item", pa.string(), nullable=False))),
        pa.field("top_similarity", pa.list_(pa.field("item", pa.float64(), nullable=False))),
        pa.field("error_code", pa.string()),
        pa.field("error", pa.string()),
    ]
)
"""A row per image: its class (`label`), the answer (`class`), the `rank` of its class (1 is right), and the
nearest classes (`top`) with their cosines."""


def class_rows(
    images: Features,
    answers: Answers,
    labels: Sequence[str],
    *,
    after: Answers | None = None,
    bad: Sequence[BadRow] = (),
) -> pa.Table:
    """Rows of all images, then of those that could not be read.

    Args:
        images: the images of the answers.
        answers: of the classifier, row by row.
        labels: name of each class.
        after: the same under a fitted temperature.
        bad: images that could not be read.

    Example:
        >>> import torch
        >>> from PIL import Image
        >>> from awase.images import from_pixels
        >>> from awase.transfer._answers import answer
        >>> from awase.types import LabelledImage
        >>> photo = LabelledImage("a", from_pixels(Image.new("RGB", (8, 8))), "dog")
        >>> said = answer(torch.eye(2)[:1], torch.eye(2), torch.tensor([1]), temperature=1)
        >>> table = class_rows(Features(torch.eye(2)[:1], (photo,), ("5f",), "toy"), said, ["cat", "dog"])
        >>> table.select(["label", "class", "rank", "correct"]).to_pylist()
        [{'label': 'dog', 'class': 'cat', 'rank': 2, 'correct': False}]
    """
    names = [readable(label) for label in labels]
    sure = answers.confidence.tolist()
    repaired = [None] * len(sure) if after is None else after.confidence.tolist()
    rows: list[dict[str, Any]] = []
    for place, image in enumerate(images.images):
        nearest = answers.classes[place].tolist()
        rank = int(answers.ranks[place])
        rows.append(
            {
                "id": readable(image.id),
                "image": readable(image.image.name),
                "label": names[int(answers.labels[place])],
                "class": names[nearest[0]],
                "correct": rank == 0,
                "rank": rank + 1,
                "confidence": sure[place],
                "confidence_after": repaired[place],
                "top": [names[one] for one in nearest],
                "top_similarity": answers.similarity[place].tolist(),
            }
        )
    rows += [
        {
            "id": readable(row.id),
            "image": readable(row.image),
            "error_code": row.error_code,
            "error": readable(row.error),
        }
        for row in bad
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
