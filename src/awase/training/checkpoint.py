"""The state of a training run in one safetensors file: trainable weights, optimiser state, step.

Only tensors and JSON are read back, and only into a run that says it is the same one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from awase.errors import DataError
from awase.files import atomic_path

NAME = "training.safetensors"
_FORMAT = "awase-training-1"


def save(
    folder: Path,
    *,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
) -> None:
    """Write the state after `step` steps, whole or not at all."""
    tensors = {f"weight/{name}": value for name, value in trainable(module).items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value)
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"format": _FORMAT, "step": str(step), "identity": json.dumps(identity, sort_keys=True)}
    with atomic_path(folder / NAME) as temporary:
        save_file(whole, temporary, metadata=metadata)


def load(
    folder: Path, *, module: nn.Module, optimizer: torch.optim.Optimizer, identity: Mapping[str, Any]
) -> int:
    """Put a saved state back; returns its step, 0 where nothing was saved.

    Raises:
        DataError: the file is damaged, or of another run.
    """
    path = folder / NAME
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        step, known = int(metadata["step"]), json.loads(metadata["identity"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is no checkpoint that can be read: {error}; delete it to start again."
        ) from error
    if metadata.get("format") != _FORMAT or known != json.loads(json.dumps(identity)):
        raise DataError(f"{path} is of another run (other data, settings or seed); choose another folder.")
    with torch.no_grad():
        for name, value in trainable(module).items():
            value.copy_(tensors[f"weight/{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            index, _, field = rest.partition("/")
            state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


def trainable(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that learn, by name."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad}
