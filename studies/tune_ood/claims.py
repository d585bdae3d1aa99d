"""Which claims of "How Does Fine-Tuning Impact OOD Detection for Vision-Language Models?" hold here?

    python studies/tune_ood/claims.py --results DIR [--output DIR]

DIR is what `study.py` wrote. A data set is the unit: figures are averaged over seeds (and methods or shots,
where said), differences are taken within a data set, and the interval is Student's t over the data sets.
Writes claims.md and claims.json.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean, pstdev

import pyarrow.parquet as pq

from awase.files import write_atomic
from awase.functional.seeds import mean_over_seeds

PROMPT, ADAPTOR = ("coop", "cocoop", "locoop"), ("tip_adapter", "tip_adapter_f", "clip_adapter", "taskres")
MCM = ("mcm", "mcm:temperature=0.1", "mcm:temperature=0.03")
FEW, MANY = 4, 16

Runs = dict[tuple[str, int, str], float]  # (method, shots, figure) -> mean over seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="where to write; default: the results' folder")
    given = parser.parse_args()
    sets = {path.parent.name: read(path) for path in sorted(given.results.glob("*/runs.parquet"))}
    output = given.output or given.results
    parts = (scores_or_tuners, mcm_best, beyond_similarity, beats_zero, prompts_best, shifts, few_shots)
    parts += (elsewhere, held_out)
    found = [one for part in parts for one in part(sets)]
    write_atomic(output / "claims.json", json.dumps(found, indent=1) + "\n")
    write_atomic(output / "claims.md", page(found, sets))
    print(page(found, sets))


def read(path: Path) -> Runs:
    gathered: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in pq.read_table(path).to_pylist():
        if row["value"] is not None:
            gathered[row["method"], row["shots"], row["figure"]].append(row["value"])
    return {key: fmean(values) for key, values in gathered.items()}


def claim(
    part: str, what: str, sets: dict[str, Runs], value: Callable[[Runs], float | None], unit: str
) -> dict:
    """A figure of each data set, its mean, and the interval over data sets."""
    values = {name: found for name, runs in sets.items() if (found := value(runs)) is not None}
    interval = mean_over_seeds(list(values.values()))
    return {
        "part": part,
        "what": what,
        "unit": unit,
        "mean": interval.value,
        "low": interval.low,
        "high": interval.high,
        "data_sets": len(values),
        "positive_in": sum(found > 0 for found in values.values()),
        "values": values,
    }


def scores_of(runs: Runs) -> list[str]:
    return sorted({f.split("/")[1] for _, _, f in runs if f.startswith("auroc/") and f.endswith("/mean")})


def tuners(runs: Runs, shots: int) -> list[str]:
    return sorted({m for m, s, _ in runs if s == shots and m != "zero_shot"})


def most(runs: Runs) -> int:
    return max(shots for _, shots, _ in runs)


def auroc(runs: Runs, method: str, shots: int, score: str) -> float | None:
    return runs.get((method, shots, f"auroc/{score}/mean"))


def mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def scores_or_tuners(sets: dict[str, Runs]) -> list[dict]:
    """Spread of AUROC over scores for one tuner, against its spread over tuners for one score."""

    def spread(runs: Runs, *, over_scores: bool) -> float:
        shots = most(runs)
        names, methods = [s for s in scores_of(runs) if s in (*MCM, "msp", "max_logit")], tuners(runs, shots)
        grid = [[auroc(runs, m, shots, s) for s in names] for m in methods]
        rows = grid if over_scores else list(zip(*grid, strict=True))
        return fmean(pstdev([v for v in row if v is not None]) for row in rows)

    part = "the score matters more than the tuner (spread of AUROC at the most shots)"
    return [
        claim(
            part, "sd over MCM, MSP and MS, one tuner", sets, lambda r: spread(r, over_scores=True), "AUROC"
        ),
        claim(part, "sd over tuners, one score", sets, lambda r: spread(r, over_scores=False), "AUROC"),
        claim(
            part,
            "the former less the latter",
            sets,
            lambda r: spread(r, over_scores=True) - spread(r, over_scores=False),
            "AUROC",
        ),
    ]


def mcm_best(sets: dict[str, Runs]) -> list[dict]:
    found = []
    for other in ("msp", "max_logit"):
        for score in MCM:
            for who in ("zero_shot", "tuned"):

                def gap(runs: Runs, score: str = score, other: str = other, who: str = who) -> float | None:
                    keys = {(m, s) for m, s, _ in runs if (m == "zero_shot") == (who == "zero_shot")}
                    return mean(less(auroc(runs, m, s, score), auroc(runs, m, s, other)) for m, s in keys)

                found.append(claim(f"MCM against {other}", f"{score}, {who}", sets, gap, "AUROC"))
    return found


def beyond_similarity(sets: dict[str, Runs]) -> list[dict]:
    """Scores that the paper does not compare, against MCM, on the tuned models (mean over tuners)."""
    found = []
    for score in sorted({score for runs in sets.values() for score in scores_of(runs)} - set(MCM)):

        def gap(runs: Runs, score: str = score) -> float | None:
            tuned = tuners(runs, most(runs))
            return mean(
                less(auroc(runs, m, most(runs), score), auroc(runs, m, most(runs), "mcm")) for m in tuned
            )

        found.append(claim("other scores less MCM, tuned, most shots", score, sets, gap, "AUROC"))
    return found


def held_out(sets: dict[str, Runs]) -> list[dict]:
    """The near unknown: classes of the same data set that were left out of tuning."""
    found = []
    for score in ("mcm", "max_logit", "mahalanobis"):
        figure = f"auroc/{score}/held_out_classes"
        for method in sorted(
            {m for runs in sets.values() for m, s, f in runs if f == figure and s == most(runs)}
        ):
            found.append(
                claim(
                    f"AUROC against held-out classes, most shots, {score}",
                    method,
                    sets,
                    lambda runs, m=method, f=figure: runs.get((m, most(runs), f)),
                    "AUROC",
                )
            )
    return found


def beats_zero(sets: dict[str, Runs]) -> list[dict]:
    found = []
    for score in ("mcm", "mcm:temperature=0.03", "max_logit"):
        for method in sorted({m for runs in sets.values() for m in tuners(runs, most(runs))}):

            def gain(runs: Runs, method: str = method, score: str = score) -> float | None:
                return less(auroc(runs, method, most(runs), score), auroc(runs, "zero_shot", 0, score))

            found.append(claim(f"tuned less zero-shot, most shots, {score}", method, sets, gain, "AUROC"))
    for method in sorted({m for runs in sets.values() for m in tuners(runs, most(runs))}):

        def gain_in_accuracy(runs: Runs, method: str = method) -> float | None:
            return less(runs.get((method, most(runs), "accuracy")), runs.get(("zero_shot", 0, "accuracy")))

        found.append(claim("tuned less zero-shot, most shots", method, sets, gain_in_accuracy, "accuracy"))
    return found


def prompts_best(sets: dict[str, Runs]) -> list[dict]:
    """CoOp against the best adaptor of each data set (chosen on the same figure: a hard opponent)."""
    found = []
    for figure in ("auroc/mcm/mean", "auroc/mcm:temperature=0.03/mean", "accuracy", "harmonic_mean"):
        for name, pick in (("best", max), ("mean", fmean)):

            def gap(runs: Runs, figure: str = figure, pick: Callable = pick) -> float | None:
                there = [v for m in ADAPTOR if (v := runs.get((m, most(runs), figure))) is not None]
                return less(runs.get(("coop", most(runs), figure)), pick(there) if there else None)

            found.append(
                claim("coop less the adaptors, most shots", f"{name} adaptor, {figure}", sets, gap, figure)
            )
    return found


def shifts(sets: dict[str, Runs]) -> list[dict]:
    found = []
    for figure in ("class_shift", "image_shift"):
        for method in sorted({m for runs in sets.values() for m in tuners(runs, most(runs))}):
            found.append(
                claim(
                    "how far features move (1 - cosine)",
                    f"{method}, {figure}",
                    sets,
                    lambda runs, m=method, f=figure: runs.get((m, most(runs), f)),
                    "1 - cosine",
                )
            )
    return found


def few_shots(sets: dict[str, Runs]) -> list[dict]:
    found = []
    for figure in ("accuracy", "auroc/mcm/mean"):
        for shots in (1, FEW):
            for method in sorted({m for runs in sets.values() for m in tuners(runs, most(runs))}):

                def gain(runs: Runs, m: str = method, f: str = figure, n: int = shots) -> float | None:
                    return less(runs.get((m, n, f)), runs.get(("zero_shot", 0, f)))

                found.append(
                    claim(f"{shots} shots less zero-shot", f"{method}, {figure}", sets, gain, figure)
                )
    return found


def elsewhere(sets: dict[str, Runs]) -> list[dict]:
    """What the model could do before, after tuning."""
    found = []
    names = {
        f
        for runs in sets.values()
        for _, _, f in runs
        if f.startswith(("zero_shot/", "text_to_image", "new_"))
    }
    for figure in sorted(names):
        for method in sorted({m for runs in sets.values() for m in tuners(runs, most(runs))}):

            def loss(runs: Runs, m: str = method, f: str = figure) -> float | None:
                return less(runs.get((m, most(runs), f)), runs.get(("zero_shot", 0, f)))

            found.append(
                claim("tuned less zero-shot elsewhere, most shots", f"{method}, {figure}", sets, loss, figure)
            )
    return found


def page(found: list[dict], sets: dict[str, Runs]) -> str:
    lines = [f"Data sets: {', '.join(sets)}. Means over data sets with 95 % intervals (Student's t).", ""]
    part = ""
    for one in found:
        if one["mean"] is None:
            continue
        if one["part"] != part:
            part = one["part"]
            lines += [
                "",
                f"### {part}",
                "",
                "| | mean | 95 % | data sets | above 0 |",
                "|---|---:|---|---:|---:|",
            ]
        ends = "" if one["low"] is None else f"[{one['low']:+.3f}, {one['high']:+.3f}]"
        lines.append(
            f"| {one['what']} | {one['mean']:+.3f} | {ends} | {one['data_sets']} | {one['positive_in']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
