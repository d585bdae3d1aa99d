"""Accuracy, detection of the unknown and forgetting of tuned models: means over seeds as table and Markdown.

What came out of each fit goes in by plain names (`accuracy`, `auroc/SCORE/SET`, ...); nothing here knows how
it was measured. The figure is `tradeoff_figure.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from awase.functional.seeds import mean_over_seeds
from awase.report.markdown import escape
from awase.report.wording import Wording

SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("shots", pa.int64()),
        ("figure", pa.string()),
        ("mean", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("seeds", pa.int64()),
    ]
)
"""One row a method, number of shots and figure; low and high are null for a single value."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one fit; None for what the method cannot do, `error` where it was not measured."""

    method: str
    shots: int
    seed: int
    figures: Mapping[str, float | None]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Mean:
    """A figure of a method at a number of shots, over its seeds."""

    value: float | None
    low: float | None
    high: float | None
    n: int


Means = Mapping[tuple[str, int], Mapping[str, Mean]]  # (method, shots) -> figure -> mean


def means(rows: Iterable[Measured]) -> Means:
    """Means over seeds: methods in the order in which they appear, each through its shots.

    Example:
        >>> rows = [Measured("coop", 1, seed, {"accuracy": value}) for seed, value in ((1, 0.5), (2, 0.7))]
        >>> means(rows)["coop", 1]["accuracy"].value
        0.6
    """
    gathered: dict[tuple[str, int], dict[str, list[float | None]]] = {}
    for row in rows:
        if row.error is None:
            group = gathered.setdefault((row.method, row.shots), {})
            for name, value in row.figures.items():
                group.setdefault(name, []).append(value)
    methods = list(dict.fromkeys(method for method, _ in gathered))
    ordered = sorted(gathered, key=lambda key: (methods.index(key[0]), key[1]))
    return {key: {name: _mean(values) for name, values in gathered[key].items()} for key in ordered}


def table(found: Means) -> pa.Table:
    """The means as a table of `SCHEMA`."""
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for (method, shots), group in found.items():
        for name, mean in group.items():
            row = (method, shots, name, mean.value, mean.low, mean.high, mean.n)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return pa.table(columns, schema=SCHEMA)


def markdown(
    rows: Sequence[Measured],
    *,
    scores: Sequence[str],
    tpr: float,
    tested: int,
    classes: int,
    figure: str | None = None,
    notes: Sequence[str] = (),
    language: str = "en",
) -> str:
    """The comparison as a Markdown page.

    Args:
        rows: one a fit.
        scores: names of the ood scores, the first is shown at a glance.
        tpr: at which FPR was read.
        tested: number of test images of the known classes.
        classes: number of classes.
        figure: file name of the figure, where there is one.
        notes: what a reader should know, in plain sentences.
        language: en or ja.
    """
    say, found = Wording(language), means(rows)
    percent = f"{100 * tpr:g}"
    seeds = len({row.seed for row in rows})
    parts = [f"# {say('tradeoff_title')}"]
    parts.append(say("tradeoff_about", seeds=seeds, tested=tested, classes=classes))
    if scores:
        parts.append(say("tradeoff_convention", tpr=percent))
    parts += [f"- {escape(note)}" for note in notes]
    if figure is not None:
        parts.append(f"![{say('tradeoff_title')}]({figure})")
    first = scores[0] if scores else ""
    wanted = {
        say("tradeoff_accuracy"): "accuracy",
        "AUROC": f"auroc/{first}/mean",
        f"FPR{percent}": f"fpr/{first}/mean",
        say("tradeoff_base"): "base_accuracy",
        say("tradeoff_new"): "new_accuracy",
        say("tradeoff_harmonic"): "harmonic_mean",
        say("tradeoff_parameters"): "parameters",
        say("tradeoff_seconds"): "fit_seconds",
    }
    parts += [f"## {say('tradeoff_main', score=first)}", _grid(found, wanted, say)]
    for title, kind in (("AUROC", "auroc"), (f"FPR{percent}", "fpr")):
        wanted = {score: f"{kind}/{score}/mean" for score in scores}
        if len(scores) > 1 and _anybody_has(found, wanted):
            parts += [f"## {say('tradeoff_scores', figure=title)}", _grid(found, wanted, say)]
    for title, kind in (("AUROC", "auroc"), (f"FPR{percent}", "fpr")):
        wanted = _sets(found, kind, first)
        if wanted:
            parts += [f"## {say('tradeoff_sets', figure=title, score=first)}", _grid(found, wanted, say)]
    elsewhere = _named(found, ("zero_shot/", "image_to_text", "text_to_image", "class_shift", "image_shift"))
    if elsewhere:
        parts += [f"## {say('tradeoff_elsewhere')}", _grid(found, elsewhere, say)]
    failed = [f"- {row.method}, {row.shots}, {row.seed}: {escape(row.error)}" for row in rows if row.error]
    if failed:
        parts += [f"## {say('tradeoff_failed')}", "\n".join(failed)]
    return "\n\n".join(parts) + "\n"


def _grid(found: Means, wanted: Mapping[str, str], say: Wording) -> str:
    """One line a method and number of shots, one column a figure that anybody has."""
    shown = {title: name for title, name in wanted.items() if any(name in group for group in found.values())}
    head = [say("tradeoff_method"), say("tradeoff_shots"), *shown]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for (method, shots), group in found.items():
        cells = [_cell(name, group.get(name), say) for name in shown.values()]
        lines.append("| " + " | ".join([method, str(shots), *cells]) + " |")
    return "\n".join(lines)


def _anybody_has(found: Means, wanted: Mapping[str, str]) -> bool:
    return any(name in group for group in found.values() for name in wanted.values())


def _sets(found: Means, kind: str, score: str) -> dict[str, str]:
    """Columns by data set: `auroc/SCORE/SET` without the mean."""
    start = f"{kind}/{score}/"
    names = dict.fromkeys(name for group in found.values() for name in group if name.startswith(start))
    return {name.removeprefix(start): name for name in names if not name.endswith("/mean")}


def _named(found: Means, beginnings: tuple[str, ...]) -> dict[str, str]:
    names = {name: name for group in found.values() for name in group if name.startswith(beginnings)}
    return dict(sorted(names.items(), key=lambda item: item[0].split("/")[:2]))


def _cell(name: str, mean: Mean | None, say: Wording) -> str:
    if mean is None:
        return ""
    if mean.value is None:
        return say("tradeoff_cannot")
    if name == "parameters":
        return f"{mean.value:,.0f}"
    if name == "fit_seconds":
        return f"{mean.value:.2f}"
    if name.endswith("_shift"):
        return _with_interval(mean, scale=1.0, digits=4)
    return _with_interval(mean, scale=100.0, digits=1)


def _with_interval(mean: Mean, *, scale: float, digits: int) -> str:
    value = f"{scale * (mean.value or 0.0):.{digits}f}"
    if mean.low is None or mean.high is None:
        return value
    return f"{value} ± {scale * (mean.high - mean.low) / 2:.{digits}f}"


def _mean(values: Sequence[float | None]) -> Mean:
    there = [value for value in values if value is not None]
    interval = mean_over_seeds(there)
    return Mean(interval.value, interval.low, interval.high, len(there))
