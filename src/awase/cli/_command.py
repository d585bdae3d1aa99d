"""A verb from its declaration: a dataclass of options becomes a typer command.

Each option is written once, with its type, default and help, as a field of the verb's `Options`; the module
named by `RUNNER` is imported when the command runs, and gets the filled-in Options. `--config` holds saved
options: what is given on the command line goes first.
"""

import importlib
import inspect
import json
import logging
import signal
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn, Protocol, get_type_hints, runtime_checkable

import typer

from awase.errors import DataError


@runtime_checkable
class Command(Protocol):
    """What typer makes: whatever library lies below it, this is what is used here."""

    params: list[Any]

    def main(self, args: list[str], prog_name: str, *, default_map: dict[str, Any] | None = None) -> Any: ...


def run(name: str, module: ModuleType, words: list[str]) -> NoReturn:
    """Run one verb with its words and end the process with its exit code.

    Raises:
        DataError: the file behind --config cannot be read, or holds options that the verb does not have.
    """
    command = build(name, module)
    saved: dict[str, Any] = {}
    if path := config_path(words):
        saved = read_config(name, path)
        if unknown := sorted(saved.keys() - {parameter.name for parameter in command.params}):
            raise DataError(f"{path} holds options that `awase {name}` does not have: {', '.join(unknown)}.")
    command.main(spread(words, getattr(module, "SEVERAL", ())), f"awase {name}", default_map=saved)
    raise AssertionError("a command ends the process itself")


def build(name: str, module: ModuleType) -> Command:
    """The command of one verb.

    Args:
        name: as typed behind `awase`, and as tables of config files are named.
        module: has `Options` (a dataclass whose fields are annotated with typer options), `RUNNER` (the
            module with `run(options) -> exit code`), `EPILOG`, and a docstring, which is the help.
    """

    def call(**values: Any) -> None:
        logging.basicConfig(level=_level(values), format="awase: %(message)s")
        try:
            code = importlib.import_module(module.RUNNER).run(module.Options(**values))
        except KeyboardInterrupt:
            print("stopped, run the same command to go on", file=sys.stderr)
            code = 128 + signal.SIGINT
        raise typer.Exit(code)

    call.__dict__["__signature__"] = inspect.signature(module.Options)
    call.__annotations__ = get_type_hints(module.Options, include_extras=True)
    # not typer's own traceback: it prints the values of variables, captions and paths among them
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(name, help=paragraphs(module.__doc__ or ""), epilog=module.EPILOG)(call)
    command: Command = typer.main.get_command(app)
    return command


def spread(words: list[str], several: Sequence[str]) -> list[str]:
    """`--shots 1 2 4` as `--shots 1 --shots 2 --shots 4`, for the options in `several`.

    What follows up to the next word that begins with a dash belongs to the option; `--` ends it.

    Example:
        >>> spread(["--shots", "1", "2", "-o", "out"], ("--shots",))
        ['--shots', '1', '--shots', '2', '-o', 'out']
    """
    found: list[str] = []
    option = ""
    first = False
    for word in words:
        if word.startswith("-") and not _is_number(word):
            option = word if word in several else ""
            first = True
            found += [] if option else [word]
        elif option:
            found += [option, word]
            first = False
        else:
            found.append(word)
        if word == "--":
            option = ""
    # an option without a value is left for the parser to complain about
    return [*found, option] if option and first else found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def paragraphs(docstring: str) -> str:
    """The docstring with each paragraph on one line, so that it wraps at the terminal's width.

    Example:
        >>> paragraphs("One.\\n\\nTwo\\nlines.")
        'One.\\n\\nTwo lines.'
    """
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(docstring).split("\n\n"))


def config_path(words: list[str]) -> Path | None:
    """The file behind the last --config: it is read before all other options, whose defaults it holds.

    Example:
        >>> config_path(["a.csv", "--config", "run.toml"]), config_path(["--config=b.json"]), config_path([])
        (...Path('run.toml'), ...Path('b.json'), None)
    """
    found = None
    for index, word in enumerate(words):
        if word == "--":
            break
        if word.startswith("--config="):
            found = word.partition("=")[2]
        elif word == "--config":
            found = "".join(words[index + 1 : index + 2])
    return Path(found) if found else None


def read_config(verb: str, path: Path) -> dict[str, Any]:
    """Saved options out of a TOML or JSON file: keys at the top, or in a table named like the verb.

    Dashes and underscores are the same. Paths that begin with ~ are expanded.

    Raises:
        DataError: the file is not there or is no TOML or JSON.
    """
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        if not isinstance(content, dict):
            raise ValueError("not a table of options")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the options in {path}: {error}; it must be TOML or JSON.") from error
    own = content.pop(verb, {})
    shared = {key: value for key, value in content.items() if not isinstance(value, dict) and key != "awase"}
    if not isinstance(own, dict):
        raise DataError(f"{verb!r} in {path} must be a table of options.")
    found = {**shared, **own}
    return {key.replace("-", "_"): _expanded(value) for key, value in found.items() if value is not None}


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Options from a TOML or JSON file, such as OUT/config.json of an earlier run; "
        "what stands on the command line goes first.",
        rich_help_panel="Run",
    ),
]


def _expanded(value: Any) -> Any:
    is_home = isinstance(value, str) and value.startswith("~")
    return str(Path(value).expanduser()) if is_home else value


def _level(values: dict[str, Any]) -> int:
    if values.get("quiet"):
        return logging.ERROR
    return logging.DEBUG if values.get("verbose") else logging.WARNING
