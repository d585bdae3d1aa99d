"""Limits on figures: --at-least NAME=VALUE and --at-most NAME=VALUE, for scripts that go by the exit code."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from awase.cli._estimates import number
from awase.errors import DataError


@dataclass(frozen=True, slots=True)
class Criterion:
    """A figure and the value it may not fall below, or rise above."""

    name: str
    limit: float
    is_upper: bool = False

    def is_met(self, value: float | None) -> bool:
        """Whether the figure keeps to it; one that does not exist does not."""
        if value is None:
            return False
        return value <= self.limit if self.is_upper else value >= self.limit


def read_criteria(
    at_least: Sequence[str] | None, at_most: Sequence[str] | None = None
) -> tuple[Criterion, ...]:
    """From what was typed.

    Raises:
        DataError: a text is no NAME=VALUE.

    Example:
        >>> read_criteria(["recall=0.5"])
        (Criterion(name='recall', limit=0.5, is_upper=False),)
    """
    return tuple(
        _criterion(text, is_upper=is_upper)
        for is_upper, texts in ((False, at_least), (True, at_most))
        for text in texts or ()
    )


def all_met(criteria: Sequence[Criterion], values: Mapping[str, float | None]) -> bool:
    """Whether every figure keeps to its limit; those that do not are told of on standard error.

    Raises:
        DataError: there is no such figure; the message lists those that are.
    """
    met = True
    for one in criteria:
        if one.name not in values:
            raise DataError(f"there is no figure {one.name!r}; there are: {', '.join(values)}.")
        value = values[one.name]
        if not one.is_met(value):
            side = "more" if one.is_upper else "less"
            print(
                f"awase: {one.name} is {number(value)}, {side} than the wanted {one.limit:g}", file=sys.stderr
            )
            met = False
    return met


def _criterion(text: str, *, is_upper: bool) -> Criterion:
    name, equals, value = text.rpartition("=")
    try:
        if equals and float(value) == float(value):
            return Criterion(name, float(value), is_upper)
    except ValueError:
        pass
    flag = "--at-most" if is_upper else "--at-least"
    raise DataError(f"{flag} takes NAME=VALUE such as localisation_accuracy=0.6, got {text!r}.")
