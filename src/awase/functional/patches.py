"""What an image tower sees in each patch alone: dense features of GL-MCM, LoCoOp and MaskCLIP.

In the last attention layer every patch attends to itself alone, so its attention output is its own value;
the rest of the layer and the head follow as for the pooled row:

    hidden_i  = input of the last layer, row i
    feature_i = normalize( head( merge( hidden_i, v_i ) ) )

as in MaskCLIP (arXiv 2112.01071), used for unknown images by LoCoOp (arXiv 2306.01293) and GL-MCM (arXiv
2304.04521). For an attention-pooling layer it is what the query reads where cell i is all there is. Left out:
scoring (`awase.ood.gl_mcm`), and heat maps (`awase.functional.saliency`), which ask for a text's evidence.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from awase.functional.similarity import normalize
from awase.protocols import ImageTower

_ROWS = 2048  # patches in one pass through the last layer: its widest tensor stays within some 25 MB


def patch_features(tower: ImageTower, pixels: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b p d"]:
    """Unit vectors of the patches, row by row of the tower's grid, in the space of image and text features.

    Args:
        tower: the image tower, in evaluation mode.
        pixels: preprocessed images; they are worked on a few at a time.

    Returns:
        float32, without gradient, on the tower's device.

    Example:
        >>> from awase.registry import load
        >>> tower = load("encoder", "tiny").load("0").image_tower
        >>> patch_features(tower, torch.zeros(2, 3, 32, 32)).shape  # a grid of 4 x 4
        torch.Size([2, 16, 24])
    """
    n_patches = tower.grid[0] * tower.grid[1]
    with torch.no_grad():
        # one empty block where there are no images, so that the result has its axes
        blocks = torch.split(pixels, max(1, _ROWS // n_patches))
        return torch.cat([_of_block(tower, block, n_patches) for block in blocks])


def _of_block(tower: ImageTower, pixels: Float[Tensor, "b 3 y x"], n_patches: int) -> Float[Tensor, "b p d"]:
    hidden = tower.embed(pixels)
    for layer in tower.layers[:-1]:
        hidden = layer.merge(hidden, scaled_dot_product_attention(*layer.project(hidden)))
    last = tower.layers[-1]
    _, _, value = last.project(hidden)
    patches = slice(tower.first_patch, tower.first_patch + n_patches)
    # every patch as an image of a single row: merge and head then cannot mix patches
    rows = hidden[:, patches].flatten(0, 1).unsqueeze(1)  # (b p, 1, w)
    alone = value[:, :, patches].transpose(1, 2).flatten(0, 1).unsqueeze(2)  # (b p, h, 1, c)
    embeddings = tower.head(last.merge(rows, alone))  # (b p, d)
    return normalize(embeddings.float()).view(len(pixels), n_patches, embeddings.shape[-1])
