"""A batch that is spread over several devices: who they are, what they tell each other.

Every process holds as many rows as the others. It gathers the features of all (with gradient), takes the
loss of its own rows against them, and the mean of the processes' gradients is then the gradient of the whole
batch. On one process every function here is the identity. Run with `torchrun --nproc-per-node 2 ...`.

Left out: models that are spread themselves; every process holds all weights.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from awase.errors import ShapeError
from awase.training.contrast import Contrast


@contextmanager
def process_group() -> Iterator[None]:
    """Join the group that torchrun made, if it did, and leave it at the end.

    Example:
        >>> with process_group():
        ...     rank(), world_size()
        (0, 1)
    """
    # a group that somebody else made is theirs to leave
    if not (dist.is_available() and "WORLD_SIZE" in os.environ and "RANK" in os.environ) or _is_spread():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0; 0 where there is one.

    Example:
        >>> rank()
        0
    """
    return dist.get_rank() if _is_spread() else 0


def world_size() -> int:
    """How many processes there are.

    Example:
        >>> world_size()
        1
    """
    return dist.get_world_size() if _is_spread() else 1


def gather(tensor: Shaped[Tensor, " b *rest"]) -> Shaped[Tensor, " n *rest"]:
    """The rows of all processes, in the order of their numbers, with gradient.

    Going backward each process gets the sum of what all of them have to say about its rows. All must take
    part, forward and backward, and hold the same number of rows.

    Raises:
        ShapeError: a process holds another number of rows.

    Example:
        >>> import torch
        >>> gather(torch.arange(3))
        tensor([0, 1, 2])
    """
    if world_size() == 1:
        return tensor
    _require_equal_rows(tensor)
    if not tensor.requires_grad:
        return _gathered(tensor)
    rows: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return rows


def gathered(batch: Contrast) -> Contrast:
    """The same rows, with the banks of the whole batch; on one process the batch as it is.

    Raises:
        ShapeError: a process holds another number of pairs.

    Example:
        >>> import torch
        >>> one, zero = torch.tensor(1.0), torch.tensor(0.0)
        >>> batch = Contrast(torch.eye(2), torch.eye(2), one, zero, torch.arange(2))
        >>> gathered(batch) is batch
        True
    """
    if world_size() == 1:
        return batch
    return replace(
        batch,
        image_bank=gather(batch.image_features),
        text_bank=gather(batch.text_features),
        group_bank=gather(batch.groups),
        offset=rank() * len(batch.groups),
    )


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Put the mean over processes into the gradient of every parameter that requires one.

    Processes may differ in which parameters they have a gradient of: none counts as zero. Where no process
    has one it stays None, so that an optimiser passes the parameter over as it would on one device.

    Args:
        parameters: the same in the same order on every process; those that require no gradient are left out.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> weight.sum().backward()
        >>> average_gradients([weight])
        >>> weight.grad
        tensor([1., 1.])
    """
    if world_size() == 1:
        return
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter)
    for alike in kinds.values():
        _average_alike(alike)


def mean_over_devices(value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The mean of a number over processes, for reports: it carries no gradient.

    Example:
        >>> import torch
        >>> mean_over_devices(torch.tensor(2.0, requires_grad=True))
        tensor(2.)
    """
    total = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total / world_size()


def copy_from_first(module: nn.Module) -> None:
    """Give every process the weights and buffers of process 0: where they were drawn, they may differ.

    Example:
        >>> import torch
        >>> copy_from_first(torch.nn.Linear(1, 1))  # one process: nothing to do
    """
    if world_size() == 1:
        return
    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), src=0)


class _Gather(torch.autograd.Function):
    """all_gather whose backward sums over processes; torch's own needs a backend with all_to_all."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        context.n_rows = len(tensor)
        return _gathered(tensor)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous().clone()  # all_reduce writes, and autograd may still read
        dist.all_reduce(whole)
        return whole[rank() * context.n_rows :][: context.n_rows]


def _gathered(tensor: Tensor) -> Tensor:
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts)


def _average_alike(parameters: list[Tensor]) -> None:
    """One message for all parameters of a type; behind the gradients stands how many processes had each."""
    like = parameters[0]
    flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    known = torch.tensor([p.grad is not None for p in parameters], dtype=like.dtype, device=like.device)
    whole = torch.cat((*flat, known))
    dist.all_reduce(whole)
    *means, known = torch.split(whole, [*(p.numel() for p in parameters), len(parameters)])
    for parameter, mean, is_known in zip(parameters, means, (known > 0).tolist(), strict=True):
        if is_known:
            parameter.grad = (mean / world_size()).view_as(parameter)


def _require_equal_rows(tensor: Tensor) -> None:
    n_rows = _gathered(torch.tensor([len(tensor)], device=tensor.device)).tolist()
    if len(set(n_rows)) > 1:
        raise ShapeError(
            f"the processes hold {', '.join(map(str, n_rows))} rows; every one must hold as many as the "
            "others, or the mean of their losses is not the loss of the whole batch."
        )


def _is_spread() -> bool:
    return dist.is_available() and dist.is_initialized()
