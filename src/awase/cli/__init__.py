"""The command line: finds the verb, loads its module when it is called, and says how it ended.

A verb is a light module that declares its options (`check.py`) and names the module that does the work
(`_check.py`), which alone imports torch and the like. So `--help` answers at once.

    exit code 0  done                     2  wrong usage, or an error meant for users, in one line
              1  a criterion failed       3  done, but some rows failed
              130  stopped with Ctrl-C
"""

import difflib
import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from awase import __version__
from awase.errors import AwaseError, CriterionError

VERBS = {
    "check": ("awase.cli.check", "which word of a caption does not fit its photo?"),
    "check calibrate": (
        "awase.cli.check_calibrate",
        "find a model's flag threshold for a wanted precision",
    ),
    "check evaluate": ("awase.cli.check_evaluate", "measure on a benchmark, or on labels of your own"),
    "check heatmap": ("awase.cli.check_heatmap", "where in the photo does the model see a word?"),
    "demo": ("awase.cli.demo", "the main job on the model and the photos that come with awase"),
    "ood fit": ("awase.cli.ood_fit", "learn what the model knows, and a threshold that keeps 95 % of it"),
    "ood score": ("awase.cli.ood_score", "class, score and keep or abstain for every photo of a folder"),
    "ood evaluate": ("awase.cli.ood_evaluate", "AUROC and FPR of a detector, or of files of scores"),
    "tune fit": ("awase.cli.tune_fit", "adapt a model with a few photos of each class"),
    "tune predict": ("awase.cli.tune_predict", "classes of a folder of photos by a tuned model"),
    "tune compare": ("awase.cli.tune_compare", "what each way of tuning gives, and what it costs elsewhere"),
    "tune pairs": ("awase.cli.tune_pairs", "contrastive training on photos and captions"),
    "transfer classify": ("awase.cli.transfer_classify", "zero-shot accuracy by class, and calibration"),
    "transfer retrieve": ("awase.cli.transfer_retrieve", "recall between photos and captions, both ways"),
    "transfer prompts": ("awase.cli.transfer_prompts", "choose and weigh prompt templates on a few labels"),
    "transfer explain": ("awase.cli.transfer_explain", "margins, false negatives, temperature: why it works"),
    "methods": ("awase.cli.methods", "every method, encoder, reader and segmenter there is"),
}
"""By the first word or two of a command line: the module that declares the verb, and its line in the list."""

_HELP = """\
Usage: awase VERB [OPTIONS]

awase (合わせ) finds the word of a caption that does not fit its photo.

Verbs:
{verbs}

Options:
  --help     show this, or `awase VERB --help` for the options of a verb
  --version  show the version

Start here:
  awase demo
  awase check pairs.csv --images photos/ --output out/
  awase check pairs.csv --images photos/ --encoder hf:openai/clip-vit-base-patch32

Exit codes: 0 done, 1 a criterion failed, 2 wrong usage, 3 some rows failed, 130 stopped."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and end the process with its exit code.

    Args:
        arguments: the words behind `awase`; None takes those of this process.
    """
    warnings.formatwarning = _one_line
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_dispatch(words))
    except AwaseError as error:
        print(f"awase: {one_line(error)}", file=sys.stderr)
        sys.exit(1 if isinstance(error, CriterionError) else 2)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        width = max(map(len, VERBS)) + 2
        verbs = "\n".join(f"  {name:{width}}{line}" for name, (_, line) in VERBS.items())
        print(_HELP.format(verbs=verbs))
        return 0 if words else 2
    if words[0] in ("--version", "-V"):
        print(f"awase {__version__}")
        return 0
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in VERBS:
            run = importlib.import_module("awase.cli._command").run
            run(name, importlib.import_module(VERBS[name][0]), words[length:])
    if of_group := [name for name in VERBS if name.startswith(f"{words[0]} ")]:
        is_help = set(words[1:]) <= {"--help", "-h"}
        lines = "\n".join(f"  awase {name}  {VERBS[name][1]}" for name in of_group)
        print(lines, file=sys.stdout if is_help else sys.stderr)
        return 0 if is_help and len(words) > 1 else 2
    close = difflib.get_close_matches(words[0], VERBS, n=1)
    hint = f"did you mean `awase {close[0]}`?" if close else f"the verbs are: {', '.join(VERBS)}."
    print(f"awase: there is no verb {words[0]!r}; {hint}", file=sys.stderr)
    return 2


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, so that logs and scripts see one line."""
    return " ".join(str(error).split())


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return f"awase: warning: {' '.join(str(message).split())}\n"
