"""NegLabel: known classes against thousands of words that mean something else (arXiv 2403.20078).

    score = 1/G sum_g A / (A + B_g)
    A = sum over the known texts of exp(s / temperature),   B_g = the same over the words of group g

The words are WordNet's nouns ("the nice {}", as the known classes) and adjectives ("This is a {} photo"). Of
each part of speech the 15 % stay whose 95th-percentile cosine to the known texts is lowest. They are shuffled
and cut into G equal groups; the remainder is dropped. Before that, proper nouns go, and words that mean a
known class or a kind of one (NegRefine, arXiv 2507.09795): as negatives they would push known images out.

Works with one class. With the paper's template it reads image features alone; with `template=None` the known
side is what the model says, tuned or not, and the nouns are put into the model's own template.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.engine.prototypes import encode_classes
from awase.engine.texts import Progress, encode_texts
from awase.errors import DataError
from awase.ood._lexicon import key, open_wordnet
from awase.ood._protocol import HIGHER_MEANS, Known
from awase.ood._rows import blocks, finite, require_classes, wide
from awase.ood._softmax import log_sum_exp, require_temperature
from awase.ood.mahalanobis import require_width
from awase.protocols import TextEncoder
from awase.types import Evidence


def group_scores(
    id_values: Float[Tensor, "b k"], negative_values: Float[Tensor, "b g s"]
) -> Float[Tensor, " b"]:
    """Share of the known texts, mean over the g groups; both sides are cosines over the temperature.

    In logarithms, so that no exponential overflows or vanishes. No negatives give 1.

    Example:
        >>> import torch
        >>> group_scores(torch.zeros(1, 3), torch.zeros(1, 2, 3))
        tensor([0.5000], dtype=torch.float64)
    """
    n, g, s = negative_values.shape
    if g * s == 0:
        return torch.ones(n, dtype=torch.float64, device=id_values.device)
    negatives = log_sum_exp(negative_values.reshape(n * g, s)).reshape(n, g)
    return (log_sum_exp(id_values)[:, None] - negatives).sigmoid_().mean(dim=1)


def farthest(
    candidates: Float[Tensor, "m d"],
    class_features: Float[Tensor, "k d"],
    *,
    percentile: float,
    share: float,
) -> Int[Tensor, " c"]:
    """Rows of the candidates farthest from the classes: lowest `percentile` of cosines, ties to the first.

    Example:
        >>> import torch
        >>> farthest(torch.eye(3), torch.eye(3)[:2], percentile=0.95, share=0.3)
        tensor([2])
    """
    near = candidates.new_empty(len(candidates))
    for rows in blocks(len(candidates), len(class_features), elements=2**20):
        near[rows] = (candidates[rows] @ class_features.T).quantile(percentile, dim=1)
    keep = max(1, round(share * len(candidates)))
    return near.argsort(stable=True)[:keep]


@dataclass(frozen=True, eq=False)
class NegLabelScorer:
    """Share of the known texts among known and other words, in (0, 1); fitted.

    Attributes:
        temperature: divides cosines.
        groups: how many groups the negatives are cut into, in their order.
        n_dropped: negatives left over by that.
        class_features: unit vectors of the known texts; no rows where the model's own similarities are meant.
        negatives: unit vectors of the other words.
        words: the words.
    """

    higher_means: ClassVar[str] = HIGHER_MEANS
    needs_patches: ClassVar[bool] = False
    temperature: float | int
    groups: int
    n_dropped: int
    class_features: Float[Tensor, "k d"] = field(repr=False)
    negatives: Float[Tensor, "m d"] = field(repr=False)
    words: tuple[str, ...] = field(repr=False)

    def score(self, evidence: Evidence) -> Float[Tensor, " n"]:
        """One score a row.

        Raises:
            DataError: no classes, or a NaN.
            ShapeError: features of another model.
        """
        require_classes(evidence.similarity.shape[1], 1)
        features = evidence.image_features
        require_width(features, self.negatives)
        scores = torch.empty(len(features), dtype=torch.float64, device=features.device)
        for rows in blocks(len(features), len(self.negatives), elements=2**21):
            # divided here, where a row has d numbers, and not after the product, where it has m
            scaled = features[rows].to(self.negatives) / self.temperature  # (b, d)
            if len(self.class_features):
                known = scaled @ self.class_features.T  # (b, k)
            else:
                known = wide(evidence.similarity[rows]) / self.temperature
            negatives = (scaled @ self.negatives.T).reshape(len(scaled), self.groups, -1)
            scores[rows] = group_scores(known, negatives)
        return finite(scores)


@dataclass(frozen=True)
class NegLabel:
    """Chooses words far from the known classes. Needs an encoder and the class names, no images.

    Args:
        temperature: divides cosines; 0.01, CLIP's own.
        template: one {} for known classes and nouns. None: the known side is the model's own similarity.
        adjective_template: one {} for adjectives.
        share: of the candidates of each part of speech that stay, in (0, 1].
        percentile: of a candidate's cosines to the known texts, in [0, 1].
        groups: how many groups; fewer where there are fewer words.
        seed: of the shuffling.
        wordnet: folder of WordNet's database; None looks where it usually lies.
        nouns: candidates instead of WordNet's nouns; then kinds of classes are not looked for.
        adjectives: candidates instead of WordNet's adjectives. Where one of the two is given, the other is
            empty unless given too.
        cache: folder for the texts' vectors; None for the user's cache folder.

    Example:
        >>> from awase.registry import load
        >>> tiny = load("encoder", "tiny").load("0")
        >>> images = tiny.encode_text(["a dog", "a house"])
        >>> evidence = Evidence(images[:, :1] * 0, images, images[:1])
        >>> known = Known(evidence, torch.tensor([0, 0]), ["dog"], tiny, "a {}")
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as cache:
        ...     method = NegLabel(nouns=("house", "tree", "Dog"), share=1.0, cache=cache)
        ...     scorer = method.fit(known)
        >>> scorer
        NegLabelScorer(temperature=0.01, groups=2, n_dropped=0)
    """

    scorer: ClassVar[type] = NegLabelScorer
    needs_patches: ClassVar[bool] = False
    needs_images: ClassVar[bool] = False
    temperature: float | int = 0.01
    template: str | None = "the nice {}"
    adjective_template: str = "This is a {} photo"
    share: float | int = 0.15
    percentile: float | int = 0.95
    groups: int = 100
    seed: int = 0
    wordnet: str | None = None
    nouns: tuple[str, ...] | None = None
    adjectives: tuple[str, ...] | None = None
    cache: str | None = None

    def fit(self, known: Known, *, progress: Progress | None = None) -> NegLabelScorer:
        """The negatives for these classes. The vectors of all candidates are kept for other classes.

        Args:
            known: its class names and encoder are read, and its template where `template` is None.
            progress: called with texts encoded and texts in all, for each part of speech.

        Raises:
            DataError: no encoder, no WordNet, no candidates that are not known classes, or a setting out of
                its range.
        """
        template = known.template if self.template is None else self.template
        self._require(template)
        encoder = _encoder(known)
        nouns, adjectives, covered = self._candidates(known.class_names)
        classes = known.evidence.class_features
        if self.template is not None:
            classes = encode_classes(encoder, known.class_names, [template])
        words: list[str] = []
        vectors = []
        for candidates, prompt in ((nouns, template), (adjectives, self.adjective_template)):
            fitting = [row for row, word in enumerate(candidates) if key(word) not in covered]
            if fitting:
                # all candidates, also those that mean a class here: the file then serves any classes
                prompts = [prompt.replace("{}", word) for word in candidates]
                folder = None if self.cache is None else Path(self.cache)
                features = encode_texts(encoder, prompts, folder=folder, progress=progress)[fitting]
                kept = farthest(
                    features, classes.float(), percentile=float(self.percentile), share=float(self.share)
                )
                words += [candidates[fitting[row]] for row in kept.tolist()]
                vectors.append(features[kept])
        if not words:
            raise DataError(
                "no candidate word is left that does not mean a known class; give other nouns or adjectives."
            )
        own = classes.float() if self.template is not None else classes.new_zeros(0, classes.shape[1]).float()
        return self._grouped(own, torch.cat(vectors), words)

    def _grouped(
        self, class_features: Float[Tensor, "k d"], vectors: Float[Tensor, "m d"], words: Sequence[str]
    ) -> NegLabelScorer:
        """Shuffled, cut to a multiple of the number of groups."""
        groups = min(self.groups, len(words))
        order = torch.randperm(len(words), generator=torch.Generator().manual_seed(self.seed))
        order = order[: len(words) // groups * groups]
        return NegLabelScorer(
            temperature=self.temperature,
            groups=groups,
            n_dropped=len(words) - len(order),
            class_features=class_features,
            negatives=vectors[order].float(),
            words=tuple(words[row] for row in order.tolist()),
        )

    def _candidates(self, class_names: Iterable[str]) -> tuple[Sequence[str], Sequence[str], frozenset[str]]:
        """Nouns, adjectives, and the words that are known classes."""
        if self.nouns is not None or self.adjectives is not None:
            return self.nouns or (), self.adjectives or (), frozenset(map(key, class_names))
        wordnet = open_wordnet(self.wordnet)
        return wordnet.common_nouns(), wordnet.plain_adjectives(), wordnet.covered_by(class_names)

    def _require(self, template: str) -> None:
        require_temperature(self.temperature)
        if not (0 < self.share <= 1 and 0 <= self.percentile <= 1 and self.groups >= 1):
            raise DataError(
                f"share must lie in (0, 1], percentile in [0, 1] and groups be at least 1, got {self.share}, "
                f"{self.percentile} and {self.groups}; the paper uses 0.15, 0.95 and 100."
            )
        for prompt in (template, self.adjective_template):
            if prompt.count("{}") != 1:
                raise DataError(f"a template needs exactly one {{}} for the word, got {prompt!r}.")


def _encoder(known: Known) -> TextEncoder:
    if known.encoder is None or not known.class_names:
        raise DataError(
            "neglabel encodes words: it needs the encoder itself and the names of the classes; "
            "name the encoder."
        )
    return known.encoder


METHOD = NegLabel
