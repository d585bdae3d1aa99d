"""The image tower run in two steps, with gradient: what comes before the attention layers, and the rest.

Low-rank updates of attention (LoRA) change nothing before the first attention layer: the patch embedding of a
vision transformer, all convolutions of the built-in model. What they give can be computed once an image and
kept. A tower may offer a shorter form of it (`CompactTower`). Left out: reading intermediate layers, which is
`awase.functional.patches`, and heat maps, which are `awase.functional.saliency`.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from awase.protocols import ImageTower


@runtime_checkable
class CompactTower(Protocol):
    """An image tower that needs less than its embedded rows to give its embedding."""

    def compact(self, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b m"]:
        """What the rest of the tower needs of each image; nothing in it depends on an attention layer."""
        ...

    def from_compact(self, rows: Float[Tensor, "b m"]) -> Float[Tensor, "b d"]:
        """The un-normalised embedding: as embed, layers and head give it but for rounding."""
        ...


def image_prefix(tower: ImageTower, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b ..."]:
    """What the tower makes of each image before its first attention layer.

    Args:
        tower: the image tower, in evaluation mode.
        pixels: preprocessed images.

    Example:
        >>> import torch
        >>> from awase.registry import load
        >>> tower = load("encoder", "tiny").load("0").image_tower
        >>> image_prefix(tower, torch.zeros(2, 3, 32, 32)).shape  # a class token and 4 x 4 patches
        torch.Size([2, 17, 32])
    """
    return tower.compact(pixels) if isinstance(tower, CompactTower) else tower.embed(pixels)


def run_prefix(tower: ImageTower, prefix: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
    """The un-normalised embeddings from what `image_prefix` gave, with gradient where weights ask for one."""
    if isinstance(tower, CompactTower):
        return tower.from_compact(prefix)
    hidden = prefix
    for layer in tower.layers:
        attended = scaled_dot_product_attention(*layer.project(hidden))
        # a pooling layer has fewer queries than rows, and does not look at the rows it is merged with
        hidden = layer.merge(hidden[:, : attended.shape[2]], attended)
    return tower.head(hidden)


def run_image(tower: ImageTower, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d"]:
    """The un-normalised embeddings of images, with gradient where the weights ask for one.

    Args:
        tower: the image tower, in evaluation mode.
        pixels: preprocessed images, on the tower's device.

    Example:
        >>> import torch
        >>> from awase.registry import load
        >>> encoder = load("encoder", "tiny").load("0")
        >>> pixels = torch.zeros(1, 3, 32, 32)
        >>> own = torch.nn.functional.normalize(run_image(encoder.image_tower, pixels), dim=1)
        >>> torch.allclose(own, encoder.encode_image(pixels), atol=1e-6)
        True
    """
    return run_prefix(tower, image_prefix(tower, pixels))
