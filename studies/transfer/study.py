"""Runs the cells of the study one after another; a stopped run goes on where it was.

    python studies/transfer/study.py --data DATA --cache CACHE --output DIR [--world flickr] [--worker 0/2]

CACHE holds frozen vectors (made where they are missing), DIR one JSON file a cell with what was measured, and
its heads. `report.py` makes tables and figures of them.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import photo_ground
import scene_ground
import torch
from cell import Cell, fit
from ground import Ground
from heads import Heads
from safetensors.torch import load_file, save_file

from awase.files import atomic_path, write_atomic

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
TEMPERATURES = (0.02, 0.07, None)
WEIGHTS = (0.03, 0.1, 0.3, 1.0, 3.0)
SEEDS = (1, 2, 3, 4, 5)
SELECTION_SEEDS = (101, 102)
BATCH_SIZES = (32, 64, 128, 512)


GROUNDS = {"flickr": photo_ground.ground, "parts": scene_ground.ground}


def cells(world: str, ground: Ground, rates: dict[str, float], seeds: Sequence[int]) -> Iterator[Cell]:
    """Every run, seed by seed, so that a stopped study has whole seeds."""
    for seed in seeds:
        for temperature in TEMPERATURES:
            base = Cell(
                world=world,
                objective="info_nce",
                weight=0.0,
                part="positives",
                temperature=temperature,
                batch_size=ground.batch_size,
                each=1,
                rate=rates[str(temperature)],
                epochs=ground.epochs,
                seed=seed,
            )
            yield base
            for weight in WEIGHTS:
                yield replace(base, objective="regularized", weight=weight)
            for part in ("negatives", "both"):
                for weight in (0.1, 0.3, 1.0):
                    yield replace(base, objective="regularized", weight=weight, part=part)
            yield replace(base, objective="multi_positive")
            if (
                world == "flickr"
            ):  # in the parts world every batch holds the same thing several times as it is
                # two captions of each image in a batch: false negatives by design, half as many images
                yield replace(base, each=2)
                yield replace(base, each=2, objective="multi_positive")
                yield replace(base, each=2, objective="regularized", weight=0.3)
            if temperature == TEMPERATURES[1]:
                for batch_size in BATCH_SIZES:
                    for objective, weight in (
                        ("info_nce", 0.0),
                        ("regularized", 0.3),
                        ("multi_positive", 0.0),
                    ):
                        yield replace(base, objective=objective, weight=weight, batch_size=batch_size)


def chosen_rates(world: str, ground: Ground, output: Path) -> dict[str, float]:
    """Learning rate by temperature: the best validation of plain InfoNCE, by seeds of their own."""
    path = output / f"rates-{world}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))["chosen"]
    tried: dict[str, dict[str, float]] = {}
    for temperature in TEMPERATURES:
        for rate in RATES:
            values = []
            for seed in SELECTION_SEEDS:
                cell = Cell(
                    world,
                    "info_nce",
                    0.0,
                    "positives",
                    temperature,
                    ground.batch_size,
                    1,
                    rate,
                    ground.epochs,
                    seed,
                )
                values.append(fit(cell, ground.training).best)
            tried.setdefault(str(temperature), {})[str(rate)] = sum(values) / len(values)
            print(world, temperature, rate, values, flush=True)
    chosen = {key: float(max(values, key=lambda rate: values[rate])) for key, values in tried.items()}
    write_atomic(path, json.dumps({"chosen": chosen, "validation": tried}, indent=1))
    return chosen


def run(world: str, ground: Ground, output: Path, *, seeds: Sequence[int], part: int, parts: int) -> None:
    """All cells of one world that are not there yet and fall to this worker."""
    rates = chosen_rates(world, ground, output)
    todo = list(cells(world, ground, rates, seeds))
    for place, cell in enumerate(todo):
        path = output / world / f"{cell.key}.json"
        if place % parts != part or path.exists():
            continue
        started = time.perf_counter()
        outcome = fit(cell, ground.training)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path.with_suffix(".safetensors")) as temporary:
            save_file(outcome.heads.state_dict(), temporary)
        facts = {
            "cell": asdict(cell),
            "measures": ground.measure(outcome.heads),
            "epoch": outcome.epoch,
            "validation": outcome.validation,
            "last_losses": sum(outcome.losses[-20:]) / len(outcome.losses[-20:]),
            "seconds": time.perf_counter() - started,
        }
        write_atomic(path, json.dumps(facts, indent=1))
        print(f"{place + 1} of {len(todo)}: {facts['seconds']:.1f} s", flush=True)


def measure_again(world: str, ground: Ground, output: Path) -> None:
    """Measure the kept heads of all finished cells once more, with the measures of today."""
    for path in sorted((output / world).glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        cell = Cell(**facts["cell"])
        heads = Heads(ground.training.images, ground.training.texts, temperature=cell.temperature)
        heads.load_state_dict(load_file(path.with_suffix(".safetensors")))
        heads.eval()
        facts["measures"] = ground.measure(heads)
        write_atomic(path, json.dumps(facts, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--world", choices=tuple(GROUNDS), default="flickr")
    parser.add_argument("--worker", default="0/1", help="which part of the cells, of how many")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of them")
    parser.add_argument("--measure-again", action="store_true", help="only measure the kept heads again")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    number, workers = map(int, arguments.worker.split("/"))
    ground = GROUNDS[arguments.world](arguments.data, arguments.cache)
    if arguments.measure_again:
        measure_again(arguments.world, ground, arguments.output)
    else:
        seeds = SEEDS[: arguments.seeds]
        run(arguments.world, ground, arguments.output, seeds=seeds, part=number, parts=workers)
