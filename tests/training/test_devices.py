"""Two processes take the step that one would take: same loss, same gradients, whatever the objective."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from awase import registry
from awase.functional.contrastive import regularizer
from awase.training import devices
from awase.training.contrast import Contrast

WORKER = Path(__file__).with_name("spread.py")
if not torch.distributed.is_available():
    pytest.skip("this build of torch knows one process only", allow_module_level=True)


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("spread", WORKER)
    module = importlib.util.module_from_spec(spec)
    sys.modules["spread"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


spread = _load()
NAMES = tuple(spread.objectives())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two processes wrote, started as torchrun starts them."""
    folder = tmp_path_factory.mktemp("spread")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(spread.N_DEVICES),
        "OMP_NUM_THREADS": "1",
    }
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # the name of this machine may lead anywhere
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(spread.N_DEVICES)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()  # one that waits for another that has died
            process.wait()
    return [load_file(folder / f"{rank}.safetensors") for rank in range(spread.N_DEVICES)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    """The same batch on one process."""
    return spread.steps()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk", [12, 4])
def test_two_processes_take_the_step_of_one(
    name: str, chunk: int, found: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    for process in found:
        assert int(process["world_size"]) == 2
        for what in ("loss", "gradients"):
            key = f"{name}/{chunk}/{what}"
            torch.testing.assert_close(
                process[key], alone[f"{name}/12/{what}"], rtol=1e-9, atol=1e-12, equal_nan=True
            )
    first, second = (process[f"{name}/{chunk}/gradients"].nan_to_num(9.0) for process in found)
    assert torch.equal(first, second)  # or their weights would drift apart


def test_the_regulariser_is_not_multiplied_by_the_processes(
    found: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    towers = spread.Towers()
    with torch.no_grad():
        for parameter in towers.text.parameters():
            parameter.fill_(0.1)
        for index, parameter in enumerate(towers.common.parameters()):
            generator = torch.Generator().manual_seed(index)
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    pull = 0.1 / 2 * regularizer(*towers.embed(torch.arange(spread.N_ROWS)))  # the mean form takes half
    pull.backward()
    expected = torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in towers.parameters()
        ]
    )  # fmt: skip
    for process in found:
        added = process["regularized/12/loss"] - process["info_nce/12/loss"]
        torch.testing.assert_close(added, pull.detach(), rtol=1e-9, atol=1e-12)
        more = process["regularized/12/gradients"] - process["info_nce/12/gradients"]
        known = ~more.isnan()
        torch.testing.assert_close(more[known], expected[known], rtol=1e-9, atol=1e-12)
        assert float(expected.norm()) > 1e-3  # twice of nothing would be nothing


def test_pieces(found: list[dict[str, Tensor]]) -> None:
    for process in found:
        assert process["whole"].tolist() == [0, 1, 2, 10, 11, 12]
        assert process["one_sided"].tolist() == [1.0, 2.0, 3.0]  # none counts as zero
        assert process["narrow"].tolist() == [0.5, 0.5, 0.5]
        assert process["half"].tolist() == [2.0, 2.0]
        assert process["half"].dtype == torch.bfloat16
        assert bool(process["nowhere_has_none"])
        assert bool(process["uneven_is_refused"])
        assert float(process["mean"]) == 0.5
    # what both processes, weighted 1 and 2, say about each one's rows
    assert found[0]["own_gradient"].tolist() == [[3.0], [30.0]]
    assert found[1]["own_gradient"].tolist() == [[300.0], [3000.0]]


def test_on_one_process_nothing_changes() -> None:
    features, one = torch.eye(2), torch.tensor(1.0)
    batch = Contrast(features, features, one, one, torch.arange(2))
    assert devices.gather(features) is features
    assert devices.gathered(batch) is batch
    weight = torch.nn.Parameter(torch.ones(2))
    devices.average_gradients([weight])
    assert weight.grad is None
    assert (devices.rank(), devices.world_size()) == (0, 1)


def test_no_group_is_joined_that_torchrun_did_not_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")  # some schedulers set one and not the other
    with devices.process_group():
        assert devices.world_size() == 1


def test_every_objective_is_among_them() -> None:
    assert set(registry.names("objective")) <= set(NAMES)
