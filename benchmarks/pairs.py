"""What training on pairs costs: the small encoder forward and backward, and the drawing of batches.

    python benchmarks/pairs.py [--threads 1] [--batch 128] [--repeats 5] [--only encoder] [--output FILE]

Images are of 64 pixels; a step is both towers forward, InfoNCE, backward and AdamW. Figures are the fastest
repeat, in processor time, which other work on the machine disturbs little. bfloat16 pays only where the
processor has units for it (AMX).
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import awase
from awase.functional.contrastive import info_nce
from awase.functional.image_tower import run_image
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.registry import load
from awase.training.precision import autocast
from awase.training.sampler import GroupedBatches

WORDS = ("red", "blue", "small", "large", "bolt", "nut", "gear", "washer", "wood", "steel", "near", "on", "a")
N_ROWS, EACH = 1_000_000, 5


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    report: dict[str, Any] = {"awase": awase.__version__, "torch": torch.__version__, **vars(arguments)}
    if "encoder" in arguments.only:
        report["encoder"] = [
            _encoder(width, precision, arguments.batch, arguments.repeats)
            for width in (64, 96, 128)
            for precision in ("float32", "bfloat16")
        ]
        print(f"{'width':>5s} {'precision':10s} {'images/s':>9s} {'pairs/s':>8s} {'parameters':>11s}")
        for row in report["encoder"]:
            print(
                f"{row['width']:5d} {row['precision']:10s} {row['images_per_second']:9d} "
                f"{row['pairs_per_second']:8d} {row['parameters']:11,d}"
            )
    if "sampler" in arguments.only:
        report["sampler"] = _sampler(arguments.repeats)
        for name, seconds in report["sampler"].items():
            print(f"{name}: {seconds:.6f} s")
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=1) + "\n")


def _encoder(width: int, precision: str, batch: int, repeats: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    choices = torch.randint(len(WORDS), (batch, 12), generator=generator).tolist()
    captions = [" ".join(WORDS[i] for i in row) for row in choices]
    with tempfile.TemporaryDirectory() as folder:
        encoder = load("encoder", "small").create(folder, captions, width=width)
    module = encoder.module.requires_grad_(True)
    levels = torch.randint(256, (batch, 3, 64, 64), generator=generator, dtype=torch.uint8)
    pixels, tokens = encoder.pixels_of(levels), encoder.tokenize(captions)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    text = encoder.text_tower

    def images() -> torch.Tensor:
        with autocast(precision, "cpu"):
            return normalize(run_image(encoder.image_tower, pixels).float())

    def image_pass() -> None:
        images().sum().backward()
        optimizer.zero_grad()

    def step() -> None:
        with autocast(precision, "cpu"):
            embeddings = run_text(text, tokens, text.embed(tokens))
        info_nce(images(), normalize(embeddings.float()), logit_scale=14.0).backward()
        optimizer.step()
        optimizer.zero_grad()

    return {
        "width": width,
        "precision": precision,
        "images_per_second": round(batch / _fastest(image_pass, repeats)),
        "pairs_per_second": round(batch / _fastest(step, repeats)),
        "parameters": sum(value.numel() for value in module.parameters()),
    }


def _sampler(repeats: int) -> dict[str, float]:
    groups = torch.arange(N_ROWS) // EACH
    made: list[GroupedBatches] = []

    def epoch() -> None:
        made.append(GroupedBatches(groups, 256, len(made)))
        made[-1].rows(0)

    return {
        "first batch of an epoch of a million rows": _fastest(epoch, min(repeats, 3)),
        "every other batch": _fastest(lambda: made[-1].rows(1), 10 * repeats),
    }


def _fastest(run: Callable[[], object], repeats: int) -> float:
    run()
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=["encoder", "sampler"], default=["encoder", "sampler"])
    parser.add_argument("--output")
    return parser.parse_args()


if __name__ == "__main__":
    main()
