"""A matrix of shares as a picture, such as which class is taken for which: darker is more.

Rows are the truth and sum to 1, columns the answer. Numbers stand in the fields and names beside them as long
as there is room; beyond that only the picture is left, and the table beside it has the numbers.
"""

from pathlib import Path

from awase.errors import DataError, MissingExtraError
from awase.report.charts import new_figure, plain, write_figure
from awase.report.measurement import Matrix

try:
    from matplotlib.axes import Axes
except ImportError as error:
    raise MissingExtraError("matplotlib", "plots") from error

_NUMBERS, _NAMES = 12, 45  # rows, up to which fields have numbers and axes have names


def draw_matrix(matrix: Matrix, path: Path, *, title: str, x_label: str, y_label: str) -> None:
    """Draw into a file, `.svg` or `.png`.

    Args:
        matrix: what.
        path: an older file is replaced.
        title: stands above it.
        x_label: of the columns.
        y_label: of the rows.

    Raises:
        DataError: a share lies outside [0, 1], or the path ends in something else.

    Example:
        >>> import tempfile
        >>> matrix = Matrix("confusion", ("cat", "dog"), ((1.0, 0.0), (0.25, 0.75)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder) / "confusion.svg"
        ...     draw_matrix(matrix, place, title="Taken for", x_label="answer", y_label="truth")
        ...     ".75" in place.read_text("utf-8")
        True
    """
    if not all(0 <= value <= 1 for row in matrix.values for value in row):
        raise DataError(f"the matrix {matrix.name!r} must hold shares in [0, 1].")
    k = len(matrix.labels)
    side = min(max(4.0, 0.5 * k if k <= _NUMBERS else 0.2 * k), 9.0)
    figure, axes = new_figure(side + 2.2, side + 1.4)
    image = axes.imshow(matrix.values, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    if k <= _NAMES:
        names = [plain(label, 24) for label in matrix.labels]
        size = 9 if k <= _NUMBERS else 6
        axes.set_xticks(range(k), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=size)
        axes.set_yticks(range(k), names, fontsize=size)
    if k <= _NUMBERS:
        _write_numbers(axes, matrix)
    axes.set_xlabel(plain(x_label, 90))
    axes.set_ylabel(plain(y_label, 70))
    axes.set_title(plain(title, 90))
    figure.colorbar(image, ax=axes, shrink=0.8)
    write_figure(figure, path)


def _write_numbers(axes: Axes, matrix: Matrix) -> None:
    for y, row in enumerate(matrix.values):
        for x, value in enumerate(row):
            if value >= 0.005:
                text = f"{value:.2f}".replace("0.", ".", 1) if value < 0.995 else "1"
                axes.text(x, y, text, ha="center", va="center", fontsize=7, color=_ink(value))


def _ink(value: float) -> str:
    return "white" if value > 0.5 else "#222222"
