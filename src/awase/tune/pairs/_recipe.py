"""How a model is trained on pairs: what learns, by which objective, for how long."""

import math
from dataclasses import dataclass

from awase.errors import DataError
from awase.functional.heads import KINDS
from awase.training.contrast import Objective
from awase.training.precision import is_lowered
from awase.tune._recipe import require_range

PARTS = ("heads", "image", "text")
GROUPS = ("image", "label", "caption")
LAST, BEST = "last", "best"
HEAD_RATE, TUNE_RATE, SCRATCH_RATE = 1e-4, 1e-5, 1e-3


@dataclass(frozen=True)
class PairRecipe:
    """Settings of one training, fit for provenance.

    Args:
        objective: with its own settings.
        parts: what learns: `heads` behind both towers, the `image` tower, the `text` tower, in any
            combination. A tower that does not learn is run once, before training.
        epochs: passes over the training pairs; not read where `steps` is given.
        steps: optimiser steps.
        batch_size: pairs that are told apart at once, over all devices.
        chunk: pairs in one pass through the towers, where a whole batch does not fit into memory; the
            gradient is that of the whole batch. None for no chunks.
        rate: of AdamW for the towers; None for 1e-5.
        head_rate: for the heads; None for 1e-4.
        weight_decay: of AdamW, on weights with two axes or more.
        warmup: share of the steps in which the rate rises from 0; then half a cosine down to 0.
        temperature: `learned`, `fixed` (where it starts), or a number to fix it at.
        head: `mlp` or `linear`.
        hidden: width inside an `mlp` head.
        dropout: of the hidden units of heads, while training.
        embedding: `trained`, or `frozen` for what lies before the first attention layer of a tower.
        groups: what makes two pairs the same thing: `image` (captions of one photo, and rows whose `group` is
            equal), `label` or `caption` (equal texts).
        each: pairs of a group that go to a batch together, for objectives with several right answers; with 1
            they meet by chance.
        precision: of the towers while they learn: auto, float32 or bfloat16.
        clip_norm: the gradient is scaled down to this length where it is longer; None for never.
        keep: weights of the `last` step, or the `best` on the dev pairs by rsum.
        measure_every: steps between two measurements on the dev pairs; None for every epoch.

    Raises:
        DataError: a setting is out of range.

    Example:
        >>> from awase.training.objectives.info_nce import InfoNce
        >>> PairRecipe(InfoNce(), parts=("text", "heads")).parts
        ('heads', 'text')
    """

    objective: Objective
    parts: tuple[str, ...] = ("heads",)
    epochs: float | int = 10
    steps: int | None = None
    batch_size: int = 256
    chunk: int | None = None
    rate: float | None = None
    head_rate: float | None = None
    weight_decay: float = 0.1
    warmup: float = 0.1
    temperature: str | float = "learned"
    head: str = "mlp"
    hidden: int = 512
    dropout: float = 0.1
    embedding: str = "trained"
    groups: str = "image"
    each: int = 1
    precision: str = "auto"
    clip_norm: float | None = None
    keep: str = LAST
    measure_every: int | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.parts) - set(PARTS))
        if unknown or not self.parts:
            raise DataError(
                f"what learns is any of {', '.join(PARTS)}, got {', '.join(unknown) or 'nothing'}."
            )
        object.__setattr__(self, "parts", tuple(part for part in PARTS if part in self.parts))
        for name, value, known in (
            ("head", self.head, KINDS),
            ("embedding", self.embedding, ("trained", "frozen")),
            ("groups", self.groups, GROUPS),
            ("keep", self.keep, (LAST, BEST)),
        ):
            if value not in known:
                raise DataError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
        if isinstance(self.temperature, str) and self.temperature not in ("learned", "fixed"):
            raise DataError(f"temperature is learned, fixed or a number, got {self.temperature!r}.")
        if not isinstance(self.temperature, str) and not 0 < self.temperature < math.inf:
            raise DataError(f"a temperature must be positive, got {self.temperature}.")
        if self.each > 1 and self.objective.groups_apart:
            raise DataError(
                f"each={self.each} lets pairs of a group meet, and {self.objective!r} counts them as wrong "
                "for each other; take multi_positive, soft_target or sigmoid."
            )
        is_lowered(self.precision, "cpu")  # refuses what is none
        self._require_ranges()

    def _require_ranges(self) -> None:
        require_range("epochs", self.epochs, 0)
        require_range("batch_size", self.batch_size, 2)
        require_range("weight_decay", self.weight_decay, 0)
        require_range("warmup", self.warmup, 0, 1)
        require_range("dropout", self.dropout, 0, 1)
        require_range("hidden", self.hidden, 1)
        require_range("each", self.each, 1)
        for name, least in (("steps", 0), ("chunk", 1), ("rate", 0), ("head_rate", 0), ("measure_every", 1)):
            value = getattr(self, name)
            if value is not None:
                require_range(name, value, least)

    @property
    def towers(self) -> tuple[str, ...]:
        """The towers that learn."""
        return tuple(part for part in self.parts if part != "heads")

    @property
    def rates(self) -> tuple[float, float]:
        """Of towers and of heads, with the defaults filled in."""
        return (
            TUNE_RATE if self.rate is None else self.rate,
            HEAD_RATE if self.head_rate is None else self.head_rate,
        )

    def n_steps(self, per_epoch: int) -> int:
        """Steps in all.

        Args:
            per_epoch: batches in an epoch.
        """
        return self.steps if self.steps is not None else math.ceil(self.epochs * per_epoch)
