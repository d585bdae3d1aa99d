"""Tip-Adapter-F (Zhang et al. 2022, arXiv 2207.09519): Tip-Adapter whose keys are trained.

The keys start as the features of the shots and learn by cross-entropy; text, alpha and beta stay as they
are meanwhile. AdamW at 1e-3 (eps 1e-4), cosine, 20 epochs, batches of 256. No epochs are Tip-Adapter. The
authors' script takes the best epoch and the best alpha and beta of the *test* set; here the last epoch
counts, and alpha and beta are chosen on the validation split afterwards, as in Tip-Adapter. Left out: a new
random crop in every epoch, as features are given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from awase.training.loop import train
from awase.training.sampler import ShuffledBatches
from awase.training.schedule import cosine
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import require_range, require_shots, run_identity
from awase.tune.tip_adapter import ALPHA, BETA, TipAdapted, cache_logits, search


@dataclass(frozen=True)
class TipAdapterF:
    """Cache the shots and train the cache.

    Args:
        alpha: strength of the cache, in training too; None trains at 1.17 and searches afterwards. 0 is
            zero-shot.
        beta: sharpness of the cache, in training too; None trains at 1 and searches afterwards.
        alpha_limit: end of the search in 20 steps from 0.1.
        beta_limit: end of the search in 200 steps from 0.1.
        epochs: over the shots; 0 is Tip-Adapter.
        rate: learning rate of AdamW.
        batch_size: shots a step.

    Example:
        >>> TipAdapterF(epochs=5).epochs
        5
    """

    tuned: ClassVar[type] = TipAdapted
    zero: ClassVar[Mapping[str, Any]] = {"alpha": 0.0, "epochs": 0}
    alpha: float | None = None
    beta: float | None = None
    alpha_limit: float = 10.0
    beta_limit: float = 20.0
    epochs: int = 20
    rate: float = 1e-3
    batch_size: int = 256

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> TipAdapted:
        """Train the keys, then choose alpha and beta on the validation split.

        Raises:
            DataError: a class has no shots, or a setting is out of range.
        """
        require_shots(task)
        require_range("epochs", self.epochs, 0)
        module = nn.ParameterDict({"cache": nn.Parameter(task.train.values.clone())})
        batches = ShuffledBatches(len(task.train), self.batch_size, seed)
        n_steps = self.epochs * batches.per_epoch
        train(
            module,
            self._loss(task, module),
            batches=batches,
            n_steps=n_steps,
            optimizer=torch.optim.AdamW(module.parameters(), lr=self.rate, eps=1e-4),
            schedule=cosine(n_steps),
            checkpoint=checkpoint,
            identity=run_identity(self, task),
            progress=progress,
        )
        return search(self, task, module["cache"].detach())

    def _loss(self, task: Task, module: nn.ParameterDict) -> Any:
        alpha = ALPHA if self.alpha is None else self.alpha
        beta = BETA if self.beta is None else self.beta
        text = task.train.values @ task.frozen.class_features.T * task.frozen.logit_scale  # (n, k)
        values = torch.eye(text.shape[1], dtype=text.dtype)[task.train_labels]

        def loss(rows: Int[Tensor, " b"], step: int) -> Float[Tensor, ""]:
            cache = cache_logits(task.train.values[rows], module["cache"], values, beta)
            return functional.cross_entropy(text[rows] + alpha * cache, task.train_labels[rows])

        return loss


METHOD = TipAdapterF
