"""Class names to unit vectors, through prompt templates: the classifier of zero-shot."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError
from awase.functional.similarity import class_prototypes
from awase.protocols import TextEncoder


def class_name(label: str) -> str:
    """A class as a data set writes it, as it is to be read in a prompt: underscores become spaces.

    Example:
        >>> class_name("golden_retriever")
        'golden retriever'
    """
    return label.replace("_", " ").strip()


def encode_classes(
    encoder: TextEncoder, class_names: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "k d"]:
    """One unit vector a class.

    Args:
        encoder: reads the prompts, all in one call.
        class_names: as they are to be read (`class_name` makes them of labels); nothing is changed here.
        templates: prompts with one `{}` each; several are averaged.

    Raises:
        DataError: no classes, no templates, or a template without exactly one `{}`.

    Example:
        >>> from awase.registry import load
        >>> encode_classes(load("encoder", "tiny").load("0"), ["dog", "cat"], ["a photo of a {}."]).shape
        torch.Size([2, 24])
    """
    if not class_names or not templates:
        raise DataError(
            f"got {len(class_names)} class names and {len(templates)} templates; one of each is needed."
        )
    for template in templates:
        if template.count("{}") != 1:
            raise DataError(f"a template needs exactly one {{}} for the class name, got {template!r}.")
    prompts = [template.replace("{}", name) for name in class_names for template in templates]
    features = encoder.encode_text(prompts)  # (k * t, d)
    return class_prototypes(features.reshape(len(class_names), len(templates), -1))
