"""What a reader found in one row, turned into a labelled image or an error row: the rules all readers share.

Ids are the row's own, else the image's name; a repeat gets a running suffix, so an id appears once.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from awase import images
from awase.data._rows import Record, clip_text, image_name, image_reference, is_given, optional_text
from awase.data._seen import SeenIds
from awase.errors import RowError
from awase.types import BadRow, LabelledImage

_MAX_LABEL = 1000  # characters


def make_rows(records: Iterable[Record], root: Path) -> Iterator[LabelledImage | BadRow]:
    """One row for every record, in order.

    Args:
        records: rows as found; their captions are not looked at.
        root: the folder that image names are relative to, and that none may leave.

    Example:
        >>> rows = make_rows([Record("line 2", image="a.jpg", label=" cat ")], Path("/photos"))
        >>> [(row.id, row.label) for row in rows]
        [('a.jpg', 'cat')]
    """
    base = root.resolve()
    seen = SeenIds()
    try:
        for record in records:
            yield _made(record, base, seen)
    finally:
        seen.close()


def _made(record: Record, root: Path, seen: SeenIds) -> LabelledImage | BadRow:
    try:
        if record.error is not None:
            raise record.error
        image = image_reference(record.image, root)
        label, split = _text(record.label, "label"), _text(record.split, "split")
    except RowError as error:
        return _bad(record, error, seen)
    own = images.readable(str(record.id)) if is_given(record.id) else image.name
    return LabelledImage(seen.unique(own), image, label, split)


def _text(value: Any, what: str) -> str | None:
    """The cell without white space around it; None where it is blank."""
    if not is_given(value):
        return None
    text = str(value).strip()
    if isinstance(value, list | dict | bytes):
        raise RowError("bad_row", f"the {what} is a {type(value).__name__}, not a text or a number.")
    if len(text) > _MAX_LABEL:
        raise RowError("bad_row", f"the {what} has {len(text)} characters; {_MAX_LABEL} at most.")
    if "\0" in text or images.readable(text) != text:
        raise RowError("bad_row", f"the {what} is not valid UTF-8 text; store the table as UTF-8.")
    return text


def _bad(record: Record, error: RowError, seen: SeenIds) -> BadRow:
    shown = clip_text(image_name(record.image))
    # what the reader of tables calls a caption is any cell here
    code = "bad_row" if error.code == "bad_caption" else error.code
    wanted = optional_text(record.id) or shown or record.where
    said = images.readable(str(error))
    place = "" if said.startswith(f"{record.where}:") else f"{record.where}: "
    return BadRow(seen.unique(wanted), shown, "", code, place + said)
