"""What is kept of a training run beside its weights: loss curve, measurements, and the best weights so far.

All of it lies in the run's checkpoint folder and is found again by a run that goes on, so the card of a run
that was killed says the same as that of one that was not.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from awase.errors import DataError
from awase.files import atomic_path, write_atomic
from awase.training.loop import Report

_LOG, _BEST = "run.json", "best.safetensors"


class RunLog:
    """Numbers by step: a `awase.training.loop.Report` that also hands them on.

    Args:
        folder: of the checkpoint; None keeps them in memory only.
        onward: another report, such as TensorBoard.
        identity: a log of another run is not gone on with.
    """

    def __init__(self, folder: Path | None, onward: Report | None, identity: Mapping[str, Any]) -> None:
        self._folder, self._onward, self._identity = folder, onward, json.loads(json.dumps(identity))
        self.losses: dict[int, float] = {}
        self.measured: dict[int, dict[str, float]] = {}
        self._best: dict[str, Tensor] | None = None
        self._read()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the loss, hand all of it on."""
        self.losses[step] = values["loss"]
        self._write()
        if self._onward is not None:
            self._onward.log(step, values)

    def close(self) -> None:
        """Nothing is held back."""

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        """Keep a measurement on the dev pairs."""
        self.measured[step] = dict(values)
        self._write()
        if self._onward is not None and step:
            self._onward.log(step, {f"dev/{name}": value for name, value in values.items()})

    def keep_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep these weights as the best so far."""
        self._best = {name: value.detach().cpu().clone() for name, value in weights.items()}
        if self._folder is not None:
            with atomic_path(self._folder / _BEST) as temporary:
                save_file(self._best, temporary, metadata={"step": str(step)})

    def best(self) -> dict[str, Tensor]:
        """The best weights.

        Raises:
            DataError: they are not there; the checkpoint folder was meddled with.
        """
        if self._best is not None:
            return self._best
        if self._folder is not None:
            with suppress(OSError, SafetensorError):
                return dict(load_file(self._folder / _BEST))
        raise DataError("the best weights of the run are gone; delete its checkpoint and start again.")

    def _read(self) -> None:
        if self._folder is None or not (self._folder / _LOG).is_file():
            return
        try:
            content = json.loads((self._folder / _LOG).read_text("utf-8"))
            if content["identity"] != self._identity:
                return
            self.losses = {int(step): float(value) for step, value in content["losses"].items()}
            self.measured = {int(step): dict(values) for step, values in content["measured"].items()}
        except (OSError, ValueError, KeyError, AttributeError):
            return  # only the curve is lost; the weights have a file of their own

    def _write(self) -> None:
        if self._folder is not None:
            content = {"identity": self._identity, "losses": self.losses, "measured": self.measured}
            write_atomic(self._folder / _LOG, json.dumps(content))
