"""How long the tuning methods take that need embeddings only: fit and predict, on made-up features.

    python benchmarks/tune.py [--threads 2] [--shots 16] [--classes 100] [--images 10000]
                              [--methods NAME ...] [--clock wall] [--output FILE]

Features have the geometry of CLIP's: all images share a direction, all texts share another, classes differ
little. Fit includes the choice of settings on 4 validation images a class; predict is the evidence of all
test images and its argmax. The ratio is of fit + predict to the bare zero-shot product of the same test
images. The aim is 30 s a method. `--clock cpu --threads 1` counts processor time, which other work on the
machine disturbs little.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import awase
from awase.functional.similarity import normalize
from awase.registry import load
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task
from awase.types import Features, ImageReference, LabelledImage

METHODS = ("zero_shot", "linear_probe", "tip_adapter", "tip_adapter_f", "clip_adapter", "taskres")
Clock = Callable[[], float]
DIMENSION, VALIDATION, AIM = 512, 4, 30.0


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    task, test, labels = _make(arguments.classes, arguments.shots, arguments.images)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    bare = _bare_product(test.values, task.frozen.class_features, clock)
    rows = [_measure(name, task, test, labels, bare, clock) for name in arguments.methods or METHODS]
    print(f"{'method':14s} {'fit s':>8s} {'predict s':>9s} {'ratio':>8s} {'accuracy':>8s}")
    for row in rows:
        late = "" if row["fit"] + row["predict"] < AIM else f"  over {AIM:.0f} s"
        print(
            f"{row['method']:14s} {row['fit']:8.2f} {row['predict']:9.3f} {row['ratio']:8.1f} "
            f"{row['accuracy']:8.3f}{late}"
        )
    print(f"bare product: {1000 * bare:.2f} ms, {arguments.threads} threads")
    if arguments.output:
        report = {
            "awase": awase.__version__,
            "torch": torch.__version__,
            **{name: getattr(arguments, name) for name in ("threads", "clock", "shots", "classes", "images")},
            "bare_product_ms": round(1000 * bare, 3),
            "rows": rows,
        }
        Path(arguments.output).write_text(json.dumps(report, indent=1) + "\n")


def _measure(name: str, task: Task, test: Features, labels: Tensor, bare: float, clock: Clock) -> dict:
    method = load("tune", name)()
    start = clock()
    tuned = method.fit(task, seed=1)
    fitted = clock()
    predicted = tuned.evidence(test).similarity.argmax(dim=1)
    end = clock()
    return {
        "method": name,
        "fit": round(fitted - start, 3),
        "predict": round(end - fitted, 4),
        "ratio": round((end - start) / bare, 1),
        "accuracy": round(float((predicted == labels).double().mean()), 4),
        "parameters": tuned.n_parameters,
    }


def _bare_product(images: Tensor, classes: Tensor, clock: Clock) -> float:
    """Median seconds of the product alone, after a first one that wakes the threads."""
    times = []
    for _ in range(11):
        start = clock()
        images @ classes.T
        times.append(clock() - start)
    return statistics.median(times[1:])


def _make(k: int, shots: int, n_test: int) -> tuple[Task, Features, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def directions(n: int) -> Tensor:
        return normalize(torch.randn(n, DIMENSION, generator=generator))

    classes, shared_image, shared_text = directions(k), directions(1), directions(1)
    texts = normalize(shared_text + 0.4 * classes + 0.5 * directions(k))

    def images(labels: Tensor, name: str) -> Features:
        values = normalize(shared_image + 0.35 * classes[labels] + 0.6 * directions(len(labels)))
        ids = [f"{name}/{row}" for row in range(len(labels))]
        return Features(
            values,
            tuple(LabelledImage(id, ImageReference(id, data=b"")) for id in ids),
            tuple(ids),
            "made-up",
        )

    train_labels = torch.arange(k).repeat_interleave(shots)
    validation_labels = torch.arange(k).repeat_interleave(VALIDATION)
    test_labels = torch.randint(k, (n_test,), generator=generator)
    frozen = Frozen(tuple(f"class {i}" for i in range(k)), texts, 100.0, "made-up")
    task = Task(
        frozen,
        images(train_labels, "train"),
        train_labels,
        images(validation_labels, "validation"),
        validation_labels,
    )
    return task, images(test_labels, "test"), test_labels


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--output")
    return parser.parse_args()


if __name__ == "__main__":
    main()
