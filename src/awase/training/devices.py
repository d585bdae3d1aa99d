"""Several devices under torchrun; every function does nothing on one process."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Number of devices, 1 without torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this device, 0 without torchrun."""
    return dist.get_rank() if world_size() > 1 else 0


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over the devices; a missing one counts as 0."""
    if world_size() == 1:
        return
    for parameter in parameters:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        dist.all_reduce(gradient)
        parameter.grad = gradient / world_size()


def mean_over_devices(value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The mean of a number over the devices, without gradient."""
    if world_size() == 1:
        return value.detach()
    whole = value.detach().clone()
    dist.all_reduce(whole)
    return whole / world_size()
