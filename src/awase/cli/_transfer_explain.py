"""What `awase transfer explain` does: vectors of pairs in, every diagnostic and a row for each pair out."""

import time
from collections import Counter
from typing import Any

from awase.cli._criteria import all_met, read_criteria
from awase.cli._explain_pairs import Explained, read_pairs
from awase.cli._progress import progress_bar
from awase.cli._transfer_output import show_measurement, write_measurement
from awase.cli.transfer_explain import Options
from awase.report.transfer_wording import phrase
from awase.transfer._explain import explain, load_diagnostics
from awase.transfer._pair_rows import pair_table
from awase.transfer._protocol import Diagnosis
from awase.types import Language


def run(options: Options) -> int:
    """Explain and write; 1 when a figure misses its limit, 3 when rows could not be read."""
    started = time.monotonic()
    criteria = read_criteria(options.at_least, options.at_most)
    methods = load_diagnostics(options.diagnostic or (), _settings(options))  # wrong settings cost no reading
    found = read_pairs(options)
    with progress_bar("explaining", quiet=options.quiet, unit="diagnostics") as progress:
        said = explain(found.pairs, methods, seed=options.seed, progress=progress)
    provenance = {
        "verb": "transfer explain",
        **_facts(found),
        "diagnostics": {name: repr(method) for name, method in methods.items()},
        "seed": options.seed,
    }
    _write(options, found, said, {**provenance, "seconds": round(time.monotonic() - started, 3)})
    if not all_met(criteria, {estimate.name: estimate.value for estimate in said.estimates}):
        return 1
    return 3 if found.bad else 0


def _settings(options: Options) -> dict[str, Any]:
    """By the names of the diagnostics' fields; None leaves a default."""
    return {
        "temperature": options.temperature,
        "batch_size": options.batch_size_trained,
        "delta": options.delta,
        "r": tuple(sorted(set(options.top))) if options.top else None,
        "proxies": tuple(options.proxy) if options.proxy else None,
        "threshold": options.similar,
        "uniformity_pairs": options.uniformity_pairs,
        "n_replicates": options.replicates,
    }


def _write(options: Options, found: Explained, said: Diagnosis, provenance: dict[str, Any]) -> None:
    language: Language = options.lang.value
    notes = list(said.notes)
    if found.bad:
        codes = ", ".join(f"{code} {n}" for code, n in Counter(row.error_code for row in found.bad).items())
        notes.append(f"Rows that could not be read and count for nothing: {len(found.bad)} ({codes}).")
    written = write_measurement(
        options.output,
        title=phrase("explain_title", language),
        estimates=said.estimates,
        charts=said.charts,
        notes=notes,
        provenance=provenance,
        language=language,
        tables=(("pairs", pair_table(found.pairs, found.bad)),),
    )
    show_measurement(
        written, options.output, estimates=said.estimates, json_only=options.json, quiet=options.quiet
    )


def _facts(found: Explained) -> dict[str, Any]:
    pairs = found.pairs
    return {
        "encoder": {"fingerprint": pairs.encoder, "logit_scale": pairs.logit_scale},
        **found.facts,
        "counts": {
            "images": len(pairs),
            "texts": len(pairs.text_features),
            "labels": None if pairs.labels is None else len(set(pairs.labels)),
            "failed": len(found.bad),
        },
    }
