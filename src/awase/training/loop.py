"""The one training loop: batches in, steps out, and a killed run goes on to the same weights on a CPU.

Everything random at step i (which rows, which units dropout drops) depends on the seed and i alone, so no
state of a generator has to be saved. Under torchrun every device takes its share of a batch's rows and
gradients are averaged, so for a loss that is a mean over rows the step is the one that one device would
take, but for the draws of dropout and, where the batch does not divide by the devices, the rows that are
left over.

Gradients of a batch that does not fit into memory are the loss's own affair
(`awase.training.gradient_cache`), and so is precision (`awase.training.precision`): the towers know where
it may be lower.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor, nn

from awase.errors import DataError
from awase.training import checkpoint as checkpoints
from awase.training import devices
from awase.training.sampler import Batches, seeded, share
from awase.training.schedule import Schedule, constant

Loss = Callable[[Int[Tensor, " b"], int], Tensor]  # rows of the batch, step -> scalar
Measures = Callable[[], Mapping[str, float]]
_DEVICES_APART = 2**40  # steps between the dropout draws of two devices


@runtime_checkable
class Report(Protocol):
    """Somewhere to write numbers while training."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name after so many steps, from which a run that goes on goes on."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


def train(
    module: nn.Module,
    loss: Loss,
    *,
    batches: Batches,
    n_steps: int,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule = constant,
    checkpoint: Path | None = None,
    save_every: int = 200,
    identity: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    report: Report | None = None,
    report_every: int = 10,
    measures: Measures | None = None,
    clip_norm: float | None = None,
) -> list[float]:
    """Take `n_steps` optimiser steps on the parameters of `module` that require a gradient.

    Args:
        module: holds the parameters; `loss` uses it. Its mode is left as it is.
        loss: mean loss of a batch of rows, on several devices of this device's share of them. A loss that put
            its gradients in place itself returns a value without graph, and no backward pass follows.
        batches: says which rows each step sees.
        n_steps: steps in all, those of an earlier, killed run included; 0 changes nothing.
        optimizer: over the module's trainable parameters, with the base learning rates.
        schedule: multiplier of the learning rates by step.
        checkpoint: folder for the state of this run; None for none. A run that is there is gone on with.
        save_every: steps between two saves.
        identity: what makes this run this run (settings, data, seed); a saved state of another is refused.
        progress: told of steps done and steps in all.
        report: is given the loss, the learning rate, the gradient's norm where it is clipped, and `measures`;
            on the first device only. The caller closes it.
        report_every: steps between two reports; the last step is always reported.
        measures: further numbers to report, asked after the step.
        clip_norm: the gradient is scaled down to this norm where it is longer; None leaves it.

    Returns:
        The loss of every step taken now; on several devices their mean.

    Raises:
        DataError: the loss is not finite, nothing learns, or the checkpoint is damaged or of another run.

    Example:
        >>> import torch
        >>> from awase.training.sampler import ShuffledBatches
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
    learned = [value for group in optimizer.param_groups for value in group["params"]]
    facts = _facts(batches, n_steps, identity)
    is_first = devices.rank() == 0
    start = 0
    if checkpoint is not None:
        start = checkpoints.load(checkpoint, module=module, optimizer=optimizer, identity=facts)
    losses: list[float] = []
    for step in range(start, n_steps):
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * schedule(step)
        optimizer.zero_grad(set_to_none=True)
        value = _gradients(loss, batches, step)
        if not value.isfinite():
            raise DataError(f"the loss is {float(value)} at step {step}; lower the learning rate.")
        if all(parameter.grad is None for parameter in learned):
            raise DataError("the loss depends on no weight that the optimiser has; nothing would be learned.")
        devices.average_gradients(learned)
        norm = None if clip_norm is None else nn.utils.clip_grad_norm_(learned, clip_norm)
        optimizer.step()
        losses.append(float(value))
        done = step + 1
        if checkpoint is not None and is_first and (done % save_every == 0 or done == n_steps):
            checkpoints.save(checkpoint, step=done, module=module, optimizer=optimizer, identity=facts)
        if report is not None and is_first and (done % report_every == 0 or done == n_steps):
            report.log(done, _numbers(losses[-1], optimizer, norm, measures))
        if progress is not None:
            progress(done, n_steps)
    for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
        group["lr"] = rate
    return losses


def _facts(batches: Batches, n_steps: int, identity: Mapping[str, Any] | None) -> dict[str, Any]:
    facts = {**(identity or {}), "n_steps": n_steps, "seed": batches.seed, "n_rows": batches.n_rows}
    facts["batch_size"] = batches.batch_size
    if devices.world_size() > 1:  # rounding differs with the devices; a run of one keeps its old identity
        facts["n_devices"] = devices.world_size()
    return facts


def _gradients(loss: Loss, batches: Batches, step: int) -> Tensor:
    """Put this device's gradients in place; the loss of the whole batch, without graph."""
    rank = devices.rank()
    rows = batches.rows(step)
    if devices.world_size() > 1:
        rows = share(rows, rank=rank, world_size=devices.world_size())
    with torch.random.fork_rng(devices=[]):
        draws = seeded(batches.seed + 1, step + rank * _DEVICES_APART)  # for dropout
        torch.set_rng_state(draws.get_state())
        value = loss(rows, step)
    if value.requires_grad:  # on every device alike: a backward pass may wait for the others
        value.backward()  # type: ignore[no-untyped-call]
    return devices.mean_over_devices(value.detach())


def _numbers(
    value: float, optimizer: torch.optim.Optimizer, norm: Tensor | None, measures: Measures | None
) -> dict[str, float]:
    numbers = {"loss": value, "learning_rate": float(optimizer.param_groups[0]["lr"])}
    if norm is not None:
        numbers["gradient_norm"] = float(norm)
    return numbers | dict(measures() if measures is not None else {})
