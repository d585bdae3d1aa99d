"""What each out-of-distribution score costs, beside the bare matrix product it starts from, in one run.

    python benchmarks/ood.py [--images 1000000] [--threads 2] [--clock cpu] [--output FILE]

Throughput: embeddings (n, 512) against 1000 classes, in blocks. For every block the bare product with the
classes is taken, then every score reads it, so both sides see the same machine. `ratio` is product and score
over product alone (for scores that read no similarities: the score alone over the product). `own` is the same
over the products that the score itself cannot do without: neglabel's with 10 000 words, knn's with the known
images, gl_mcm's with the patches. The last three are measured on every 16th block.

Few shots: 16 images of each of 100 classes, 10 000 test images, fit and score, in seconds on the wall and
of the processor. NegLabel's 98 000 candidate words are encoded already, as they are from the second fit on.

Times are processor time of all threads, which other work on the machine disturbs little; `--clock wall` has
the other.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

import awase
from awase.ood._protocol import Known, Learner, Scorer
from awase.registry import load, names
from awase.types import Evidence

WORDS = 10_000
PATCHES = 49
SPARSE = 16  # heavy scores are measured on every so many blocks
WORD_SETTINGS: dict[str, Any] = {
    "nouns": tuple(f"noun {i}" for i in range(78_000)),
    "adjectives": tuple(f"adjective {i}" for i in range(20_000)),
}
READS_FEATURES = ("gl_mcm", "knn", "mahalanobis", "neglabel")
HEAVY = ("gl_mcm", "knn", "neglabel")

Clock = Callable[[], float]


class Words:
    """Gives every text some direction at once: stands for vectors that lie in the cache."""

    def __init__(self, d: int) -> None:
        self.vectors = draw(4096, d, seed=5)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return self.vectors[torch.arange(len(texts)) % len(self.vectors)]


@dataclass
class Case:
    """One score and the seconds that its blocks took."""

    name: str
    scorer: Scorer
    own: Callable[[Tensor], object] | None
    seconds: list[float] = field(default_factory=list)
    products: list[float] = field(default_factory=list)
    own_products: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        base = self.products if self.name not in READS_FEATURES else [0.0] * len(self.products)
        whole = [score + bare for score, bare in zip(self.seconds, base, strict=True)]
        ratios = [one / bare for one, bare in zip(whole, self.products, strict=True)]
        own = self.own_products or self.products
        return {
            "score": self.name,
            "ratio": round(statistics.median(ratios), 3),
            "low": round(_quantile(ratios, 0.1), 3),
            "high": round(_quantile(ratios, 0.9), 3),
            "own": round(statistics.median(a / b for a, b in zip(whole, own, strict=True)), 3),
            "blocks": len(self.seconds),
        }


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    report: dict[str, Any] = {
        "awase": awase.__version__,
        "torch": torch.__version__,
        "threads": arguments.threads,
        "clock": arguments.clock,
        "images": arguments.images,
        "width": arguments.width,
        "classes": arguments.classes,
    }
    with torch.inference_mode():
        if arguments.images:
            report |= throughput(arguments, clock)
        report["few_shots"] = few_shots(arguments)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=1) + "\n")


def throughput(arguments: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Each score on all blocks, beside the bare product."""
    d, k, size = arguments.width, arguments.classes, arguments.block
    classes = draw(k, d, seed=1)
    images = draw(arguments.images, d, seed=2)
    cases = _cases(classes, arguments.shots, _wanted(arguments))
    similarity = torch.empty(size, k)
    started = time.perf_counter()
    for number, start in enumerate(range(0, len(images) - size + 1, size)):
        block = images[start : start + size]
        if number == 0:
            torch.mm(block, classes.T, out=similarity)  # pages of the output are touched once
        bare = _seconds(lambda block=block: torch.mm(block, classes.T, out=similarity), clock)
        for case in cases:
            if case.name not in HEAVY or number % SPARSE == 0:
                _measure(case, block, similarity, classes, bare, clock)
    rows = [case.row() for case in cases]
    products = next(case.products for case in cases if case.name not in HEAVY)
    print(f"bare product: {sum(products):.2f} s for {len(products) * size} x {d} x {k} ({arguments.clock})")
    print(f"{'score':14s} {'ratio':>6s}  {'[10 %, 90 %]':>16s} {'own':>6s}")
    for row in rows:
        spread = f"[{row['low']:6.2f}, {row['high']:6.2f}]"
        print(f"{row['score']:14s} {row['ratio']:6.2f}  {spread} {row['own']:6.2f}")
    return {
        "bare_product_seconds": round(sum(products), 3),
        "wall_seconds_of_all": round(time.perf_counter() - started, 1),
        "throughput": rows,
    }


