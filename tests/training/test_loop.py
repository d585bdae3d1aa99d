"""The loop: resume gives the same weights to the last bit, dropout and optimiser state included."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from awase.errors import DataError
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches
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
