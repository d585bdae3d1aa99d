"""Every diagnostic on one set of pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from awase import registry
from awase.transfer._protocol import Diagnosis, Diagnostic
from awase.types import PairFeatures

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
