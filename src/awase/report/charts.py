"""A `Chart` as a picture. What it shows is the business of whoever made the numbers.

Colours are Okabe and Ito's, which people with any colour vision can tell apart, and lines differ in their
marks or strokes too. Text stays text in the file, so the viewer's own fonts write Japanese. Equal numbers
give equal bytes on one machine: no date, no random ids.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path

from awase.errors import DataError, MissingExtraError
from awase.files import write_atomic
from awase.types import Chart, Line

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager
    from matplotlib.text import Text
except ImportError as error:
    raise MissingExtraError("matplotlib", "plots") from error

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A6D00")
_MARKERS = "osD^vPXh"
_STROKES = ("-", "--", "-.", ":")
_CANVASES = {".svg": FigureCanvasSVG, ".png": FigureCanvasAgg}
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic")
_ROW = 0.24  # inches for the bar of one name
_MANY = 24  # points, beyond which a line has no marks


def draw_chart(
    chart: Chart,
    path: Path,
    *,
    title: str,
    x_label: str,
    y_label: str,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw into a file.

    Args:
        chart: `line`; `steps`, where x is the middle of each step of a histogram; `points`, with bars from
            low to high; `bars`, where lines of one point each are named horizontal bars from the top down.
        path: `.svg` or `.png`; an older file is replaced.
        title: stands above it.
        x_label: of the numbers in `Line.x`; for named bars of those in `Line.y`, which is what they show.
        y_label: likewise.
        labels: words for lines and marks; those without stay as they are.

    Raises:
        DataError: there is nothing to draw, or the path ends in something else.

    Example:
        >>> import tempfile
        >>> chart = Chart("square", (Line("x squared", (0.0, 1.0, 2.0), (0.0, 1.0, 4.0)),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder) / "square.svg"
        ...     draw_chart(chart, place, title="Squares", x_label="x", y_label="y")
        ...     "Squares" in place.read_text("utf-8")
        True
    """
    if not any(line.x for line in chart.lines):
        raise DataError(f"the chart {chart.name!r} has no numbers to draw.")
    words = {} if labels is None else labels
    figure, axes = new_figure(*_size(chart))
    if _is_named_bars(chart):
        _draw_named_bars(axes, chart, words)
        x_label, y_label = y_label, ""
    else:
        _draw_lines(axes, chart, words)
    axes.set_xlabel(plain(x_label, 90))
    axes.set_ylabel(plain(y_label, 70))
    axes.set_title(plain(title, 90))
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25, axis="x" if _is_named_bars(chart) else "both")
    axes.spines[["top", "right"]].set_visible(False)
    write_figure(figure, path)


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes, in inches, whose fonts know Japanese where the machine does."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def write_figure(figure: Figure, path: Path) -> None:
    """The figure as a file, `.svg` or `.png` by its name.

    Raises:
        DataError: the path ends in something else.
    """
    if path.suffix not in _CANVASES:
        raise DataError(f"a figure is a .svg or .png file, got {path.name!r}.")
    stream = BytesIO()
    _CANVASES[path.suffix](figure)
    # no date and no random ids in the file: the same numbers give the same bytes
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    known = set(fontManager.get_font_names())
    for text in figure.findobj(Text):
        text.set_fontfamily([name for name in _FONTS if name in known])
    with rc_context({"svg.hashsalt": "awase", "svg.fonttype": "none"}), warnings.catch_warnings():
        # letters that this machine's fonts lack are written by the viewer's
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format=path.suffix[1:], dpi=150, metadata=metadata)
    write_atomic(path, stream.getvalue())


def _is_named_bars(chart: Chart) -> bool:
    return chart.style == "bars" and all(len(line.x) == 1 for line in chart.lines)


def _size(chart: Chart) -> tuple[float, float]:
    return (7.5, max(2.5, 1.2 + _ROW * len(chart.lines))) if _is_named_bars(chart) else (7.5, 4.8)


def _draw_named_bars(axes: Axes, chart: Chart, words: Mapping[str, str]) -> None:
    places = range(len(chart.lines))
    values = [line.y[0] for line in chart.lines]
    axes.barh(list(places), values, color=_COLOURS[0], alpha=0.75, height=0.7)
    for place, line in zip(places, chart.lines, strict=True):
        if line.low is not None and line.high is not None:
            axes.plot([line.low[0], line.high[0]], [place, place], color="#222222", linewidth=1)
    axes.set_yticks(list(places), [plain(words.get(line.label, line.label)) for line in chart.lines])
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(len(chart.lines) - 0.4, -0.6)  # the first line on top
    if chart.marks:
        _mark(axes, chart.marks, words)


