"""What `awase transfer retrieve` does: photos and captions in, ranks both ways and their figures out."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from awase.cli._criteria import all_met, read_criteria
from awase.cli._encoders import open_encoder
from awase.cli._inputs import open_source
from awase.cli._progress import progress_bar
from awase.cli._transfer_output import show_measurement, write_measurement
from awase.cli.transfer_retrieve import Options
from awase.engine.feature_files import open_pair_features, write_pair_features
from awase.engine.pairs import encode_pairs
from awase.errors import DataError
from awase.functional.top_k import top_k
from awase.report.measurement import CardTable
from awase.report.transfer_wording import phrase
from awase.transfer._retrieve import Retrieval, retrieve, worst
from awase.transfer._retrieve_rows import caption_rows, image_rows
from awase.types import BadRow, Language, PairFeatures

_LONGEST = 120  # characters of a caption on the card


@dataclass(frozen=True)
class _Read:
    """What is measured on, and what repeats the reading."""

    pairs: PairFeatures
    bad: tuple[BadRow, ...]
    facts: Mapping[str, Any]


def run(options: Options) -> int:
    """Measure and write; 1 when a figure misses its limit, 3 when rows could not be read."""
    started = time.monotonic()
    criteria = read_criteria(options.at_least, options.at_most)
    ks = tuple(sorted(set(options.at or (1, 5, 10))))
    if (options.data is None) == (options.features is None):
        raise DataError("give DATA (photos and captions) or vectors with --features FILE, one of the two.")
    read = _of_file(options) if options.data is None else _of_data(options, options.data)
    if options.save_features is not None:
        write_pair_features(options.save_features.expanduser(), read.pairs)
    found = retrieve(read.pairs, ks=ks, n_replicates=options.replicates, seed=options.seed)
    provenance = {
        "verb": "transfer retrieve",
        **read.facts,
        "counts": {
            "images": len(read.pairs),
            "captions": len(read.pairs.text_features),
            "failed": len(read.bad),
        },
        "settings": {"k": ks, "replicates": options.replicates, "seed": options.seed},
    }
    _write(options, read, found, {**provenance, "seconds": round(time.monotonic() - started, 3)})
    if not all_met(criteria, {estimate.name: estimate.value for estimate in found.estimates}):
        return 1
    return 3 if read.bad else 0


def _of_file(options: Options) -> _Read:
    path = str(options.features)
    for flag, value in (("--split", options.split), ("--images", options.images)):
        if value is not None:
            raise DataError(f"{flag} belongs to DATA; a file of vectors has none of it.")
    if options.features is None:
        raise AssertionError("a file was named")
    pairs = open_pair_features(options.features.expanduser())
    encoder = {"fingerprint": pairs.encoder or None, "logit_scale": pairs.logit_scale}
    return _Read(pairs, (), {"encoder": encoder, "data": {"features": path}})


def _of_data(options: Options, data: str) -> _Read:
    dataset = open_source(
        data,
        images=options.images,
        image_column=options.image_column,
        caption_column=options.caption_column,
        reader=options.reader,
    )
    encoder = open_encoder(
        options.encoder,
        device=options.device.value,
        dtype=options.dtype.value,
        revision=options.revision,
        offline=options.offline,
        cache=options.cache,
    )
    with progress_bar("reading", quiet=options.quiet, unit="images") as progress:
        pairs, bad = encode_pairs(
            encoder,
            dataset,
            split=options.split,
            batch_size=options.batch_size,
            workers=options.workers,
            progress=progress,
        )
    facts = {
        "encoder": {
            **asdict(encoder.spec),
            "fingerprint": encoder.spec.fingerprint,
            "logit_scale": encoder.logit_scale,
        },
        "data": {
            "source": data,
            "images": options.images,
            "split": options.split,
            "fingerprint": dataset.fingerprint(),
        },
    }
    return _Read(pairs, tuple(bad), facts)


def _write(options: Options, read: _Read, found: Retrieval, provenance: Mapping[str, Any]) -> None:
    language: Language = options.lang.value
    pairs, notes = read.pairs, list(found.notes)
    if read.bad:
        codes = ", ".join(f"{code} {n}" for code, n in Counter(row.error_code for row in read.bad).items())
        notes.append(f"Rows that could not be read and count for nothing: {len(read.bad)} ({codes}).")
    images, texts = pairs.image_features, pairs.text_features
    of_images = top_k(images, texts, k=options.top) if options.top else None
    of_texts = top_k(texts, images, k=options.top) if options.top else None
    written = write_measurement(
        options.output,
        title=phrase("retrieve_title", language),
        estimates=found.estimates,
        charts=found.charts,
        notes=notes,
        provenance=provenance,
        language=language,
        tables=(
            ("images", image_rows(pairs, found, top=of_images)),
            ("captions", caption_rows(pairs, found, bad=read.bad, top=of_texts)),
        ),
        sections=_worst(pairs, found, options.examples, language),
    )
    show_measurement(
        written, options.output, estimates=found.estimates, json_only=options.json, quiet=options.quiet
    )


def _worst(pairs: PairFeatures, found: Retrieval, n: int, language: Language) -> list[CardTable]:
    """The queries whose right answer stands furthest behind, with what stood first."""
    captions = pairs.captions or tuple(map(str, range(len(pairs.text_features))))
    owners = pairs.image_of_text.tolist()
    place, score = phrase("place", language), phrase("right_and_first_score", language)
    sections = []
    texts = found.found.text_to_image
    head = ("caption", "photo", "first_photo")
    rows = [
        (
            _short(captions[row]),
            pairs.images[owners[row]],
            pairs.images[int(texts.first[row])],
            str(int(texts.ranks[row]) + 1),
            f"{float(texts.right_scores[row]):.3f} / {float(texts.first_scores[row]):.3f}",
        )
        for row in worst(texts, n=n)
    ]
    sections.append(("worst_captions", head, rows))
    images = found.found.image_to_text
    head = ("photo", "best_caption", "first_caption")
    rows = [
        (
            pairs.images[row],
            _short(captions[int(images.right[row])]),
            _short(captions[int(images.first[row])]),
            str(int(images.ranks[row]) + 1),
            f"{float(images.right_scores[row]):.3f} / {float(images.first_scores[row]):.3f}",
        )
        for row in worst(images, n=n)
    ]
    sections.append(("worst_photos", head, rows))
    return [
        CardTable(
            phrase(title, language), (*(phrase(name, language) for name in names), place, score), tuple(cells)
        )
        for title, names, cells in sections
        if cells
    ]


def _short(caption: str) -> str:
    return caption if len(caption) <= _LONGEST else caption[:_LONGEST] + " …"
