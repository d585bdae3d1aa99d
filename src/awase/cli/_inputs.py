"""Which reader fits what the user named, through the registry: readers are never imported here."""

from itertools import islice
from pathlib import Path
from typing import Any, cast

from awase import registry
from awase.errors import DataError, MissingExtraError
from awase.protocols import PairDataset

# Asked after the others, since its library is optional and slow to import; `hf:` names it outright.
_LAST = "hf_datasets"
_HUB = "hf:"
_ACCEPTED = (
    "a table (CSV, TSV, JSON lines, Parquet; '-' for standard input), a folder of photos with .txt files or "
    "a metadata.csv, COCO captions JSON, WebDataset .tar shards, img2dataset output, hf:user/name, "
    "settings of a parts world (NAME.parts.json)"
)


def open_source(
    source: str,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    id_column: str | None = None,
    reader: str | None = None,
) -> PairDataset:
    """Pairs from a table, a folder, COCO captions, tar shards, a data set, or standard input (`-`).

    Args:
        source: a path, a pattern of shards, `hf:` with the name of a data set, or `-`.
        images: the folder that image names are relative to.
        image_column: name of the image column; None for the reader's usual names, likewise the next two.
        reader: name of the reader to use; None to take the first that fits.

    Raises:
        DataError: no reader fits; the message says what was seen and what is accepted.
        UnknownMethodError: there is no reader of this name.
        MissingExtraError: the reader needs a library that is not installed.
    """
    if reader is None and source.startswith(_HUB):
        reader = "hf_datasets"
    module = registry.load("reader", reader) if reader is not None else _first_that_fits(source)
    opened = module.open_pairs(
        source,
        images=images,
        image_column=image_column,
        caption_column=caption_column,
        id_column=id_column,
    )
    return cast(PairDataset, opened)


def _first_that_fits(source: str) -> Any:
    names = sorted(registry.names("reader"), key=lambda name: (name == _LAST, name))
    not_asked: list[str] = []
    for name in names:
        try:
            module = registry.load("reader", name)
        except MissingExtraError as error:
            not_asked.append(f" Not asked: {name}; {error}.")
            continue
        if module.fits(Path(source)):
            return module
    raise DataError(
        f"{source!r} is {seen(source)}, and no reader fits. Accepted: {_ACCEPTED}. "
        f"Name the reader with --reader {'|'.join(names)}.{''.join(not_asked)}"
    )


def seen(source: str) -> str:
    """What stands there, in a few words."""
    if "://" in source:
        return "a URL, and nothing is fetched"
    path = Path(source)
    try:
        if path.is_dir():
            inside = sorted({p.suffix or p.name for p in islice(path.iterdir(), 1000)})
            return f"a folder with {', '.join(inside[:8])}" if inside else "an empty folder"
        if path.is_file():
            return f"a file of {path.stat().st_size} bytes of an unknown kind"
        return "not a regular file" if path.exists() else "not there"
    except (OSError, ValueError) as error:
        return f"not readable ({error})"
