"""What `awase transfer` and contrastive training cost, each part beside the plain way of doing it.

    python benchmarks/transfer.py [--threads 2] [--only retrieval million overhead] [--clock wall]
                                  [--images 5000] [--texts 25000] [--million-images 20000]
                                  [--million-texts 980000] [--repeat 3] [--output FILE]

retrieval  ranks of 25 000 captions and 5 000 images of width 512 in both directions, against a full argsort
           of the similarity matrix. Aims: at least 5 times as fast, the same ranks, less than a tenth of the
           peak memory.
million    a million images and captions, half precision in a mapped file; runs only when it is named.
overhead   a training step of every objective, against the bare forward and backward of the towers.

Memory is what the process takes beyond the features, by the kernel's count (Linux). `--clock cpu --threads 1`
counts processor time, which other work on the machine disturbs little.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from _retrieval import million, retrieval
from _step_overhead import measure, show

import awase


def overhead(arguments: argparse.Namespace) -> dict:
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    report = measure(clock=clock)
    print(show(report))
    return report


PARTS = {"retrieval": retrieval, "million": million, "overhead": overhead}
USUAL = ("retrieval", "overhead")


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    report = {
        "awase": awase.__version__,
        "torch": torch.__version__,
        "threads": arguments.threads,
        "clock": arguments.clock,
        **{name: PARTS[name](arguments) for name in arguments.only or USUAL},
    }
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS))
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--texts", type=int, default=25_000)
    parser.add_argument("--million-images", type=int, default=20_000)
    parser.add_argument("--million-texts", type=int, default=980_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--output")
    return parser.parse_args()


if __name__ == "__main__":
    main()
