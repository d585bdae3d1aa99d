"""The frozen values that travel between the parts of awase, checked when they are made."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError


@dataclass(frozen=True, slots=True)
class ImageReference:
    """Where the bytes of one image lie: a file, a stretch of a file (a tar member), or memory.

    Nothing is opened here; `awase.images` reads and decodes within bounds.
    """

    name: str
    path: Path | None = None
    offset: int = 0
    size: int | None = None
    data: bytes | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            raise DataError(f"image {self.name!r} needs either a path or bytes, and not both.")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with one caption. An image with five captions is five pairs that share the reference."""

    id: str
    image: ImageReference
    caption: str
    label: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that a reader could not turn into a pair. It stays in the output, with its error code."""

    id: str
    image: str
    caption: str
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image of a class, for the verbs that know classes and no captions.

    Attributes:
        id: its name within the data set, such as `tench/0001.jpg`; unique.
        image: where its bytes lie.
        label: the class, as the data set writes it; None where it is not known.
        split: train, val, test, calibrate, ... where the data set says so.
    """

    id: str
    image: ImageReference
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Enough to build the same encoder in another process, and to tell two encoders apart.

    weights and preprocess are content hashes; fingerprint hashes all of it, so features of different
    models or preprocessing never meet by accident.
    """

    adapter: str
    name: str
    revision: str | None
    dtype: str
    weights: str
    preprocess: str

    @property
    def fingerprint(self) -> str:
        """Hash over all fields but the place the model was loaded from, 16 hexadecimal digits."""
        facts = {"dtype": self.dtype, "weights": self.weights, "preprocess": self.preprocess}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Texts as a tower reads them, padded to one length.

    Attributes:
        ids: token ids.
        mask: True where a token may be attended to as a key.
        row_weights: which rows of the last layer are read, each row of weights sums to 1: one-hot at the
            pooled token (end of text, CLS, last), 1 / n over valid tokens for mean pooling.
        spans: for every text its tokens' half-open character ranges in the text as given; (0, 0) for
            tokens that stand for no characters (special tokens, padding) or for a word unknown to the model.
        truncated: whether characters lay beyond the context length.
        is_padding: tokens that only fill up a text and are attended to all the same, as SigLIP was trained;
            None where no padding is attended to.
    """

    ids: Int[Tensor, "b n"]
    mask: Bool[Tensor, "b n"]
    row_weights: Float[Tensor, "b n"]
    spans: tuple[tuple[tuple[int, int], ...], ...]
    truncated: tuple[bool, ...]
    is_padding: Bool[Tensor, "b n"] | None = None

    def __post_init__(self) -> None:
        if not self.ids.shape == self.mask.shape == self.row_weights.shape:
            raise ShapeError(
                f"ids {tuple(self.ids.shape)}, mask {tuple(self.mask.shape)} and row_weights "
                f"{tuple(self.row_weights.shape)} must have one shape (b, n)."
            )
        if not len(self.ids) == len(self.spans) == len(self.truncated):
            raise ShapeError(f"{len(self.ids)} texts came with {len(self.spans)} span lists.")

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: Sequence[int]) -> "TokenBatch":
        """The texts of these rows, padded as they are here."""
        return TokenBatch(
            self.ids[list(rows)],
            self.mask[list(rows)],
            self.row_weights[list(rows)],
            tuple(self.spans[row] for row in rows),
            tuple(self.truncated[row] for row in rows),
            None if self.is_padding is None else self.is_padding[list(rows)],
        )

    def cut(self, length: int) -> "TokenBatch":
        """The first `length` tokens of every text."""
        return TokenBatch(
            self.ids[:, :length],
            self.mask[:, :length],
            self.row_weights[:, :length],
            tuple(spans[:length] for spans in self.spans),
            self.truncated,
            None if self.is_padding is None else self.is_padding[:, :length],
        )


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a caption: caption[start:end] == text. score is None where the model saw no token of it.

    A negative score says that the word contradicts the image.
    """

    text: str
    start: int
    end: int
    score: float | None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Everything said about one pair. A bad row is a Finding with an error_code, not a gap.

    score: the method's score of the pair, higher = aligned. clip_score: 2.5 * max(cosine, 0). padding_score:
    what a tower that attends to padding put on it, so belongs to no word; None for other towers.
    """

    id: str
    image: str
    caption: str
    score: float | None = None
    clip_score: float | None = None
    words: tuple[Word, ...] = ()
    truncated: bool = False
    error_code: str | None = None
    error: str | None = None
    padding_score: float | None = None

    @property
    def flagged_words(self) -> tuple[Word, ...]:
        """The words below the threshold, most negative first."""
        return tuple(sorted((w for w in self.words if w.flagged), key=lambda w: w.score or 0.0))

    @property
    def unscored_words(self) -> tuple[Word, ...]:
        """Words the model never saw: beyond the context length, or unknown to its vocabulary."""
        return tuple(w for w in self.words if w.score is None)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A word is flagged when its score lies below `value`; valid for one encoder, template and depth.

    Attributes:
        value: the bound; scores are differences of cosines, so it is small and negative.
        encoder: fingerprint of the encoder it was calibrated on, None when it is uncalibrated.
        template: the template it was calibrated with, None when it is uncalibrated.
        layers: the number of text layers it was calibrated with, None when it is uncalibrated.
        source: where it comes from, for the reader of a report.
        pair_value: the bound below which words count towards F-CLIPScore, where another one than that of the
            flags ranks pairs better; None for the same.
    """

    value: float
    encoder: str | None = None
    template: str | None = None
    layers: int | None = None
    source: str = "default"
    pair_value: float | None = None

    @property
    def is_calibrated(self) -> bool:
        return self.encoder is not None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval: no number without its n.

    low and high bound the interval (95 % unless the unit says otherwise); NaN-free: a quantity that does
    not exist (average precision with one class) has value None.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str = ""
    higher_means: str = ""

    def __post_init__(self) -> None:
        for part in (self.value, self.low, self.high):
            if part is not None and math.isnan(part):
                raise DataError(f"estimate {self.name} holds NaN; use None where there is no value.")


_UNIT = 1e-3  # how far from 1 the length of a unit vector may lie; rounding to half precision stays below


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What one encoder made of n images. Features of two encoders never meet: `encoder` is compared.

    Raw norms are not kept: every method here reads directions only.

    Attributes:
        values: unit vectors, float32.
        images: the images themselves, with id and label, for methods that read the pixels again.
        hashes: content hash of each image's bytes; equal files have equal hashes.
        encoder: fingerprint of the encoder.
        patches: unit vectors of the patches, None where no method asked for them.
    """

    values: Float[Tensor, "n d"]
    images: tuple[LabelledImage, ...]
    hashes: tuple[str, ...]
    encoder: str
    patches: Float[Tensor, "n p d"] | None = None

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.images) == len(self.hashes):
            raise ShapeError(
                f"{len(self.values)} vectors came with {len(self.images)} images and "
                f"{len(self.hashes)} hashes."
            )
        if self.patches is not None and len(self.patches) != len(self.values):
            raise ShapeError(f"{len(self.values)} vectors came with patches of {len(self.patches)} images.")
        length = self.values.float().norm(dim=-1)
        is_unit = (length - 1).abs() <= _UNIT  # NaN compares false
        if not bool(is_unit.all()):
            row = int((~is_unit).nonzero()[0])
            raise DataError(
                f"features must be unit vectors, and row {row} ({self.images[row].id}) has length "
                f"{float(length[row]):.4g}; normalise them, and leave out images without a vector."
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def labels(self) -> tuple[str | None, ...]:
        """The class of each image as the data set writes it."""
        return tuple(image.label for image in self.images)

    def select(self, rows: Sequence[int]) -> "Features":
        """These rows, in this order."""
        chosen = list(rows)
        return Features(
            self.values[chosen],
            tuple(self.images[row] for row in chosen),
            tuple(self.hashes[row] for row in chosen),
            self.encoder,
            None if self.patches is None else self.patches[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class PairFeatures:
    """What one encoder made of n images and their m captions: what retrieval and its diagnostics read.

    An image with five captions is one row of `image_features` and five of `text_features`.

    Attributes:
        image_features: unit vectors, one an image.
        text_features: unit vectors, one a caption, of the same width.
        image_of_text: row of each caption's image; every image has at least one caption.
        images: name of each image, unique.
        captions: the captions; None where only vectors were given.
        labels: class of each image, None where no class is known.
        encoder: fingerprint of the encoder, "" where only vectors were given.
        logit_scale: of the encoder; None where only vectors were given.
    """

    image_features: Float[Tensor, "n d"]
    text_features: Float[Tensor, "m d"]
    image_of_text: Int[Tensor, " m"]
    images: tuple[str, ...]
    captions: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    encoder: str = ""
    logit_scale: float | None = None

    def __post_init__(self) -> None:
        n, m = len(self.image_features), len(self.text_features)
        if len(self.image_of_text) != m or len(self.images) != n:
            raise ShapeError(
                f"{n} image vectors came with {len(self.images)} names, and {m} text vectors with "
                f"{len(self.image_of_text)} owners."
            )
        if (self.captions is not None and len(self.captions) != m) or (
            self.labels is not None and len(self.labels) != n
        ):
            raise ShapeError("there must be one caption a text vector and one label an image vector.")
        for name, features in (("image", self.image_features), ("text", self.text_features)):
            _require_unit(features, name)
        owned = torch.zeros(n, dtype=torch.bool)
        if m and not bool(((self.image_of_text >= 0) & (self.image_of_text < n)).all()):
            raise DataError("a caption belongs to an image that is not there.")
        owned[self.image_of_text] = True
        if not bool(owned.all()):
            row = int((~owned).nonzero()[0])
            raise DataError(f"image row {row} ({self.images[row]}) has no caption; leave it out.")

    def __len__(self) -> int:
        return len(self.image_features)


def _require_unit(features: Float[Tensor, "n d"], what: str) -> None:
    """Refuse vectors of another length than 1, with the first rows that have it."""
    bad: list[int] = []
    for start in range(0, len(features), 65_536):  # in blocks: half precision is widened to be measured
        length = features[start : start + 65_536].float().norm(dim=-1)
        rows = (~((length - 1).abs() <= _UNIT)).nonzero()[:, 0]  # NaN compares false
        bad += [start + int(row) for row in rows[:5]]
        if len(bad) >= 5:
            break
    if bad:
        raise DataError(
            f"{what} features must be unit vectors, and some are not: rows {', '.join(map(str, bad[:5]))}"
            f"{', ...' if len(bad) > 5 else ''}; normalise them, and leave out zero vectors."
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; low and high bound a band around it where there is one."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for part in (self.y, self.low, self.high):
            if part is not None and len(part) != len(self.x):
                raise ShapeError(f"line {self.label!r}: {len(part)} values over {len(self.x)} places.")


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure as numbers: whoever draws it needs to know nothing of what it shows.

    Attributes:
        name: key of the chart, also of its file and of its words in each language.
        lines: what is drawn.
        style: `line`, `steps` (histogram outlines), `points`, `bars`.
        log_x: whether the horizontal axis is logarithmic.
        diagonal: whether y = x is drawn for comparison.
        marks: places on the horizontal axis that matter, by name.
    """

    name: str
    lines: tuple[Line, ...]
    style: Literal["line", "steps", "points", "bars"] = "line"
    log_x: bool = False
    diagonal: bool = False
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a model, tuned or not, says of n images and k classes: all that an ood score may read.

    Attributes:
        similarity: cosines in [-1, 1] of a model as it came; for a tuned one its logits divided by the logit
            scale, once and here, so that a temperature means the same for every model.
        image_features: unit vectors of the images, as the model sees them after tuning.
        class_features: unit vectors of the classes that patches are compared with.
        patch_features: unit vectors of the patches, None where no method asked for them.
    """

    similarity: Float[Tensor, "n k"]
    image_features: Float[Tensor, "n d"]
    class_features: Float[Tensor, "k d"]
    patch_features: Float[Tensor, "n p d"] | None = None

    def __post_init__(self) -> None:
        n, k = self.similarity.shape
        if n != len(self.image_features) or k != len(self.class_features):
            raise ShapeError(
                f"similarity {(n, k)} does not fit {len(self.image_features)} images and "
                f"{len(self.class_features)} classes."
            )

    def __len__(self) -> int:
        return len(self.similarity)

    def select(self, rows: slice | Sequence[int]) -> "Evidence":
        """These images, all classes."""
        chosen = rows if isinstance(rows, slice) else list(rows)
        return Evidence(
            self.similarity[chosen],
            self.image_features[chosen],
            self.class_features,
            None if self.patch_features is None else self.patch_features[chosen],
        )


Provenance = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What a verb returns: findings, estimates, and what is needed to repeat it."""

    method: str
    findings: tuple[Finding, ...]
    estimates: tuple[Estimate, ...] = ()
    provenance: Provenance = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """The Result without its rows, ready for JSON."""
        return {
            "method": self.method,
            "estimates": [asdict(e) for e in self.estimates],
            **dict(self.provenance),
        }

    def _repr_html_(self) -> str | None:
        """What a notebook shows, drawn by the entry point `html` of the group `awase.display`."""
        for entry in entry_points(group="awase.display", name="html"):
            return cast(str, entry.load()(self))
        return None


Language = Literal["en", "ja"]
