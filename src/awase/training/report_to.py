"""Numbers of a training run for TensorBoard.

A run that is gone on with writes a new event file beside the old one and hides what the killed run had
written beyond the step it goes on from. Left out: other trackers; `awase.training.loop.Report` is all they
need to offer.
"""

from collections.abc import Mapping
from pathlib import Path

from awase.errors import MissingExtraError

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingExtraError("tensorboard", "train") from error


class TensorBoard:
    """Writes scalars as a `Report` of the training loop; nothing is written before the first numbers come.

    Args:
        folder: for the event files; `tensorboard --logdir FOLDER` shows them.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = TensorBoard(Path(folder))
        ...     report.log(10, {"loss": 0.5})
        ...     report.close()
        ...     len(list(Path(folder).glob("events.out.tfevents.*")))
        1
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: SummaryWriter | None = None

    def __repr__(self) -> str:
        return f"TensorBoard({self.folder!r})"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars under `train/`, or in a name's own group (`dev/...`); what is no number is shown so."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name if "/" in name else f"train/{name}", value, step)

    def close(self) -> None:
        """Write what is still held back."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
