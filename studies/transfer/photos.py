"""Frozen vectors of photos and captions, computed once: what the heads of the study are trained over.

A photo is the averaged last maps of the built-in model's convolutional networks. They were trained on
ImageNet alone and saw no caption; what awase trained on Flickr8k captions (the pooling and all after it) is
not used. A caption or prompt is the sentence vector of all-MiniLM-L6-v2, whose training data is said to
include Flickr30k's captions (of other photos and of these): the text side knows this kind of sentence.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from awase.files import atomic_path
from awase.images import load_image
from awase.registry import load
from awase.types import ImageReference

CHUNK = 64
BATCH = 16


def photo_vectors(paths: Sequence[Path], cache: Path) -> Tensor:
    """Averaged last maps `(n, 2560)` of photos, not normalised; goes on where it was stopped."""
    encoder = load("encoder", "builtin").load("")
    tower = encoder.image_tower
    averaged = tower.pooling.averaged
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(paths), CHUNK):
        some = paths[start : start + CHUNK]
        part = cache / f"{start:06d}.safetensors"
        if part.exists():
            parts.append(load_file(part)["vectors"])
            continue
        vectors = []
        for first in range(0, len(some), BATCH):
            images = [load_image(ImageReference(str(p), path=p)) for p in some[first : first + BATCH]]
            pixels = torch.stack([encoder.preprocess(image) for image in images])
            with torch.inference_mode():
                vectors.append(tower.embed(pixels)[..., :averaged].mean(1))
        whole = torch.cat(vectors).clone()
        with atomic_path(part) as temporary:
            save_file({"vectors": whole}, temporary)
        parts.append(whole)
        print(f"{cache.name}: {start + len(some)} of {len(paths)}", flush=True)
    return torch.cat(parts)


def photos_of(data: Path, name: str) -> list[Path]:
    """Files of one data set in a fixed order."""
    if name == "flickr8k":
        lines = (data / name / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:]
        return [
            data / name / "images" / image for image in dict.fromkeys(line.split("\t")[0] for line in lines)
        ]
    ends = {".jpg", ".jpeg", ".png"}
    return sorted(path for path in (data / name).rglob("*") if path.suffix.lower() in ends)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    for name in ("flickr8k", "imagenette", "caltech101", "dtd", "flowers"):
        photo_vectors(photos_of(arguments.data, name), arguments.cache / name)
