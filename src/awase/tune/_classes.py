"""Which of the classes asked about a model was tuned on: what it learned is theirs, text serves the rest."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.tune._frozen import Frozen


def places(frozen: Frozen, class_names: Sequence[str] | None) -> Int[Tensor, " k"]:
    """Where each class stands among those the model was tuned on, -1 for a class that is new to it.

    Args:
        frozen: holds the classes it was tuned on.
        class_names: the classes asked about, by name; None for all it was tuned on.

    Example:
        >>> frozen = Frozen(("cat", "dog"), torch.eye(2), 100.0, "toy")
        >>> places(frozen, ["dog", "bee"]).tolist(), places(frozen, None).tolist()
        ([1, -1], [0, 1])
    """
    if class_names is None:
        return torch.arange(len(frozen.class_names))
    known: dict[str, int] = {}
    for place, name in enumerate(frozen.class_names):
        known.setdefault(name, place)
    return torch.tensor([known.get(name, -1) for name in class_names], dtype=torch.long)


def text_of(frozen: Frozen, class_names: Sequence[str] | None) -> Float[Tensor, "k d"]:
    """Zero-shot class features: its own to the last bit, those of new classes read by the encoder.

    Raises:
        DataError: a class is new, and there is no encoder to read its name.
    """
    if class_names is None or tuple(class_names) == frozen.class_names:
        return frozen.class_features
    place = places(frozen, class_names)
    new = [name for name, at in zip(class_names, place.tolist(), strict=True) if at < 0]
    features = frozen.class_features[place]
    if new:
        features[place < 0] = frozen.features_of(new)
    return features


def learned_rows(learned: Float[Tensor, "k r"], place: Int[Tensor, " c"]) -> Float[Tensor, "c r"]:
    """What was learned for each class asked about, zero for new ones."""
    rows = learned[place]
    rows[place < 0] = 0.0
    return rows
