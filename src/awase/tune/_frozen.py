"""The model before tuning, seen through the names of its classes: zero-shot classification.

s_k = <f, t_k>,   t_k = norm(mean over templates of norm(E(template(name_k))))
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from awase.engine.prototypes import encode_classes
from awase.errors import DataError
from awase.protocols import Encoder
from awase.tune._prefix import PrefixCache
from awase.types import Evidence, Features


@dataclass(frozen=True, eq=False)
class Frozen:
    """An encoder with k classes; conforms to `awase.tune._protocol.Tuned` with nothing tuned.

    Attributes:
        class_names: the k names, as they are put into the templates.
        class_features: their unit vectors.
        logit_scale: the encoder's multiplier of cosines (100.0), never its logarithm.
        fingerprint: of the encoder that made the features.
        templates: prompts with one {} each.
        encoder: None where only vectors are at hand: methods that need a tower then refuse.
        prefix: what the image tower makes of photos before its attention, kept for methods that tune that;
            None makes them keep their own.
    """

    class_names: tuple[str, ...]
    class_features: Float[Tensor, "k d"]
    logit_scale: float
    fingerprint: str
    templates: tuple[str, ...] = ("a photo of a {}.",)
    encoder: Encoder | None = None
    prefix: PrefixCache | None = None

    @classmethod
    def of(cls, encoder: Encoder, class_names: Sequence[str], templates: Sequence[str]) -> "Frozen":
        """The zero-shot classifier of an encoder."""
        return cls(
            class_names=tuple(class_names),
            class_features=encode_classes(encoder, class_names, templates),
            logit_scale=encoder.logit_scale,
            fingerprint=encoder.spec.fingerprint,
            templates=tuple(templates),
            encoder=encoder,
        )

    @property
    def frozen(self) -> "Frozen":
        """Itself."""
        return self

    @property
    def n_parameters(self) -> int:
        return 0

    def features_of(self, class_names: Sequence[str] | None) -> Float[Tensor, "k d"]:
        """Unit vectors of its own classes (None) or of others by name.

        Raises:
            DataError: there is no encoder to read the names.
        """
        if class_names is None or tuple(class_names) == self.class_names:
            return self.class_features
        return encode_classes(self.reader(), class_names, self.templates)

    def reader(self) -> Encoder:
        """The encoder.

        Raises:
            DataError: there is none.
        """
        if self.encoder is None:
            raise DataError(
                "this needs the encoder itself, and only its vectors are at hand; name the encoder."
            )
        return self.encoder

    def require(self, images: Features) -> None:
        """Refuse features of another encoder.

        Raises:
            DataError: their fingerprints differ.
        """
        if images.encoder != self.fingerprint:
            raise DataError(
                f"these features are of encoder {images.encoder}, the model needs {self.fingerprint}; "
                "encode the images with the model's own encoder."
            )

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosines of images and classes."""
        self.require(images)
        return cosines(images.values, self.features_of(class_names), images.patches)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        self.require(images)
        return images.values

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.reader().encode_text(texts)


def cosines(
    image_features: Float[Tensor, "n d"],
    class_features: Float[Tensor, "k d"],
    patch_features: Float[Tensor, "n p d"] | None = None,
) -> Evidence:
    """Evidence of a model that compares images and classes by their cosine."""
    return Evidence(image_features @ class_features.T, image_features, class_features, patch_features)
