"""Which column is the image, which the caption: by option, else by the names that are usual."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from awase.errors import DataError
from awase.images import readable

IMAGE = ("image", "filepath", "file_name", "filename", "path", "image_path", "img", "jpg", "png", "webp")
CAPTION = ("caption", "title", "text", "captions", "texts")
ID = ("id",)
LABEL = ("label", "class", "class_name", "category", "target")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns as the source spells them; None where there is none."""

    image: str
    caption: str
    id: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None

    def wanted(self) -> list[str]:
        """The names without None, each once, in a fixed order."""
        names = (self.image, self.caption, self.id, self.label, self.group, self.split)
        return list(dict.fromkeys(name for name in names if name is not None))


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Names of the columns of a table of labelled images; None where there is none."""

    image: str
    label: str | None = None
    split: str | None = None
    id: str | None = None

    def wanted(self) -> list[str]:
        """The names without None, each once, in a fixed order."""
        names = (self.image, self.label, self.split, self.id)
        return list(dict.fromkeys(name for name in names if name is not None))


def choose(
    found: Iterable[str],
    source: str,
    *,
    image: str | None = None,
    caption: str | None = None,
    id: str | None = None,
    image_names: Sequence[str] = IMAGE,
    caption_names: Sequence[str] = CAPTION,
) -> Columns:
    """The columns to read.

    Args:
        found: the names the source has.
        source: what error messages call it.
        image: the image column, None to take the first of the usual names that is there; likewise the others.

    Raises:
        DataError: no column fits, or a named one is not there; the message lists the columns found.

    Example:
        >>> choose(["file_name", "text", "id"], "t.csv")
        Columns(image='file_name', caption='text', id='id', label=None, group=None, split=None)
    """
    names = list(found)
    return Columns(
        image=_required(names, source, "image", image, image_names),
        caption=_required(names, source, "caption", caption, caption_names),
        id=_named(names, source, "id", id) if id is not None else _usual(names, ID),
        label=_usual(names, ("label",)),
        group=_usual(names, ("group",)),
        split=_usual(names, ("split",)),
    )


def choose_labelled(
    found: Iterable[str],
    source: str,
    *,
    image: str | None = None,
    label: str | None = None,
    id: str | None = None,
) -> LabelColumns:
    """The columns to read of a table of labelled images; without a column of labels they have none.

    Args:
        found: the names the source has.
        source: what error messages call it.
        image: the image column, None to take the first of the usual names that is there; likewise the others.

    Raises:
        DataError: there is no image column, or a named one is not there; the message lists the columns found.

    Example:
        >>> choose_labelled(["path", "class", "split"], "t.csv")
        LabelColumns(image='path', label='class', split='split', id=None)
    """
    names = list(found)
    return LabelColumns(
        image=_required(names, source, "image", image, IMAGE, example="image,label"),
        label=_named(names, source, "label", label) if label is not None else _usual(names, LABEL),
        split=_usual(names, ("split",)),
        id=_named(names, source, "id", id) if id is not None else _usual(names, ID),
    )


def _required(
    names: Sequence[str],
    source: str,
    what: str,
    option: str | None,
    usual: Sequence[str],
    example: str = "image,caption",
) -> str:
    if option is not None:
        return _named(names, source, what, option)
    chosen = _usual(names, usual)
    if chosen is None:
        hint = " A column of URLs is not read: nothing is fetched." if _usual(names, ("url",)) else ""
        raise DataError(
            f"{source}: no column is named {' or '.join(usual[:4])}; found: {_shown(names)}. Name it with "
            f"--{what}-column, or put a line with column names (such as {example}) on top.{hint}"
        )
    return chosen


def _named(names: Sequence[str], source: str, what: str, option: str) -> str:
    if option not in names:
        raise DataError(f"{source}: there is no {what} column {option!r}; found: {_shown(names)}.")
    return option


def _usual(names: Sequence[str], usual: Sequence[str]) -> str | None:
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in usual if name in lower), None)


def _shown(names: Sequence[str]) -> str:
    clipped = [repr(readable(name[:60])) for name in names[:20]]
    return ", ".join(clipped) + (", ..." if len(names) > 20 else "")
