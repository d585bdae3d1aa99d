"""Images against the prompts of their classes, through whichever towers learn: the loss of LoRA and of full
fine-tuning.

    loss = mean_i cross-entropy( logit_scale * <f_i, t_k>, y_i )

t_k = norm(mean over templates of norm(E_T(template(c_k)))), encoded anew at every step where the text tower
learns. Every image is seen in one view, as the encoder preprocesses it: no crops, no flips, so numbers can
differ from published ones, which were trained with both.
"""

from collections.abc import Callable
from typing import Any, cast

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from awase.functional.image_tower import run_prefix
from awase.functional.similarity import class_prototypes, normalize
from awase.functional.towers import run_text
from awase.protocols import Encoder, TokenEncoder
from awase.training.loop import Loss
from awase.tune._prefix import PrefixCache, image_tower_of
from awase.tune._protocol import Task

ImageFeatures = Callable[[Int[Tensor, " b"]], Float[Tensor, "b d"]]  # rows of the training images
ClassFeatures = Callable[[], Float[Tensor, "k d"]]


def matching_loss(task: Task, encoder: Encoder, *, images: ImageFeatures | None, learns_text: bool) -> Loss:
    """The loss of a batch of training rows.

    Args:
        task: the shots and the classes.
        encoder: a copy of the frozen model's encoder, with weights that learn.
        images: unit vectors of training images with gradient; None where the image tower does not learn.
        learns_text: whether the class vectors are made anew at every step.
    """
    device = next(cast(Any, encoder).module.parameters()).device
    labels = task.train_labels.to(device)
    if images is None:
        fixed = task.train.values.to(device)

    frozen_classes = task.frozen.class_features.to(device)
    classes = class_features_of(task, encoder) if learns_text else None

    def loss(rows: Int[Tensor, " b"], step: int) -> Tensor:
        image_features = fixed[rows] if images is None else images(rows)
        class_features = frozen_classes if classes is None else classes()
        logits = task.frozen.logit_scale * image_features @ class_features.T
        return cross_entropy(logits, labels[rows])

    return loss


def class_features_of(task: Task, encoder: Encoder) -> ClassFeatures:
    """The class vectors as the encoder's text tower gives them now, with gradient."""
    frozen = task.frozen
    reader = cast(TokenEncoder, encoder)
    prompts = [t.replace("{}", name) for name in frozen.class_names for t in frozen.templates]
    tokens = reader.tokenize(prompts)

    def class_features() -> Float[Tensor, "k d"]:
        tower = reader.text_tower
        features = normalize(run_text(tower, tokens, tower.embed(tokens)).float())  # (k * t, d)
        return class_prototypes(features.view(len(frozen.class_names), len(frozen.templates), -1))

    return class_features


def features_of_prefixes(task: Task, encoder: Encoder, prefix: PrefixCache) -> ImageFeatures:
    """Unit vectors of training images from what is kept of them; the embedding itself does not learn."""
    weights = next(cast(Any, encoder).module.parameters())

    def image_features(rows: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        kept = prefix.rows(task.train.select(rows.tolist())).to(weights)
        return normalize(run_prefix(image_tower_of(encoder), kept).float())

    return image_features
