"""A fitted detector: a score, the classes it compares with, and what calibration images say of its scores.

It reads `awase.types.Evidence`, so it judges what a model says as it came and after tuning alike. It belongs
to one model, and refuses evidence of another. Saving and loading are `_detector_file.py`'s.

Decisions rest on calibration images that nothing else was learned from. If test images come from where these
came from, then over draws of both, at least `keep` of the known images are kept, and prediction sets miss the
true class of at most `alpha` of them. Nothing is promised of unknown images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError
from awase.functional.conformal import aps_sets, lac_sets, p_values
from awase.ood._protocol import Scorer
from awase.types import Evidence, Features

SETS = ("lac", "aps")


@dataclass(frozen=True, eq=False)
class Classes:
    """The known classes as one model sees them.

    Attributes:
        labels: as the data writes them; what is printed.
        names: as they are put into the templates.
        features: unit vectors.
        templates: prompts with one {} each.
        logit_scale: the encoder's multiplier of cosines; makes probabilities for prediction sets.
        encoder: fingerprint of the encoder.
        encoder_name: how it was named, for opening it again.
        model: id of the tuned model that the evidence comes from, "" for the encoder as it came.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    features: Float[Tensor, "k d"]
    templates: tuple[str, ...]
    logit_scale: float
    encoder: str
    encoder_name: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.names) == len(self.features):
            raise DataError(
                f"{len(self.labels)} labels came with {len(self.names)} names and "
                f"{len(self.features)} vectors."
            )

    def evidence(self, images: Features) -> Evidence:
        """What the encoder as it came says of images: cosines with the classes.

        Raises:
            DataError: the features are another encoder's, or the detector is of a tuned model.
        """
        self.require(images.encoder)
        return Evidence(images.values @ self.features.T, images.values, self.features, images.patches)

    def require(self, encoder: str, model: str = "") -> None:
        """Refuse another encoder, and another tuned model.

        Raises:
            DataError: they differ; the message names both.
        """
        if encoder != self.encoder:
            named = f" ({self.encoder_name})" if self.encoder_name else ""
            raise DataError(
                f"these vectors are of encoder {encoder}, the detector belongs to {self.encoder}{named}; "
                "use that encoder in the same precision, or fit a detector for this one."
            )
        if model != self.model:
            said = {"": "the encoder as it came"}
            raise DataError(
                f"the detector belongs to {said.get(self.model, f'tuned model {self.model}')}, and this is "
                f"{said.get(model, f'tuned model {model}')}; name the right one with --tuned, or fit anew."
            )


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a detector says of n images, row by row.

    Attributes:
        classes: the most similar class of each, 0 .. k - 1.
        scores: float64, higher = more in-distribution.
        p_values: in (0, 1]; small = few known images score as low.
        kept: False where the detector abstains.
        sets: which of the k classes cannot be ruled out.
    """

    classes: Int[Tensor, " n"]
    scores: Float[Tensor, " n"]
    p_values: Float[Tensor, " n"]
    kept: Bool[Tensor, " n"]
    sets: Bool[Tensor, "n k"]


@dataclass(frozen=True, eq=False)
class Detector:
    """Known or unknown? Made by `awase.ood._fit.fit`.

    Attributes:
        method: name of the score in the registry.
        scorer: the score, fitted where it has to learn.
        classes: what images are compared with.
        calibration_scores: float64, ascending.
        keep: share of the known images that is to be kept, in (0, 1).
        threshold: an image is kept if its score is no lower; -inf where there are too few calibration images
            for the promise, and then everything is kept.
        alpha: share of the known images whose prediction set may miss the true class.
        sets: "lac" or "aps".
        set_quantile: bound of the prediction sets; inf where there are too few calibration images, and then
            every class is in every set.
        calibration: content hash to name of the calibration images.
        training: content hash to name of the images the score learned from.
        provenance: seed, versions, splits, counts: what is needed to repeat it.
    """

    method: str
    scorer: Scorer
    classes: Classes
    calibration_scores: Float[Tensor, " n"]
    keep: float
    threshold: float
    alpha: float
    sets: str
    set_quantile: float
    calibration: Mapping[str, str]
    training: Mapping[str, str]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def higher_means(self) -> str:
        """What a higher score says."""
        return self.scorer.higher_means

    @property
    def needs_patches(self) -> bool:
        """Whether the score reads patches."""
        return self.scorer.needs_patches

    @property
    def seen(self) -> dict[str, str]:
        """Content hash to name of every image that had a say: no figure may be measured on these."""
        return {**self.calibration, **self.training}

    def judge(self, evidence: Evidence) -> Judgement:
        """Class, score, p-value, decision and prediction set of each image; each from its own row alone.

        Args:
            evidence: of the detector's own model; see `Classes.evidence` for an encoder as it came.

        Raises:
            DataError: the evidence is of another number of classes, or holds a NaN.
        """
        k = len(self.classes.labels)
        if evidence.similarity.shape[1] != k:
            raise DataError(f"the detector knows {k} classes, got {evidence.similarity.shape[1]}.")
        scores = self.scorer.score(evidence).double().cpu()
        return Judgement(
            classes=evidence.similarity.argmax(dim=1).cpu(),
            scores=scores,
            p_values=p_values(calibration_scores=self.calibration_scores, scores=scores),
            kept=scores >= self.threshold,
            sets=self.prediction_sets(probabilities(evidence, self.classes.logit_scale)),
        )

    def prediction_sets(self, shares: Float[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
        """Which classes cannot be ruled out, from probabilities."""
        return (lac_sets if self.sets == "lac" else aps_sets)(shares, self.set_quantile)

    def labels(self, chosen: Bool[Tensor, " k"]) -> tuple[str, ...]:
        """The labels of one prediction set."""
        return tuple(self.classes.labels[index] for index in chosen.nonzero()[:, 0].tolist())


def probabilities(evidence: Evidence, logit_scale: float) -> Float[Tensor, "n k"]:
    """softmax(logit_scale * similarity), float64: the model's own probabilities, tuned or not.

    Example:
        >>> import torch
        >>> same = Evidence(torch.zeros(1, 2), torch.eye(2)[:1], torch.eye(2))
        >>> probabilities(same, 100.0).tolist()
        [[0.5, 0.5]]
    """
    return (evidence.similarity.double().cpu() * logit_scale).softmax(dim=1)
