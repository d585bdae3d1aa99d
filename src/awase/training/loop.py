"""The one training loop: batches in, steps out, and a killed run goes on to the same weights on a CPU.

Everything random at step i (which rows, which units dropout drops) depends on the seed and i alone, so no
state of a generator has to be saved. Left out: several devices, mixed precision.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from awase.errors import DataError
from awase.training import checkpoint as checkpoints
from awase.training.sampler import ShuffledBatches, seeded
from awase.training.schedule import Schedule, constant

Loss = Callable[[Int[Tensor, " b"], int], Tensor]  # rows of the batch, step -> scalar


def train(
    module: nn.Module,
    loss: Loss,
    *,
    batches: ShuffledBatches,
    n_steps: int,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule = constant,
    checkpoint: Path | None = None,
    save_every: int = 200,
    identity: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[float]:
    """Take `n_steps` optimiser steps on the parameters of `module` that require a gradient.

    Args:
        module: holds the parameters; `loss` uses it. Its mode is left as it is.
        loss: mean loss of a batch of rows.
        batches: says which rows each step sees.
        n_steps: steps in all, those of an earlier, killed run included; 0 changes nothing.
        optimizer: over the module's trainable parameters, with the base learning rates.
        schedule: multiplier of the learning rates by step.
        checkpoint: folder for the state of this run; None for none. A run that is there is gone on with.
        save_every: steps between two saves.
        identity: what makes this run this run (settings, data, seed); a saved state of another is refused.
        progress: told of steps done and steps in all.

    Returns:
        The loss of every step taken now.

    Raises:
        DataError: the loss is not finite, or the checkpoint is damaged or of another run.

    Example:
        >>> import torch
        >>> line = torch.nn.Linear(1, 1)
        >>> x = torch.linspace(-1, 1, 8)[:, None]
        >>> losses = train(
        ...     line,
        ...     lambda rows, step: (line(x[rows]) - 3 * x[rows]).square().mean(),
        ...     batches=ShuffledBatches(n_rows=8, batch_size=4, seed=0),
        ...     n_steps=200,
        ...     optimizer=torch.optim.SGD(line.parameters(), lr=0.5),
        ... )
        >>> round(float(line.weight.detach()), 3)
        3.0
    """
    base_rates = [group["lr"] for group in optimizer.param_groups]
    facts = {**(identity or {}), "n_steps": n_steps, "seed": batches.seed, "n_rows": batches.n_rows}
    facts["batch_size"] = batches.batch_size
    start = 0
    if checkpoint is not None:
        start = checkpoints.load(checkpoint, module=module, optimizer=optimizer, identity=facts)
    losses: list[float] = []
    for step in range(start, n_steps):
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * schedule(step)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(seeded(batches.seed + 1, step).get_state())  # for dropout
            value = loss(batches.rows(step), step)
        if not bool(torch.isfinite(value)):
            raise DataError(f"the loss is {float(value.detach())} at step {step}; lower the learning rate.")
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(value.detach()))
        if checkpoint is not None and ((step + 1) % save_every == 0 or step + 1 == n_steps):
            checkpoints.save(checkpoint, step=step + 1, module=module, optimizer=optimizer, identity=facts)
        if progress is not None:
            progress(step + 1, n_steps)
    for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
        group["lr"] = rate
    return losses
