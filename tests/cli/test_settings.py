"""Settings as they are typed: by the type of the field, and an error that lists what there is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from awase import registry
from awase.cli._class_names import names_of, read_class_names
from awase.cli._settings import build, read
from awase.errors import DataError


@dataclass(frozen=True)
class Method:
    epochs: int = 10
    rate: float = 0.1
    alpha: float | None = None
    scale: float | int = 1
    is_unified: bool = False
    start: str = "words"
    place: Literal["end", "mid"] = "end"
    grid: tuple[float, ...] = (0.1, 1.0)
    pair: tuple[int, str] = (1, "a")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("epochs=20", "epochs", 20),
        (" epochs = 20 ", "epochs", 20),
        ("rate=1e-3", "rate", 0.001),
        ("rate=2", "rate", 2.0),
        ("alpha=0.5", "alpha", 0.5),
        ("alpha=none", "alpha", None),
        ("scale=3", "scale", 3),
        ("is_unified=true", "is_unified", True),
        ("is-unified=no", "is_unified", False),
        ("start=a=b", "start", "a=b"),
        ("start=", "start", ""),
        ("place=MID", "place", "mid"),
        ("grid=1,2,4", "grid", (1.0, 2.0, 4.0)),
        ("grid=(0.5,)", "grid", (0.5,)),
        ("pair=3, b", "pair", (3, "b")),
    ],
)
def test_a_setting_is_read_by_the_type_of_its_field(text: str, name: str, value: Any) -> None:
    found = getattr(build(Method, [text], name="toy"), name)
    assert (found, type(found)) == (value, type(value))


def test_settings_that_are_not_named_keep_their_defaults() -> None:
    assert build(Method, None, name="toy") == build(Method, [], name="toy") == Method()
    assert build(Method, ["epochs=1", "rate=2"], name="toy") == Method(epochs=1, rate=2.0)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["epochs"], "NAME=VALUE"),
        (["=3"], "NAME=VALUE"),
        (["epoch=3"], "no setting 'epoch'; did you mean epochs"),
        (["zzz=3"], "toy are: epochs"),
        (["epochs=2.5"], "takes a whole number, got '2.5'"),
        (["epochs=many"], "default 10"),
        (["rate=nan"], "takes a number"),
        (["alpha=x"], "a number or none"),
        (["is_unified=maybe"], "true or false"),
        (["place=top"], "end or mid"),
        (["grid=1,x"], "numbers with commas"),
        (["pair=3"], "pair takes"),
        (["epochs=1", "epochs=2"], "given twice"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_list(texts: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        build(Method, texts, name="toy")
    if "twice" not in message:
        assert "epochs (a whole number; default 10)" in str(raised.value)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in ("tune", "ood") for n in registry.names(k)])
def test_every_method_can_be_built_and_lists_its_settings(kind: str, name: str) -> None:
    method = registry.load(kind, name)
    assert build(method, None, name=name) == method()
    with pytest.raises(DataError, match=f"{name} has no setting"):
        build(method, ["no_such_setting=1"], name=name)


def test_a_number_is_no_text_and_a_text_no_number() -> None:
    assert read("3", int | str) == 3
    assert read("x", int | str) == "x"
    with pytest.raises(ValueError, match="x"):
        read("x", int | float)


def test_class_names_come_from_the_file_or_the_label(tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    file.write_text('{"n01": " English springer ", "other": "x"}', "utf-8")
    given = read_class_names(file)
    assert names_of(["n01", "sea_horse"], given) == ("English springer", "sea horse")
    assert names_of(["n01"], read_class_names(None)) == ("n01",)
    with pytest.raises(DataError, match="names 'n01', 'other', and the data has none of these; it has 'a'"):
        names_of(["a"], given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", "got list"),
        ('{"a": 1}', "'a' has 1"),
        ('{"a": " "}', "'a' has ' '"),
        ("\xff", "no JSON"),
    ],
)
def test_class_names_that_are_none_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(text, "latin-1")
    with pytest.raises(DataError, match=message):
        read_class_names(tmp_path / "names.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_class_names(tmp_path / "nothing.json")


def test_two_labels_of_one_name_are_warned_of() -> None:
    from awase.cli._class_names import names_of

    with pytest.warns(UserWarning, match="occur more than once"):
        assert names_of(["sea_horse", "Sea horse"], {}) == ("sea horse", "Sea horse")
