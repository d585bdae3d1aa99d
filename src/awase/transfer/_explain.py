"""Every diagnostic on one set of pairs, and a table of the pairs themselves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from torch import Tensor

from awase import registry
from awase.functional.margins import margins
from awase.transfer._groups import label_groups
from awase.transfer._protocol import Diagnosis, Diagnostic
from awase.types import BadRow, PairFeatures

ORDER = (
    "margins", "temperature", "false_negatives", "loss_floor", "completeness", "geometry", "bound",
)  # fmt: skip
"""Built-in diagnostics as a card tells them: what happens, what follows from it, and why."""


def load_diagnostics(
    names: Sequence[str] = (), settings: Mapping[str, Any] | None = None
) -> dict[str, Diagnostic]:
    """Diagnostics by name, each with those of the settings that it knows.

    Args:
        names: which; () for all.
        settings: such as `batch_size`, `temperature`, `delta`; None among the values leaves a default.

    Raises:
        UnknownMethodError: there is no such diagnostic.
        DataError: a setting is out of range.

    Example:
        >>> load_diagnostics(["bound"], {"temperature": 0.1, "delta": 0.5})["bound"]
        TransferBound(r=(1, 5), temperature=0.1, block_size=None)
    """
    known = registry.names("diagnostic")
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    found: dict[str, Diagnostic] = {}
    for name in names or sorted(known, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        method = registry.load("diagnostic", name)
        fields = method.__dataclass_fields__
        found[name] = method(**{key: value for key, value in given.items() if key in fields})
    return found


def explain(
    pairs: PairFeatures,
    methods: Mapping[str, Diagnostic],
    *,
    seed: int = 0,
    progress: Callable[[int, int | None], None] | None = None,
) -> Diagnosis:
    """What all of them say, in their order; a note that several say is said once.

    Args:
        pairs: what is explained.
        methods: see `load_diagnostics`.
        seed: of draws and resamples.
        progress: called with diagnostics done and in all.

    Raises:
        DataError: the pairs are too few for a diagnostic.

    Example:
        >>> import torch
        >>> u = torch.eye(4)
        >>> pairs = PairFeatures(u, u, torch.arange(4), tuple("abcd"))
        >>> explain(pairs, load_diagnostics(["margins"])).estimates[0].value
        1.0
    """
    said: list[Diagnosis] = []
    for done, method in enumerate(methods.values()):
        said.append(method.measure(pairs, seed=seed))
        if progress is not None:
            progress(done + 1, len(methods))
    return Diagnosis(
        tuple(estimate for one in said for estimate in one.estimates),
        tuple(chart for one in said for chart in one.charts),
        tuple(dict.fromkeys(note for one in said for note in one.notes)),
    )


def pair_table(pairs: PairFeatures, bad: Sequence[BadRow] = ()) -> pa.Table:
    """One row a text with its image, then the rows that failed: cosine, margins both ways, nearest wrong
    items.

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
    owner = pairs.image_of_text
    rows = owner.tolist()
    captions = pairs.captions
    n_bad = len(bad)
    missing: list[None] = [None] * n_bad

    def numbers(values: Tensor) -> list[float | None]:
        return [*values.tolist(), *missing]

    def shown(place: int) -> str:
        return str(place) if captions is None else captions[place]

    labels: Sequence[str | None] = [None] * len(pairs) if pairs.labels is None else pairs.labels
    is_tie = ((image.margin[owner] == 0) | (text.margin == 0)).tolist()
    return pa.table(
        {
            "image": [*(pairs.images[row] for row in rows), *(row.image for row in bad)],
            "caption": pa.array(
                [*(captions or [None] * len(rows)), *(row.caption for row in bad)], type=pa.string()
            ),
            "label": pa.array([*(labels[row] for row in rows), *missing], type=pa.string()),
            "cosine": numbers(text.own),
            "margin_image_to_text": numbers(image.margin[owner]),
            "margin_text_to_image": numbers(text.margin),
            "nearest_wrong_text": pa.array(
                [*(shown(place) for place in image.nearest_wrong[owner].tolist()), *missing], type=pa.string()
            ),
            "nearest_wrong_image": pa.array(
                [*(pairs.images[place] for place in text.nearest_wrong.tolist()), *missing], type=pa.string()
            ),
            "is_tie": pa.array([*is_tie, *missing], type=pa.bool_()),
            "margins_between": pa.array(
                [*(["items" if groups is None else "labels"] * len(rows)), *missing], type=pa.string()
            ),
            "error_code": pa.array(
                [*([None] * len(rows)), *(row.error_code for row in bad)], type=pa.string()
            ),
            "error": pa.array([*([None] * len(rows)), *(row.error for row in bad)], type=pa.string()),
        }
    )
