"""Train heads on pairs of photos and captions: `python examples/train_pairs.py [TABLE --images FOLDER]`.

TABLE has the columns image, caption and split (train, dev). Without it the photos and captions that ship with
awase are used, every third photo as dev: far too few for a real figure, as the intervals say.
"""

import argparse
import csv
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from awase.registry import load
from awase.tune.pairs import PairRecipe, PairTask, fit_pairs, read_rows, save_pairs
from awase.types import BadRow, ImageReference, Pair

SAMPLE = Path(str(files("awase") / "_sample"))


def sample() -> list[Pair | BadRow]:
    """The right captions that ship with awase, in two splits by photo."""
    with (SAMPLE / "pairs.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if not row["wrong_word"]]
    names = sorted({row["image"] for row in rows})
    return [
        Pair(
            row["id"],
            ImageReference(row["image"], path=SAMPLE / row["image"]),
            row["caption"],
            split="dev" if names.index(row["image"]) % 3 == 0 else "train",
        )
        for row in rows
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("table", nargs="?", type=Path, help="image, caption and split")
    arguments.add_argument("--images", type=Path, help="folder that image names are relative to")
    arguments.add_argument("--encoder", default="builtin", help="ADAPTER:NAME, as on the command line")
    arguments.add_argument("--objective", default="regularized", help="a name of `awase methods`")
    arguments.add_argument("--steps", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()

    adapter, _, name = given.encoder.partition(":")
    encoder = load("encoder", adapter).load(name)
    rows = sample()
    if given.table is not None:
        rows = list(load("reader", "table").open_pairs(given.table, images=given.images))

    # both towers stay frozen: every photo and caption is encoded once, here
    train, dev = (
        read_rows(encoder, rows, split=split, image_features=True, text_features=True)
        for split in ("train", "dev")
    )
    print(f"{len(train)} pairs to learn from, {len(dev)} to measure on, {len(train.bad)} bad rows")

    recipe = PairRecipe(
        load("objective", given.objective)(), parts=("heads",), steps=given.steps, batch_size=16
    )
    trained = fit_pairs(PairTask(encoder, train, dev), recipe, seed=given.seed)
    losses = list(trained.losses.values())
    print(f"{recipe.objective}: loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last")
    for figure in trained.estimates:
        if figure.name.endswith((".before", ".gain")) and "_at_5." in figure.name:
            print(f"{figure.name:36} {figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]  n={figure.n}")

    with TemporaryDirectory() as folder:
        save_pairs(folder, trained, facts={"seed": given.seed})
        again = load("encoder", "tuned").load(folder)
        texts = ["a dog on the grass"]
        print(
            "saved, loaded, the same:",
            bool((again.encode_text(texts) == trained.encoder.encode_text(texts)).all()),
        )


if __name__ == "__main__":
    main()
