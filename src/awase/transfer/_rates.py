"""What share of the other pairs of a data set are positives in truth: by labels, or by a proxy that is named.

    labels           the same label: p_k of Chen et al. 2024 (arXiv 2310.00927)
    equal_captions   exactly the same caption
    similar_captions text-text cosine of at least a threshold
    nouns            the same set of nouns (English, by the tagger of the extra `nlp`)
    outscored        cos_ij >= cos_ii: what the model itself takes for as good

Proxies compare a pair with those of other images: captions of one image are no negatives of each other in any
sampler that knows about them. Each has its error: two photos of one caption may differ in what it leaves out,
and `outscored` mixes false negatives with mistakes of the model.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from awase.errors import DataError, MissingExtraError
from awase.functional.false_negatives import frequencies
from awase.functional.margins import wide
from awase.registry import load
from awase.transfer._groups import label_groups
from awase.types import PairFeatures

PROXIES = ("labels", "equal_captions", "similar_captions", "nouns", "outscored")
_SIDE = 2048  # rows and columns of a block
_CLOSE = 1e-6  # cosines that differ by less are taken as equal: rounding


@dataclass(frozen=True, eq=False)
class Rates:
    """Chance that another pair is a positive, for each kind of anchor.

    Attributes:
        proxy: what says so.
        values: chances, in [0, 1].
        weights: how often each kind of anchor occurs; None where they are the chances themselves (labels).
        n: anchors they were taken from.
    """

    proxy: str
    values: Float[Tensor, " k"]
    weights: Float[Tensor, " k"] | None
    n: int


def false_negative_rates(
    pairs: PairFeatures,
    proxies: Sequence[str] = (),
    *,
    threshold: float = 0.95,
    block_size: int | None = None,
) -> tuple[list[Rates], list[str]]:
    """Rates by labels where there are any, else by every proxy that can be had.

    Args:
        pairs: at least two images.
        proxies: which to take instead, of `PROXIES`.
        threshold: of `similar_captions`, a cosine.
        block_size: rows and columns of a block of similarities.

    Returns:
        The rates, and notes on what was left out and why.

    Raises:
        DataError: there is no such proxy, one that was asked for cannot be had, or no proxy can.

    Example:
        >>> u = torch.eye(3)
        >>> pairs = PairFeatures(u, u, torch.arange(3), ("a", "b", "c"), captions=("a dog", "a dog", "a cat"))
        >>> false_negative_rates(pairs, ["equal_captions"])[0][0].values.tolist()
        [0.5, 0.5, 0.0]
    """
    for proxy in proxies:
        if proxy not in PROXIES:
            raise DataError(
                f"there is no proxy {proxy!r} of false negatives; there are {', '.join(PROXIES)}."
            )
    if len(pairs) < 2:
        raise DataError("false negatives need at least two images.")
    wanted = tuple(proxies) or (PROXIES[:1] if label_groups(pairs) is not None else PROXIES[1:])
    found: list[Rates] = []
    notes: list[str] = []
    for proxy in wanted:
        try:
            found.append(_rates(pairs, proxy, threshold, block_size or _SIDE))
        except (DataError, MissingExtraError) as error:
            if proxies:
                raise
            notes.append(f"Left out: the proxy {proxy} of false negatives. {error}")
    return found, notes


def _rates(pairs: PairFeatures, proxy: str, threshold: float, step: int) -> Rates:
    if proxy == "labels":
        groups = label_groups(pairs)
        if groups is None:
            raise DataError("False negatives by label need labels of at least two classes.")
        return Rates(proxy, frequencies(groups), None, len(groups))
    if proxy == "equal_captions":
        return _anchors(proxy, _equal(pairs, _captions(pairs)))
    if proxy == "nouns":
        return _anchors(proxy, _equal(pairs, _nouns(_captions(pairs))))
    if proxy == "similar_captions":
        if not -1 <= threshold <= 1:
            raise DataError(f"The threshold of similar captions is a cosine, got {threshold}.")
        return _anchors(proxy, _similar(pairs, threshold, step))
    return _anchors(proxy, _outscored(pairs, step))


def _anchors(proxy: str, rates: Tensor) -> Rates:
    """Every anchor counts alike."""
    return Rates(proxy, rates, torch.full_like(rates, 1 / len(rates)), len(rates))


def _captions(pairs: PairFeatures) -> tuple[str, ...]:
    if pairs.captions is None:
        raise DataError("There are no captions, only their vectors.")
    return pairs.captions


def _nouns(captions: Sequence[str]) -> list[Hashable]:
    """The set of nouns of each caption; a caption without nouns equals no other."""
    tagger = load("segmenter", "textblob")()
    found: list[Hashable] = []
    for row, caption in enumerate(captions):
        nouns = frozenset(caption[start:end].lower() for start, end in tagger.nouns(caption))
        found.append(nouns or row)
    if not any(isinstance(one, frozenset) for one in found):
        raise DataError("No English noun was found in the captions.")
    return found


def _equal(pairs: PairFeatures, keys: Sequence[Hashable]) -> Tensor:
    """Share of the texts of other images that have the same key."""
    owner = pairs.image_of_text.tolist()
    in_all = Counter(keys)
    in_own = Counter(zip(owner, keys, strict=True))
    same = [in_all[key] - in_own[image, key] for image, key in zip(owner, keys, strict=True)]
    return torch.tensor(same, dtype=torch.float64) / _others(pairs)


def _similar(pairs: PairFeatures, threshold: float, step: int) -> Tensor:
    owner, texts = pairs.image_of_text, pairs.text_features
    same = torch.zeros(len(texts), dtype=torch.float64)
    for rows in torch.split(torch.arange(len(texts)), step):
        for columns in torch.split(torch.arange(len(texts)), step):
            close = wide(texts[rows]) @ wide(texts[columns]).T >= threshold - _CLOSE
            same[rows] += (close & (owner[rows][:, None] != owner[columns][None, :])).sum(dim=1)
    return same / _others(pairs)


def _outscored(pairs: PairFeatures, step: int) -> Tensor:
    """Both directions, as anchors of their own: m pairs by their image, then m by their text.

    An image is compared with all texts of other images, a text with all other images.
    """
    owner, images, texts = pairs.image_of_text, pairs.image_features, pairs.text_features
    n, m = len(images), len(texts)
    by_image, by_text = torch.zeros(m, dtype=torch.float64), torch.zeros(m, dtype=torch.float64)
    for rows in torch.split(torch.arange(m), step):
        own_texts, own_images = wide(texts[rows]), wide(images[owner[rows]])
        limit = (own_texts * own_images).sum(dim=1)[:, None] - _CLOSE
        for columns in torch.split(torch.arange(m), step):
            is_other = owner[rows][:, None] != owner[columns][None, :]
            by_image[rows] += ((own_images @ wide(texts[columns]).T >= limit) & is_other).sum(dim=1)
        for columns in torch.split(torch.arange(n), step):
            is_other = owner[rows][:, None] != columns[None, :]
            by_text[rows] += ((own_texts @ wide(images[columns]).T >= limit) & is_other).sum(dim=1)
    return torch.cat([by_image / _others(pairs), by_text / (n - 1)])


def _others(pairs: PairFeatures) -> Tensor:
    """How many texts belong to other images."""
    counts = torch.bincount(pairs.image_of_text, minlength=len(pairs)).double()
    return len(pairs.text_features) - counts[pairs.image_of_text]
