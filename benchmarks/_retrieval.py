"""Retrieval in blocks against a full argsort of the similarity matrix; and a million items."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import torch
from safetensors.torch import save_file
from torch import Tensor

from awase.engine.feature_files import open_pair_features
from awase.functional.placements import placements
from awase.functional.retrieval import median_rank, ranks, recall_at_k
from awase.functional.similarity import normalize

WIDTH = 512
Features = tuple[Tensor, Tensor, Tensor]


def retrieval(arguments: argparse.Namespace) -> dict:
    images, texts, owners = _pairs(arguments.images, arguments.texts)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    rows: dict[str, list[float]] = {"argsort": [], "blocks": []}
    memory: dict[str, float] = {}
    found: dict[str, tuple[Tensor, Tensor]] = {}
    ways: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "argsort": lambda: _by_argsort(images, texts, owners),
        "blocks": lambda: ranks(images, texts, image_of_text=owners),
    }
    ranks(images[:64], texts[:64], image_of_text=torch.arange(64))  # wakes the libraries
    for _ in range(arguments.repeat):
        for name, way in ways.items():
            with _peak() as peak:
                start = clock()
                found[name] = way()
                rows[name].append(clock() - start)
            memory[name] = max(memory.get(name, 0.0), peak[0])
    seconds = {name: min(times) for name, times in rows.items()}
    report = {
        "images": len(images),
        "texts": len(texts),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "times_as_fast": round(seconds["argsort"] / seconds["blocks"], 2),
        "peak_mb": {name: round(value, 1) for name, value in memory.items()},
        "share_of_memory": round(memory["blocks"] / memory["argsort"], 4),
        "same_ranks": all(map(torch.equal, found["argsort"], found["blocks"])),
    }
    print(
        f"retrieval, {len(texts)} texts and {len(images)} images: argsort {seconds['argsort']:.2f} s and "
        f"{memory['argsort']:.0f} MB, in blocks {seconds['blocks']:.2f} s and {memory['blocks']:.0f} MB: "
        f"{report['times_as_fast']} times as fast (aim 5), {report['share_of_memory']:.3f} of the memory "
        f"(aim 0.1), {'the same' if report['same_ranks'] else 'OTHER'} ranks"
    )
    return report


def _by_argsort(images: Tensor, texts: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """The whole matrix, sorted along both axes; the place of each right item in the order."""
    similarity = images @ texts.T
    order = similarity.argsort(dim=1, descending=True, stable=True)
    is_right = owners[order] == torch.arange(len(images))[:, None]
    forward = is_right.int().argmax(dim=1)
    del order, is_right
    order = similarity.T.argsort(dim=1, descending=True, stable=True)
    return forward, (order == owners[:, None]).int().argmax(dim=1)


def million(arguments: argparse.Namespace) -> dict:
    n, m = arguments.million_images, arguments.million_texts
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.safetensors"
        images, texts, owners = _pairs(n, m, torch.float16)
        content = {"image_features": images, "text_features": texts, "image_of_text": owners}
        save_file(content, path)
        size = path.stat().st_size / 1e6
        del images, texts, owners, content
        with _peak("RssAnon") as peak:
            start, busy = time.perf_counter(), time.process_time()
            pairs = open_pair_features(path)
            opened = time.perf_counter() - start
            found = placements(pairs.image_features, pairs.text_features, image_of_text=pairs.image_of_text)
            wall, cpu = time.perf_counter() - start, time.process_time() - busy
        report = {
            "images": n,
            "texts": m,
            "file_mb": round(size),
            "open_seconds": round(opened, 1),
            "seconds": round(wall, 1),
            "cpu_seconds": round(cpu, 1),
            "similarities_per_cpu_second": round(n * m / cpu),
            "peak_mb": round(peak[0]),
            "matrix_mb": round(4 * n * m / 1e6),
            "text_to_image_r1": float(recall_at_k(found.text_to_image.ranks, k=1)),
            "image_to_text_r1": float(recall_at_k(found.image_to_text.ranks, k=1)),
            "text_to_image_median_rank": median_rank(found.text_to_image.ranks),
        }
    print(
        f"a million: {m} texts and {n} images, {size:.0f} MB in a file: {wall:.0f} s ({cpu:.0f} s of "
        f"processor time), {peak[0]:.0f} MB beside the file, where the matrix would take "
        f"{report['matrix_mb']} MB"
    )
    return report


def _pairs(n: int, m: int, dtype: torch.dtype = torch.float32) -> Features:
    """Features with the geometry of CLIP's: texts lie near their image, and both sides have a cone."""
    generator = torch.Generator().manual_seed(0)
    cones = normalize(torch.randn(2, WIDTH, generator=generator))
    owners = torch.arange(m) % n
    images, texts = torch.empty(n, WIDTH, dtype=dtype), torch.empty(m, WIDTH, dtype=dtype)
    own = torch.empty(n, WIDTH, dtype=torch.float16)
    for rows in torch.arange(n).split(100_000):
        what = torch.randn(len(rows), WIDTH, generator=generator)
        own[rows] = what.half()
        noise = torch.randn(len(rows), WIDTH, generator=generator)
        images[rows] = normalize(20 * cones[0] + what + noise).to(dtype)
    for rows in torch.arange(m).split(100_000):
        noise = torch.randn(len(rows), WIDTH, generator=generator)
        texts[rows] = normalize(20 * cones[1] + 0.4 * own[owners[rows]].float() + noise).to(dtype)
    return images, texts, owners


@contextmanager
def _peak(of: str = "VmHWM") -> Iterator[list[float]]:
    """Megabytes that the process takes at most, beyond what it takes at the beginning."""
    if of == "RssAnon":
        yield from _watched()
        return
    found = [float("nan")]
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    yield found
    found[0] = (_status("VmHWM") - before) / 1000


def _watched() -> Iterator[list[float]]:
    """The same without pages of mapped files, which the kernel may drop: looked at ten times a second."""
    found, stop = [0.0], Event()
    before = _status("RssAnon")

    def watch() -> None:
        while not stop.wait(0.1):
            found[0] = max(found[0], (_status("RssAnon") - before) / 1000)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _status(name: str) -> float:
    """Kilobytes, by the kernel."""
    if not Path("/proc/self/status").exists():
        return float("nan")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    raise OSError(f"{os.uname().sysname} does not count {name}")