def _draw_lines(axes: Axes, chart: Chart, words: Mapping[str, str]) -> None:
    if chart.diagonal:
        low = min(min(line.x) for line in chart.lines if line.x)
        high = max(max(line.x) for line in chart.lines if line.x)
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        axes.plot([low, high], [low, high], color="#888888", linewidth=1, linestyle="--", zorder=1)
    draw = {"line": _line, "steps": _steps, "points": _points, "bars": _bars}[chart.style]
    for number, line in enumerate(chart.lines):
        if line.x:
            draw(axes, line, number, plain(words.get(line.label, line.label)))
    if chart.log_x:
        axes.set_xscale("log")
    if chart.style in ("steps", "bars"):
        axes.set_ylim(bottom=0)
    if chart.marks:
        _mark(axes, chart.marks, words)
    if len(chart.lines) > 1 or chart.marks:
        axes.legend(frameon=False, fontsize=9)


def _line(axes: Axes, line: Line, number: int, label: str) -> None:
    colour = _COLOURS[number % len(_COLOURS)]
    axes.plot(
        line.x,
        line.y,
        color=colour,
        linestyle=_STROKES[number % len(_STROKES)],
        marker=_MARKERS[number % len(_MARKERS)] if len(line.x) <= _MANY else "",
        markersize=4,
        linewidth=1.6,
        label=label,
    )
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)


def _steps(axes: Axes, line: Line, number: int, label: str) -> None:
    colour = _COLOURS[number % len(_COLOURS)]
    edges = _edges(line.x)
    stroke = _STROKES[number % len(_STROKES)]
    axes.stairs(line.y, edges, color=colour, linestyle=stroke, linewidth=1.4, label=label)
    axes.stairs(line.y, edges, fill=True, color=colour, alpha=0.12, linewidth=0)


def _edges(middles: Sequence[float]) -> list[float]:
    """Limits of the steps whose middles these are; the outer ones reach as far out as in."""
    if len(middles) == 1:
        return [middles[0] - 0.5, middles[0] + 0.5]
    inner = [(a + b) / 2 for a, b in pairwise(middles)]
    return [2 * middles[0] - inner[0], *inner, 2 * middles[-1] - inner[-1]]


def _points(axes: Axes, line: Line, number: int, label: str) -> None:
    axes.errorbar(
        line.x,
        line.y,
        yerr=_reach(line),
        color=_COLOURS[number % len(_COLOURS)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=5,
        linewidth=1,
        linestyle=_STROKES[number % len(_STROKES)],
        elinewidth=0.8,
        label=label,
    )


def _bars(axes: Axes, line: Line, number: int, label: str) -> None:
    gap = min((b - a for a, b in pairwise(line.x)), default=1.0)
    axes.bar(
        line.x,
        line.y,
        yerr=_reach(line),
        width=0.8 * gap,
        color=_COLOURS[number % len(_COLOURS)],
        alpha=0.6,
        label=label,
    )


def _reach(line: Line) -> tuple[Sequence[float], Sequence[float]] | None:
    """How far the bars reach below and above; intervals that leave their value out are cut at it."""
    if line.low is None or line.high is None:
        return None
    below = [max(value - low, 0.0) for value, low in zip(line.y, line.low, strict=True)]
    above = [max(high - value, 0.0) for value, high in zip(line.y, line.high, strict=True)]
    return below, above


def _mark(axes: Axes, marks: Mapping[str, float], words: Mapping[str, str]) -> None:
    for number, (name, place) in enumerate(marks.items()):
        if math.isfinite(place):
            stroke = _STROKES[(number + 1) % len(_STROKES)]
            label = f"{plain(words.get(name, name))} ({place:.3g})"
            axes.axvline(place, color="#444444", linewidth=1.2, linestyle=stroke, label=label)


def plain(text: str, most: int = 48) -> str:
    """Text as it stands, cut where it is long: names out of the data begin no formula."""
    text = text.replace("$", r"\$")
    return text if len(text) <= most else f"{text[: most - 1]}…"
