"""Figures of detection as a table: a line for each set of unknown images, intervals beside the values."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from awase.cli._estimates import number
from awase.functional.detection import CONVENTIONS
from awase.types import Estimate

_COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr_at_tpr")


def sets_table(estimates: Sequence[Estimate], sets: Sequence[str], *, tpr: float) -> Table:
    """AUROC, AUPR of either side and FPR of each set, and their plain mean where there are several."""
    by_name = {estimate.name: estimate for estimate in estimates}
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("unknown images", overflow="fold")
    for title in ("AUROC", "AUPR in", "AUPR out", f"FPR at TPR {tpr:g}"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in sets:
        table.add_row(Text(name), *(Text(with_interval(by_name[f"{c}.{name}"])) for c in _COLUMNS))
    if len(sets) > 1:
        table.add_row(
            Text("mean of the sets"), *(Text(with_interval(by_name[f"mean_{c}"])) for c in _COLUMNS)
        )
    return table


def with_interval(estimate: Estimate) -> str:
    """A value and its interval, `0.912 [0.880, 0.941]`.

    Example:
        >>> with_interval(Estimate("auroc", 0.5, 0.4, 0.6, 10))
        '0.500 [0.400, 0.600]'
    """
    if estimate.low is None or estimate.high is None:
        return number(estimate.value)
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def convention_line(convention: str, tpr: float) -> str:
    """What the FPR of the table means, in a sentence."""
    meaning = {
        "id_positive": f"share of the unknown images let in when {tpr:.0%} of the known are kept",
        "ood_positive": f"share of the known images lost when {tpr:.0%} of the unknown are caught",
        "mcm_nearest": f"share of the unknown images let in where nearest to {tpr:.0%} of the known are kept",
    }
    said = meaning.get(convention, CONVENTIONS[convention])
    return f"FPR by the convention {convention}: {said}. A higher score means in-distribution."
