"""The scenes of a settings file one after the other, drawn a block at a time, as pictures in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from awase import images
from awase.data._parts import settings
from awase.data._parts.scenes import Scene
from awase.types import ImageReference

_BLOCK = 64  # scenes drawn at a time


@dataclass(frozen=True, slots=True)
class Drawn:
    """A scene with its picture, its captions and its label."""

    scene: Scene
    image: ImageReference
    captions: tuple[str, ...]
    label: str | None
    split: str | None


def drawn(found: settings.Settings, *, with_captions: bool) -> Iterator[Drawn]:
    """All scenes in the order of the splits."""
    for split in found.splits:
        world = split.world
        for start in range(split.first, split.first + split.n_scenes, _BLOCK):
            indices = range(start, min(start + _BLOCK, split.first + split.n_scenes))
            n_captions = world.n_captions if with_captions else 0
            texts = [world.texts(indices, k) for k in range(n_captions)]
            pictures = world.batch(indices).permute(0, 2, 3, 1).numpy()
            for place, (scene, pixels) in enumerate(zip(world.scenes(indices), pictures, strict=True)):
                label = " ".join(scene.value(name) for name in found.label) or None
                image = images.from_pixels(Image.fromarray(pixels), f"scene-{scene.index:07d}.bmp")
                yield Drawn(scene, image, tuple(text[place] for text in texts), label, split.name)
