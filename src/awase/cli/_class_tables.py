"""Classes and their mistakes as tables: Parquet for programs, a few lines of the card, a picture."""

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
from jaxtyping import Int
from torch import Tensor

from awase.report.measurement import CardTable, Matrix, written
from awase.report.transfer_wording import phrase
from awase.transfer._classify import ClassFigure
from awase.types import Language

CLASS_SCHEMA = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("recall", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("precision", pa.float64()),
        pa.field("mistaken_for", pa.string()),
        pa.field("mistakes", pa.int64(), nullable=False),
    ]
)
"""A row a class: accuracy on it (`recall`, with Wilson's 95 % interval), how often its name is right where it
is given (`precision`), and the class it is most often taken for."""

CONFUSION_SCHEMA = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""How many images of `label` were given `class`; pairs that never happened are left out."""

_WORST, _MIXED = 10, 15  # lines of the card's tables
_MOST_CELLS = 200  # classes, above which a picture of the confusion shows nothing


def class_table(classes: Sequence[ClassFigure]) -> pa.Table:
    """All classes, as `CLASS_SCHEMA`."""
    return pa.Table.from_pylist([asdict(one) for one in classes], schema=CLASS_SCHEMA)


def confusion_table(confusion: Int[Tensor, "k k"], labels: Sequence[str]) -> pa.Table:
    """Pairs of a class and an answer, as `CONFUSION_SCHEMA`.

    Example:
        >>> import torch
        >>> confusion_table(torch.tensor([[3, 1], [0, 2]]), ["cat", "dog"]).to_pylist()[1]
        {'label': 'cat', 'class': 'dog', 'n': 1}
    """
    rows = [
        {"label": labels[truth], "class": labels[said], "n": int(confusion[truth, said])}
        for truth, said in confusion.nonzero().tolist()
    ]
    return pa.Table.from_pylist(rows, schema=CONFUSION_SCHEMA)


def confusion_matrix(confusion: Int[Tensor, "k k"], labels: Sequence[str]) -> tuple[Matrix, ...]:
    """Shares of each class's images by answer; classes without an image, and pictures too large, left out."""
    there = [row for row in range(len(labels)) if int(confusion[row].sum())]
    if not 2 <= len(there) <= _MOST_CELLS:
        return ()
    shares = confusion.double() / confusion.sum(dim=1, keepdim=True)
    values = tuple(tuple(float(shares[row, column]) for column in there) for row in there)
    return (Matrix("confusion", tuple(labels[row] for row in there), values),)


def class_sections(
    classes: Sequence[ClassFigure], confusion: Int[Tensor, "k k"], language: Language
) -> tuple[CardTable, ...]:
    """The classes that are worst, and the mistakes made most often."""
    there = sorted((one for one in classes if one.n), key=lambda one: (one.recall or 0.0, one.label))
    worst = CardTable(
        phrase("worst_classes", language),
        tuple(phrase(head, language) for head in ("class", "n", "accuracy", "interval", "mistaken_for")),
        tuple(
            (
                one.label,
                str(one.n),
                written(one.recall),
                f"{written(one.low)} {phrase('to', language)} {written(one.high)}",
                "–" if one.mistaken_for is None else f"{one.mistaken_for} ({one.mistakes})",
            )
            for one in there[:_WORST]
        ),
    )
    mixed = _mixed(confusion)
    if not mixed:
        return (worst,)
    labels = [one.label for one in classes]
    table = CardTable(
        phrase("mixed_classes", language),
        tuple(phrase(head, language) for head in ("class", "taken_for", "images", "share")),
        tuple(
            (labels[truth], labels[said], str(n), f"{100 * n / classes[truth].n:.0f} %")
            for n, truth, said in mixed
        ),
    )
    return worst, table


def _mixed(confusion: Int[Tensor, "k k"]) -> list[tuple[int, int, int]]:
    """The pairs mixed up most often: images, class, answer."""
    wrong = confusion.clone()
    wrong.fill_diagonal_(0)
    pairs = [(int(wrong[truth, said]), truth, said) for truth, said in wrong.nonzero().tolist()]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:_MIXED]
