"""Flickr8k as the study reads it: training, validation and test vectors, and the four zero-shot sets.

The 1000 dev photos of Flickr8k are the test. Of the 6091 training photos the last 500 in the order of a
fixed draw are validation, which alone chooses the epoch and the learning rate. No zero-shot set chooses
anything.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from captions import sentence_vectors
from photos import photo_vectors, photos_of
from torch import Tensor

from awase.engine.prototypes import class_name
from awase.training.sampler import seeded

VALIDATION = 500
WIDTH = 512  # principal components of the photo vectors, of the training photos alone
TEMPLATE = "a photo of a {}."
CLASS_SETS = ("imagenette", "caltech101", "dtd", "flowers")


@dataclass(frozen=True)
class Pairs:
    """Photos and their captions, as frozen vectors."""

    images: Tensor  # (n, p)
    texts: Tensor  # (m, q)
    image_of_text: Tensor  # (m,)

    @property
    def captions_of(self) -> Tensor:
        """Rows of the captions of every photo, `(n, 5)`: every photo has five."""
        order = self.image_of_text.argsort(stable=True)
        return order.view(len(self.images), -1)


@dataclass(frozen=True)
class Classes:
    """Photos of classes, and one prompt a class."""

    images: Tensor  # (n, p)
    labels: Tensor  # (n,)
    prompts: Tensor  # (k, q)


@dataclass(frozen=True)
class World:
    """Everything the study reads of one data set."""

    train: Pairs
    validation: Pairs
    test: Pairs
    classes: dict[str, Classes]


def read(data: Path, cache: Path) -> World:
    """From the caches, which are made where they are missing."""
    photos = photos_of(data, "flickr8k")
    row_of = {path.name: row for row, path in enumerate(photos)}
    lines = [
        line.split("\t")
        for line in (data / "flickr8k" / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    owner = torch.tensor([row_of[image] for image, _, _ in lines])
    texts = sentence_vectors([caption for _, caption, _ in lines], cache / "texts")
    raw = photo_vectors(photos, cache / "photos" / "flickr8k").float()
    is_test = torch.zeros(len(photos), dtype=torch.bool)
    is_test[[row_of[image] for image, _, split in lines if split == "dev"]] = True
    known = (~is_test).nonzero()[:, 0]
    drawn = known[torch.randperm(len(known), generator=seeded(0, 0))]
    train, validation = drawn[:-VALIDATION].sort().values, drawn[-VALIDATION:].sort().values
    mean, axes = principal(raw[train])
    images = (raw - mean) @ axes
    classes = {name: _classes(data, cache, name, mean, axes) for name in CLASS_SETS}
    parts = [_pairs(images, texts, owner, rows) for rows in (train, validation, is_test.nonzero()[:, 0])]
    return World(*parts, classes)


def principal(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and the axes of largest variance `(c, WIDTH)`, not scaled."""
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    _, axes = torch.linalg.eigh(centred.T @ centred)
    return mean, axes[:, -WIDTH:].flip(1).float()


def _pairs(images: Tensor, texts: Tensor, owner: Tensor, rows: Tensor) -> Pairs:
    place = torch.full((len(images),), -1)
    place[rows] = torch.arange(len(rows))
    chosen = (place[owner] >= 0).nonzero()[:, 0]
    return Pairs(images[rows], texts[chosen], place[owner[chosen]])


def _classes(data: Path, cache: Path, name: str, mean: Tensor, axes: Tensor) -> Classes:
    photos = photos_of(data, name)
    labels = [path.parent.name for path in photos]
    known = sorted(set(labels))
    prompts = [TEMPLATE.format(class_name(label)) for label in known]
    images = (photo_vectors(photos, cache / "photos" / name).float() - mean) @ axes
    return Classes(
        images,
        torch.tensor([known.index(label) for label in labels]),
        sentence_vectors(prompts, cache / "texts"),
    )
