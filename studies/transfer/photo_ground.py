"""Flickr8k as ground: a group is a photo, the test is its dev split, and four sets of classes are unseen."""

from pathlib import Path

import flickr
from cell import Training
from ground import Ground
from heads import Heads
from measures import of_classes, of_pairs, prefixed, recalls


def ground(data: Path, cache: Path) -> Ground:
    """Everything of Flickr8k from the caches."""
    world = flickr.read(data, cache)
    train = world.train
    training = Training(
        images=train.images,
        texts=train.texts,
        image_of_text=train.image_of_text,
        group_of_text=train.image_of_text,
        captions_of=train.captions_of,
        validate=lambda heads: recalls(heads, world.validation)["rsum"],
    )

    def measure(heads: Heads) -> dict[str, float]:
        out = recalls(heads, world.test) | of_pairs(heads, world.test, groups=None, batch_size=250)
        out |= prefixed("validation", recalls(heads, world.validation))
        for name, classes in world.classes.items():
            out |= prefixed(name, of_classes(heads, classes))
        return out

    return Ground(training, measure, epochs=30, batch_size=256)
