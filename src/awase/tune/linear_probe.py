"""Linear probe (Radford et al. 2021, arXiv 2103.00020): logistic regression on the image features.

    z = W f + b,   similarity = scale z + shift

L2-regularised, by L-BFGS with 1000 iterations at most. C is chosen on the validation split as the authors of
CLIP and CoOp do, by a coarse list from 1e-6 to 1e6 and 8 steps of a binary search around its best; without a
validation split C is 10. Weak at one or two shots, and it knows nothing of other classes.

Logits of a probe have no natural scale, and ood scores need one: scale and shift give them the spread over
the classes and the mean that the zero-shot cosines of the same images have, one positive scale for all, so
the order of classes stays. `strength` mixes with zero-shot, and 0 is zero-shot.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError, MissingExtraError
from awase.tune._classes import places
from awase.tune._frozen import Frozen, cosines
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import require_range, require_shots
from awase.tune._select import Tried, accuracy, first_best, nothing_tried, tried
from awase.types import Evidence, Features

try:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
except ImportError as error:
    raise MissingExtraError("scikit-learn", "tune") from error

C = 10.0
_COARSE = (1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6)
_STEPS = 8
_ITERATIONS = 1000

Line = tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]


@dataclass(frozen=True, eq=False)
class LinearProbed:
    """A frozen model whose classes are told apart by a probe.

    Attributes:
        frozen: the model before.
        weight: W.
        bias: b.
        c: inverse strength of the regularisation.
        scale: takes logits to the spread of cosines.
        shift: takes them to the mean of cosines.
        strength: share of the probe in the mixture with zero-shot.
        tried: every C with its validation accuracy, in the order of the search.
    """

    frozen: Frozen
    weight: Float[Tensor, "k d"]
    bias: Float[Tensor, " k"]
    c: float
    scale: float
    shift: float
    strength: float
    tried: Tried

    @property
    def n_parameters(self) -> int:
        return self.weight.numel() + self.bias.numel()

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """The probe's logits on the scale of cosines. Class features stay those of the text.

        Raises:
            DataError: a class is asked about that it was not fitted on.
        """
        self.frozen.require(images)
        place = places(self.frozen, class_names)
        if bool((place < 0).any()):
            raise DataError(
                "a linear probe knows the classes it was fitted on and no others; "
                "use zero_shot, clip_adapter or a prompt method for new classes."
            )
        plain = cosines(images.values, self.frozen.class_features[place], images.patches)
        if self.strength == 0:
            return plain
        logits = images.values @ self.weight[place].T + self.bias[place]
        probed = self.scale * logits + self.shift
        similarity = (1 - self.strength) * plain.similarity + self.strength * probed
        return Evidence(similarity, plain.image_features, plain.class_features, plain.patch_features)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.frozen.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.frozen.text_features(texts)


@dataclass(frozen=True)
class LinearProbe:
    """Fit a probe.

    Args:
        c: inverse strength of the regularisation; None searches.
        strength: share of the probe in the mixture with zero-shot: 1 is the probe alone, 0 zero-shot.

    Example:
        >>> LinearProbe(c=1.0)
        LinearProbe(c=1.0, strength=1.0)
    """

    tuned: ClassVar[type] = LinearProbed
    zero: ClassVar[Mapping[str, Any]] = {"strength": 0.0}
    c: float | None = None
    strength: float = 1.0

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> LinearProbed:
        """Fit; choose C on the validation split. Nothing is random here.

        Raises:
            DataError: fewer than two classes, a class without shots, or a setting out of range.
        """
        require_shots(task)
        require_range("strength", self.strength, 0.0, 1.0)
        if len(task.frozen.class_names) < 2:
            raise DataError("a linear probe needs at least 2 classes, got 1 class.")
        if self.c is not None and not self.c > 0:
            raise DataError(f"c must be positive, got {self.c}; 1e-6 to 1e6 is the usual range.")
        c, (weight, bias), record = self._choose(task)
        shown = task.validation if len(task.validation) else task.train
        scale, shift = standardise(
            shown.values @ weight.T + bias, shown.values @ task.frozen.class_features.T
        )
        return LinearProbed(task.frozen, weight, bias, c, scale, shift, self.strength, record)

    def _choose(self, task: Task) -> tuple[float, Line, Tried]:
        if self.c is not None or not len(task.validation):
            c = C if self.c is None else float(self.c)
            return c, _fit(task, c), nothing_tried("c")
        lines: dict[float, Line] = {}
        accuracies: dict[float, float] = {}

        def validate(c: float) -> float:
            if c not in lines:
                lines[c] = weight, bias = _fit(task, c)
                accuracies[c] = accuracy(task.validation.values @ weight.T + bias, task.validation_labels)
            return accuracies[c]

        c = search_c(validate)
        return c, lines[c], tried(list(accuracies.values()), c=list(accuracies))


def search_c(validate: Callable[[float], float]) -> float:
    """The C that validates best: a coarse list, then a binary search a decade to either side of its best.

    The stronger regularisation (the smaller C) wins every tie.

    Args:
        validate: validation accuracy of a C.

    Example:
        >>> round(search_c(lambda c: -abs(math.log10(c) - 0.3)), 1)
        2.0
    """
    peak = _COARSE[first_best([validate(c) for c in _COARSE])]
    left, right = peak / 10, peak * 10
    seen = [*_COARSE]
    for _ in range(_STEPS):
        middle = math.sqrt(left * right)
        seen += [left, right]
        if validate(left) < validate(right):
            left = middle
        else:
            right = middle
    ordered = sorted(set(seen))
    return ordered[first_best([validate(c) for c in ordered])]


def standardise(logits: Float[Tensor, "n k"], similarity: Float[Tensor, "n k"]) -> tuple[float, float]:
    """Scale and shift that give logits the mean of similarities, and their spread over the classes.

    The spread is the mean over images of the standard deviation over classes. The scale is positive.

    Example:
        >>> standardise(torch.tensor([[-10.0, 10.0]]), torch.tensor([[0.25, 0.5]]))
        (0.0125, 0.375)
    """
    wide, cosine = logits.double(), similarity.double()
    spread = float(wide.std(dim=1, correction=0).mean())
    wanted = float(cosine.std(dim=1, correction=0).mean())
    scale = wanted / spread if spread > 0 and wanted > 0 else 1.0
    return scale, float(cosine.mean()) - scale * float(wide.mean())


def _fit(task: Task, c: float) -> Line:
    """W and b of one C."""
    images = task.train.values.double().numpy()
    # the tolerance is on the gradient of the *mean* loss, which is small for unit vectors: at scikit-learn's
    # 1e-4 the search would stop after a few steps; over n it is the published code's, on the sum
    regression = LogisticRegression(C=c, max_iter=_ITERATIONS, tol=1e-4 / len(images))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 1000 iterations are the recipe
        # one image a class is what one shot means
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        regression.fit(images, task.train_labels.numpy())
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # two classes are given as one row: the same probabilities with two
        weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
    kind = task.train.values.dtype
    return torch.from_numpy(weight).to(kind), torch.from_numpy(bias).to(kind)


METHOD = LinearProbe
