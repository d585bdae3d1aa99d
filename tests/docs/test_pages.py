"""The documentation says what is true: its code runs, its commands parse, its links lead somewhere.

Blocks of Python run as they stand, each in an interpreter of its own in an empty folder; commands are checked
against the help of the verb they call.
"""

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r"^(<!-- file: \S+ -->\n)?```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _blocks(language: str) -> list[tuple[str, str]]:
    """(page and number, text) of every block of a language, but for files that a page says to write."""
    found = []
    for name in NAMES:
        texts = [m[3] for m in BLOCK.finditer(_text(name)) if m[2] == language and not m[1]]
        found += [(f"{name}-{number}", text) for number, text in enumerate(texts)]
    return found


def _run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TERMINAL_WIDTH": "200"}
    environment |= {"NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )


@lru_cache
def _options(verb: str) -> frozenset[str]:
    """Every option in a verb's help."""
    done = _run("-m", "awase", *verb.split(), "--help")
    assert done.returncode == 0, done.stderr
    return frozenset(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))


def _commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every `awase ...` line in a console block."""
    found = []
    for where, text in _blocks("console"):
        for line in text.splitlines():
            words = shlex.split(line)
            if words and words[0] == "awase":
                found.append((where, words[1:]))
    return found


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `out/` holds the results of a small run, as the pages assume."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("docs")
    Image.new("RGB", (40, 40), "red").save(folder / "a.png")
    (folder / "pairs.csv").write_text("image,caption\na.png,a red square\n", encoding="utf-8")
    options = ("--encoder", "tiny:0", "--output", "out", "--quiet")
    done = _run("-m", "awase", "check", "pairs.csv", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("where", "code"), [pytest.param(*b, id=b[0]) for b in _blocks("python")])
def test_code_on_the_pages_runs(where: str, code: str, run_folder: Path) -> None:
    done = _run("-W", "error", "-c", code, cwd=run_folder)
    assert done.returncode == 0, f"{where}\n{done.stderr}"


def test_there_is_code_to_run() -> None:
    pages = {where.rpartition("-")[0] for where, _ in _blocks("python")}
    assert {"README.md", "docs/check.md", "docs/data.md", "docs/encoders.md", "docs/evaluate.md"} <= pages


@pytest.mark.parametrize(("where", "words"), _commands())
def test_commands_on_the_pages_parse(where: str, words: list[str]) -> None:
    from awase.cli import VERBS

    verb = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]
    assert verb in VERBS, f"{where}: there is no verb {verb}"
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
    assert used <= _options(verb), f"{where}: {sorted(used - _options(verb))} are no options of {verb}"


def test_make_targets_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for where, text in _blocks("console"):
        for line in text.splitlines():
            words = shlex.split(line)
            if words and words[0] == "make":
                assert {word for word in words[1:] if "=" not in word} <= targets, where


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for target in LINK.findall(_text(name)):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), f"{name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{name} links to {target}"


PAGE_OF_KIND = {
    "check": "check",
    "diagnostic": "transfer",
    "encoder": "encoders",
    "image_reader": "data",
    "objective": "pairs",
    "ood": "ood",
    "prompt_search": "transfer",
    "reader": "data",
    "segmenter": "check",
    "tune": "tune",
}


@pytest.mark.parametrize("kind", PAGE_OF_KIND)
def test_every_name_is_documented(kind: str) -> None:
    from awase import registry

    assert set(PAGE_OF_KIND) == set(registry.kinds())
    page = PAGE_OF_KIND[kind]
    text = _text(f"docs/{page}.md")
    missing = [name for name in registry.names(kind) if f"`{name}" not in text]
    assert not missing, f"docs/{page}.md does not mention {missing}"


def test_every_extra_is_documented() -> None:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    text = "".join(_text(f"docs/{page}.md") for page in ("check", "encoders", "data", "tune", "pairs"))
    for extra in set(project["optional-dependencies"]) - {"dev", "browser", "studies"}:
        assert f"`{extra}`" in text, f"the extra {extra} is not documented"


def test_every_error_code_is_documented() -> None:
    from awase.errors import RowError

    codes = re.findall(r"`(\w+)`", (RowError.__doc__ or "").partition("Codes:")[2])
    assert "missing_image" in codes
    for code in codes:
        assert f"`{code}`" in _text("docs/check.md"), code


def test_every_column_is_documented() -> None:
    from awase.rows import SCHEMA

    for column in SCHEMA.names:
        assert f"`{column}`" in _text("docs/check.md"), column


@pytest.mark.parametrize(
    ("module", "page"),
    [
        ("awase.ood._verdict", "ood"),
        ("awase.transfer._class_rows", "transfer"),
        ("awase.tune._prediction", "tune"),
    ],
)
def test_every_column_of_image_rows_is_documented(module: str, page: str) -> None:
    for column in importlib.import_module(module).SCHEMA.names:
        assert f"`{column}`" in _text(f"docs/{page}.md"), column


def test_every_column_of_class_tables_is_documented() -> None:
    from awase.cli._class_tables import CLASS_SCHEMA, CONFUSION_SCHEMA

    for column in (*CLASS_SCHEMA.names, *CONFUSION_SCHEMA.names):
        assert f"`{column}`" in _text("docs/transfer.md"), column


def test_command_page_is_up_to_date() -> None:
    done = _run(str(ROOT / "tools" / "made_docs.py"), "--check")
    assert done.returncode == 0, done.stderr


def test_changelog_has_this_version() -> None:
    version = tomllib.loads(_text("pyproject.toml"))["project"]["version"]
    assert f"## {version}" in _text("CHANGELOG.md")
