"""The ports of `transfer`: a diagnostic of pairs, and a search for prompts."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from awase.types import Chart, Estimate, PairFeatures


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one diagnostic says.

    Attributes:
        estimates: its numbers.
        charts: its figures, as numbers.
        notes: what a reader must know, such as the proxy that stood in for labels, or why a value is missing.
    """

    estimates: tuple[Estimate, ...]
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Diagnostic(Protocol):
    """A frozen dataclass of settings; `measure` is deterministic by the seed."""

    def measure(self, pairs: PairFeatures, *, seed: int) -> Diagnosis:
        """Numbers and figures of any number of pairs, in blocks."""
        ...
