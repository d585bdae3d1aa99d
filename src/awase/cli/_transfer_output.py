"""What the verbs of `awase transfer` write and print: numbers as JSON, a card, figures, rows as Parquet."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.text import Text

from awase.cli._estimates import estimates_table
from awase.cli._scrub import scrub
from awase.cli._summary import versions
from awase.cli._terminal import console_for_output
from awase.errors import MissingExtraError
from awase.files import atomic_path, write_atomic
from awase.report.measurement import CardTable, Matrix, card_text
from awase.report.transfer_wording import chart_words, label_words
from awase.types import Chart, Estimate, Language

METRICS, CARD = "metrics.json", "card.md"
FORMAT = 1


@dataclass(frozen=True)
class Written:
    """What lies in the folder: the names of the files, and what metrics.json holds."""

    files: tuple[str, ...]
    content: Mapping[str, Any]


def write_measurement(
    folder: Path,
    *,
    title: str,
    estimates: Sequence[Estimate],
    charts: Sequence[Chart] = (),
    notes: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    language: Language = "en",
    tables: Sequence[tuple[str, pa.Table]] = (),
    sections: Sequence[CardTable] = (),
    matrices: Sequence[Matrix] = (),
    details: Mapping[str, Any] | None = None,
) -> Written:
    """Write a folder: `metrics.json`, `card.md`, a figure a chart, a Parquet file a table.

    Files that an earlier measurement listed and this one does not make are taken away, so that no old figure
    is read as a new one. metrics.json comes last.

    Args:
        folder: made where it is missing.
        title: of the card, in its language.
        estimates: the most important first.
        charts: drawn as NAME.svg where matplotlib is installed; a note says so where it is not.
        notes: what a reader should know, in English.
        provenance: encoder, data, settings; home folders are shortened. Versions are added.
        language: of the card and the figures.
        tables: file name without its ending, and rows.
        sections: small tables of the card, in its language.
        matrices: drawn likewise; their numbers belong into a table.
        details: what metrics.json holds beside the provenance and the card does not.
    """
    old = _listed(folder)
    figures, said = _draw(folder, (*charts, *matrices), language)
    for name, table in tables:
        with atomic_path(folder / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary)
    told = [*notes, *said]
    clean = scrub(dict(provenance or {}))
    card = card_text(
        title=title,
        estimates=estimates,
        charts=(*charts, *matrices),
        figures=figures,
        notes=told,
        provenance=clean,
        sections=sections,
        language=language,
    )
    write_atomic(folder / CARD, card)
    files = (METRICS, CARD, *figures.values(), *(f"{name}.parquet" for name, _ in tables))
    content = {
        "awase_measurement": FORMAT,
        "title": title,
        "estimates": [asdict(estimate) for estimate in estimates],
        "charts": [finite(asdict(chart)) for chart in charts],
        "notes": told,
        **clean,
        **finite(scrub(dict(details or {}))),
        "files": list(files),
        "versions": versions(),
    }
    for name in old - set(files):
        (folder / name).unlink(missing_ok=True)
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomic(folder / METRICS, text + "\n")
    return Written(files, content)


def show_measurement(
    written: Written,
    folder: Path,
    *,
    estimates: Sequence[Estimate],
    json_only: bool = False,
    quiet: bool = False,
    lines: Sequence[str] = (),
) -> None:
    """Print what was measured: JSON alone, or a table, the notes, further lines and the files.

    Args:
        written: what `write_measurement` returned.
        folder: where.
        estimates: the rows of the table; all of them or the main ones.
        json_only: print metrics.json and nothing else.
        quiet: print nothing.
        lines: further sentences, between the notes and the files.
    """
    if json_only:
        print(json.dumps(written.content, ensure_ascii=False, indent=1))
        return
    if quiet:
        return
    console = console_for_output()
    console.print(estimates_table(estimates))
    shown = "  ".join(str(folder / name) for name in written.files)
    for line in (*written.content["notes"], *lines, f"Written: {shown}"):
        console.print(Text(line), soft_wrap=True)


def finite(value: Any) -> Any:
    """The value with None for infinities and NaN, which JSON cannot hold.

    Example:
        >>> finite({"x": (1.0, float("nan"))})
        {'x': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value


def _draw(
    folder: Path, charts: Sequence[Chart | Matrix], language: Language
) -> tuple[dict[str, str], list[str]]:
    """Name of each chart and its file, and a note where figures could not be drawn."""
    shown = [chart for chart in charts if isinstance(chart, Matrix) or any(line.x for line in chart.lines)]
    if not shown:
        return {}, []
    try:
        # matplotlib is an extra
        from awase.report.charts import draw_chart
        from awase.report.matrix_figure import draw_matrix
    except MissingExtraError as error:
        return {}, [f"Figures were not drawn: {error}."]
    figures = {}
    for chart in shown:
        words = chart_words(chart.name, language)
        figures[chart.name] = f"{chart.name}.svg"
        place = folder / figures[chart.name]
        axes = {"title": words.title, "x_label": words.x_label, "y_label": words.y_label}
        if isinstance(chart, Matrix):
            draw_matrix(chart, place, **axes)
        else:
            names = [*(line.label for line in chart.lines), *chart.marks]
            labels = {name: label_words(name, language, chart=chart.name) for name in names}
            draw_chart(chart, place, **axes, labels=labels)
    return figures, []


def _listed(folder: Path) -> set[str]:
    """Files that an earlier measurement wrote here."""
    try:
        content = json.loads((folder / METRICS).read_text("utf-8"))
        names = content["files"] if content["awase_measurement"] == FORMAT else []
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    known = (".svg", ".parquet", ".md", ".json")
    return {
        name for name in names if isinstance(name, str) and Path(name).name == name and name.endswith(known)
    }
