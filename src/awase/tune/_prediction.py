"""What a tuned model says of one image, and how such rows are kept: Parquet and JSON lines."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from awase.images import readable
from awase.rows import Form
from awase.tune._protocol import Tuned
from awase.types import BadRow, Features

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("class", pa.string()),
        pa.field("probability", pa.float64()),
        pa.field("classes", pa.list_(pa.field("item", pa.string(), nullable=False))),
        pa.field("probabilities", pa.list_(pa.field("item", pa.float64(), nullable=False))),
        pa.field("label", pa.string()),
        pa.field("seen", pa.bool_()),
        pa.field("error_code", pa.string()),
        pa.field("error", pa.string()),
    ]
)
"""A row per image. Empty where the image could not be read: then `error_code` and `error` say why."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One image and its most probable classes.

    Attributes:
        id: name of the image within its data set.
        image: its file, as the data set names it.
        classes: the most probable ones first, as the training data writes them; None where there is an error.
        probabilities: softmax of the model's logits, in the same order. They sum to 1 over all classes, so
            an image of no class at all gets one too.
        label: the class that the data set says, where it says one.
        seen: the model was tuned on this very image, or its settings were chosen on it.
        error_code: why there is nothing of the above; None where there is.
        error: the same in words.
    """

    id: str
    image: str
    classes: tuple[str, ...] | None = None
    probabilities: tuple[float, ...] | None = None
    label: str | None = None
    seen: bool | None = None
    error_code: str | None = None
    error: str | None = None

    @classmethod
    def failed(cls, row: BadRow) -> "Prediction":
        """The row of an image that could not be read."""
        return cls(row.id, row.image, error_code=row.error_code, error=row.error)


def predict(
    tuned: Tuned, images: Features, labels: Sequence[str], *, top: int, seen: frozenset[str] = frozenset()
) -> list[Prediction]:
    """The `top` classes of each image; of equally probable ones the first is listed first.

    Args:
        tuned: the model.
        images: of its frozen encoder.
        labels: its classes as rows are to name them.
        top: how many classes a row lists; more than there are means all.
        seen: content hashes of the images that the model was tuned on.
    """
    if len(images) == 0:
        return []
    logits = tuned.evidence(images).similarity.double() * tuned.frozen.logit_scale
    found = torch.sort(logits.softmax(dim=1), dim=1, descending=True, stable=True)
    rows = []
    for row, image in enumerate(images.images):
        rows.append(
            Prediction(
                image.id,
                image.image.name,
                tuple(labels[index] for index in found.indices[row, :top].tolist()),
                tuple(found.values[row, :top].tolist()),
                image.label,
                images.hashes[row] in seen,
            )
        )
    return rows


def to_table(predictions: Iterable[Prediction]) -> pa.Table:
    """Predictions as an Arrow table with `SCHEMA`.

    Example:
        >>> to_table([Prediction("1", "a.jpg", ("dog",), (0.9,))]).column("class").to_pylist()
        ['dog']
    """
    return pa.Table.from_pylist([_row(prediction) for prediction in predictions], schema=SCHEMA)


def from_table(table: pa.Table) -> list[Prediction]:
    """The predictions of a table with the columns of `SCHEMA`."""
    return [
        Prediction(
            id=row["id"],
            image=row["image"],
            classes=None if row["classes"] is None else tuple(row["classes"]),
            probabilities=None if row["probabilities"] is None else tuple(row["probabilities"]),
            label=row["label"],
            seen=row["seen"],
            error_code=row["error_code"],
            error=row["error"],
        )
        for row in table.select(SCHEMA.names).to_pylist()
    ]


def to_json_line(prediction: Prediction) -> str:
    """One row as a line of JSON, keys in the order of `SCHEMA`.

    Example:
        >>> to_json_line(Prediction("1", "a.jpg", ("dog",), (0.9,)))[:45]
        '{"id": "1", "image": "a.jpg", "class": "dog",'
    """
    return json.dumps(_row(prediction), ensure_ascii=False, allow_nan=False)


PREDICTIONS: Form[Prediction] = Form(SCHEMA, to_table, from_table, to_json_line)
"""The rows of `awase tune predict`."""


def _row(prediction: Prediction) -> dict[str, Any]:
    classes, probabilities = prediction.classes, prediction.probabilities
    return {
        "id": readable(prediction.id),
        "image": readable(prediction.image),
        "class": None if not classes else readable(classes[0]),
        "probability": None if not probabilities else probabilities[0],
        "classes": None if classes is None else [readable(label) for label in classes],
        "probabilities": None if probabilities is None else list(probabilities),
        "label": None if prediction.label is None else readable(prediction.label),
        "seen": prediction.seen,
        "error_code": prediction.error_code,
        "error": None if prediction.error is None else readable(prediction.error),
    }
