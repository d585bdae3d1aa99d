"""Class names to unit vectors through chosen prompts: weighted templates, and several wordings of a class.

    t_k = norm( sum_j w_kj mean over wordings c of k of norm(E(template_j(c))) )

Without weights and with one wording a class this is `engine.prototypes.encode_classes`, to the last bit.
Templates of weight zero are not read at all.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from awase.engine.prototypes import encode_classes
from awase.errors import DataError
from awase.protocols import TextEncoder
from awase.transfer._mixture import convex, mixture
from awase.transfer._templates import Prompts

_AT_ONCE = 2048  # prompts in one call: a thousand classes under thirty templates need not be one batch


def class_vectors(
    encoder: TextEncoder,
    class_names: Sequence[str],
    prompts: Prompts,
    *,
    labels: Sequence[str] | None = None,
) -> Float[Tensor, "k d"]:
    """One unit vector a class.

    Args:
        encoder: reads the prompts, all in one call.
        class_names: as they are to be read where `prompts` has no wordings for a class.
        prompts: templates, with weights and wordings where there are any.
        labels: the keys of `prompts.wordings` and `prompts.class_weights`; None for the class names.

    Raises:
        DataError: no classes or templates, a template without exactly one `{}`, labels that do not fit the
            names, or weights that do not fit the templates.

    Example:
        >>> from awase.registry import load
        >>> tiny = load("encoder", "tiny").load("0")
        >>> two = Prompts(("a photo of a {}.", "{}"), weights=(3.0, 1.0))
        >>> class_vectors(tiny, ["dog", "cat"], two).shape
        torch.Size([2, 24])
    """
    keys = tuple(class_names if labels is None else labels)
    if len(keys) != len(class_names):
        raise DataError(f"{len(keys)} labels came with {len(class_names)} class names.")
    wordings = [prompts.wordings.get(key) or (name,) for key, name in zip(keys, class_names, strict=True)]
    if prompts.weights is None and not prompts.class_weights and all(len(words) == 1 for words in wordings):
        return encode_classes(encoder, [words[0] for words in wordings], prompts.templates)
    weights = _weights(prompts, keys)
    read = (weights > 0).any(dim=0).nonzero()[:, 0].tolist()
    templates = [prompts.templates[j] for j in read]
    return mixture(mean_prompts(encoder, wordings, templates), weights[:, read])


def mean_prompts(
    encoder: TextEncoder, wordings: Sequence[Sequence[str]], templates: Sequence[str]
) -> Float[Tensor, "k t d"]:
    """For every class and template the mean of the unit vectors of its wordings; a unit vector where there
    is one wording.

    Raises:
        DataError: as `encode_prompts`.

    Example:
        >>> from awase.registry import load
        >>> mean_prompts(load("encoder", "tiny").load("0"), [["dog", "hound"], ["cat"]], ["a {}."]).shape
        torch.Size([2, 1, 24])
    """
    values = encode_prompts(encoder, wordings, templates)
    return torch.stack([of_class.mean(dim=0) if len(of_class) > 1 else of_class[0] for of_class in values])


def encode_prompts(
    encoder: TextEncoder, wordings: Sequence[Sequence[str]], templates: Sequence[str]
) -> list[Float[Tensor, "_ t d"]]:
    """For every class the unit vectors of its wordings under each template; equal prompts are read once.

    Args:
        encoder: reads the prompts, some thousand at a time.
        wordings: of each class, one at least.
        templates: with one `{}` each.

    Raises:
        DataError: a class without a wording, no classes or templates, or a template without exactly one `{}`.

    Example:
        >>> from awase.registry import load
        >>> tiny = load("encoder", "tiny").load("0")
        >>> vectors = encode_prompts(tiny, [["dog", "hound"], ["cat"]], ["a {}."])
        >>> [tuple(of_class.shape) for of_class in vectors]
        [(2, 1, 24), (1, 1, 24)]
    """
    if not all(wordings):
        raise DataError("every class needs a wording that the model reads, and one has none.")
    flat = list(dict.fromkeys(word for words in wordings for word in words))
    place = {word: row for row, word in enumerate(flat)}
    features = _each(encoder, flat, templates)  # (words, t, d)
    return [features[[place[word] for word in words]] for words in wordings]


def _each(encoder: TextEncoder, words: Sequence[str], templates: Sequence[str]) -> Float[Tensor, "w t d"]:
    prompts = [template.replace("{}", word) for word in words for template in templates]
    for template in templates:
        if template.count("{}") != 1:
            raise DataError(f"a template needs exactly one {{}} for the class name, got {template!r}.")
    if not prompts:
        raise DataError(
            f"got {len(words)} class names and {len(templates)} templates; one of each is needed."
        )
    parts = [
        encoder.encode_text(prompts[start : start + _AT_ONCE]) for start in range(0, len(prompts), _AT_ONCE)
    ]
    return torch.cat(parts).reshape(len(words), len(templates), -1)


def _weights(prompts: Prompts, keys: Sequence[str]) -> Float[Tensor, "k t"]:
    """Rows that sum to 1: of the class where it has its own, else of all."""
    t = len(prompts.templates)
    shared = prompts.weights if prompts.weights is not None else (1.0,) * t
    rows = [prompts.class_weights.get(key, shared) for key in keys]
    if any(len(row) != t for row in rows):
        raise DataError(f"there must be one weight for each of the {t} templates.")
    return convex(torch.tensor(rows, dtype=torch.float32))
