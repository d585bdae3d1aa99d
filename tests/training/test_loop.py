"""The loop: resume gives the same weights to the last bit, dropout and optimiser state included."""

import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from awase.errors import DataError
from awase.training.gradient_cache import cached_backward
from awase.training.loop import Report, train
from awase.training.sampler import GroupedBatches, ShuffledBatches
from awase.training.schedule import cosine


class KilledError(Exception):
    pass


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-4),
}


def _run(
    optimizer: str, folder: Path | None, *, n_steps: int = 30, die_at: int | None = None, seed: int = 3
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(20, 4, generator=generator), torch.randint(3, (20,), generator=generator)
    with torch.random.fork_rng():  # constructors draw from the global generator
        net = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)

    def loss(rows: Tensor, step: int) -> Tensor:
        if step == die_at:
            raise KilledError
        return nn.functional.cross_entropy(net(x[rows]), y[rows])

    train(
        net,
        loss,
        batches=ShuffledBatches(n_rows=20, batch_size=6, seed=seed),
        n_steps=n_steps,
        optimizer=OPTIMIZERS[optimizer](net.parameters()),
        schedule=cosine(n_steps, warmup_steps=4, warmup=0.1),
        checkpoint=folder,
        save_every=7,
    )
    return {name: value.detach().clone() for name, value in net.named_parameters()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("die_at", [3, 7, 8, 29])
def test_a_killed_run_ends_with_the_same_weights(optimizer: str, die_at: int, tmp_path: Path) -> None:
    whole = _run(optimizer, None)
    with pytest.raises(KilledError):
        _run(optimizer, tmp_path, die_at=die_at)
    resumed = _run(optimizer, tmp_path)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_global_randomness_is_neither_used_nor_changed() -> None:
    before = torch.get_rng_state()
    first = _run("sgd", None)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    assert torch.equal(first["0.weight"], _run("sgd", None)["0.weight"])


def test_another_seed_gives_other_weights() -> None:
    assert not torch.equal(_run("sgd", None)["0.weight"], _run("sgd", None, seed=4)["0.weight"])


def test_no_steps_change_nothing() -> None:
    assert torch.equal(_run("adamw", None, n_steps=0)["0.weight"], _run("sgd", None, n_steps=0)["0.weight"])


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    _run("sgd", tmp_path)
    with pytest.raises(DataError, match="another run"):
        _run("sgd", tmp_path, seed=4)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training.safetensors").write_bytes(b"not tensors")
    with pytest.raises(DataError, match="delete it"):
        _run("sgd", tmp_path)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = _run("adam", tmp_path)
    again = _run("adam", tmp_path, die_at=0)
    assert torch.equal(first["0.weight"], again["0.weight"])


def test_a_loss_that_is_not_finite_stops() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(DataError, match="lower the learning rate"):
        train(
            net,
            lambda rows, step: net(torch.full((1, 1), float("inf"))).sum(),
            batches=ShuffledBatches(n_rows=1, batch_size=1, seed=0),
            n_steps=1,
            optimizer=torch.optim.SGD(net.parameters(), lr=1.0),
        )


def test_every_epoch_holds_every_row_once() -> None:
    batches = ShuffledBatches(n_rows=10, batch_size=4, seed=1)
    for epoch in range(3):
        seen = torch.cat([batches.rows(epoch * 3 + i) for i in range(3)])
        assert sorted(seen.tolist()) == list(range(10))


class Notes:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.told: dict[int, dict[str, float]] = {}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.told[step] = dict(values)

    def close(self) -> None: ...


def test_reports_are_the_numbers_of_the_steps() -> None:
    line = nn.Linear(1, 1)
    x = torch.linspace(-1, 1, 8)[:, None]
    notes = Notes()
    assert isinstance(notes, Report)
    losses = train(
        line,
        lambda rows, step: (line(x[rows]) - 3 * x[rows]).square().mean(),
        batches=ShuffledBatches(n_rows=8, batch_size=4, seed=0),
        n_steps=25,
        optimizer=torch.optim.SGD(line.parameters(), lr=0.5),
        schedule=cosine(25, warmup_steps=4, ramp=True),
        report=notes,
        measures=lambda: {"slope": float(line.weight.detach())},
        clip_norm=0.1,
    )
    assert list(notes.told) == [10, 20, 25]
    assert [notes.told[step]["loss"] for step in notes.told] == [losses[9], losses[19], losses[24]]
    assert notes.told[10]["learning_rate"] == 0.5 * cosine(25, warmup_steps=4, ramp=True)(9)
    assert notes.told[25]["slope"] == float(line.weight.detach())
    assert set(notes.told[25]) == {"loss", "learning_rate", "gradient_norm", "slope"}


def test_long_gradients_are_cut_to_the_norm() -> None:
    weight = nn.Linear(4, 1, bias=False)
    before = weight.weight.detach().clone()
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    train(
        weight,
        lambda rows, step: 100 * weight(x[rows]).mean(),
        batches=ShuffledBatches(n_rows=6, batch_size=6, seed=0),
        n_steps=1,
        optimizer=torch.optim.SGD(weight.parameters(), lr=1.0),
        clip_norm=0.25,
    )
    assert float((weight.weight.detach() - before).norm()) == pytest.approx(0.25, rel=1e-4)


def test_a_loss_may_put_its_gradients_in_place_itself() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(20, 4, generator=generator), torch.randn(20, 4, generator=generator)
    start = torch.randn(4, 4, generator=generator)

    def learned(chunk: int | None) -> Tensor:
        layer = nn.Linear(4, 4, bias=False)
        with torch.no_grad():
            layer.weight.copy_(start)

        def contrast(images: Tensor, texts: Tensor) -> Tensor:
            return nn.functional.cross_entropy(images @ texts.T, torch.arange(len(images)))

        def loss(rows: Tensor, step: int) -> Tensor:
            if chunk is None:
                return contrast(layer(x[rows]), y[rows])
            return cached_backward(lambda part: (layer(x[part]), y[part]), rows, contrast, chunk=chunk)

        train(
            layer,
            loss,
            batches=ShuffledBatches(n_rows=20, batch_size=10, seed=0),
            n_steps=6,
            optimizer=torch.optim.SGD(layer.parameters(), lr=0.1),
        )
        return layer.weight.detach()

    whole = learned(None)
    assert not torch.allclose(whole, start, atol=1e-3)
    torch.testing.assert_close(learned(3), whole, rtol=1e-5, atol=1e-6)


def test_a_loss_without_weights_is_refused() -> None:
    line = nn.Linear(1, 1)
    with pytest.raises(DataError, match="depends on no weight"):
        train(
            line,
            lambda rows, step: torch.ones(()),
            batches=ShuffledBatches(n_rows=2, batch_size=2, seed=0),
            n_steps=1,
            optimizer=torch.optim.SGD(line.parameters(), lr=1.0),
        )


def test_one_device_keeps_the_identity_that_older_runs_have(tmp_path: Path) -> None:
    _run("sgd", tmp_path, n_steps=4)
    with safe_open(tmp_path / "training.safetensors", framework="pt") as file:
        identity = json.loads(file.metadata()["identity"])
    assert identity == {"batch_size": 6, "n_rows": 20, "n_steps": 4, "seed": 3}


@pytest.mark.parametrize("die_at", [1, 5, 11])
def test_a_killed_run_of_groups_ends_with_the_same_weights(die_at: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    x, groups = torch.randn(21, 4, generator=generator), torch.arange(21) // 3
    start = torch.randn(4, 4, generator=generator)

    def learned(folder: Path | None, die: int | None = None) -> Tensor:
        layer = nn.Linear(4, 4)
        with torch.no_grad():
            layer.weight.copy_(start)
            layer.bias.zero_()

        def loss(rows: Tensor, step: int) -> Tensor:
            if step == die:
                raise KilledError
            return nn.functional.cross_entropy(layer(x[rows]) @ x[rows].T, torch.arange(len(rows)))

        batches = GroupedBatches(groups, 5, 2)
        train(
            layer,
            loss,
            batches=batches,
            n_steps=12,
            optimizer=torch.optim.AdamW(layer.parameters(), lr=0.01),
            checkpoint=folder,
            save_every=4,
            identity=batches.facts,
        )
        return layer.weight.detach()

    whole = learned(None)
    with pytest.raises(KilledError):
        learned(tmp_path, die=die_at)
    assert torch.equal(learned(tmp_path), whole)


_TWO_DEVICES = """
import sys
from pathlib import Path
import torch
from torch import nn
from awase.training import devices
from awase.training.loop import train
from awase.training.sampler import GroupedBatches
from safetensors.torch import save_file

folder = Path(sys.argv[1])
generator = torch.Generator().manual_seed(1)
x, y = torch.randn(24, 4, generator=generator), torch.randn(24, 3, generator=generator)
layer = nn.Linear(4, 3)
with torch.no_grad():
    for value in layer.parameters():
        value.copy_(torch.randn(value.shape, generator=generator))
told = []

class Notes:
    def log(self, step, values): told.append(step)
    def close(self): pass

with devices.process_group():
    seen = []
    def loss(rows, step):
        seen.append(len(rows))
        return (layer(x[rows]) - y[rows]).square().mean()
    losses = train(layer, loss, batches=GroupedBatches(torch.arange(24) // 2, 8, 5), n_steps=7,
                   optimizer=torch.optim.AdamW(layer.parameters(), lr=0.05), checkpoint=folder / "run",
                   save_every=3, report=Notes(), report_every=2)
    n, rank = devices.world_size(), devices.rank()
    assert set(seen) == {8 // n}, seen
    assert told == ([2, 4, 6, 7] if rank == 0 else []), told
    weights = {name: value.detach().clone() for name, value in layer.named_parameters()}
    save_file({**weights, "losses": torch.tensor(losses)}, folder / f"{n}-{rank}.safetensors")
"""


@pytest.mark.slow  # two more interpreters
def test_two_devices_take_the_steps_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(_TWO_DEVICES, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    meeting = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    runs = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "two")],
            env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    monkeypatch.setattr(sys, "argv", ["script.py", str(tmp_path / "one")])
    runpy.run_path(str(script))
    for run in runs:
        _, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
    one = load_file(tmp_path / "one" / "1-0.safetensors")
    first, second = (load_file(tmp_path / "two" / f"2-{rank}.safetensors") for rank in range(2))
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
    with safe_open(tmp_path / "two" / "run" / "training.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["identity"])["n_devices"] == 2
