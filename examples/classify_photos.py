"""Zero-shot on a folder of photos, measured: `python examples/classify_photos.py [FOLDER]`.

FOLDER holds one folder of photos for each class. Without it photos that ship with awase are sorted into
animals and landscapes: far too few for a real figure, as the intervals say.
"""

import argparse
from importlib.resources import files
from pathlib import Path

from awase.engine.features import encode_images
from awase.engine.prototypes import class_name
from awase.functional.splits import class_index
from awase.registry import load
from awase.transfer import answer, class_vectors, classification, prompts_of
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
    arguments.add_argument("--templates", nargs="+", default=["simple"], help="sets, templates or files")
    given = arguments.parse_args()

    adapter, _, name = given.encoder.partition(":")
    encoder = load("encoder", adapter).load(name)
    photos = sample()
    if given.folder is not None:
        photos = load("image_reader", "class_folders").open_images(given.folder)
    features, bad = encode_images(encoder, photos)
    print(f"{len(features)} photos, {len(bad)} that could not be read")

    labels = sorted({label for label in features.labels if label is not None})
    vectors = class_vectors(encoder, [class_name(label) for label in labels], prompts_of(given.templates))
    said = answer(
        features.values,
        vectors,
        class_index(features.labels, labels),
        temperature=1 / encoder.logit_scale,
    )
    found = classification(said, labels=labels, hashes=features.hashes)
    for figure in found.estimates:
        ends = "" if figure.low is None else f"  [{figure.low:.3f}, {figure.high:.3f}]"
        print(f"{figure.name:22} {figure.value:.3f}{ends}  n={figure.n}")
    for one in found.classes:
        mistakes = f", {one.mistakes} taken for {one.mistaken_for}" if one.mistaken_for else ""
        print(f"{one.label}: {one.recall:.2f} of {one.n}{mistakes}")
    print(*found.notes, sep="\n")


if __name__ == "__main__":
    main()
