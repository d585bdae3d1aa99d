"""Which reader fits a source, told by names and first bytes, without importing any reader.

So asking for a CSV does not load an optional library, and the order of the questions stands in one place:
what is more special is asked first (img2dataset's output also is a folder of shards).
"""

import json
import re
from itertools import islice
from pathlib import Path

from awase.data._text import encoding_of
from awase.errors import DataError
from awase.images import SUFFIXES

HUB = "hf:"
METADATA = ("metadata.csv", "metadata.jsonl")
PARTS = ".parts.json"
_HEAD = 4096
_LOOKED_AT = 10_000
_BINARY = (
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"SQLite",
    b"%PDF",
    b"\x80\x04",
    b"\x80\x02",
)


def reader_for(source: str) -> str | None:
    """Name of the built-in reader for a source, None where none fits. Nothing is opened but regular files.

    Example:
        >>> reader_for("-"), reader_for("hf:user/photos"), reader_for("/no/such/thing")
        ('table', 'hf_datasets', None)
    """
    if source == "-":
        return "table"
    if source.startswith(HUB):
        return "hf_datasets"
    try:
        path = Path(source)
        if path.is_dir():
            return _folder_reader(path)
        if path.is_file():
            return _file_reader(path)
    except (OSError, ValueError):
        return None
    if re.search(r"[*?{\[]", source):
        return {".tar": "tar", ".parquet": "table"}.get(path.suffix)
    return None


def table_kind(path: Path) -> str:
    """`parquet`, `jsonl`, `json` (one array) or `delimited`, by the first bytes.

    Raises:
        DataError: the file is empty, or no table.
    """
    head = _head(path)
    if not head.strip():
        raise DataError(f"{path}: is empty; a table with named columns is expected.")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(_BINARY) or is_tar(head):
        raise DataError(f"{path}: is no table; CSV, TSV, JSON lines and Parquet are read.")
    text = head.decode(encoding_of(head), "replace").lstrip()
    if text.startswith("{"):
        return "jsonl"
    return "json" if re.match(r"\[\s*[{\]]", text) else "delimited"


def is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are the header of a tar archive: the checksum holds."""
    if len(head) < 512:
        return False
    stored = head[148:156].rstrip(b" \0").lstrip(b" ")
    if not re.fullmatch(rb"[0-7]{1,8}", stored):
        return False
    return int(stored, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


def is_shard_folder(path: Path) -> bool:
    """Whether img2dataset wrote this folder: numbered statistics beside numbered shards."""
    return any(re.fullmatch(r"\d+_stats\.json", p.name) for p in _some(path))


def is_saved_dataset(path: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return (path / "dataset_dict.json").is_file() or (
        (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    )


def _folder_reader(path: Path) -> str | None:
    if is_saved_dataset(path):
        return "hf_datasets"
    if is_shard_folder(path):
        return "img2dataset"
    if any((path / name).is_file() for name in METADATA):
        return "folder"
    suffixes = {p.suffix.lower() for p in _some(path)}
    if ".tar" in suffixes:
        return "tar"
    if suffixes & SUFFIXES:
        return "folder"
    if ".parquet" in suffixes:
        return "table"
    below = (p for p in islice(path.rglob("*"), _LOOKED_AT))
    return "folder" if any(p.suffix.lower() in SUFFIXES or p.name in METADATA for p in below) else None


def _file_reader(path: Path) -> str | None:
    if path.name.lower().endswith(PARTS):
        return "parts"
    head = _head(path)
    if path.suffix.lower() == ".tar" or is_tar(head) or path.name.lower().endswith((".tar.gz", ".tgz")):
        return "tar"
    try:
        kind = table_kind(path)
    except DataError:
        # an empty table is the table reader's to complain about
        return "table" if path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet") else None
    if kind == "jsonl" and _is_one_document(path, head):
        return "coco"
    text_like = b"\0" not in head or encoding_of(head) != "utf-8" or path.suffix.lower() in (".csv", ".tsv")
    return "table" if kind != "delimited" or text_like else None


def _is_one_document(path: Path, head: bytes) -> bool:
    """An object that does not end on its first line is a document, unless the name says JSON lines."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return False
    text = head.decode(encoding_of(head), "replace")
    if re.search(r'"(images|annotations)"\s*:\s*\[', text):
        return True
    first = text.lstrip().partition("\n")[0]
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return path.suffix.lower() == ".json"
    return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _some(path: Path) -> list[Path]:
    return list(islice(path.iterdir(), _LOOKED_AT))
