"""LoCoOp: CoOp that also learns from patches of background (Miyai et al. 2023, arXiv 2306.01293).

    p_ij  = softmax_k(logit_scale * <patch_ij, t_k>)                      patch j of image i
    J_i   = {j : label of i is not among the top-K classes of p_ij}       background, not the object
    L_ood = - mean over all (i, j in J_i) of H(p_ij)
    L     = CE + weight * L_ood

Patches that do not show the object are pushed to look like no class at all. The paper takes K = 200 of the
1000 classes of ImageNet and weight 0.25, and warns that K must follow the number of classes: here it is a
share. Otherwise CoOp's settings, 50 epochs. Pairs well with the score `gl_mcm`, which reads patches too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from awase.engine.features import pixels
from awase.errors import DataError, EncoderError
from awase.functional.patches import patch_features
from awase.protocols import PatchEncoder
from awase.tune._context import LearnedContext, descend, prepare, starting_shift
from awase.tune._prompts import make_prompt
from awase.tune._protocol import Progress, Task

_IMAGES = 32  # whose patches are computed at once


def background(
    patch_logits: Float[Tensor, "b p k"], labels: Int[Tensor, " b"], *, top: int
) -> Bool[Tensor, "b p"]:
    """Patches whose `top` best classes do not hold the image's label.

    A class that ties with the label at the last place counts as below it, so ties make a patch no background.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]])
        >>> background(logits, torch.tensor([0]), top=1)
        tensor([[False,  True]])
    """
    own = patch_logits.gather(2, labels[:, None, None].expand(-1, patch_logits.shape[1], 1))  # (b, p, 1)
    return (patch_logits > own).sum(dim=2) >= top


def negative_entropy(patch_logits: Float[Tensor, "b p k"], chosen: Bool[Tensor, "b p"]) -> Float[Tensor, ""]:
    """- mean entropy of the chosen patches' softmax, in [-log k, 0]; 0 where none is chosen.

    Example:
        >>> import torch
        >>> negative_entropy(torch.zeros(1, 2, 4), torch.tensor([[True, False]]))
        tensor(-1.3863)
    """
    if not bool(chosen.any()):
        return patch_logits.sum() * 0.0  # keeps the graph
    log_p = patch_logits[chosen].log_softmax(dim=1)
    return (log_p.exp() * log_p).sum(dim=1).mean()


@dataclass(frozen=True)
class LoCoOp:
    """Local regularised context optimisation.

    Args:
        weight: of the patches' loss; 0 is CoOp.
        top: share of the classes that count as seen by a patch; 0.2 is the paper's 200 of 1000. At least one
            class, and at most all but one.
        context: `random` or `words`, as for `coop`.
        n_tokens: M for a random context; words bring their own number.
        position: of the class name: at the `end`, in the `mid` or in `front` of the context.
        epochs: passes over the shots; 0 learns nothing.
        batch_size: images in a step.
        learning_rate: of SGD, after warm-up.

    Example:
        >>> LoCoOp().weight
        0.25
    """

    tuned: ClassVar[type] = LearnedContext
    zero: ClassVar[Mapping[str, Any]] = {"epochs": 0, "context": "words", "position": "end"}
    weight: float = 0.25
    top: float = 0.2
    context: str = "random"
    n_tokens: int = 16
    position: str = "end"
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.002

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> LearnedContext:
        """Learn the context.

        Raises:
            EncoderError: the encoder's towers cannot be taken apart.
            DataError: no images, a prompt that is too long, or settings that are no settings.
        """
        k = len(task.frozen.class_names)
        top = n_top(self.top, k)
        prompt = make_prompt(
            task.frozen.templates[0], context=self.context, n_tokens=self.n_tokens, position=self.position
        )
        encode = prepare(task, prompt)
        module = nn.ParameterDict({"shift": starting_shift(encode, context=self.context, seed=seed)})
        images, labels, scale = encode.place(task.train.values), task.train_labels, task.frozen.logit_scale
        patches = shot_patches(task) if self.epochs and self.weight else None

        def loss(rows: Tensor, step: int) -> Tensor:
            classes = encode.class_features(module["shift"][None])[0]  # (k, d)
            truth = labels[rows].to(classes.device)
            value = cross_entropy(scale * images[rows] @ classes.T, truth)
            if patches is None:
                return value
            local = scale * patches[rows].to(classes) @ classes.T  # (b, p, k)
            return value + self.weight * negative_entropy(local, background(local, truth, top=top))

        descend(
            module,
            loss,
            task,
            method=self,
            epochs=self.epochs,
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
        )
        shift = module["shift"].detach().clone()
        return LearnedContext(task.frozen, shift, prompt.before, prompt.after, prompt.suffix)


def n_top(share: float, k: int) -> int:
    """How many of k classes a share is: rounded, at least 1, at most k - 1.

    Raises:
        DataError: the share is not between 0 and 1, or there are fewer than two classes.

    Example:
        >>> n_top(0.2, 1000), n_top(0.2, 10), n_top(0.2, 3)
        (200, 2, 1)
    """
    if not 0 < share < 1 or k < 2:
        raise DataError(
            f"top is a share of the classes, between 0 and 1, of at least two classes; got {share} of {k}."
        )
    return min(k - 1, max(1, math.floor(share * k + 0.5)))


def shot_patches(task: Task) -> Float[Tensor, "n p d"]:
    """Patch vectors of the shots: those that came with them, or made from the pixels.

    Raises:
        EncoderError: the encoder's image tower cannot be taken apart.
        RowError: an image can no longer be read.
    """
    if task.train.patches is not None:
        return task.train.patches
    encoder = task.frozen.reader()
    if not isinstance(encoder, PatchEncoder):
        raise EncoderError(
            f"locoop reads patches, and the image tower of {encoder!r} cannot be taken apart; use coop."
        )
    images = task.train.images
    blocks = [
        patch_features(encoder.image_tower, pixels(encoder, images[i : i + _IMAGES])).cpu()
        for i in range(0, len(images), _IMAGES)
    ]
    return torch.cat(blocks)


METHOD = LoCoOp