def few_shots(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds to fit and score, as somebody waits for it."""
    k, d, n = 100, arguments.width, arguments.test_images
    classes = draw(k, d, seed=11)
    labels = torch.arange(k).repeat_interleave(16)
    train = _near(classes, labels, seed=12)
    test = _near(classes, torch.arange(n) % k, seed=13)
    patches = draw(n, PATCHES, d, seed=14) if "gl_mcm" in _wanted(arguments) else None
    rows = []
    print(f"16 shots of {k} classes, {n} test images: fit + score in seconds")
    for name in _wanted(arguments):
        method = load("ood", name)(**(WORD_SETTINGS if name == "neglabel" else {}))
        started = time.process_time()
        seconds = _seconds(
            lambda method=method: _fit(method, train, labels, classes, arguments.shots).score(
                Evidence(test @ classes.T, test, classes, patches)
            ),
            time.perf_counter,
        )
        used = time.process_time() - started
        rows.append({"score": name, "seconds": round(seconds, 3), "processor_seconds": round(used, 3)})
        print(f"{name:14s} {seconds:6.2f}  (processor {used:.2f})")
    return rows


def _cases(classes: Tensor, shots: int, wanted: Sequence[str]) -> list[Case]:
    """Every score, fitted on a few images a class, with the product that it cannot do without."""
    k, d = classes.shape
    labels = torch.arange(k).repeat_interleave(shots)
    train = _near(classes, labels, seed=3)
    words = draw(WORDS, d, seed=4)
    own: dict[str, Callable[[Tensor], object]] = {
        "knn": lambda block: [block[rows] @ train.T for rows in _rows(len(block), 1024)],
        "neglabel": lambda block: [block[rows] @ words.T for rows in _rows(len(block), 1024)],
        "gl_mcm": lambda block: [
            block[rows].repeat_interleave(PATCHES, 0) @ classes.T for rows in _rows(len(block), 64)
        ],
    }
    cases = []
    for name in wanted:
        settings = {**WORD_SETTINGS, "share": WORDS / 98_000} if name == "neglabel" else {}
        scorer = _fit(load("ood", name)(**settings), train, labels, classes, shots)
        cases.append(Case(name, scorer, own.get(name)))
    return cases


def _measure(
    case: Case, block: Tensor, similarity: Tensor, classes: Tensor, bare: float, clock: Clock
) -> None:
    patches = block[:, None].expand(-1, PATCHES, -1) if case.name == "gl_mcm" else None
    evidence = Evidence(similarity, block, classes, patches)
    if not case.seconds:
        case.scorer.score(evidence)  # the first call touches fresh pages
    case.seconds.append(_seconds(lambda: case.scorer.score(evidence), clock))
    case.products.append(bare)
    if case.own is not None:
        case.own_products.append(_seconds(lambda: case.own(block), clock))


def _fit(method: Scorer | Learner, train: Tensor, labels: Tensor, classes: Tensor, shots: int) -> Scorer:
    if not isinstance(method, Learner):
        return method
    evidence = Evidence(train @ classes.T, train, classes)
    class_names = [f"class {i}" for i in range(len(classes))]
    return method.fit(Known(evidence, labels, class_names, Words(train.shape[1]), "a photo of a {}."))


def draw(*shape: int, seed: int) -> Tensor:
    """Unit vectors."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.empty(*shape)
    for part in values.split(65_536):
        part.copy_(normalize(torch.randn(part.shape, generator=generator), dim=-1))
    return values


def _near(classes: Tensor, labels: Tensor, *, seed: int) -> Tensor:
    return normalize(classes[labels] + draw(len(labels), classes.shape[1], seed=seed), dim=1)


def _rows(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, start + size)


def _seconds(work: Callable[[], object], clock: Clock) -> float:
    started = clock()
    work()
    return clock() - started


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _wanted(arguments: argparse.Namespace) -> Sequence[str]:
    return arguments.scores or names("ood")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000, help="0: the few shots alone")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--block", type=int, default=8192, help="images in one product")
    parser.add_argument("--shots", type=int, default=16, help="known images a class, for scores that learn")
    parser.add_argument("--test-images", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--scores", nargs="*", help="some scores only")
    parser.add_argument("--output", help="write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
