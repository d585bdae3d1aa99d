"""How fast `check` is, as ratios measured side by side in one run, on a random model of ViT-B/32 size.

    python benchmarks/check.py [--threads 2] [--repeats 5] [--clock cpu] [--output FILE]

Against `reference.py` (batch 1, 77 tokens, attention maps, the image encoded for every caption): with image
vectors given to us, with every image new, and with five captions an image. Against the bare forward passes
of both towers on the same batches: the whole of `check`, from files to findings. And one caption against
100 000 image vectors, against one product with them. Each repeat runs both sides one after the other; the
ratio is of the medians, beside its smallest and largest. Times are processor time of all threads, which
other work on the machine disturbs little; `--clock wall` has the other.
"""

import argparse
import csv
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import torch
from models import save_clip
from PIL import Image
from reference import attribute_cached, attribute_one
from transformers import CLIPModel

import awase
from awase.check import check_stream
from awase.check._words import with_template
from awase.check.clip4dm import Clip4dm
from awase.engine._images import MemoryStore
from awase.functional.attribution import attribute, encode, operator
from awase.functional.similarity import normalize
from awase.protocols import Encoder
from awase.registry import load
from awase.types import ImageReference, Pair

PAIRS = 64
REFERENCE_PAIRS = 8  # the slow side is measured on fewer pairs; times are per pair


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        captions, photos = _sample(Path(folder) / "photos", PAIRS)
        saved = save_clip(Path(folder) / "model", captions)
        encoder = load("encoder", "hf").load(str(saved))
        eager = CLIPModel.from_pretrained(saved, attn_implementation="eager").eval()
        eager.requires_grad_(True)  # as loaded: the graph reaches the weights
        bench = Bench(encoder, eager, captions, photos)
        clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
        rows = [_compare(case, arguments.repeats, clock) for case in bench.cases()]
        report = {
            "awase": awase.__version__,
            "torch": torch.__version__,
            "threads": arguments.threads,
            "clock": arguments.clock,
            "largest_relative_difference": bench.difference(),
            "operator_build_ms": round(1000 * _median(bench.build, arguments.repeats, clock), 2),
            "rows": rows,
        }
    for row in rows:
        print(f"{row['case']:38s} {row['ratio']:6.2f}  [{row['low']:.2f}, {row['high']:.2f}]  {row['aim']}")
    print(f"largest difference to the reference, relative: {report['largest_relative_difference']:.1e}")
    print(f"operator build: {report['operator_build_ms']} ms")
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=1) + "\n")


