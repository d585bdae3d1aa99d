"""Prompts: which templates a class name is put into, how they weigh, and further wordings of a class.

The built-in sets are our own and short; CLIP's long lists for single data sets are left out, as `awase
transfer prompts` chooses better ones on a few labels. A file holds one template a line, or JSON: a list of
templates, or what that verb writes.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from awase.errors import DataError
from awase.files import write_atomic

TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "simple": ("a photo of a {}.",),
    "photos": (
        "a photo of a {}.",
        "a close-up photo of a {}.",
        "a blurry photo of a {}.",
        "a bright photo of one {}.",
        "a photo of the {} from far away.",
        "a snapshot of many {}.",
        "there is a {} in this picture.",
    ),
    "objects": (
        "a photo of a {}.",
        "a picture of a {}, a thing.",
        "a drawing of a {}.",
        "a sculpture of a {}.",
        "a {} on a plain background.",
        "a cut-out {}.",
        "art that shows a {}.",
    ),
    "living": (
        "a photo of a {}.",
        "a photo of a {}, a kind of animal or plant.",
        "a {} in nature.",
        "a {} seen from close by.",
        "a blooming or growing {}.",
    ),
    "textures": (
        "a photo of a {} texture.",
        "a photo of a {} surface.",
        "a close-up of something {}.",
        "a {} pattern.",
        "{} material.",
    ),
    "products": (
        "a photo of a {}.",
        "a product photo of a {}.",
        "a {} on a white background.",
        "a {} for sale.",
        "an inspection image of a {}.",
    ),
    "scenes": (
        "a photo of a {}.",
        "a photo of a place: {}.",
        "a view of a {}.",
        "a {} from above.",
        "inside or outside of a {}.",
    ),
    "simple-ja": ("{}の写真。",),
    "photos-ja": (
        "{}の写真。",
        "{}を近くから撮った写真。",
        "ぼやけた{}の写真。",
        "明るい{}の写真。",
        "遠くから撮った{}の写真。",
        "この写真には{}が写っています。",
    ),
    "textures-ja": ("{}の質感の写真。", "{}の表面の写真。", "{}の模様。", "{}の素材。"),
    "products-ja": ("{}の写真。", "{}の商品写真。", "白い背景の{}。", "{}の検査画像。"),
}
"""The built-in sets by name; `-ja` are in Japanese."""

_MAX_BYTES = 16 * 2**20
_FORMS = (
    'one template a line, a JSON list of templates, or {"templates": [...], "weights": [...] or null, '
    '"class_names": {label: [wordings]}}'
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """What class names are read with.

    Attributes:
        templates: with one `{}` each.
        weights: one a template, not negative, in any unit; None for equal ones.
        wordings: of a label, names that stand for it beside or instead of its own; labels that are not here
            keep theirs.
        class_weights: of a label, weights of its own; labels that are not here take `weights`.
        chosen_on: content hashes of the images that had a say in the choice: they are no test of it.

    Raises:
        DataError: no templates, a template without exactly one `{}`, weights that do not fit, or an empty
            wording.

    Example:
        >>> Prompts(("a photo of a {}.",)).weights is None
        True
    """

    templates: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    class_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    chosen_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.templates:
            raise DataError("there is no template; one such as 'a photo of a {}.' is needed.")
        for template in self.templates:
            if template.count("{}") != 1:
                raise DataError(f"a template needs exactly one {{}} for the class name, got {template!r}.")
        given = [] if self.weights is None else [("weights", self.weights)]
        for what, weights in (*given, *((f"weights of {k!r}", w) for k, w in self.class_weights.items())):
            _require_weights(what, weights, len(self.templates))
        for label, names in self.wordings.items():
            if not names or not all(name.strip() for name in names):
                raise DataError(f"the class {label!r} needs one wording or more, none of them empty.")


def read_prompts(path: str | Path) -> Prompts:
    """Prompts out of a file; see the module for its forms.

    Raises:
        DataError: the file cannot be read or holds something else; the message says what is accepted.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "templates.txt"
        ...     _ = file.write_text("a {}.\\n\\n# a remark\\none {}.\\n", "utf-8")
        ...     read_prompts(file).templates
        ('a {}.', 'one {}.')
    """
    place = Path(path).expanduser()
    try:
        if place.stat().st_size > _MAX_BYTES:
            raise DataError(f"{place} is too large for templates.")
        text = place.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"the templates in {place} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is no text in UTF-8; it must hold {_FORMS}.") from error
    if text.lstrip().startswith(("[", "{")) and (
        place.suffix == ".json" or not text.lstrip().startswith("{}")
    ):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is no JSON ({str(error)[:200]}); it must hold {_FORMS}.") from error
        return _from_json(content, place)
    lines = [line.strip() for line in text.splitlines()]
    templates = tuple(line for line in lines if line and not line.startswith("#"))
    if not templates:
        raise DataError(f"{place} holds no template; it must hold {_FORMS}.")
    return Prompts(templates)


def write_prompts(path: str | Path, prompts: Prompts) -> None:
    """Write prompts as `read_prompts` reads them: equal after the round trip.

    Raises:
        DataError: the disk is full, or the folder may not be written.

    Example:
        >>> import tempfile
        >>> chosen = Prompts(("a {}.", "{}"), (0.75, 0.25), {"n02102040": ("English springer", "dog")})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_prompts(Path(folder) / "prompts.json", chosen)
        ...     read_prompts(Path(folder) / "prompts.json") == chosen
        True
    """
    content: dict[str, Any] = {
        "templates": list(prompts.templates),
        "weights": None if prompts.weights is None else list(prompts.weights),
        "class_names": {label: list(names) for label, names in prompts.wordings.items()},
    }
    if prompts.class_weights:
        content["class_weights"] = {label: list(numbers) for label, numbers in prompts.class_weights.items()}
    if prompts.chosen_on:
        content["chosen_on"] = list(prompts.chosen_on)
    write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def prompts_of(texts: Sequence[str]) -> Prompts:
    """Prompts from what was typed: names of built-in sets, templates, and files, in any mixture.

    Equal templates count once. A file with weights or wordings stands alone: it was chosen as a whole.

    Args:
        texts: each a name of `TEMPLATES`, a text with `{}`, or the path of a file.

    Raises:
        DataError: a text is none of these, or a file with weights is given with something else.

    Example:
        >>> prompts_of(["simple", "a drawing of a {}."]).templates
        ('a photo of a {}.', 'a drawing of a {}.')
    """
    found: list[str] = []
    chosen_on: list[str] = []
    for text in texts:
        if text in TEMPLATES:
            found += TEMPLATES[text]
        elif "{}" in text:
            found.append(text)
        elif Path(text).expanduser().is_file():
            prompts = read_prompts(text)
            if prompts.weights is not None or prompts.class_weights or prompts.wordings:
                if len(texts) > 1:
                    raise DataError(
                        f"{text} holds weights or wordings that were chosen together; give it alone."
                    )
                return prompts
            found += prompts.templates
            chosen_on += prompts.chosen_on
        else:
            raise DataError(
                f"{text!r} is no built-in set of templates ({', '.join(TEMPLATES)}), no template with {{}} "
                "for the class name, and no file."
            )
    return Prompts(tuple(dict.fromkeys(found)), chosen_on=tuple(dict.fromkeys(chosen_on)))


def _from_json(content: Any, place: Path) -> Prompts:
    if isinstance(content, list):
        content = {"templates": content}
    try:
        templates = content["templates"]
        weights = content.get("weights")
        wordings = content.get("class_names") or {}
        of_class = content.get("class_weights") or {}
        if not isinstance(templates, list) or not all(isinstance(one, str) for one in templates):
            raise ValueError("templates must be a list of texts")
        return Prompts(
            tuple(templates),
            None if weights is None else _numbers(weights),
            {str(label): _texts(names) for label, names in wordings.items()},
            {str(label): _numbers(numbers) for label, numbers in of_class.items()},
            _hashes(content.get("chosen_on", [])),
        )
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{place} must hold {_FORMS}; it does not: {error!r}.") from error


def _texts(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("class_names must be texts, or lists of texts")
    return tuple(names)


def _hashes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("chosen_on must be a list of content hashes")
    return tuple(value)


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError("weights must be a list of numbers")
    return tuple(float(one) for one in value)


def _require_weights(what: str, weights: tuple[float, ...], n: int) -> None:
    if len(weights) != n:
        raise DataError(f"{what}: {len(weights)} numbers for {n} templates; one a template is needed.")
    if not all(math.isfinite(one) and one >= 0 for one in weights) or sum(weights) <= 0:
        raise DataError(f"{what} must be 0 or more, and at least one of them more, got {weights}.")
