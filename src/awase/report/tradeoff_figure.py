"""Accuracy against AUROC, one line per method through the shots: who gains what, at one look.

Right is more accurate, up is better at telling the unknown apart; the star is the model as it came. Labels
stand at the ends of the lines, so no legend has to be matched; colours are Okabe and Ito's, which people with
any colour vision can tell apart. English only: a font with Japanese may not be there.
"""

from io import BytesIO

from awase.errors import DataError, MissingExtraError
from awase.report.tradeoff import Mean, Means

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError("matplotlib", "plots") from error

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A6D00")
_MARKERS = "osD^vPXhp"  # one more than colours, so that pairs repeat late
_APART = 0.045  # of the height, between two labels


def draw(found: Means, *, score: str, kind: str = "svg", title: str = "") -> bytes:
    """The figure as SVG or PNG.

    Args:
        found: means over seeds; `accuracy` and `auroc/SCORE/mean` are drawn, with their intervals.
        score: which ood score is read.
        kind: svg or png.
        title: stands above it.

    Raises:
        DataError: nothing to draw, or another kind of file is asked for.
    """
    canvases = {"svg": FigureCanvasSVG, "png": FigureCanvasAgg}
    if kind not in canvases:
        raise DataError(f"a figure is svg or png, got {kind!r}.")
    lines = _lines(found, f"auroc/{score}/mean")
    if not lines:
        raise DataError(f"no method has both accuracy and AUROC under {score!r}; nothing to draw.")
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    ends = []
    for number, (method, points) in enumerate(lines.items()):
        colour = "#555555" if method == "zero_shot" else _COLOURS[number % len(_COLOURS)]
        marker = "*" if method == "zero_shot" else _MARKERS[number % len(_MARKERS)]
        ends.append(_draw_line(axes, points, colour=colour, marker=marker))
    _label(axes, list(lines), ends)
    axes.set_xlabel("accuracy on the classes, % (more is better)")
    axes.set_ylabel(f"AUROC against unknown images, % (score: {score})")
    axes.set_title(title or "One line per method, one point per number of shots; bars: 95 % over seeds")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    stream = BytesIO()
    # no date and no random ids in the file: the same numbers give the same bytes
    metadata = {"Date": None} if kind == "svg" else {}
    canvases[kind](figure)
    with rc_context({"svg.hashsalt": "awase"}):
        figure.savefig(stream, format=kind, dpi=150, metadata=metadata)
    return stream.getvalue()


Point = tuple[int, Mean, Mean]  # shots, accuracy, AUROC


def _lines(found: Means, auroc: str) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {}
    for (method, shots), group in found.items():
        x, y = group.get("accuracy"), group.get(auroc)
        if x is not None and y is not None and x.value is not None and y.value is not None:
            lines.setdefault(method, []).append((shots, x, y))
    return {method: sorted(points, key=lambda point: point[0]) for method, points in lines.items()}


def _draw_line(axes: Axes, points: list[Point], *, colour: str, marker: str) -> tuple[float, float, str]:
    xs = [100 * (x.value or 0.0) for _, x, _ in points]
    ys = [100 * (y.value or 0.0) for _, _, y in points]
    axes.errorbar(
        xs,
        ys,
        xerr=[_reach(x) for _, x, _ in points],
        yerr=[_reach(y) for _, _, y in points],
        color=colour,
        linewidth=1.6,
        elinewidth=0.6,
        alpha=0.9,
        zorder=2,
    )
    for place, (shots, _, _) in enumerate(points):
        size = 14 if marker == "*" else 4 + 1.3 * shots**0.5
        axes.plot(xs[place], ys[place], marker=marker, markersize=size, color=colour, zorder=3)
        axes.annotate(
            str(shots),
            (xs[place], ys[place]),
            textcoords="offset points",
            xytext=(0, -14),
            ha="center",
            fontsize=7,
            color=colour,
        )
    return xs[-1], ys[-1], colour


def _label(axes: Axes, names: list[str], ends: list[tuple[float, float, str]]) -> None:
    """Names right of the plot at the height of the lines' ends, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    step = _APART * (high - low)
    height = low - step
    for name, (x, y, colour) in sorted(zip(names, ends, strict=True), key=lambda item: item[1][1]):
        if name == "zero_shot":  # far from the other ends: named where it stands
            axes.annotate(name, (x, y), textcoords="offset points", xytext=(9, 6), color=colour, fontsize=10)
            continue
        height = max(y, height + step)
        axes.annotate(
            name,
            xy=(x, y),
            xytext=(1.02, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=colour,
            fontsize=10,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.5},
            annotation_clip=False,
        )


def _reach(mean: Mean) -> float:
    return 0.0 if mean.low is None or mean.high is None else 50 * (mean.high - mean.low)
