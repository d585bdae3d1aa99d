"""Every tuning method as a classifier of scikit-learn: `fit`, `predict`, `predict_proba`, `score`.

    FewShotClassifier("tip_adapter").fit(X, y)                              embeddings, no model
    FewShotClassifier("coop", encoder="builtin", shots=4).fit(paths, y)     photos and a model

Without an encoder there are no words, and the mean of the shots of a class stands in for its text: zero-shot
then is the nearest class mean, and every method that needs embeddings only works on it. What it leaves out:
a record of the split and the card, which `awase tune fit` writes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from awase import registry
from awase.engine.features import encode_images
from awase.engine.prototypes import class_name, encode_classes
from awase.errors import DataError, MissingExtraError
from awase.functional.similarity import is_usable, normalize
from awase.functional.splits import draw_shots
from awase.protocols import Encoder
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task, TuneMethod
from awase.types import Evidence, Features, ImageReference, LabelledImage

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise MissingExtraError("scikit-learn", "tune") from error

Array = NDArray[Any]

_ARRAYS = "arrays"  # the fingerprint of vectors that no encoder of ours made
_SCALE = 100.0  # CLIP's, where no encoder says its own


class FewShotClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A tuned image-text model behind scikit-learn's interface.

    X is either a float array (n, d) of embeddings, which are normalised here and computed with in their own
    precision, or a list of image paths, which needs an encoder.

    Args:
        method: a name of `awase.registry.names("tune")`.
        encoder: an `Encoder`, or its name such as "builtin"; None for arrays alone.
        class_names: what the model reads for each class, in the order of the sorted classes or by class; None
            takes the labels themselves. Only with an encoder.
        templates: prompts with one {} each. Only with an encoder.
        shots: training images per class, drawn from X; None takes all.
        validation: images per class that are drawn from X to choose settings on; None takes min(shots, 4)
            where shots is given, and none where it is not: methods then keep their defaults.
        random_state: seed of every draw; an int, a `numpy.random.RandomState` or None.
        options: settings of the method by name.

    Attributes:
        classes_: the labels, sorted.
        n_features_in_: d.
        tuned_: the model after tuning; `tuned_.evidence` is what `awase.ood` reads.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(["ant", "bee"], 10)
        >>> X = rng.normal(size=(20, 8)) + 3 * np.eye(8)[np.repeat([0, 1], 10)]
        >>> model = FewShotClassifier("tip_adapter", options={"beta": 5.5}).fit(X, y)
        >>> model.predict(np.eye(8)[:2]).tolist(), model.score(X, y)
        (['ant', 'bee'], 1.0)
    """

    def __init__(
        self,
        method: Any = "linear_probe",  # stored as it is; fit looks at it, as scikit-learn wants it
        *,
        encoder: Any = None,
        class_names: Any = None,
        templates: Any = ("a photo of a {}.",),
        shots: Any = None,
        validation: Any = None,
        random_state: Any = 0,
        options: Any = None,
    ) -> None:
        self.method = method
        self.encoder = encoder
        self.class_names = class_names
        self.templates = templates
        self.shots = shots
        self.validation = validation
        self.random_state = random_state
        self.options = options

    def fit(self, X: Any, y: Any) -> "FewShotClassifier":  # noqa: N803 (scikit-learn's name)
        """Draw the shots and the validation images from X, and tune on them.

        Raises:
            DataError: X or y is not what it should be, a class has too few images, an image cannot be read,
                or an option is none of the method's.
            UnknownMethodError: there is no such method.
        """
        method = self._build()
        encoder = _opened(self.encoder)
        if _is_paths(X):
            _require_encoder(encoder)
            images = _encode(encoder, X)
            y = column_or_1d(y, warn=True)
            if len(y) != len(images):
                raise DataError(f"{len(images)} images came with {len(y)} labels.")
            self.n_features_in_ = images.values.shape[1]
        else:
            values, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
            y = column_or_1d(y, warn=True)
            images = _given(values, encoder)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError("a classifier needs at least 2 classes, and y holds 1 class.")
        labels = torch.from_numpy(places.astype(np.int64))
        seed = _seed(self.random_state)
        train, held = self._draw(images, labels, seed)
        frozen = self._frozen(encoder, images.select(train), labels[train])
        task = Task(frozen, images.select(train), labels[train], images.select(held), labels[held])
        self.tuned_: Any = method.fit(task, seed=seed)
        return self

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Logits (n, k), logit scale times similarity; with two classes the second's minus the first's."""
        logits = self._logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """softmax of the logits, (n, k); columns in the order of `classes_`."""
        return self._logits(X).softmax(dim=1).numpy()

    def predict(self, X: Any) -> Array:  # noqa: N803
        """The most likely class of each row."""
        places = self._logits(X).argmax(dim=1).numpy()
        predicted: Array = self.classes_[places]
        return predicted

    def _logits(self, X: Any) -> Float[Tensor, "n k"]:  # noqa: N803
        check_is_fitted(self)
        frozen: Frozen = self.tuned_.frozen
        if _is_paths(X):
            images = _encode(frozen.reader(), X)
        else:
            values = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
            images = _given(values, frozen.encoder)
            if images.values.dtype != frozen.class_features.dtype:
                images = _cast(images, frozen.class_features.dtype)
        evidence: Evidence = self.tuned_.evidence(images)
        return frozen.logit_scale * evidence.similarity

    def _build(self) -> TuneMethod:
        kind = registry.load("tune", self.method)
        options = dict(self.options or {})
        known = [field.name for field in fields(kind)]
        if unknown := sorted(set(options) - set(known)):
            raise DataError(
                f"{self.method} has no option {', '.join(unknown)}; "
                f"its options are: {', '.join(known) or 'none'}."
            )
        method: TuneMethod = kind(**options)
        return method

    def _draw(self, images: Features, labels: Int[Tensor, " n"], seed: int) -> tuple[list[int], list[int]]:
        """Rows to learn from and rows to choose settings on; equal images never on both sides."""
        shots, validation = self.shots, self.validation
        if validation is None:
            validation = 0 if shots is None else min(shots, 4)
        if shots is None and validation == 0:
            return list(range(len(images))), []
        drawn = draw_shots(
            labels.tolist(),
            images.hashes,
            shots=1 if shots is None else shots,
            validation=validation,
            seed=seed,
        )
        held = list(drawn.validation)
        if shots is not None:
            return list(drawn.train), held
        taken = {images.hashes[row] for row in held}
        return [row for row, hash in enumerate(images.hashes) if hash not in taken], held

    def _frozen(self, encoder: Encoder | None, train: Features, labels: Int[Tensor, " n"]) -> Frozen:
        names = self._names()
        if encoder is None:
            if self.class_names is not None:
                raise DataError("class_names needs an encoder that reads them; give one, or leave them out.")
            return Frozen(names, _class_means(train.values, labels), _SCALE, _ARRAYS)
        text = encode_classes(encoder, names, self.templates).to(train.values.dtype)
        return Frozen(
            names, text, encoder.logit_scale, encoder.spec.fingerprint, tuple(self.templates), encoder
        )

    def _names(self) -> tuple[str, ...]:
        classes = [str(label) for label in self.classes_]
        if self.class_names is None:
            return tuple(class_name(label) for label in classes)
        if isinstance(self.class_names, Mapping):
            names = {str(label): name for label, name in self.class_names.items()}
            if missing := [label for label in classes if label not in names]:
                raise DataError(f"class_names says nothing of {', '.join(missing[:10])}.")
            return tuple(names[label] for label in classes)
        if len(self.class_names) != len(classes):
            raise DataError(f"{len(self.class_names)} class_names came for {len(classes)} classes.")
        return tuple(self.class_names)


def _opened(encoder: Any) -> Encoder | None:
    if not isinstance(encoder, str):
        return encoder  # type: ignore[no-any-return]
    adapter, _, name = encoder.partition(":")
    opened: Encoder = registry.load("encoder", adapter).load(name)
    return opened


def _require_encoder(encoder: Encoder | None) -> None:
    if encoder is None:
        raise DataError('image paths need an encoder that reads them; say encoder="builtin" or another.')


def _is_paths(X: Any) -> bool:  # noqa: N803
    return isinstance(X, Sequence) and len(X) > 0 and all(isinstance(entry, str | Path) for entry in X)


def _encode(encoder: Any, paths: Sequence[str | Path]) -> Features:
    """Features of files; the id is the row, as a path may come twice."""
    rows = [
        LabelledImage(str(row), ImageReference(str(path), path=Path(path))) for row, path in enumerate(paths)
    ]
    features, bad = encode_images(encoder, rows)
    if bad:
        shown = "; ".join(f"{row.image}: {row.error}" for row in bad[:5])
        raise DataError(f"{len(bad)} of {len(rows)} images cannot be read: {shown}. Leave them out.")
    return features


def _given(embeddings: Array, encoder: Encoder | None) -> Features:
    """Embeddings as features: unit vectors, with a content hash each."""
    values = normalize(torch.tensor(embeddings))  # a copy: arrays may be read-only
    usable = is_usable(values)
    if not all(usable):
        raise DataError(
            f"{usable.count(False)} rows of X are zero and have no direction, the first is row "
            f"{usable.index(False)}; leave them out."
        )
    images = tuple(LabelledImage(str(row), ImageReference(str(row), data=b"")) for row in range(len(values)))
    hashes = tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in np.ascontiguousarray(embeddings))
    return Features(values, images, hashes, _ARRAYS if encoder is None else encoder.spec.fingerprint)


def _cast(images: Features, dtype: torch.dtype) -> Features:
    return Features(images.values.to(dtype), images.images, images.hashes, images.encoder)


def _class_means(values: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Float[Tensor, "k d"]:
    """norm(mean of the unit vectors of a class)."""
    members = torch.nn.functional.one_hot(labels).to(values.dtype)  # (n, k)
    return normalize(members.T @ values / members.sum(dim=0)[:, None])


def _seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
