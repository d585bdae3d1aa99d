"""What the paper claims, as differences between runs: `python studies/transfer/claims.py`.

Reads the tables that `report.py` wrote. Every number is a difference paired by seed with its 95 % interval
(Student's t), bold where the interval leaves out 0.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet
from report import CHOICE, POSITIVE_WEIGHTS, by_seed, differences, table, temperature_name, where

from awase.files import write_atomic
from awase.functional.seeds import mean_over_seeds

TEMPERATURES: tuple[float | None, ...] = (0.02, 0.07, None)
SHOWN = {
    "flickr": {
        "rsum": "rsum",
        "zero_shot": "zero-shot top-1 (4 sets)",
        "caltech101_top1": "zero-shot, caltech101",
        "imagenette_top1": "zero-shot, imagenette",
        "margin_t2i_q50": "median margin",
        "gamma_at_alpha_0.05": "γ at α = .05",
    },
    "parts": {
        "seen_top1": "zero-shot top-1",
        "shifted_top1": "top-1, new backgrounds",
        "seen_margin_q50": "median margin",
        "gamma_at_alpha_0.05": "γ at α = .05",
        "loss_excess": "loss above floor",
    },
}
Rows = Sequence[dict[str, Any]]


def comparisons(world: str, rows: Rows) -> Iterator[tuple[str, Rows, Rows]]:
    """(what is compared, these runs, with those)."""
    main = where(rows, batch_size=256, each=1)

    def at(temperature: float | None, weight: float, part: str = "positives") -> Rows:
        objective = "regularized" if weight else "info_nce"
        return where(main, temperature=temperature, weight=weight, part=part, objective=objective)

    for temperature in TEMPERATURES:
        name = f"τ {temperature_name(temperature)}"
        base = at(temperature, 0.0)
        weight = max(POSITIVE_WEIGHTS, key=lambda w: _mean(at(temperature, w), CHOICE[world]))
        yield f"{name}: λ = {weight:g} (chosen by validation) − InfoNCE", at(temperature, weight), base
        for part in ("negatives", "both"):
            yield f"{name}: λ = 1, {part} − positives", at(temperature, 1.0, part), at(temperature, 1.0)
        several = where(main, temperature=temperature, objective="multi_positive")
        if world == "parts":  # with photos as groups and one caption a photo it is InfoNCE itself
            yield f"{name}: multi-positive − InfoNCE", several, base
            yield f"{name}: multi-positive − λ = 3", several, at(temperature, 3.0)
        twice = where(rows, batch_size=256, each=2, temperature=temperature)
        if twice:
            plain = where(twice, objective="info_nce")
            yield f"{name}: two captions a photo − one, InfoNCE", plain, base
            for label, objective in (("multi-positive", "multi_positive"), ("λ = 0.3", "regularized")):
                yield (
                    f"{name}, two captions a photo: {label} − InfoNCE",
                    where(twice, objective=objective),
                    plain,
                )
    for size in (32, 64, 128, 512):
        alike = where(rows, batch_size=size, each=1, temperature=0.07)
        plain = where(alike, objective="info_nce")
        yield f"batch {size}, τ 0.07: λ = 0.3 − InfoNCE", where(alike, objective="regularized"), plain
        if world == "parts":
            several = where(alike, objective="multi_positive")
            yield f"batch {size}, τ 0.07: multi-positive − InfoNCE", several, plain
    for weight in (0.0, 0.3, 1.0, 3.0):
        yield f"λ = {weight:g}: τ 0.02 − τ 0.07", at(0.02, weight), at(0.07, weight)


def _mean(rows: Rows, name: str) -> float:
    values = list(by_seed(rows, name).values())
    return sum(values) / len(values)


def cell(values: Sequence[float]) -> str:
    """Difference, interval, and whether it leaves out 0."""
    found = mean_over_seeds(values)
    if found.value is None:
        return "–"
    digits = 3 if abs(found.value) < 1 else 1
    text = f"{found.value:+.{digits}f}"
    if found.low is None or found.high is None:
        return text
    text += f" [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


def write(results: Path) -> None:
    """One table a world."""
    lines = [
        "# Comparisons",
        "",
        "Made by `claims.py` from the tables; paired by seed, 95 % intervals (Student's t).",
    ]
    lines += ["Bold where the interval leaves out 0. Nothing is corrected for the number of comparisons.", ""]
    for world, shown in SHOWN.items():
        rows = parquet.read_table(results / f"{world}.parquet").to_pylist()
        made = []
        for name, these, those in comparisons(world, rows):
            values = {column: differences(these, those, column) for column in shown}
            made.append([name, str(len(next(iter(values.values())))), *map(cell, values.values())])
        lines += [f"## {world}", "", *table(["difference", "seeds", *shown.values()], made)]
    write_atomic(results / "claims.md", "\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    write(parser.parse_args().results)
