"""Measure how well a model and method find wrong captions and wrong words.

DATA is a benchmark in its published format (foil, nocaps-foil, hat, rich-hf, seetrue), a set of swapped words
(swaps), or a table of labels of your own (labels). Prints localisation accuracy, average precision (with the
positive class and how common it is), precision, recall, F1 and correlations, each with its interval.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from awase.cli import _command
from awase.cli import _options as o

RUNNER = "awase.cli._evaluate"
EPILOG = """[bold]Examples[/]

awase check evaluate nocaps-val-foil.json --format nocaps-foil --images nocaps/ --encoder builtin

awase check evaluate labels.csv --format labels --split test --threshold threshold.json

awase check evaluate swaps.jsonl --format swaps --at-least localisation_accuracy=0.6"""


@dataclass(frozen=True)
class Options:
    """What `awase check evaluate` can be told."""

    data: Annotated[Path, typer.Argument(metavar="DATA", help="The benchmark's file, or a folder of shards.")]
    format: o.Format = "labels"
    images: o.Images = None
    split: o.Split = None
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            metavar="FILE",
            help="COCO captions (captions_val2014.json) as references of foil, for RefCLIPScore.",
            rich_help_panel=o.DATA,
        ),
    ] = None
    encoder: o.Encoder = "builtin"
    revision: o.Revision = None
    offline: o.Offline = False
    device: o.DeviceName = o.Device.AUTO
    dtype: o.DtypeName = o.Dtype.FLOAT32
    batch_size: o.BatchSize = 64
    workers: o.Workers = 2
    cache: o.Cache = None
    method: o.Method = "clip4dm"
    threshold: o.ThresholdText = None
    rule: o.RuleName = None
    template: o.Template = None
    layers: o.Layers = None
    segmenter: o.Segmenter = None
    language: o.CaptionLanguage = None
    at_least: o.AtLeast = None
    output: o.FiguresFile = None
    json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False
    seed: o.Seed = 0
    config: _command.Config = None