class Bench:
    """Both sides of every comparison; each method returns how many pairs it did."""

    def __init__(self, encoder: Encoder, eager: CLIPModel, captions: list[str], photos: list[Path]) -> None:
        self.encoder, self.eager, self.photos = encoder, eager, photos
        self.pairs = [
            Pair(str(i), ImageReference(p.name, path=p), c)
            for i, (p, c) in enumerate(zip(photos, captions, strict=True))
        ]
        texts = [with_template(encoder.default_template, c)[0] for c in captions]
        self.texts, self.tokens = texts, encoder.tokenize(texts)
        pad = int(self.tokens.ids.max())
        self.ids = torch.nn.functional.pad(self.tokens.ids, (0, 77 - self.tokens.ids.shape[1]), value=pad)
        self.ends = self.tokens.row_weights.argmax(dim=1).tolist()
        self.pixels = torch.stack([encoder.preprocess(Image.open(p).convert("RGB")) for p in photos])
        self.vectors = encoder.encode_image(self.pixels)
        self.many = normalize(torch.randn(100_000, self.vectors.shape[1]))
        self.one = self.encoder.tokenize(texts[:1])
        self.matrix = self._build()

    def difference(self) -> float:
        """Largest difference of our token scores to the reference's, over the largest score; float32."""
        ours = attribute(self.encoder.text_tower, self.tokens, self.vectors).scores
        worst = 0.0
        for i in range(REFERENCE_PAIRS):
            theirs = attribute_cached(self.eager, self.ids[i : i + 1], self.ends[i], self.vectors[i : i + 1])
            inside = slice(0, self.ends[i] + 1)
            gap = (ours[i, inside] - theirs[inside]).abs().max() / theirs.abs().max()
            worst = max(worst, float(gap))
        return worst

    def cases(self) -> "list[Case]":
        return [
            Case("image vectors given", self.reference_new, self.ours_cached, "at least 10"),
            Case("text side alone, of both", self.reference_cached, self.ours_cached, "for information"),
            Case("every image new", self.reference_new, self.ours_new, "at least 2.3"),
            Case("five captions an image", self.reference_new, self.ours_five, "at least 6"),
            Case("whole check / bare towers", self.ours_files, self.bare, "at most 1.10"),
            Case("operator, 100 000 images / product", self.apply, self.product, "at most 3"),
        ]

    def reference_cached(self) -> int:
        for i in range(REFERENCE_PAIRS):
            attribute_cached(self.eager, self.ids[i : i + 1], self.ends[i], self.vectors[i : i + 1])
        return REFERENCE_PAIRS

    def reference_new(self) -> int:
        for i in range(REFERENCE_PAIRS):
            attribute_one(self.eager, self.ids[i : i + 1], self.ends[i], self.pixels[i : i + 1])
        return REFERENCE_PAIRS

    def ours_cached(self) -> int:
        Clip4dm().check(self.encoder, self.vectors, self.pairs)
        return PAIRS

    def ours_new(self) -> int:
        Clip4dm().check(self.encoder, self.encoder.encode_image(self.pixels), self.pairs)
        return PAIRS

    def ours_five(self) -> int:
        images = self.encoder.encode_image(self.pixels[: PAIRS // 5 + 1])
        Clip4dm().check(self.encoder, images.repeat_interleave(5, dim=0)[:PAIRS], self.pairs)
        return PAIRS

    def ours_files(self) -> int:
        for _ in check_stream(self.encoder, self.pairs, Clip4dm(), store=MemoryStore()):
            pass
        return PAIRS

    def bare(self) -> int:
        with torch.inference_mode():
            self.encoder.encode_image(self.pixels)
            encode(self.encoder.text_tower, self.tokens)
        return PAIRS

    def apply(self) -> int:
        torch.mm(self.many, self.matrix.T)
        return 1

    def product(self) -> int:
        torch.mv(self.many, self.vectors[0])
        return 1

    def build(self) -> int:
        self._build()
        return 1

    def _build(self) -> torch.Tensor:
        made = operator(self.encoder.text_tower, self.one)
        return torch.cat([made.rows[0], made.text_features])  # (tokens + 1, d)


class Case(NamedTuple):
    """ratio = time of `above` / time of `below`, both per pair."""

    name: str
    above: Callable[[], int]
    below: Callable[[], int]
    aim: str


def _compare(case: Case, repeats: int, clock: Callable[[], float]) -> dict[str, object]:
    above, below = [], []
    for repeat in range(repeats + 1):
        first, second = _seconds(case.above, clock), _seconds(case.below, clock)
        if repeat:  # the first round warms up
            above.append(first)
            below.append(second)
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {
        "case": case.name,
        "ratio": round(statistics.median(above) / statistics.median(below), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "ms_per_pair": [round(1000 * statistics.median(side), 3) for side in (above, below)],
        "aim": case.aim,
    }


def _seconds(work: Callable[[], int], clock: Callable[[], float]) -> float:
    started = clock()
    pairs = work()
    return (clock() - started) / pairs


def _median(work: Callable[[], int], repeats: int, clock: Callable[[], float]) -> float:
    work()
    return statistics.median(_seconds(work, clock) for _ in range(repeats))


def _sample(folder: Path, count: int) -> tuple[list[str], list[Path]]:
    """`count` distinct photos of 400 x 300 with a caption each, made of the package's sample."""
    root = Path(str(files("awase") / "_sample"))
    with (root / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["language"] == "en"]
    folder.mkdir()
    captions, photos = [], []
    for i in range(count):
        row = rows[i % len(rows)]
        with Image.open(root / row["image"]) as photo:
            # another crop for every pair: equal contents would be encoded once
            made = photo.convert("RGB").crop((i, 0, photo.width, photo.height)).resize((400, 300))
        path = folder / f"{i}.jpg"
        made.save(path, quality=90)
        photos.append(path)
        captions.append(row["caption"])
    return captions, photos


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--output", help="also write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
