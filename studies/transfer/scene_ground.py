"""The parts world as ground: a group is a combination of shape and colour, all that both sides share."""

from pathlib import Path

import scenes
import torch
from cell import Training
from ground import Ground
from heads import Heads
from measures import features, of_classes, of_pairs, prefixed

from awase.functional.completeness import completeness_curve


def ground(_data: Path, cache: Path) -> Ground:
    """Everything of the parts world from the caches."""
    world = scenes.read(cache)
    train = world.pairs["train"]
    training = Training(
        images=train.images,
        texts=train.texts,
        image_of_text=train.image_of_text,
        group_of_text=world.shared["train"][train.image_of_text],
        captions_of=train.captions_of,
        validate=lambda heads: score(heads, world, "validation"),
    )

    def measure(heads: Heads) -> dict[str, float]:
        out = of_pairs(heads, world.pairs["test"], groups=world.shared["test"], batch_size=256)
        out |= prefixed("seen", of_classes(heads, world.classes("test")))
        out |= prefixed("shifted", of_classes(heads, world.classes("shifted")))
        out["retrieval_p1"] = precision(heads, world, "test")
        out["validation_score"] = score(heads, world, "validation")
        images, texts = features(heads, world.pairs["shifted"])
        curve = completeness_curve(
            images, texts, image_of_text=world.pairs["shifted"].image_of_text, groups=world.shared["shifted"]
        )
        out["shifted_gamma_at_alpha_0.05"] = max(
            [g for g, a in zip(curve.gammas, curve.alphas, strict=True) if a <= 0.05], default=curve.gammas[0]
        )
        return out

    return Ground(training, measure, epochs=60, batch_size=256)


def score(heads: Heads, world: scenes.Scenes, part: str) -> float:
    """Zero-shot accuracy and the precision of the first scene found for a caption, summed."""
    return of_classes(heads, world.classes(part))["top1"] + precision(heads, world, part)


def precision(heads: Heads, world: scenes.Scenes, part: str) -> float:
    """Percent of captions whose most similar scene shows what they say."""
    pairs, shared = world.pairs[part], world.shared[part]
    images, texts = features(heads, pairs)
    found = torch.cat([(some @ images.T).argmax(1) for some in texts.split(1000)])
    return 100 * float((shared[found] == shared[pairs.image_of_text]).double().mean())
