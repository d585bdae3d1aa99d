import json
from pathlib import Path

import pytest

from awase.errors import DataError
from awase.transfer._templates import TEMPLATES, Prompts, prompts_of, read_prompts, write_prompts


def _file(folder: Path, text: str, name: str = "templates.txt") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", TEMPLATES)
def test_built_in_sets_are_well_formed(name: str) -> None:
    assert len(set(TEMPLATES[name])) == len(TEMPLATES[name])
    prompts = prompts_of([name])  # exactly one {} each
    assert prompts.templates == TEMPLATES[name]
    is_japanese = any("ぁ" <= letter <= "龥" for letter in "".join(prompts.templates))
    assert is_japanese == name.endswith("-ja")


def test_a_text_file_has_a_template_a_line(tmp_path: Path) -> None:
    path = _file(tmp_path, "\ufeff# ours\n\n  a {}.  \r\n{}の写真。\n")
    assert read_prompts(path).templates == ("a {}.", "{}の写真。")
    # a template may begin with the name
    assert read_prompts(_file(tmp_path, "{} here\n")).templates == ("{} here",)


def test_json_of_either_form(tmp_path: Path) -> None:
    assert read_prompts(_file(tmp_path, '["a {}.", "{}"]', "a.json")).templates == ("a {}.", "{}")
    content = {
        "templates": ["a {}.", "{}"],
        "weights": [3, 1],
        "class_names": {"n1": ["dog", "hound"], "n2": "cat"},
        "class_weights": {"n1": [0, 1]},
    }
    prompts = read_prompts(_file(tmp_path, json.dumps(content), "b.json"))
    assert prompts == Prompts(
        ("a {}.", "{}"), (3.0, 1.0), {"n1": ("dog", "hound"), "n2": ("cat",)}, {"n1": (0.0, 1.0)}
    )
    write_prompts(tmp_path / "c.json", prompts)
    assert read_prompts(tmp_path / "c.json") == prompts
    bare = read_prompts(_file(tmp_path, '{"templates": ["{}"], "weights": null}', "d.json"))
    assert bare == Prompts(("{}",))
    write_prompts(tmp_path / "e.json", bare)
    assert json.loads((tmp_path / "e.json").read_text("utf-8"))["weights"] is None
    assert read_prompts(tmp_path / "e.json") == bare


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no template"),
        ("# only remarks\n", "no template"),
        ("a dog\n", "exactly one {}"),
        ("{} and {}\n", "exactly one {}"),
        ('["a {}."', "no JSON"),
        ('["a {}.", 3]', "list of texts"),
        ('{"weights": [1]}', "templates"),
        ('{"templates": ["{}"], "weights": [1, 2]}', "2 numbers for 1 templates"),
        ('{"templates": ["{}"], "weights": [-1]}', "0 or more"),
        ('{"templates": ["{}"], "weights": [0]}', "0 or more"),
        ('{"templates": ["{}"], "weights": [NaN]}', "0 or more"),
        ('{"templates": ["{}"], "weights": "heavy"}', "list of numbers"),
        ('{"templates": ["{}"], "class_names": {"a": []}}', "one wording or more"),
        ('{"templates": ["{}"], "class_names": {"a": [" "]}}', "one wording or more"),
        ('{"templates": ["{}"], "class_names": ["a"]}', "must hold"),
        ('{"templates": ["{}"], "class_weights": {"a": [1, 1]}}', "2 numbers for 1 templates"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_file_of_something_else_is_refused_with_a_reason(tmp_path: Path, text: str, said: str) -> None:
    name = "x.json" if text.startswith(("[", '{"')) else "x.txt"
    with pytest.raises(DataError, match=said) as caught:
        read_prompts(_file(tmp_path, text, name))
    assert name in str(caught.value) or "exactly one" in said


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_prompts(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_prompts(tmp_path / "bytes.txt")


def test_what_was_typed_is_a_set_a_template_or_a_file_in_any_mixture(tmp_path: Path) -> None:
    path = _file(tmp_path, "one {}.\na photo of a {}.\n")
    assert prompts_of([str(path), "simple", "my {}."]).templates == ("one {}.", "a photo of a {}.", "my {}.")
    with pytest.raises(DataError, match="simple, photos"):
        prompts_of(["simpel"])
    weighted = _file(tmp_path, '{"templates": ["{}"], "weights": [1]}', "w.json")
    assert prompts_of([str(weighted)]).weights == (1.0,)
    with pytest.raises(DataError, match="give it alone"):
        prompts_of(["simple", str(weighted)])
    with pytest.raises(DataError, match="no template"):
        prompts_of([])
