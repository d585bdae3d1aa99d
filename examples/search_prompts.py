"""Choose prompts on a few labelled photos and measure the gain: `python examples/search_prompts.py [FOLDER]`.

FOLDER holds one folder of photos for each class. Without it photos that ship with awase are sorted into
animals and landscapes: far too few for a gain to be shown, as the interval says.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import torch

from awase.engine.features import encode_images
from awase.engine.prototypes import class_name
from awase.functional.splits import class_index, draw_shots
from awase.registry import load
from awase.transfer import (
    candidates,
    choose_prompts,
    measure_gain,
    mixture,
    prompts_of,
    verdict,
    write_prompts,
)
from awase.types import ImageReference, LabelledImage

PHOTOS = Path(str(files("awase") / "_sample" / "photos"))
SAMPLE = {
    "animal": ("cat", "chickens", "cow", "duck", "giraffes", "horses"),
    "landscape": ("bridge", "meadow", "mountain-path", "stream", "sunset", "temple"),
}


def sample() -> list[LabelledImage]:
    """Some of the photos that ship with awase, with a class each."""
    names = [(label, PHOTOS / f"{stem}.jpg") for label, stems in SAMPLE.items() for stem in stems]
    return [LabelledImage(path.name, ImageReference(path.name, path=path), label) for label, path in names]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", nargs="?", type=Path, help="one folder of photos for each class")
    arguments.add_argument("--encoder", default="builtin", help="ADAPTER:NAME, as on the command line")
    arguments.add_argument("--templates", nargs="+", default=["photos", "living", "scenes"])
    arguments.add_argument("--search", nargs="+", default=["uniform", "single", "greedy"])
    arguments.add_argument("--shots", type=int, default=3, help="photos of each class to choose on")
    arguments.add_argument("--output", type=Path, help="file for the prompts")
    given = arguments.parse_args()

    adapter, _, name = given.encoder.partition(":")
    encoder = load("encoder", adapter).load(name)
    photos = sample()
    if given.folder is not None:
        photos = load("image_reader", "class_folders").open_images(given.folder)
    features, bad = encode_images(encoder, photos)
    print(f"{len(features)} photos, {len(bad)} that could not be read")

    # the photos that choose and those that measure are never the same
    classes = sorted({label for label in features.labels if label is not None})
    labels = class_index(features.labels, classes)
    drawn = draw_shots(
        labels.tolist(), features.hashes, shots=given.shots, validation=0, seed=0, allow_fewer=True
    )
    chosen_on = {features.hashes[row] for row in drawn.train}
    kept_out = [row for row, hash in enumerate(features.hashes) if hash not in chosen_on]

    found = candidates(
        encoder, classes, [[class_name(label)] for label in classes], prompts_of(given.templates).templates
    )
    chosen = choose_prompts(
        found,
        features.values[list(drawn.train)],
        labels[list(drawn.train)],
        {name: load("prompt_search", name)() for name in given.search},
        logit_scale=encoder.logit_scale,
        n_folds=3,
    )
    print(f"{chosen.search}: {', '.join(chosen.prompts.templates)}")

    gain = measure_gain(
        chosen.class_features,
        {"baseline": mixture(found.baseline_features, torch.ones(1))},
        features.select(kept_out),
        labels[kept_out],
        selection=features.select(drawn.train),
    )
    for figure in gain.estimates:
        ends = "" if figure.low is None else f"  [{figure.low:.3f}, {figure.high:.3f}]"
        print(f"{figure.name:26} {figure.value:.3f}{ends}  n={figure.n}")
    print(verdict(next(figure for figure in gain.estimates if figure.name == "accuracy.gain")))
    if given.output is not None:
        write_prompts(given.output, chosen.prompts)
        print(f"awase transfer classify {given.folder or 'FOLDER'} --templates {given.output}")


if __name__ == "__main__":
    main()
