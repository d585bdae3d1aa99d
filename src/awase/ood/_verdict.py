"""What a detector says of one image, and how such rows are kept: Parquet, JSON lines, a spreadsheet."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import TextIOBase
from typing import Any

import pyarrow as pa

from awase.images import readable
from awase.rows import Form, csv_cell

KEEP, ABSTAIN = "keep", "abstain"

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("class", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("p_value", pa.float64()),
        pa.field("decision", pa.string()),
        pa.field("prediction_set", pa.list_(pa.field("item", pa.string(), nullable=False))),
        pa.field("error_code", pa.string()),
        pa.field("error", pa.string()),
    ],
    metadata={b"higher_means": b"in_distribution"},
)
"""A row per image. Empty where the image could not be read: then `error_code` and `error` say why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One image: the class it is closest to, and whether it belongs to the known classes at all.

    Attributes:
        id: name of the image within its data set.
        image: its file, as the data set names it.
        label: the class it fits best, as the training data writes it.
        score: higher = more in-distribution.
        p_value: share of known images that score as low as this one, in (0, 1].
        decision: "keep", or "abstain" where it lies below the threshold.
        prediction_set: the classes that cannot be ruled out; may be empty, or all of them.
        error_code: why there is nothing of the above; None where there is.
        error: the same in words.
    """

    id: str
    image: str
    label: str | None = None
    score: float | None = None
    p_value: float | None = None
    decision: str | None = None
    prediction_set: tuple[str, ...] | None = None
    error_code: str | None = None
    error: str | None = None


def to_table(verdicts: Iterable[Verdict]) -> pa.Table:
    """Verdicts as an Arrow table with `SCHEMA`.

    Example:
        >>> to_table([Verdict("1", "a.jpg", label="dog", score=-0.5)]).num_rows
        1
    """
    return pa.Table.from_pylist([_row(verdict) for verdict in verdicts], schema=SCHEMA)


def from_table(table: pa.Table) -> list[Verdict]:
    """The verdicts of a table with the columns of `SCHEMA`."""
    return [
        Verdict(
            id=row["id"],
            image=row["image"],
            label=row["class"],
            score=row["score"],
            p_value=row["p_value"],
            decision=row["decision"],
            prediction_set=None if row["prediction_set"] is None else tuple(row["prediction_set"]),
            error_code=row["error_code"],
            error=row["error"],
        )
        for row in table.select(SCHEMA.names).to_pylist()
    ]


def to_json_line(verdict: Verdict) -> str:
    """One row as a line of JSON, keys in the order of `SCHEMA`.

    Example:
        >>> to_json_line(Verdict("1", "a.jpg", label="dog"))[:45]
        '{"id": "1", "image": "a.jpg", "class": "dog",'
    """
    return json.dumps(_row(verdict), ensure_ascii=False, allow_nan=False)


def write_csv(verdicts: Iterable[Verdict], stream: TextIOBase) -> None:
    """A spreadsheet view: the classes of the prediction set joined, formulas made harmless."""
    writer = csv.writer(stream)
    writer.writerow(SCHEMA.names)
    for verdict in verdicts:
        row = _row(verdict)
        if verdict.prediction_set is not None:
            row["prediction_set"] = "; ".join(verdict.prediction_set)
        writer.writerow([csv_cell(row[name]) for name in SCHEMA.names])


VERDICTS: Form[Verdict] = Form(SCHEMA, to_table, from_table, to_json_line)
"""The rows of `awase ood score`."""


def _row(verdict: Verdict) -> dict[str, Any]:
    chosen = verdict.prediction_set
    return {
        "id": readable(verdict.id),
        "image": readable(verdict.image),
        "class": None if verdict.label is None else readable(verdict.label),
        "score": verdict.score,
        "p_value": verdict.p_value,
        "decision": verdict.decision,
        "prediction_set": None if chosen is None else [readable(label) for label in chosen],
        "error_code": verdict.error_code,
        "error": None if verdict.error is None else readable(verdict.error),
    }
