"""Pairs of a data set, sorted out for training: each photo once, who belongs to whom, what is the same thing.

Rows that cannot be read are set aside with their error codes. Equal bytes are one photo, whatever their
names.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.engine.features import encode_images
from awase.engine.texts import encode_texts
from awase.errors import DataError, RowError
from awase.protocols import Encoder, FeatureStore, TokenEncoder
from awase.tune.pairs._images import checked
from awase.types import BadRow, ImageReference, LabelledImage, Pair

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, eq=False)
class PairRows:
    """The readable pairs of one split.

    Attributes:
        pairs: in the order of the data.
        images: the photos, each once.
        hashes: their content hashes.
        image_of_text: number of each pair's photo.
        image_features: unit vectors of the photos; None where they were not asked for.
        text_features: unit vectors of the captions; None likewise.
        bad: rows that were set aside.
    """

    pairs: tuple[Pair, ...]
    images: tuple[ImageReference, ...]
    hashes: tuple[str, ...]
    image_of_text: Int[Tensor, " m"]
    image_features: Float[Tensor, "n d"] | None
    text_features: Float[Tensor, "m d"] | None
    bad: tuple[BadRow, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def captions(self) -> tuple[str, ...]:
        return tuple(pair.caption for pair in self.pairs)

    def groups(self, by: str) -> Int[Tensor, " m"]:
        """Equal numbers for pairs that are the same thing.

        Args:
            by: `image` (one photo, and rows whose `group` is equal), `label` or `caption`.

        Raises:
            DataError: a pair has no label.
        """
        keys: list[tuple[str, str]] = []
        for pair, image in zip(self.pairs, self.image_of_text.tolist(), strict=True):
            if by == "label":
                if pair.label is None:
                    raise DataError(
                        f"pair {pair.id} has no label to group by; give the data a column label, or group by "
                        "image."
                    )
                keys.append(("label", pair.label))
            elif by == "caption":
                keys.append(("caption", " ".join(pair.caption.casefold().split())))
            else:
                keys.append(("image", self.hashes[image]) if pair.group is None else ("group", pair.group))
        place: dict[tuple[str, str], int] = {}
        return torch.tensor([place.setdefault(key, len(place)) for key in keys], dtype=torch.long)


def read_rows(
    encoder: Encoder,
    rows: Iterable[Pair | BadRow],
    *,
    split: str | None,
    image_features: bool,
    text_features: bool,
    batch_size: int = 64,
    workers: int = 2,
    store: FeatureStore | None = None,
    texts: Path | None = None,
    progress: Progress | None = None,
) -> PairRows:
    """The pairs of a split.

    Args:
        encoder: the model before training.
        rows: of all splits.
        split: only pairs of this split; None for all. Bad rows carry no split and are all listed.
        image_features: whether the photos are encoded now; else they are only looked at.
        text_features: whether the captions are.
        batch_size: photos at a time.
        workers: threads that read them.
        store: where photo vectors are kept, see `stream_images`.
        texts: folder where caption vectors are kept, see `encode_texts`.
        progress: told of photos done and in all.

    Raises:
        DataError: no pair can be read.
    """
    everything = list(rows)
    bad = [row for row in everything if isinstance(row, BadRow)]
    pairs = [row for row in everything if isinstance(row, Pair) and (split is None or row.split == split)]
    references = list(dict.fromkeys(pair.image for pair in pairs))
    vectors = None
    if image_features:
        vectors, found = _encoded(encoder, references, batch_size, workers, store, progress)
    else:
        found = checked(references, workers=workers, progress=progress)
    answers: list[str | RowError] = found
    of_reference = dict(zip(references, answers, strict=True))
    good = _with_images(pairs, of_reference, bad)
    features, good = _texts(encoder, good, bad, text_features, texts)
    if not good:
        raise DataError(_nothing(split, bad))
    place: dict[str, int] = {}
    first: list[int] = []
    number = {reference: i for i, reference in enumerate(references)}
    owners = []
    for pair in good:
        digest = str(of_reference[pair.image])
        if digest not in place:
            place[digest] = len(first)
            first.append(number[pair.image])
        owners.append(place[digest])
    return PairRows(
        pairs=tuple(good),
        images=tuple(references[i] for i in first),
        hashes=tuple(place),
        image_of_text=torch.tensor(owners),
        image_features=None if vectors is None else vectors[first],
        text_features=features,
        bad=tuple(bad),
    )


def split_names(rows: Iterable[Pair | BadRow]) -> Mapping[str | None, int]:
    """Pairs by split; None where a row names none."""
    return Counter(row.split for row in rows if isinstance(row, Pair))


def _encoded(
    encoder: Encoder,
    references: Sequence[ImageReference],
    batch_size: int,
    workers: int,
    store: FeatureStore | None,
    progress: Progress | None,
) -> tuple[Float[Tensor, "n d"], list[str | RowError]]:
    """Vectors of all photos (rows of zeros where one failed) and what `checked` says of each."""
    rows = [LabelledImage(str(i), reference) for i, reference in enumerate(references)]
    features, failed = encode_images(
        encoder, rows, batch_size=batch_size, workers=workers, store=store, progress=progress
    )
    vectors = torch.zeros(len(rows), features.values.shape[1])
    answers: list[str | RowError] = [RowError("bad_row", "not read")] * len(rows)
    for row in failed:
        answers[int(row.id)] = RowError(row.error_code, row.error)
    for value, image, digest in zip(features.values, features.images, features.hashes, strict=True):
        vectors[int(image.id)] = value
        answers[int(image.id)] = digest
    return vectors, answers


def _with_images(
    pairs: Sequence[Pair], found: Mapping[ImageReference, str | RowError], bad: list[BadRow]
) -> list[Pair]:
    good = []
    for pair in pairs:
        answer = found[pair.image]
        if isinstance(answer, RowError):
            bad.append(BadRow(pair.id, pair.image.name, pair.caption, answer.code, str(answer)))
        else:
            good.append(pair)
    return good


def _texts(
    encoder: Encoder, pairs: list[Pair], bad: list[BadRow], wanted: bool, folder: Path | None
) -> tuple[Float[Tensor, "m d"] | None, list[Pair]]:
    """Vectors of the captions where they are wanted, and the pairs whose captions can be read."""
    if not pairs:
        return None, pairs
    try:
        return _read_texts(encoder, pairs, wanted, folder), pairs
    except RowError:
        good = []
        for pair in pairs:
            try:
                _read_texts(encoder, [pair], False, None)
            except RowError as error:
                bad.append(BadRow(pair.id, pair.image.name, pair.caption, error.code, str(error)))
            else:
                good.append(pair)
        return (_read_texts(encoder, good, wanted, folder) if good else None), good


def _read_texts(
    encoder: Encoder, pairs: Sequence[Pair], wanted: bool, folder: Path | None
) -> Float[Tensor, "m d"] | None:
    captions = [pair.caption for pair in pairs]
    if wanted:
        return encode_texts(encoder, captions, folder=folder).cpu()
    if isinstance(encoder, TokenEncoder):
        encoder.tokenize(captions)
    else:
        encoder.encode_text(captions)
    return None


def _nothing(split: str | None, bad: Sequence[BadRow]) -> str:
    where = "the data" if split is None else f"split {split!r} of the data"
    why = f"; the first of {len(bad)} bad rows says: {bad[0].error}" if bad else ""
    return f"{where} holds no pair that can be read{why}."
