"""A progress bar with rate and time left, on a terminal only: logs and pipes stay clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(TextColumn):
    def __init__(self, unit: str) -> None:
        super().__init__("")
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self._unit}/s" if speed else "")


@contextmanager
def progress_bar(
    label: str, *, quiet: bool = False, unit: str = "pairs"
) -> Iterator[Callable[[int, int | None], None]]:
    """Gives the function to call with rows done and rows in all (None where that is not known)."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.fields[of]}"),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, of="?")
        # rows of an earlier run are there at once: they must not count as speed
        first: list[int] = []

        def update(done: int, total: int | None) -> None:
            if not first:
                first.append(done)
                bar.reset(task, total=total, completed=done)
            bar.update(task, completed=done, total=total, of=total if total is not None else "?")

        yield update
