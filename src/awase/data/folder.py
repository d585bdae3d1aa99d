"""A folder of photos with their captions beside them: `dog.jpg` and `dog.txt`, one caption a line.

Or a `metadata.csv` / `metadata.jsonl` in the folder or below, with a column `file_name`; it then speaks for
its folder and everything under it. Read recursively in sorted order; memory holds the names of one folder at
a time. Hidden files are passed over and linked folders are not entered.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from awase import images
from awase.data import _sniff, table
from awase.data._rows import Record, RowMaker
from awase.data._text import encoding_of
from awase.errors import DataError, RowError
from awase.types import BadRow, ImageReference, Pair

_MAX_TEXT = 4 * 1024 * 1024
_COUNTED = 20_000  # photos; beyond that, counting takes longer than a progress bar is worth
_ABOUT = ("readme", "license", "licence", "notice", "classes")


@dataclass(frozen=True)
class FolderDataset:
    """Pairs of a folder; `root` is the folder that links may not lead out of."""

    folder: Path
    root: Path
    image_column: str | None = None
    caption_column: str | None = None
    id_column: str | None = None

    def __iter__(self) -> Iterator[Pair | BadRow]:
        with RowMaker(self.root) as rows:
            for record in self.records():
                yield from rows.make(record)

    def records(self) -> Iterator[Record]:
        """The rows as found."""
        for place, names, problem in _walk(self.folder):
            shown = images.readable(place.relative_to(self.folder).as_posix())
            if problem is not None:
                yield Record(shown, image=shown, error=problem)
                continue
            metadata = next((name for name in _sniff.METADATA if name in names), None)
            if metadata is not None:
                yield from self._table_rows(place, metadata)
            else:
                yield from self._caption_rows(place, names)

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for place, names, _ in _walk(self.folder):
            for name in names:
                path = place / name
                # of a photo only the name: repairing one leaves the rows as they are
                size = path.stat().st_size if path.is_file() and not _is_photo(name) else -1
                relative = path.relative_to(self.folder).as_posix()
                digest.update(f"{relative}\0{size}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def count(self) -> int | None:
        total = 0
        for record in self.records():
            total += max(1, len(record.captions)) if isinstance(record.captions, list) else 1
            if total > _COUNTED:
                return None
        return total

    def _caption_rows(self, place: Path, names: list[str]) -> Iterator[Record]:
        stems = {Path(name).stem for name in names if _is_photo(name)}
        for name in names:
            path = place / name
            shown = images.readable(path.relative_to(self.folder).as_posix())
            if _is_photo(name):
                yield self._photo(path, shown)
            elif path.suffix.lower() == ".txt" and path.stem not in stems and not _is_about(path.stem):
                error = RowError("missing_image", "there is a caption, but no photo beside it.")
                yield Record(shown, image=shown, error=error)

    def _photo(self, path: Path, shown: str) -> Record:
        try:
            # by its full name: a link may lead to anywhere under the root
            found = images.under_root(str(path.absolute()), self.root)
            captions = _captions(path.with_suffix(".txt"))
        except RowError as error:
            return Record(shown, image=shown, error=error)
        return Record(shown, image=ImageReference(name=shown, path=found.path), captions=captions)

    def _table_rows(self, place: Path, metadata: str) -> Iterator[Record]:
        rows = table.open_pairs(
            place / metadata,
            images=self.root,
            image_column=self.image_column,
            caption_column=self.caption_column,
            id_column=self.id_column,
        )
        below = place.relative_to(self.folder).as_posix()
        base = place.absolute()
        for record in rows.records():
            where = f"{below}/{metadata}, {record.where}"
            image = record.image
            if isinstance(image, str) and image.strip():
                try:
                    found = images.under_root(image if _is_url(image) else str(base / image), self.root)
                    image = ImageReference(name=images.readable(image), path=found.path)
                except RowError as error:
                    record = replace(record, error=error)
            yield replace(record, where=where, image=image)


def fits(source: Path) -> bool:
    """Whether this is a folder that holds photos or a metadata table."""
    return _sniff.reader_for(str(source)) == "folder"


def open_pairs(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    id_column: str | None = None,
) -> FolderDataset:
    """A folder as pairs.

    Args:
        source: the folder.
        images: a folder above it that links may lead to; by default links stay within the folder.
        image_column: for metadata tables, as are the other two; see `awase.data.table.open_pairs`.

    Raises:
        DataError: there is no such folder.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(f"{source}: there is no such folder.")
    return FolderDataset(folder, images or folder, image_column, caption_column, id_column)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], RowError | None]]:
    """Every folder with the sorted names of its files, without recursion: trees may be deep."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        names, below = [], []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
                    elif not _leads_to_folder(entry):
                        names.append(entry.name)
        except OSError as error:
            yield place, [], RowError("unreadable_image", f"the folder cannot be listed: {error.strerror}.")
            continue
        yield place, sorted(names), None
        if not set(_sniff.METADATA) & set(names):
            waiting.extend(place / name for name in sorted(below, reverse=True))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links: one bad row, not a folder that cannot be listed
        return False


def _captions(path: Path) -> list[str]:
    """The lines of a text file that are not blank."""
    try:
        data = images.read_regular(path, path.name, max_bytes=_MAX_TEXT)
    except RowError as error:
        if error.code == "missing_image" or (path.is_file() and not path.stat().st_size):
            raise RowError("empty_caption", f"there is no caption in {path.name} beside it.") from error
        raise RowError("bad_caption", str(error)) from error
    text = data.decode(encoding_of(data[:4]), "surrogateescape")
    return [line for line in text.splitlines() if line.strip()]


def _is_photo(name: str) -> bool:
    return Path(name).suffix.lower() in images.SUFFIXES


def _is_about(stem: str) -> bool:
    return stem.lower().startswith(_ABOUT)


def _is_url(name: str) -> bool:
    return "://" in name
