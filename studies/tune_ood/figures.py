"""Two figures of the study: what tuning gives and costs on each data set, and how far the score matters.

    python studies/tune_ood/figures.py --results DIR --output DIR

Writes tradeoff.svg (accuracy against AUROC under MCM, a line a method through the shots, a panel a data set)
and scores.svg (AUROC of every score before tuning and after it, averaged over the data sets).
"""

import argparse
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
from claims import Runs, most, read, scores_of
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from awase.files import write_atomic

COLOURS = {
    "zero_shot": "#555555",
    "linear_probe": "#000000",
    "tip_adapter": "#56B4E9",
    "tip_adapter_f": "#0072B2",
    "clip_adapter": "#CC79A7",
    "taskres": "#E69F00",
    "coop": "#D55E00",
    "cocoop": "#8A6D00",
    "locoop": "#9A3324",
    "lora:steps_per_shot=100": "#009E73",
    "full:embedding=frozen": "#7A5195",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    paths = sorted(given.results.glob("*/runs.parquet"), key=lambda path: -pq.read_metadata(path).num_rows)
    sets = {path.parent.name: read(path) for path in paths}
    save(tradeoff(sets), given.output / "tradeoff")
    save(scores(sets), given.output / "scores")


def tradeoff(sets: dict[str, Runs]) -> Figure:
    columns = 3
    rows = -(-len(sets) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows + 0.6), layout="constrained")
    for number, (name, runs) in enumerate(sets.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        for method, colour in COLOURS.items():
            shots = sorted({s for m, s, _ in runs if m == method})
            points = [
                (s, runs[method, s, "accuracy"], runs[method, s, "auroc/mcm/mean"])
                for s in shots
                if (method, s, "accuracy") in runs and (method, s, "auroc/mcm/mean") in runs
            ]
            draw(axes, method, colour, points)
        axes.set_title(name)
        tidy(axes)
    for axes in figure.axes[-columns:]:
        axes.set_xlabel("accuracy, %")
    for axes in figure.axes[::columns]:
        axes.set_ylabel("AUROC against the other sets, % (MCM)")
    handles, labels = {}, []
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = [name for name in COLOURS if name in handles]
    figure.legend(
        [handles[name] for name in labels], labels, loc="outside lower center", ncols=6, frameon=False
    )
    return figure


def draw(axes: Axes, method: str, colour: str, points: list[tuple[int, float, float]]) -> None:
    if not points:
        return
    xs, ys = [100 * x for _, x, _ in points], [100 * y for _, _, y in points]
    if method == "zero_shot":
        axes.plot(xs, ys, "*", color=colour, markersize=15, label=method, zorder=4)
        return
    axes.plot(xs, ys, "-", color=colour, linewidth=1.4, label=method)
    axes.scatter(xs, ys, s=[12 + 5 * s for s, _, _ in points], color=colour, zorder=3)


def scores(sets: dict[str, Runs]) -> Figure:
    """Mean over the data sets that have the method."""
    names = sorted({score for runs in sets.values() for score in scores_of(runs)})

    def mean(method: str, score: str) -> float | None:
        found = []
        for runs in sets.values():
            shots = 0 if method == "zero_shot" else most(runs)
            if (value := runs.get((method, shots, f"auroc/{score}/mean"))) is not None:
                found.append(value)
        return sum(found) / len(found) if len(found) == len(sets) else None

    methods = [method for method in COLOURS if any(mean(method, score) is not None for score in names)]
    names.sort(key=lambda score: max(mean(method, score) or 0 for method in methods))
    figure = Figure(figsize=(8.5, 0.42 * len(names) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    for method in methods:
        places = [(100 * value, row) for row, s in enumerate(names) if (value := mean(method, s)) is not None]
        marker = "*" if method == "zero_shot" else "o"
        axes.plot(
            *zip(*places, strict=True),
            marker,
            color=COLOURS[method],
            label=method,
            markersize=13 if marker == "*" else 7,
            alpha=0.85,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"AUROC, %, mean over {len(sets)} data sets (star: before tuning; dots: most shots)")
    tidy(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    for kind, canvas in (("svg", FigureCanvasSVG), ("png", FigureCanvasAgg)):
        canvas(figure)
        stream = BytesIO()
        with rc_context({"svg.hashsalt": "awase"}):
            figure.savefig(stream, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else {})
        write_atomic(path.with_suffix(f".{kind}"), stream.getvalue())


if __name__ == "__main__":
    main()
