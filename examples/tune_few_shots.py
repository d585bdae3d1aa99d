"""Adapt a model with a few photos of each class: `python examples/tune_few_shots.py [FOLDER]`.

FOLDER holds one folder of photos for each class. Without it photos that ship with awase are sorted into
animals and landscapes: eight of each at most, far too few for a real figure, as the intervals say.
"""

import argparse
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from awase.engine.features import encode_images
from awase.registry import load
from awase.tune import Frozen, class_index, keep_test, load_tuned, make_task, save_tuned
from awase.tune._accuracy import accuracy_beside, correct
from awase.types import ImageReference, LabelledImage

PHOTOS = Path(str(files("awase") / "_sample" / "photos"))
SAMPLE = {
    "animal": ("cat", "chickens", "cow", "duck", "giraffes", "horses", "sheep", "shepherd-dog"),
    "landscape": ("bridge", "dandelions", "meadow", "mountain-path", "stream", "sunset", "temple"),
}


def sample() -> list[LabelledImage]:
    """The photos that ship with awase, with a class each."""
    names = [(label, PHOTOS / f"{stem}.jpg") for label, stems in SAMPLE.items() for stem in stems]
    return [LabelledImage(path.name, ImageReference(path.name, path=path), label) for label, path in names]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", nargs="?", type=Path, help="one folder of photos for each class")
    arguments.add_argument("--method", default="tip_adapter_f", help="a name of `awase methods`")
    arguments.add_argument("--encoder", default="builtin", help="ADAPTER:NAME, as on the command line")
    arguments.add_argument("--shots", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()

    adapter, _, name = given.encoder.partition(":")
    encoder = load("encoder", adapter).load(name)
    photos = sample()
    if given.folder is not None:
        photos = load("image_reader", "class_folders").open_images(given.folder)
    features, bad = encode_images(encoder, photos)
    print(f"{len(features)} photos, {len(bad)} that could not be read")

    # half of each class is kept out, and nothing below may choose by it
    classes = sorted({label for label in features.labels if label is not None})
    numbers = class_index(features.labels, classes)
    rest, kept = keep_test(numbers.tolist(), features.hashes, share=0.5, seed=0)
    test = features.select(kept)

    frozen = Frozen.of(encoder, classes, ["a photo of a {}."])
    task, split = make_task(
        frozen,
        features.select(rest),
        numbers[rest],
        shots=given.shots,
        seed=given.seed,
        validation=1,
        test=test,
    )
    method = load("tune", given.method)()
    tuned = method.fit(task, seed=given.seed)

    before, after = (correct(model, test, numbers[kept]) for model in (frozen, tuned))
    figures = accuracy_beside(after, before, hashes=test.hashes, seed=given.seed)
    print(f"{method}, {tuned.n_parameters} parameters")
    for figure in figures:
        print(f"{figure.name:20} {figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]  n={figure.n}")

    with TemporaryDirectory() as folder:
        save_tuned(folder, tuned, method, facts={"seed": given.seed, "split": split, "metrics": figures})
        again = load_tuned(folder, encoder)
        print("saved, loaded, the same:", bool((correct(again, test, numbers[kept]) == after).all()))


if __name__ == "__main__":
    main()
