"""One batch of pairs and two small towers, on as many processes as there are.

Run by `test_devices.py` as `python spread.py FOLDER` in processes that look as torchrun starts them; each
writes what it has to FOLDER/RANK.safetensors. Imported, it computes the same in one process.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from awase import registry
from awase.errors import ShapeError
from awase.training import devices
from awase.training.contrast import Contrast, Objective
from awase.training.gradient_cache import cached_backward

N_ROWS, N_DEVICES, WIDTH = 12, 2, 6
GROUPS = torch.tensor([0, 1, 2, 0, 3, 4, 1, 0, 5, 5, 6, 7])  # some meet over devices, some within one


def objectives() -> dict[str, Objective]:
    """Every objective, and the settings that change what is read of other devices."""
    every = {name: registry.load("objective", name)() for name in registry.names("objective")}
    regularized = registry.load("objective", "regularized")
    every |= {f"regularized_{part}": regularized(weight=0.5, part=part) for part in ("negatives", "both")}
    every["regularized_sum"] = regularized(weight=1.0, form="sum")
    every["soft_target_share"] = registry.load("objective", "soft_target")(share=0.4)
    return every


class Towers(nn.Module):
    """Two towers with a common last layer, a logit scale and a bias, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
        self.text = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
        self.common = nn.Linear(8, WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.bias = nn.Parameter(torch.tensor(-3.0))
        self.unused = nn.Parameter(torch.ones(2))
        self.double()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.image.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))

    def embed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1)
        photos = torch.randn(N_ROWS, 4, generator=generator, dtype=torch.float64)[rows]
        texts = torch.randn(N_ROWS, 5, generator=generator, dtype=torch.float64)[rows]
        features = (self.common(self.image(photos)), self.common(self.text(texts)))
        return nn.functional.normalize(features[0], dim=-1), nn.functional.normalize(features[1], dim=-1)


@dataclass(frozen=True)
class Step:
    """One step of one objective: loss and gradients, each the mean over processes."""

    towers: Towers
    objective: Objective
    rows: Tensor

    def loss(self, images: Tensor, texts: Tensor) -> Tensor:
        batch = Contrast(
            images, texts, self.towers.log_scale.exp(), self.towers.bias * 1.0, GROUPS[self.rows]
        )
        return self.objective.loss(devices.gathered(batch))

    def taken(self, chunk: int) -> tuple[Tensor, Tensor]:
        """Loss, and the gradients of all parameters in one row; NaN where there is none."""
        self.towers.zero_grad(set_to_none=True)
        value = cached_backward(self.towers.embed, self.rows, self.loss, chunk=chunk)
        devices.average_gradients(self.towers.parameters())
        parts = [
            torch.full_like(p, torch.nan) if p.grad is None else p.grad for p in self.towers.parameters()
        ]
        return devices.mean_over_devices(value), torch.cat([part.flatten() for part in parts])


def steps() -> dict[str, Tensor]:
    """Loss and gradients of every objective, whole and in chunks."""
    towers = Towers()
    with torch.no_grad():  # each process has drawn its own; the first one's count
        for parameter in towers.text.parameters():
            parameter.fill_(0.1 * (devices.rank() + 1))
        for index, parameter in enumerate(towers.common.parameters()):
            generator = torch.Generator().manual_seed(100 * devices.rank() + index)
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    devices.copy_from_first(towers)
    share = N_ROWS // devices.world_size()
    rows = torch.arange(devices.rank() * share, (devices.rank() + 1) * share)
    taken = {}
    for name, objective in objectives().items():
        for chunk in (N_ROWS, 4):
            loss, gradients = Step(towers, objective, rows).taken(chunk)
            taken[f"{name}/{chunk}/loss"], taken[f"{name}/{chunk}/gradients"] = loss, gradients
    return taken


def pieces() -> dict[str, Tensor]:
    """What single functions answer on two processes."""
    rank = devices.rank()
    found = {"whole": devices.gather(torch.arange(3) + 10 * rank)}
    own = torch.full((2, 1), 1.0 + rank, requires_grad=True)
    (devices.gather(own) * torch.tensor([[1.0], [10.0], [100.0], [1000.0]]) * (rank + 1)).sum().backward()
    found["own_gradient"] = own.grad
    one_sided, nowhere, narrow = (nn.Parameter(torch.ones(3)) for _ in range(3))
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    half = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    if rank == 1:
        one_sided.grad = torch.tensor([2.0, 4.0, 6.0])
    narrow.grad = torch.full((3,), float(rank))
    half.grad = torch.full((2,), 1.0 + 2 * rank, dtype=torch.bfloat16)
    devices.average_gradients(iter([frozen, one_sided, half, nowhere, narrow]))
    found |= {"one_sided": one_sided.grad, "narrow": narrow.grad, "half": half.grad}
    found["nowhere_has_none"] = torch.tensor(nowhere.grad is None and frozen.grad is None)
    found["mean"] = devices.mean_over_devices(torch.tensor(float(rank), requires_grad=True))
    try:
        devices.gather(torch.zeros(2 + rank, 3))
    except ShapeError as error:
        found["uneven_is_refused"] = torch.tensor("hold 2, 3 rows" in str(error))
    return found


def main() -> None:
    torch.set_num_threads(1)
    with devices.process_group():
        found = {**steps(), **pieces(), "world_size": torch.tensor(devices.world_size())}
        save_file(
            {name: value.contiguous() for name, value in found.items()},
            Path(sys.argv[1]) / f"{devices.rank()}.safetensors",
        )
    if devices.world_size() != 1:
        raise RuntimeError("the group was not left")


if __name__ == "__main__":
    main()
