"""Find photos by words, and measure how well that goes: `python examples/retrieve_photos.py [TABLE]`.

TABLE has the columns image and caption. Without it the right English captions of the photos that ship with
awase are used: far too few for a real figure, as the intervals say.
"""

import argparse
import csv
from importlib.resources import files
from pathlib import Path

from awase.engine.pairs import encode_pairs
from awase.functional.top_k import top_k
from awase.registry import load
from awase.transfer import retrieve
from awase.types import ImageReference, Pair

SAMPLE = Path(str(files("awase") / "_sample" / "pairs.csv"))


def read(table: Path) -> list[Pair]:
    """Rows of a table; those of the sample that are wrong on purpose or not in English are left out."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row.get("wrong_word")]
    return [
        Pair(str(i), ImageReference(row["image"], path=table.parent / row["image"]), row["caption"])
        for i, row in enumerate(rows)
        if row.get("language", "en") == "en"
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("table", nargs="?", type=Path, default=SAMPLE, help="columns image and caption")
    arguments.add_argument("--encoder", default="builtin", help="ADAPTER:NAME, as on the command line")
    arguments.add_argument("--find", default="an animal on the grass", help="words to find photos by")
    given = arguments.parse_args()

    adapter, _, name = given.encoder.partition(":")
    encoder = load("encoder", adapter).load(name)
    pairs, bad = encode_pairs(encoder, read(given.table))
    print(f"{len(pairs)} photos, {len(pairs.text_features)} captions, {len(bad)} rows failed\n")

    found = top_k(encoder.encode_text([given.find]), pairs.image_features, k=3)
    print(f"{given.find}:")
    for score, row in zip(found.scores[0].tolist(), found.indices[0].tolist(), strict=True):
        print(f"  {score:.3f}  {pairs.images[row]}")

    print("\nphotos find their captions, and captions their photos:")
    for estimate in retrieve(pairs, ks=(1, 5)).estimates:
        value, low, high = (
            "n/a" if part is None else f"{part:.2f}" for part in (estimate.value, estimate.low, estimate.high)
        )
        print(f"  {estimate.name:28} {value} ({low} to {high})")


if __name__ == "__main__":
    main()
