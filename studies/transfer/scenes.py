"""The parts world as the study reads it: one part a scene, so that shared and unique features are known
exactly.

Shared: shape and colour, 12 x 8 combinations, all equally frequent; every caption names both. Of the image
alone: background, place, size, turn, texture. Of the text alone: synonyms, openings, closings. Backgrounds
of the shifted test occur nowhere in training. Images are averaged last maps of the built-in model's frozen
networks on scenes of 128 pixels, texts are counts of words: neither knows anything of the scenes
beforehand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from flickr import Classes, Pairs, principal
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from awase.data.parts import VALUES, World
from awase.encoders._builtin.pixels import to_pixels
from awase.files import atomic_path
from awase.registry import load

SIDE = 128
BATCH = 50
CAPTIONS = 3
UNSAID = dict.fromkeys(("size", "texture", "defect", "background", "relation", "count"), 0.0)
SEEN, UNSEEN = VALUES["background"][:4], VALUES["background"][4:]
PARTS = {
    "train": (1, 1500, SEEN),
    "validation": (2, 1000, SEEN),
    "test": (3, 3000, SEEN),
    "shifted": (4, 2000, UNSEEN),
}
SHAPES, COLOURS = VALUES["shape"], VALUES["colour"]


@dataclass(frozen=True)
class Scenes:
    """Everything of the parts world."""

    pairs: dict[str, Pairs]
    shared: dict[str, Tensor]  # number of the combination of shape and colour, one a scene
    prompts: Tensor  # (96, v)

    def classes(self, part: str) -> Classes:
        """Scenes of a part with their combination as the class."""
        return Classes(self.pairs[part].images, self.shared[part], self.prompts)


def world_of(part: str) -> World:
    """The world that scenes of one part come from."""
    seed, _, backgrounds = PARTS[part]
    return World(
        seed=seed,
        size=SIDE,
        objects=(1, 1),
        said={"shape": 1.0, "colour": 1.0, **UNSAID},
        n_captions=CAPTIONS,
        backgrounds=tuple(backgrounds),
    )


def read(cache: Path) -> Scenes:
    """From the cache, which is made where it is missing."""
    raw, captions, shared = {}, {}, {}
    for part, (_, n, _) in PARTS.items():
        world = world_of(part)
        raw[part] = scene_vectors(world, n, cache / "scenes" / part)
        captions[part] = [text for k in range(CAPTIONS) for text in world.texts(range(n), k)]
        truth = world.truth(range(n))
        shared[part] = truth.shape[:, 0].long() * len(COLOURS) + truth.colour[:, 0].long()
    mean, axes = principal(raw["train"])
    words = sorted({word for text in captions["train"] for word in split(text)})
    pairs = {
        part: Pairs(
            (raw[part] - mean) @ axes, counts(captions[part], words), torch.arange(n).repeat(CAPTIONS)
        )
        for part, (_, n, _) in PARTS.items()
    }
    prompts = [world_of("train").phrase(colour=c, shape=s) for s in SHAPES for c in COLOURS]
    return Scenes(pairs, shared, counts(prompts, words))


def split(text: str) -> list[str]:
    """Words in lower case."""
    return re.findall(r"[\w-]+", text.lower())


def counts(texts: Sequence[str], words: Sequence[str]) -> Tensor:
    """How often each word stands in each text `(m, v)`; others are passed over."""
    column = {word: i for i, word in enumerate(words)}
    table = torch.zeros(len(texts), len(words))
    for row, text in enumerate(texts):
        for word in split(text):
            if word in column:
                table[row, column[word]] += 1
    return table


def scene_vectors(world: World, n: int, cache: Path) -> Tensor:
    """Averaged last maps `(n, 2560)`; goes on where it was stopped."""
    tower = load("encoder", "builtin").load("").image_tower
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, n, 500):
        path = cache / f"{start:06d}.safetensors"
        if not path.exists():
            vectors = []
            for first in range(start, min(start + 500, n), BATCH):
                drawn = world.batch(range(first, min(first + BATCH, n))).permute(0, 2, 3, 1).numpy()
                pixels = to_pixels([Image.fromarray(scene) for scene in drawn], size=SIDE)
                with torch.inference_mode():
                    vectors.append(tower.embed(pixels)[..., : tower.pooling.averaged].mean(1))
            with atomic_path(path) as temporary:
                save_file({"vectors": torch.cat(vectors).clone()}, temporary)
            print(f"{cache.name}: {min(start + 500, n)} of {n} scenes", flush=True)
        parts.append(load_file(path)["vectors"])
    return torch.cat(parts)


if __name__ == "__main__":
    import sys

    torch.set_num_threads(1)
    read(Path(sys.argv[1]))
