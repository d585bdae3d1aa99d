"""How does fine-tuning change out-of-distribution detection? `awase tune compare`, data set by data set.

    python studies/tune_ood/study.py --data PATH --output DIR [--sets imagenette dtd ...] [--seeds 1 2 3]

PATH holds folders of classes (imagenette, caltech101, dtd, flowers, elpv, textile) and flickr8k
(captions.tsv, images/). Every data set is the known side once, all others are unknown images for it. Runs on
a CPU with the model that ships with awase; a stopped run goes on where it ended. `claims.py` reads results.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
METHODS = (
    "zero_shot",
    "linear_probe",
    "tip_adapter",
    "tip_adapter_f",
    "clip_adapter",
    "taskres",
    "coop",
    "locoop",
    "cocoop",
)
FULL = "full:embedding=frozen"  # all weights behind the convolutions, which would take hours
# the paper of CLIP-LoRA takes 500 steps a shot on a GPU
TOWERS = ("lora:steps_per_shot=100", FULL, f"{FULL},rate=1e-5")
SCORES = (
    "mcm",
    "mcm:temperature=0.1",
    "mcm:temperature=0.03",
    "msp",
    "max_logit",
    "energy",
    "entropy",
    "variance",
    "logit_gap",
    "kl_matching",
    "mahalanobis",
    "knn",
    "gl_mcm",
    "neglabel",
)
LIMIT = 300  # images of every other set: towers that are tuned read them again for every fit
SHOTS = (0, 1, 2, 4, 8, 16)
FOLDERS = ("imagenette", "caltech101", "dtd", "flowers", "elpv", "textile")


@dataclass(frozen=True)
class Known:
    """One data set as the known side."""

    name: str
    methods: tuple[str, ...] = METHODS
    shots: tuple[int, ...] = SHOTS
    test_share: float = 0.5


# caltech101 has 18 images a class and dtd 30: what the shots and the validation split leave is the test.
# With the hundred classes of caltech101 a text tower run for every image would take hours.
KNOWN = (
    Known("imagenette", methods=(*METHODS, *TOWERS)),
    Known("dtd", methods=(*METHODS, FULL), test_share=0.34),
    Known("flowers"),
    Known("elpv"),
    Known("textile"),
    Known("caltech101", methods=METHODS[:-2], shots=(0, 1, 2, 4, 8), test_share=0.34),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=[known.name for known in KNOWN])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", help="instead of those of the study")
    given = parser.parse_args()
    for known in KNOWN:
        if known.name in given.sets:
            started = time.time()
            code = subprocess.call(command(known, given))
            print(f"{known.name}: exit {code} after {time.time() - started:.0f} s", flush=True)


def command(known: Known, given: argparse.Namespace) -> list[str]:
    """The command line of one comparison."""
    others = [name for name in FOLDERS if name != known.name]
    # zero-shot elsewhere: what the model has words for
    second = "caltech101" if known.name != "caltech101" else "imagenette"
    words = [sys.executable, "-m", "awase", "tune", "compare", "--encoder", "builtin"]
    words += ["--data", str(given.data / known.name), "--output", str(given.output / known.name)]
    words += ["--ood", *(f"{name}={given.data / name}" for name in others)]
    words += ["--other", f"{second}={given.data / second}"]
    # the dev photos of Flickr8k: the built-in model's weights have not seen them
    words += ["--retrieval", f"flickr8k={given.data / 'flickr8k' / 'captions.tsv'}"]
    words += ["--retrieval-images", str(given.data / "flickr8k" / "images"), "--retrieval-split", "dev"]
    words += ["--scores", *SCORES, "--shots", *map(str, known.shots), "--seeds", *map(str, given.seeds)]
    words += ["--methods", *(given.methods or known.methods), "--test-share", str(known.test_share)]
    words += ["--class-names", str(HERE / "class_names.json")] if known.name in ("elpv", "textile") else []
    words += ["--limit", str(LIMIT)]
    return [*words, "--cache", str(given.output / "cache"), "--quiet"]


if __name__ == "__main__":
    main()
