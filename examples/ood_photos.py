"""Which photos does the model know? `python examples/ood_photos.py [--method mcm] [--encoder builtin]`.

Makes a detector for a few animals out of the photos that ship with awase, saves it, loads it again and judges
other photos with it. Nine calibration photos carry a promise of 80 %, not of 95 %: that takes nineteen, and
a useful detector a few hundred.
"""

import argparse
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from awase.engine.features import encode_images
from awase.engine.prototypes import encode_classes
from awase.ood import Classes, Sample, class_index, fit_detector, load_detector, save_detector
from awase.protocols import Encoder
from awase.registry import load
from awase.types import Features, ImageReference, LabelledImage

PHOTOS = Path(str(files("awase") / "_sample" / "photos"))
TEMPLATE = "a photo of a {}."
CALIBRATION = {
    "cat": "cat",
    "window-dogs": "dog",
    "cow": "cow",
    "duck": "duck",
    "horses": "horse",
    "sheep": "sheep",
    "chickens": "chicken",
    "officer": "man",
    "dandelions": "flower",
}
KNOWN = {"kitten": "cat", "shepherd-dog": "dog", "photographer": "man", "flower": "flower"}
UNKNOWN = ("rocket", "coffee", "bridge", "temple", "sunset", "stream")


def encoded(encoder: Encoder, names: dict[str, str | None]) -> Features:
    """Vectors of photos of the sample; the label of each is its class, where it has one."""
    rows = [
        LabelledImage(name, ImageReference(f"{name}.jpg", PHOTOS / f"{name}.jpg"), label)
        for name, label in names.items()
    ]
    features, failed = encode_images(encoder, rows)
    assert not failed
    return features


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--method", default="mcm", help="a score that needs no training images")
    arguments.add_argument("--encoder", default="builtin", help="ADAPTER:NAME, as on the command line")
    given = arguments.parse_args()

    adapter, _, name = given.encoder.partition(":")
    encoder: Encoder = load("encoder", adapter).load(name)
    labels = tuple(sorted(set(CALIBRATION.values())))
    classes = Classes(
        labels=labels,
        names=labels,
        features=encode_classes(encoder, labels, [TEMPLATE]),
        templates=(TEMPLATE,),
        logit_scale=encoder.logit_scale,
        encoder=encoder.spec.fingerprint,
        encoder_name=given.encoder,
    )

    photos = encoded(encoder, {**CALIBRATION})
    calibration = Sample.of(photos, classes.evidence(photos), class_index(photos.labels, labels))
    method = load("ood", given.method)()
    detector = fit_detector(
        method, name=given.method, classes=classes, calibration=calibration, keep=0.8, alpha=0.2
    )

    with TemporaryDirectory() as folder:
        save_detector(detector, folder)  # detector.safetensors and detector.json
        detector = load_detector(folder)

    others = encoded(encoder, {**KNOWN, **dict.fromkeys(UNKNOWN)})
    judged = detector.judge(classes.evidence(others))
    print(
        f"{given.method}; a higher score means {detector.higher_means}, kept from {detector.threshold:.4g} on"
    )
    for row, image in enumerate(others.images):
        decision = "keep" if judged.kept[row] else "abstain"
        score, p_value = float(judged.scores[row]), float(judged.p_values[row])
        chosen = ", ".join(detector.labels(judged.sets[row]))
        nearest = labels[int(judged.classes[row])]
        print(f"{image.id:13} {nearest:8} score {score:8.4f}  p-value {p_value:.1f}  {decision:8} {chosen}")


if __name__ == "__main__":
    main()
