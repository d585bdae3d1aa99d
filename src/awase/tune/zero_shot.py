"""Zero-shot: nothing is tuned. What every other method is measured against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from awase.tune._frozen import Frozen
from awase.tune._protocol import Progress, Task


@dataclass(frozen=True)
class ZeroShot:
    """The frozen model itself.

    Example:
        >>> ZeroShot()
        ZeroShot()
    """

    tuned: ClassVar[type] = Frozen
    zero: ClassVar[Mapping[str, Any]] = {}

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> Frozen:
        """The model as it came."""
        return task.frozen


METHOD = ZeroShot
