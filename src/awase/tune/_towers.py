"""An encoder with changed weights, and what it says of images and classes.

What tuning left as it was is not computed again: a tower whose weights did not change gives what the frozen
model gave, to the last bit, so no strength and no steps are zero-shot exactly.
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from awase.engine.features import pixels
from awase.engine.prototypes import encode_classes
from awase.errors import DataError, EncoderError
from awase.functional.image_tower import run_prefix
from awase.functional.patches import patch_features
from awase.functional.similarity import normalize
from awase.protocols import Encoder, TokenEncoder, TrainableEncoder
from awase.tune._frozen import Frozen, cosines
from awase.tune._prefix import PrefixCache, image_tower_of, on_device
from awase.types import Evidence, Features

TOWERS = {"both": ("image", "text"), "image": ("image",), "text": ("text",)}
_BATCH = 64  # images in one pass behind the convolutions
_PIXELS = 8  # images in one pass through a whole tower


@dataclass(frozen=True, eq=False)
class TunedTowers:
    """A frozen model beside a copy of its encoder with other weights.

    Attributes:
        frozen: the model before.
        encoder: the copy; the frozen model's own encoder where nothing changed.
        has_image: whether the image tower changed.
        has_text: whether the text tower changed.
        keeps_prefix: whether the image tower changed behind its embedding only.
    """

    frozen: Frozen
    encoder: Encoder
    has_image: bool
    has_text: bool
    keeps_prefix: bool

    def evidence(self, images: Features, class_names: Sequence[str] | None) -> Evidence:
        """Cosines of the images and the classes as the towers see them now."""
        patches = images.patches
        if patches is not None and self.has_image:
            patches = self._patch_features(images)
        return cosines(self.image_features(images), self.class_features(class_names), patches)

    def class_features(self, class_names: Sequence[str] | None) -> Float[Tensor, "k d"]:
        """Unit vectors of its own classes (None) or of others by name, with the frozen model's templates."""
        if not self.has_text:
            return self.frozen.features_of(class_names)
        names = self.frozen.class_names if class_names is None else class_names
        return encode_classes(self.encoder, names, self.frozen.templates)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        """Unit vectors of free texts."""
        return self.encoder.encode_text(texts)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        """Unit vectors; the pixels are read again where the image tower changed.

        Raises:
            DataError: the features are of another encoder.
            RowError: a photo can no longer be read.
        """
        self.frozen.require(images)
        if not self.has_image:
            return images.values
        size = _BATCH if self.keeps_prefix else _PIXELS
        batches = [images.select(range(i, min(i + size, len(images)))) for i in range(0, len(images), size)]
        if not self.keeps_prefix:
            features = [self.encoder.encode_image(self._pixels(batch)).cpu() for batch in batches]
        else:
            prefix = prefix_of(self.frozen, capacity=0)
            features = [self._from_prefix(prefix.rows(batch)) for batch in batches]
        return torch.cat(features) if features else images.values

    @torch.no_grad()
    def _from_prefix(self, rows: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
        weights = next(trainable(self.encoder).module.parameters())
        return normalize(run_prefix(image_tower_of(self.encoder), rows.to(weights)).float()).cpu()

    def _pixels(self, images: Features) -> Float[Tensor, "b 3 y x"]:
        return on_device(self.encoder, pixels(self.encoder, images.images))

    @torch.no_grad()
    def _patch_features(self, images: Features) -> Float[Tensor, "n p d"]:
        tower = image_tower_of(self.encoder)
        batches = [
            images.select(range(i, min(i + _PIXELS, len(images)))) for i in range(0, len(images), _PIXELS)
        ]
        return torch.cat([patch_features(tower, self._pixels(batch)).cpu() for batch in batches])


def with_weights(
    frozen: Frozen,
    *,
    image: Mapping[str, Tensor],
    text: Mapping[str, Tensor],
    keeps_prefix: bool,
) -> TunedTowers:
    """The frozen model's towers with other weights, in a copy of its encoder.

    Args:
        frozen: the model before, which is not touched.
        image: new values of the image tower's weights, by their names in the encoder's module.
        text: those of the text tower.
        keeps_prefix: whether no weight before the image tower's first attention layer is among them.

    Raises:
        DataError: there is no encoder, or the weights are of another one.
        EncoderError: its weights cannot be changed.
    """
    original = dict(trainable(frozen.reader()).module.named_parameters())
    changed: dict[str, dict[str, Tensor]] = {"image": {}, "text": {}}
    for tower, weights in (("image", image), ("text", text)):
        for name, value in weights.items():
            if name not in original or original[name].shape != value.shape:
                raise DataError(f"the encoder has no weight {name} of shape {tuple(value.shape)}.")
            if not torch.equal(original[name].cpu(), value.cpu()):
                changed[tower][name] = value
    tuned = changed["image"] | changed["text"]
    return TunedTowers(
        frozen=frozen,
        encoder=_changed_copy(frozen.reader(), tuned) if tuned else frozen.reader(),
        has_image=bool(changed["image"]),
        has_text=bool(changed["text"]),
        keeps_prefix=keeps_prefix,
    )


def _changed_copy(encoder: Encoder, weights: Mapping[str, Tensor]) -> Encoder:
    other: Any = copy.deepcopy(encoder)
    parameters = dict(other.module.named_parameters())
    digest = hashlib.sha256(encoder.spec.weights.encode())
    with torch.no_grad():
        for name, value in sorted(weights.items()):
            parameters[name].copy_(value)
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    other.spec = replace(encoder.spec, weights=digest.hexdigest())
    return cast(Encoder, other)


def trainable(encoder: Encoder) -> TrainableEncoder:
    """The encoder as one whose weights can be changed.

    Raises:
        EncoderError: they cannot.
    """
    name = f"{encoder.spec.adapter}:{encoder.spec.name}"
    if not isinstance(encoder, TrainableEncoder) or not isinstance(encoder, TokenEncoder):
        raise EncoderError(
            f"the weights of {name} cannot be changed; load the model with builtin, hf or open_clip."
        )
    if encoder.spec.dtype not in ("float32", "float64"):
        raise EncoderError(
            f"{name} was loaded as {encoder.spec.dtype}, too coarse for small steps; load it as float32."
        )
    return encoder


def chosen_towers(towers: str) -> tuple[str, ...]:
    """`image`, `text` or both by the setting of that name.

    Raises:
        DataError: it is none of these.
    """
    if towers not in TOWERS:
        raise DataError(f"towers must be one of {', '.join(TOWERS)}, got {towers!r}.")
    return TOWERS[towers]


def prefix_of(frozen: Frozen, *, capacity: int) -> PrefixCache:
    """The frozen model's cache, else one of its own with this capacity."""
    return frozen.prefix if frozen.prefix is not None else PrefixCache(frozen.reader(), capacity=capacity)
