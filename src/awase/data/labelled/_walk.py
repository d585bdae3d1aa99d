"""The photos of a folder and everything below, in sorted order, a folder at a time.

Hidden files and what unpacking a Mac's archive leaves (`__MACOSX`) are passed over; linked folders are not
entered. A file is a photo by its name here; what it holds is found out when it is read.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from awase import images
from awase.data._rows import Record
from awase.errors import DataError, RowError
from awase.types import ImageReference

# not read, but photos all the same: each gets a row that says so
_OTHERS = frozenset({".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".jxl", ".psd", ".svg"})
_NO_FOLDERS = frozenset({"__MACOSX"})
_LOOKED_AT = 10_000
_COUNTED = 200_000  # photos; beyond that, counting takes longer than a progress bar is worth


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in one folder, sorted: names of the folders and of the photos; an error where it is shut."""

    folders: tuple[str, ...]
    photos: tuple[str, ...]
    error: RowError | None = None


def listing(place: Path) -> Listing:
    """The visible folders and photos of a folder."""
    folders, photos = [], []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif is_photo(entry.name) and not _leads_to_folder(entry):
                    photos.append(entry.name)
    except OSError as error:
        problem = RowError("unreadable_image", f"the folder cannot be listed: {error.strerror}.")
        return Listing((), (), problem)
    return Listing(tuple(sorted(set(folders) - _NO_FOLDERS)), tuple(sorted(photos)))


def walk(folder: Path) -> Iterator[tuple[Path, Listing]]:
    """Every folder from `folder` on with what lies in it, without recursion: trees may be deep."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        found = listing(place)
        yield place, found
        waiting.extend(place / name for name in reversed(found.folders))


def photo_records(folder: Path, root: Path) -> Iterator[tuple[tuple[str, ...], Record]]:
    """Every photo with the names of the folders it lies in, and every folder that cannot be listed.

    Args:
        folder: where to look.
        root: the folder that a linked photo may not lead out of.
    """
    for place, found in walk(folder):
        below = tuple(images.readable(part) for part in place.relative_to(folder).parts)
        if found.error is not None:
            shown = "/".join(below) or images.readable(folder.name)
            yield below, Record(shown, image=shown, error=found.error)
        for name in found.photos:
            shown = "/".join((*below, images.readable(name)))
            yield below, _record(place / name, shown, root)


def has_photos(folder: Path) -> bool:
    """Whether there are photos at any depth, among the first ten thousand folders."""
    return any(found.photos for _, found in islice(walk(folder), _LOOKED_AT))


def count_photos(folder: Path) -> int | None:
    """How many photos there are, None where there are very many."""
    total = 0
    for _, found in walk(folder):
        total += len(found.photos) + (found.error is not None)
        if total > _COUNTED:
            return None
    return total


def hash_names(folder: Path) -> str:
    """Hash of the names of the photos; repairing one leaves it as it is, since the rows stay the same."""
    digest = hashlib.blake2b(digest_size=16)
    for place, found in walk(folder):
        for name in found.photos:
            relative = (place / name).relative_to(folder).as_posix()
            digest.update(f"{relative}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def require_folder(source: str | Path) -> Path:
    """The folder of this name.

    Raises:
        DataError: there is none.
    """
    folder = Path(source)
    if not folder.is_dir():
        seen = "is a file" if folder.exists() else "is not there"
        raise DataError(f"{images.readable(str(source))}: a folder of photos is expected, and this {seen}.")
    return folder


def refuse_columns(source: str | Path, **columns: str | None) -> None:
    """Pass where no column is named: a folder has none.

    Raises:
        DataError: one is, by `--image-column` or the like.
    """
    for name, value in columns.items():
        if value is not None:
            option = name.replace("_", "-")
            raise DataError(f"--{option} {value} is for tables, and {source} is a folder; leave it out.")


def is_photo(name: str) -> bool:
    """Whether a file is a photo, going by its name."""
    return os.path.splitext(name)[1].lower() in images.SUFFIXES | _OTHERS  # noqa: PTH122 (once a file)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links: one bad row, not a folder that cannot be listed
        return False


def _record(path: Path, shown: str, root: Path) -> Record:
    try:
        # by its full name: a link may lead to anywhere under the root
        found = images.under_root(str(path.absolute()), root)
    except RowError as error:
        return Record(shown, image=shown, error=error)
    return Record(shown, image=ImageReference(name=shown, path=found.path))
