"""What an objective adds to a training step, over the bare forward and backward pass of the towers.

Bare: both towers forward, and backward from given gradients of the features. Step: the same with the loss
between. Loop: a whole step of `awase.training.loop.train`, with the drawing of rows and AdamW. Every repeat
measures all of them one behind another and takes its ratios to its own bare pass, so that other work on the
machine falls on both sides; the median is reported. `alone` is the loss and its gradient with respect to the
features by themselves, as a share of the bare pass: it holds less noise than the difference of two long
times. The aim is below 5 %.

Part of `benchmarks/transfer.py`; by itself: python benchmarks/_step_overhead.py [--batch 256] [--repeats 7]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from awase.functional.image_tower import run_image
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.registry import load
from awase.training.contrast import Contrast
from awase.training.gradient_cache import cached_backward
from awase.training.loop import train
from awase.training.sampler import ShuffledBatches

AIM = 0.05
OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "info_nce": ("info_nce", {}),
    "regularized": ("regularized", {}),
    "regularized, both": ("regularized", {"part": "both"}),
    "multi_positive": ("multi_positive", {}),
    "soft_target": ("soft_target", {}),
    "sigmoid": ("sigmoid", {}),
    "cyclip": ("cyclip", {}),
}
WORDS = (
    "red",
    "blue",
    "old",
    "small",
    "bolt",
    "gear",
    "nut",
    "plate",
    "on",
    "a",
    "bright",
    "table",
    "near",
    "the",
)


@dataclass(frozen=True)
class Towers:
    """A small encoder made anew, and one batch of noise for it."""

    encoder: Any
    module: torch.nn.Module
    pixels: Tensor
    captions: list[str]

    @staticmethod
    def made(batch: int, dimension: int) -> "Towers":
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(len(WORDS), (batch, 12), generator=generator).tolist()
        captions = [" ".join(WORDS[word] for word in row) for row in drawn]
        with tempfile.TemporaryDirectory() as folder:
            encoder = load("encoder", "small").create(folder, captions, dimension=dimension)
        pixels = torch.randn(batch, 3, encoder.size, encoder.size, generator=generator)
        module = encoder.module.requires_grad_()
        return Towers(encoder, module, pixels, captions)

    def embed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.encoder.tokenize([self.captions[row] for row in rows.tolist()])
        tower = self.encoder.text_tower
        texts = run_text(tower, tokens, tower.embed(tokens))
        return normalize(run_image(self.encoder.image_tower, self.pixels[rows])), normalize(texts)


def measure(
    *,
    batch: int = 256,
    dimension: int = 512,
    repeats: int = 7,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Any]:
    """Medians over the repeats, of seconds and of shares of the bare pass."""
    towers = Towers.made(batch, dimension)
    losses = {name: _loss(name, batch) for name in OBJECTIVES}
    runs = _runs(towers, losses)
    for run in runs.values():  # the first time is always slower
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock()
            run()
            times[name].append(clock() - start)
    bare = times["bare"]

    def share(name: str) -> float:
        return statistics.median(time / one for time, one in zip(times[name], bare, strict=True))

    rows = [
        {
            "objective": name,
            "alone_ms": round(1000 * statistics.median(times[f"{name}: alone"]), 2),
            "alone": round(share(f"{name}: alone"), 4),
            "step": round(share(f"{name}: step") - 1, 4),
        }
        for name in OBJECTIVES
    ]
    return {
        "batch": batch,
        "dimension": dimension,
        "repeats": repeats,
        "parameters": sum(value.numel() for value in towers.module.parameters()),
        "bare_ms": round(1000 * statistics.median(bare), 1),
        "bare_spread": round((max(bare) - min(bare)) / statistics.median(bare), 3),
        "loop": round(share("loop") - 1, 4),
        "chunks_of_a_quarter": round(share("chunks") - 1, 4),
        "rows": rows,
    }


def show(report: dict[str, Any]) -> str:
    """The report as a table."""
    lines = [
        f"batch {report['batch']}, width {report['dimension']}, {report['parameters'] / 1e6:.1f} M "
        f"parameters: bare pass {report['bare_ms']:.0f} ms (spread {100 * report['bare_spread']:.0f} %)",
        f"{'objective':20s} {'alone ms':>9s} {'alone':>8s} {'step':>8s}",
    ]
    for row in report["rows"]:
        late = "" if row["alone"] < AIM else f"  over {100 * AIM:.0f} %"
        lines.append(
            f"{row['objective']:20s} {row['alone_ms']:9.2f} {100 * row['alone']:7.2f}% "
            f"{100 * row['step']:+7.2f}%{late}"
        )
    lines.append(f"whole step of the loop, AdamW included (info_nce): {100 * report['loop']:+.2f} %")
    lines.append(f"cached gradients, four chunks (info_nce): {100 * report['chunks_of_a_quarter']:+.1f} %")
    return "\n".join(lines)


def _runs(
    towers: Towers, losses: dict[str, Callable[[Tensor, Tensor], Tensor]]
) -> dict[str, Callable[[], object]]:
    n = len(towers.pixels)
    rows = torch.arange(n)
    with torch.no_grad():
        features = towers.embed(rows)
    gradients = tuple(torch.randn_like(side) / n for side in features)

    def bare() -> None:
        towers.module.zero_grad(set_to_none=True)
        torch.autograd.backward(towers.embed(rows), gradients)

    def step(name: str) -> None:
        towers.module.zero_grad(set_to_none=True)
        losses[name](*towers.embed(rows)).backward()

    def alone(name: str) -> None:
        losses[name](*(side.detach().requires_grad_() for side in features)).backward()

    # a rate of 0 keeps the towers what they are, and costs the same
    optimizer = torch.optim.AdamW(towers.module.parameters(), lr=0.0)

    def loop() -> None:
        train(
            towers.module,
            lambda rows, step: losses["info_nce"](*towers.embed(rows)),
            batches=ShuffledBatches(n, n, 0),
            n_steps=1,
            optimizer=optimizer,
        )

    def chunks() -> None:
        towers.module.zero_grad(set_to_none=True)
        cached_backward(towers.embed, rows, losses["info_nce"], chunk=-(-n // 4))

    runs: dict[str, Callable[[], object]] = {"bare": bare, "loop": loop, "chunks": chunks}
    for name in losses:
        runs[f"{name}: alone"] = lambda name=name: alone(name)
        runs[f"{name}: step"] = lambda name=name: step(name)
    return runs


def _loss(name: str, batch: int) -> Callable[[Tensor, Tensor], Tensor]:
    """An objective as a function of the features; scale and bias learn, two pairs stand in each group."""
    method, settings = OBJECTIVES[name]
    objective = load("objective", method)(**settings)
    log_scale = torch.nn.Parameter(torch.tensor(objective.initial_scale).log())
    bias = torch.nn.Parameter(torch.tensor(objective.initial_bias))
    groups = torch.arange(batch) // 2

    def loss(image_features: Tensor, text_features: Tensor) -> Tensor:
        return objective.loss(Contrast(image_features, text_features, log_scale.exp(), bias * 1, groups))

    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="cpu")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    report = measure(
        batch=arguments.batch, dimension=arguments.dimension, repeats=arguments.repeats, clock=clock
    )
    print(show(report))
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
