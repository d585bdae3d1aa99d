"""Tables and figures from the cells: `python studies/transfer/report.py --cells DIR`.

Every number is a mean over seeds with its 95 % interval (Student's t); differences are paired by seed with
plain InfoNCE at the same temperature, batch size and batches. What is called chosen was chosen by validation.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from awase.files import atomic_path, write_atomic
from awase.functional.seeds import mean_over_seeds
from awase.report.charts import draw_chart
from awase.types import Chart, Line

Record = Mapping[str, Any]
ZERO_AT = 0.01  # a logarithmic axis has no 0
POSITIVE_WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
COLUMNS = {
    "flickr": {
        "rsum": ("rsum", 1),
        "i2t_r1": ("photo → caption R@1", 1),
        "t2i_r1": ("caption → photo R@1", 1),
        "zero_shot": ("zero-shot top-1, mean of 4 sets", 1),
        "margin_t2i_q50": ("median margin, caption → photo", 3),
        "gamma_at_alpha_0.05": ("γ at α = .05", 3),
        "alignment": ("alignment", 3),
        "gap": ("gap", 3),
        "loss_excess": ("loss above floor", 2),
    },
    "parts": {
        "seen_top1": ("zero-shot top-1", 1),
        "shifted_top1": ("top-1, new backgrounds", 1),
        "retrieval_p1": ("caption → scene P@1", 1),
        "seen_margin_q50": ("median margin of zero-shot", 3),
        "gamma_at_alpha_0.05": ("γ at α = .05", 3),
        "beta_images": ("β, images", 4),
        "alignment": ("alignment", 3),
        "gap": ("gap", 3),
        "loss_excess": ("loss above floor", 2),
    },
}
CHOICE = {"flickr": "validation_rsum", "parts": "validation_score"}
CLASS_SETS = ("imagenette", "caltech101", "dtd", "flowers")


def read(folder: Path) -> list[Record]:
    """One flat record a cell."""
    records = []
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        measures = facts["measures"]
        # the cell's own temperature says what was asked for
        measures["temperature_reached"] = measures.pop("temperature")
        if f"{CLASS_SETS[0]}_top1" in measures:
            measures["zero_shot"] = sum(measures[f"{name}_top1"] for name in CLASS_SETS) / len(CLASS_SETS)
        extra = {"epoch": facts["epoch"], "last_losses": facts["last_losses"], "seconds": facts["seconds"]}
        records.append({**facts["cell"], **measures, **extra})
    return records


def temperature_name(value: float | None) -> str:
    """As tables write it."""
    return "learned" if value is None else f"{value:g}"


def arm(record: Record) -> str:
    """Objective and settings in words."""
    if record["objective"] == "regularized":
        part = "" if record["part"] == "positives" else f", {record['part']}"
        name = f"regularised λ = {record['weight']:g}{part}"
    else:
        name = {"info_nce": "InfoNCE", "multi_positive": "multi-positive"}[record["objective"]]
    return name + (f", {record['each']} captions each" if record["each"] > 1 else "")


def where(records: Iterable[Record], **wanted: Any) -> list[Record]:
    """Records with these settings."""
    return [record for record in records if all(record[key] == value for key, value in wanted.items())]


def by_seed(records: Sequence[Record], name: str) -> dict[int, float]:
    """One number a seed."""
    return {record["seed"]: record[name] for record in records if record.get(name) is not None}


def shown(values: Sequence[float], digits: int, *, signed: bool = False) -> str:
    """Mean and interval."""
    if not values:
        return "–"
    found = mean_over_seeds(values)
    mean, low, high = found.value, found.low, found.high
    sign = "+" if signed else ""
    if mean is None:
        return "–"
    text = f"{mean:{sign}.{digits}f}"
    return (
        text if low is None or high is None else f"{text} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
    )


def differences(records: Sequence[Record], base: Sequence[Record], name: str) -> list[float]:
    """Paired by seed."""
    first, second = by_seed(records, name), by_seed(base, name)
    return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def main_tables(world: str, records: Sequence[Record], batch_size: int) -> list[str]:
    """Values, then differences from InfoNCE, a table for each temperature."""
    lines: list[str] = []
    columns = COLUMNS[world]
    main = where(records, batch_size=batch_size)
    for temperature in sorted({r["temperature"] for r in main}, key=lambda t: (t is None, t or 0)):
        here = where(main, temperature=temperature)
        names = list(dict.fromkeys(arm(r) for r in sorted(here, key=_order)))
        base = where(here, objective="info_nce", each=1)
        lines += [f"### Temperature {temperature_name(temperature)}, batch {batch_size}", ""]
        rows = []
        for name in names:
            own = [r for r in here if arm(r) == name]
            cells = [shown(list(by_seed(own, c).values()), digits) for c, (_, digits) in columns.items()]
            rows.append([name, str(len(own)), *cells])
        lines += table(["objective", "seeds", *(label for label, _ in columns.values())], rows)
        lines += ["Difference from InfoNCE with one caption an image, paired by seed:", ""]
        rows = []
        for name in names:
            own = [r for r in here if arm(r) == name]
            if own and own[0] in base:
                continue
            cells = [shown(differences(own, base, c), d, signed=True) for c, (_, d) in columns.items()]
            rows.append([name, *cells])
        lines += table(["objective", *(label for label, _ in columns.values())], rows)
    return lines


def _order(record: Record) -> tuple[Any, ...]:
    parts = ("positives", "negatives", "both")
    objectives = ("info_nce", "regularized", "multi_positive")
    return (
        record["each"],
        objectives.index(record["objective"]),
        parts.index(record["part"]),
        record["weight"],
    )


def chosen_table(world: str, records: Sequence[Record], batch_size: int) -> list[str]:
    """For each temperature the weight that validation prefers, and what it gives on the test."""
    columns = COLUMNS[world]
    rows = []
    main = where(records, batch_size=batch_size, each=1, part="positives")
    for temperature in sorted({r["temperature"] for r in main}, key=lambda t: (t is None, t or 0)):
        base = where(main, temperature=temperature, objective="info_nce")
        best, best_value = base, _mean(by_seed(base, CHOICE[world]).values())
        weight = 0.0
        for candidate in POSITIVE_WEIGHTS[1:]:
            own = where(main, temperature=temperature, objective="regularized", weight=candidate)
            value = _mean(by_seed(own, CHOICE[world]).values())
            if value > best_value:
                best, best_value, weight = own, value, candidate
        cells = [shown(differences(best, base, c), d, signed=True) for c, (_, d) in columns.items()]
        rows.append([temperature_name(temperature), f"{weight:g}", *cells])
    head = ["temperature", "λ chosen by validation", *(label for label, _ in columns.values())]
    return ["### λ chosen by validation: difference from InfoNCE on the test", "", *table(head, rows)]


def batch_table(world: str, records: Sequence[Record]) -> list[str]:
    """Batch size: what false negatives cost and what each objective makes of it."""
    columns = COLUMNS[world]
    rows = []
    for size in sorted({r["batch_size"] for r in records}):
        for objective, weight in (("info_nce", 0.0), ("regularized", 0.3), ("multi_positive", 0.0)):
            own = where(
                records,
                batch_size=size,
                temperature=0.07,
                objective=objective,
                weight=weight,
                each=1,
                part="positives",
            )
            if own:
                cells = [shown(list(by_seed(own, c).values()), d) for c, (_, d) in columns.items()]
                rows.append([str(size), arm(own[0]), *cells])
    head = ["batch", "objective", *(label for label, _ in columns.values())]
    return ["### Batch size, temperature 0.07", "", *table(head, rows)]


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else -math.inf


def charts(world: str, records: Sequence[Record], batch_size: int) -> list[tuple[Chart, str, str, str]]:
    """(chart, title, x label, y label): quantities over lambda, a line for each temperature."""
    made = []
    main = where(records, batch_size=batch_size, each=1, part="positives")
    for name, (label, _) in COLUMNS[world].items():
        lines = []
        for temperature in sorted({r["temperature"] for r in main}, key=lambda t: (t is None, t or 0)):
            points = []
            for weight in POSITIVE_WEIGHTS:
                objective = "regularized" if weight else "info_nce"
                own = where(main, temperature=temperature, objective=objective, weight=weight)
                interval = mean_over_seeds(list(by_seed(own, name).values()))
                if interval.value is not None and interval.low is not None and interval.high is not None:
                    points.append((weight, interval.value, interval.low, interval.high))
            if points:
                x, y, low, high = zip(*points, strict=True)
                places = tuple(value or ZERO_AT for value in x)
                lines.append(Line(f"τ {temperature_name(temperature)}", places, y, low, high))
        if lines:
            axis = f"λ (InfoNCE, λ = 0, stands at {ZERO_AT:g})"
            made.append((Chart(f"{world}_{name}", tuple(lines), log_x=True), f"{label} over λ", axis, label))
    return made


def write(world: str, cells: Path, output: Path, batch_size: int, page: Callable[..., list[str]]) -> None:
    """Parquet, Markdown and figures of one world."""
    records = read(cells / world)
    names = list(dict.fromkeys(key for record in records for key in record))
    columns = {name: [record.get(name) for record in records] for name in names}
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / f"{world}.parquet") as temporary:
        parquet.write_table(pa.table(columns), temporary, compression="zstd")
    rates = json.loads((cells / f"rates-{world}.json").read_text(encoding="utf-8"))
    write_atomic(output / f"{world}.md", "\n".join(page(world, records, rates, batch_size)) + "\n")
    for chart, title, x_label, y_label in charts(world, records, batch_size):
        draw_chart(chart, output / f"{chart.name}.svg", title=title, x_label=x_label, y_label=y_label)


def page(world: str, records: Sequence[Record], rates: Record, batch_size: int) -> list[str]:
    """The whole page of one world."""
    return [
        f"# Results: {world}",
        "",
        "Made by `report.py`; mean over seeds [95 % interval, Student's t]. Percent where a share is meant,",
        "cosines for margins, nats for losses (sum of both directions).",
        "",
        f"Learning rates by temperature, chosen on validation with InfoNCE: {rates['chosen']}.",
        "",
        *chosen_table(world, records, batch_size),
        *main_tables(world, records, batch_size),
        *batch_table(world, records),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--world", choices=tuple(COLUMNS), nargs="+", default=list(COLUMNS))
    arguments = parser.parse_args()
    for chosen in arguments.world:
        write(chosen, arguments.cells, arguments.output, 256, page)
