"""What a reader found in one row, turned into pairs or error rows: the rules all readers share.

Captions are checked here and kept as they are, never trimmed or cut. Ids: the row's own, else a hash of the
image's name and the caption, so that they survive a change of order; repeats get a running suffix.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from awase import images
from awase.data._seen import SeenIds
from awase.errors import RowError
from awase.types import BadRow, ImageReference, Pair

MAX_CAPTION = 100_000  # characters; five thousand words are some thirty thousand
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One row as found, unchecked.

    where: how error messages name it ("line 7").
    image: a name, bytes, a mapping with `bytes` and `path`, or a finished reference.
    captions: one text, or a list of them for one pair each.
    error: what already went wrong with this row, if anything.
    """

    where: str
    image: Any = None
    captions: Any = None
    id: Any = None
    label: Any = None
    group: Any = None
    split: Any = None
    error: RowError | None = None


class RowMaker:
    """Records to pairs and error rows, for one pass over a source; a context manager.

    Example:
        >>> from pathlib import Path
        >>> with RowMaker(Path("/photos")) as rows:
        ...     made = list(rows.make(Record("line 2", image="a.jpg", captions=["a dog", " "], id="7")))
        >>> made[0].id, made[0].caption, made[1].id, made[1].error_code
        ('7#0', 'a dog', '7#1', 'empty_caption')
    """

    def __init__(self, root: Path | None) -> None:
        self._root = None if root is None else root.resolve()
        self._seen = SeenIds()

    def __enter__(self) -> "RowMaker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seen.close()

    def make(self, record: Record) -> Iterator[Pair | BadRow]:
        """One row for every caption of the record; at least one in any case."""
        several = isinstance(record.captions, list | tuple)
        captions = list(record.captions) if several else [record.captions]
        image: ImageReference | RowError
        try:
            if record.error is not None:
                raise record.error
            image = image_reference(record.image, self._root)
        except RowError as error:
            image = error
        if not captions:
            problem = image if isinstance(image, RowError) else RowError("empty_caption", "no captions.")
            yield self._bad(record, None, problem, record.id)
        for k, caption in enumerate(captions):
            own_id = f"{record.id}#{k}" if several and is_given(record.id) else record.id
            try:
                if isinstance(image, RowError):
                    raise image
                text = check_caption(caption)
                yield Pair(
                    id=self._id(own_id, image.name, text),
                    image=image,
                    caption=text,
                    label=optional_text(record.label),
                    group=optional_text(record.group),
                    split=optional_text(record.split),
                )
            except RowError as error:
                yield self._bad(record, caption, error, own_id)

    def _id(self, own: Any, *content: str) -> str:
        wanted = images.readable(str(own)) if is_given(own) else content_id(*content)
        return self._seen.unique(wanted)

    def _bad(self, record: Record, caption: Any, error: RowError, own_id: Any) -> BadRow:
        image = record.image.name if isinstance(record.image, ImageReference) else image_name(record.image)
        shown = caption if isinstance(caption, str) else ""
        # readable rows hash like good ones; a row without any content is known by its place
        content = (image, shown) if image or shown else (record.where,)
        return BadRow(
            id=self._id(own_id, *content),
            image=clip_text(image),
            caption=clip_text(shown),
            error_code=error.code,
            error=images.readable(f"{record.where}: {error}"),
        )


def image_reference(image: Any, root: Path | None) -> ImageReference:
    """Where the image of a cell lies: a name under `root`, bytes, or a mapping with `bytes` and `path`.

    Raises:
        RowError: `missing_image`, `unreadable_image` or `unsafe_image`.

    Example:
        >>> image_reference({"bytes": b"abc", "path": "a.jpg"}, None).name
        'a.jpg'
    """
    if isinstance(image, ImageReference):
        return image
    if isinstance(image, Mapping):
        data, path = image.get("bytes"), image.get("path")
        if data is None:
            return image_reference(path, root)
        if not isinstance(data, bytes):
            raise RowError("unreadable_image", f"the bytes of the image are a {type(data).__name__}.")
        return ImageReference(name=image_name(path) or _hash_name(data), data=data)
    if isinstance(image, bytes):
        return ImageReference(name=_hash_name(image), data=image)
    if image is None:
        raise RowError("missing_image", "the row names no image.")
    if not isinstance(image, str):
        raise RowError("missing_image", f"the image is a {type(image).__name__}, not a file name.")
    if root is None:
        raise RowError("missing_image", f"{images.readable(image)}: no folder of images is known.")
    return images.under_root(image, root)


def check_caption(caption: Any) -> str:
    """The caption, unchanged.

    Raises:
        RowError: `empty_caption` (nothing but white space) or `bad_caption` (not a text, too long, bytes that
            are not UTF-8, a lone surrogate, a NUL).

    Example:
        >>> check_caption("a dog")
        'a dog'
    """
    if caption is None:
        raise RowError("empty_caption", "the row has no caption.")
    if not isinstance(caption, str):
        raise RowError("bad_caption", f"the caption is a {type(caption).__name__}, not a text.")
    if len(caption) > MAX_CAPTION:
        raise RowError("bad_caption", f"the caption has {len(caption)} characters; {MAX_CAPTION} at most.")
    if not caption.strip():
        raise RowError("empty_caption", "the caption is empty.")
    if "\0" in caption:
        raise RowError("bad_caption", "the caption holds a NUL character: is this a text?")
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError("bad_caption", "the caption is not valid UTF-8; store the table as UTF-8.") from error
    return caption


def content_id(*content: str) -> str:
    """Sixteen hexadecimal digits that depend on the texts alone.

    Example:
        >>> content_id("a.jpg", "a dog") == content_id("a.jpg", "a dog") != content_id("a.jpg", "a cat")
        True
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in content:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _hash_name(data: bytes) -> str:
    return f"bytes-{images.content_hash(data)[:12]}"


def is_given(value: Any) -> bool:
    """Whether a cell says something."""
    return value is not None and str(value).strip() != ""


def optional_text(value: Any) -> str | None:
    """A cell as text, None where it is blank."""
    return images.readable(str(value)) if is_given(value) else None


def image_name(image: Any) -> str:
    """What error rows call the image of a cell; "" where it has no name."""
    if isinstance(image, Mapping):
        image = image.get("path")
    return images.readable(image) if isinstance(image, str) else ""


def clip_text(text: str) -> str:
    """The beginning of a text, as much as error rows show."""
    text = images.readable(text)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
