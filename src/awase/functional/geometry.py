"""How the vectors of the two modalities lie: together, spread out, apart, in how many directions.

Alignment and uniformity after Wang and Isola 2020 (arXiv 2005.10242), the modality gap after Liang et al.
2022 (arXiv 2203.02053), the effective rank after Roy and Vetterli 2007. All are sums over blocks, accumulated
in float64. None changes under a rotation of both modalities. A small gap is not a wide margin: look at both.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError, ShapeError
from awase.functional.margins import wide

_SIDE = 2048  # rows and columns of a block
_NO_VARIANCE = 1e-12  # below this total variance only the rounding of float32 is left


def alignment(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    image_of_text: Int[Tensor, " m"] | None = None,
) -> float:
    """How far apart the two sides of a pair lie: mean ||u - w||^2 over pairs, in [0, 4], lower is closer.

    It is 2 - 2 mean cos, and the regulariser of `awase.functional.contrastive`.

    Args:
        image_features: unit vectors.
        text_features: unit vectors.
        image_of_text: row of each text's image; None where row i belongs to row i.

    Raises:
        ShapeError: the sides do not fit.
        DataError: there is no pair.

    Example:
        >>> import torch
        >>> alignment(torch.eye(2), -torch.eye(2))
        4.0
    """
    rows = len(text_features) if image_of_text is None else len(image_of_text)
    if rows != len(text_features) or (image_of_text is None and len(image_features) != rows):
        raise ShapeError(f"{len(image_features)} images do not fit {len(text_features)} texts.")
    _require_rows(text_features, 1)
    total = 0.0
    for start in range(0, rows, _SIDE):
        part = slice(start, start + _SIDE)
        images = image_features[part if image_of_text is None else image_of_text[part]]
        total += float((images.double() - text_features[part].double()).square().sum())
    return total / rows


def uniformity(
    features: Float[Tensor, "n d"],
    *,
    sharpness: float | int = 2.0,
    n_pairs: int | None = None,
    generator: torch.Generator | None = None,
    block_size: int | None = None,
) -> float:
    """How evenly vectors cover the sphere: log mean exp(-t ||u_i - u_j||^2) over i != j, lower is more even.

    0 where all are the same; -4 t at the very least.

    Args:
        features: unit vectors of one modality.
        sharpness: t, positive; 2 in the paper.
        n_pairs: None for all pairs, which costs n^2; else so many drawn at random.
        generator: source of that draw, required with n_pairs.
        block_size: rows and columns of a block; it changes values by rounding only.

    Raises:
        DataError: fewer than two vectors, n_pairs without a generator, or a number out of range.

    Example:
        >>> import torch
        >>> round(uniformity(torch.eye(3)), 6)  # all at squared distance 2
        -4.0
    """
    _require_rows(features, 2)
    if (
        not sharpness > 0
        or (n_pairs is not None and n_pairs < 1)
        or (block_size is not None and block_size < 1)
    ):
        raise DataError(
            "sharpness, n_pairs and block_size must be positive, "
            f"got {sharpness}, {n_pairs} and {block_size}."
        )
    if n_pairs is not None:
        return _uniformity_of_draw(features, sharpness, n_pairs, generator)
    n, step = len(features), block_size or _SIDE
    total = 0.0
    for start in range(0, n, step):
        rows = wide(features[start : start + step])
        for other in range(start, n, step):  # blocks on and above the diagonal: the rest mirrors them
            kernel = _kernel(rows @ wide(features[other : other + step]).T, sharpness)
            total += (
                float(kernel.sum() - kernel.diagonal().sum()) if other == start else 2 * float(kernel.sum())
            )
    return math.log(total / (n * (n - 1)))


def modality_gap(image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m d"]) -> float:
    """Distance between the means of the two modalities, in [0, 2].

    Args:
        image_features: unit vectors.
        text_features: unit vectors, in any number.

    Raises:
        DataError: a side is empty.
        ShapeError: the widths differ.

    Example:
        >>> import torch
        >>> modality_gap(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])) ** 2
        2.0000000000000004
    """
    if image_features.shape[1] != text_features.shape[1]:
        raise ShapeError(f"widths {image_features.shape[1]} and {text_features.shape[1]} differ.")
    return float((_mean(image_features) - _mean(text_features)).norm())


def effective_rank(features: Float[Tensor, "n d"]) -> float:
    """In how many directions vectors vary: exp(entropy of the eigenvalues of their covariance, as shares).

    Between 1 and the width; 0 where all vectors are the same.

    Args:
        features: of one modality.

    Raises:
        DataError: fewer than two vectors.

    Example:
        >>> import torch
        >>> round(effective_rank(torch.cat([torch.eye(3), -torch.eye(3)])), 6)
        3.0
    """
    spectrum = torch.linalg.eigvalsh(covariance(features)).clamp(min=0)
    if float(spectrum.sum()) < _NO_VARIANCE:
        return 0.0
    return math.exp(float(torch.special.entr(spectrum / spectrum.sum()).sum()))


def covariance(features: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Mean of (u - mean)(u - mean)' over the vectors, in float64.

    Raises:
        DataError: fewer than two vectors.

    Example:
        >>> import torch
        >>> covariance(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        tensor([[1., 0.],
                [0., 0.]], dtype=torch.float64)
    """
    _require_rows(features, 2)
    mean = _mean(features)
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for start in range(0, len(features), _SIDE):
        centred = features[start : start + _SIDE].double() - mean
        total += centred.T @ centred
    return total / len(features)


def _uniformity_of_draw(
    features: Tensor, sharpness: float | int, n_pairs: int, generator: torch.Generator | None
) -> float:
    if generator is None:
        raise DataError("n_pairs draws pairs at random; give the generator they are drawn with.")
    first = torch.randint(len(features), (n_pairs,), generator=generator)
    # never the row itself: a step of 1 .. n - 1 around the circle
    second = (first + torch.randint(1, len(features), (n_pairs,), generator=generator)) % len(features)
    total = 0.0
    for start in range(0, n_pairs, 65_536):
        some = slice(start, start + 65_536)
        cosine = (wide(features[first[some]]) * wide(features[second[some]])).sum(dim=1)
        total += float(_kernel(cosine, sharpness).sum())
    return math.log(total / n_pairs)


def _kernel(cosine: Tensor, sharpness: float | int) -> Tensor:
    """exp(-t ||u - v||^2) of unit vectors from their cosine."""
    return (-2 * sharpness * (1 - cosine.double())).exp()


def _mean(features: Tensor) -> Tensor:
    _require_rows(features, 1)
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for start in range(0, len(features), 65_536):
        total += features[start : start + 65_536].double().sum(dim=0)
    return total / len(features)


def _require_rows(features: Tensor, least: int) -> None:
    if len(features) < least:
        raise DataError(f"at least {least} vectors are needed, got {len(features)}.")
