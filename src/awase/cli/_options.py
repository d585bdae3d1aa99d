"""Options that several verbs share: each with its names, type and help, written once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    """Where the model runs; auto takes CUDA, else Apple's MPS, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Dtype(StrEnum):
    """Precision of the towers; scores are always computed in float32 or wider."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT64 = "float64"


class Rule(StrEnum):
    """Which words of a caption are flagged."""

    THRESHOLD = "threshold"
    MOST_NEGATIVE = "most_negative"


class Speech(StrEnum):
    """Language of the report."""

    ENGLISH = "en"
    JAPANESE = "ja"


DATA, MODEL, METHOD, OUTPUT, RUN = "Data", "Model", "Method", "Output", "Run"

Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Folder that holds the photos; nothing outside of it is read. Default: the folder of the pairs.",
        rich_help_panel=DATA,
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="foil, nocaps-foil, hat, rich-hf, seetrue, swaps, or labels (a table of your own).",
        rich_help_panel=DATA,
    ),
]
Split = Annotated[
    str | None,
    typer.Option("--split", metavar="NAME", help="Only the rows of this split.", rich_help_panel=DATA),
]
Encoder = Annotated[
    str,
    typer.Option(
        "--encoder",
        "-e",
        metavar="NAME",
        help="builtin, hf:MODEL (hub id or folder), open_clip:MODEL/TAG, onnx:FOLDER; "
        "[bold]awase methods[/] lists all.",
        rich_help_panel=MODEL,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option("--revision", help="Commit, tag or branch of a hub model.", rich_help_panel=MODEL),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Never touch the network; use what is on disk.", rich_help_panel=MODEL),
]
DeviceName = Annotated[Device, typer.Option("--device", help="Where the model runs.", rich_help_panel=MODEL)]
DtypeName = Annotated[
    Dtype,
    typer.Option(
        "--dtype", help="Precision of the towers. Scores are float32 or wider.", rich_help_panel=MODEL
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, help="Pairs at a time.", rich_help_panel=MODEL)
]
Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Threads that read and shrink photos.", rich_help_panel=MODEL)
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="Keep photo vectors here; a photo that was seen before costs no forward pass.",
        rich_help_panel=MODEL,
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        "-m",
        help="clip4dm (words), fclipscore_attr (words and pair), fclipscore_noun, clip_score (pair only).",
        rich_help_panel=METHOD,
    ),
]
ThresholdText = Annotated[
    str | None,
    typer.Option(
        "--threshold",
        "-t",
        metavar="NUMBER|FILE",
        help="Words below it are flagged: a number, or a file of [bold]awase check calibrate[/]. "
        "Default: the model's own calibrated value where it has one.",
        rich_help_panel=METHOD,
    ),
]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="TEXT",
        help="Put before every caption, such as 'A photo depicts '. Default: the model's own; '' for none.",
        rich_help_panel=METHOD,
    ),
]
Layers = Annotated[
    int | None,
    typer.Option(
        "--layers",
        metavar="N",
        min=1,
        help="How many of the last text layers are read.",
        rich_help_panel=METHOD,
    ),
]
RuleName = Annotated[
    Rule | None,
    typer.Option(
        "--rule",
        help="threshold: every word below it; most_negative: the lowest word of each caption.",
        rich_help_panel=METHOD,
    ),
]
Segmenter = Annotated[
    str | None,
    typer.Option(
        "--segmenter",
        metavar="NAME",
        help="What cuts captions into words: unicode, sudachi, jieba, icu, ... Default: by --language.",
        rich_help_panel=METHOD,
    ),
]
CaptionLanguage = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="CODE",
        help="Language of the captions (ja, zh, th, ...): chooses the segmenter.",
        rich_help_panel=METHOD,
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", help="Of the random draws behind intervals.", rich_help_panel=RUN)
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON and nothing else.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=OUTPUT)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print what the parts report.", rich_help_panel=OUTPUT)
]
OutputFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", help="Folder of the results.", rich_help_panel=OUTPUT)
]
CardLanguage = Annotated[
    Speech, typer.Option("--lang", help="Language of the card and figures.", rich_help_panel=OUTPUT)
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="Try the failed rows of OUT again; all others stay.", rich_help_panel=RUN
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start over: forget an earlier run in OUT.", rich_help_panel=RUN)
]
Replicates = Annotated[
    int,
    typer.Option(
        "--replicates",
        metavar="N",
        min=0,
        help="Bootstrap draws behind the intervals; 0 for none.",
        rich_help_panel=METHOD,
    ),
]
Templates = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        metavar="TEXT",
        help="Prompt with {} for the class; several are averaged. Default: 'a photo of a {}.'",
        rich_help_panel=METHOD,
    ),
]
Csv = Annotated[
    bool, typer.Option("--csv", help="Also write results.csv for spreadsheets.", rich_help_panel=OUTPUT)
]
AtLeast = Annotated[
    list[str] | None,
    typer.Option(
        "--at-least",
        metavar="NAME=VALUE",
        help="Exit with 1 when this figure is lower; may be given several times.",
        rich_help_panel=RUN,
    ),
]
FiguresFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write the figures as JSON here.", rich_help_panel=OUTPUT
    ),
]
ClassData = Annotated[
    str, typer.Argument(metavar="DATA", help="A folder of class folders, or a table of photos and classes.")
]
PairReader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="NAME",
        help="How to read DATA; [bold]awase methods[/] lists all. Default: found out.",
        rich_help_panel=DATA,
    ),
]
CaptionColumn = Annotated[
    str | None,
    typer.Option(
        "--caption-column",
        "--caption-key",
        metavar="NAME",
        help="Column of the captions in a table. Default: caption, and the usual names.",
        rich_help_panel=DATA,
    ),
]
FeaturesFile = Annotated[
    Path | None,
    typer.Option(
        "--features",
        metavar="FILE",
        help="Vectors instead of DATA: a safetensors file with image_features, text_features and, where an "
        "image has several texts, image_of_text.",
        rich_help_panel=DATA,
    ),
]
TestShare = Annotated[
    float,
    typer.Option(
        "--test-share",
        min=0.0,
        max=1.0,
        help="Share of each class kept out for the test where the data has no splits.",
        rich_help_panel=DATA,
    ),
]
ImageReader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="NAME",
        help="How to read the images: class_folders, image_table, images, parts. Default: found out.",
        rich_help_panel=DATA,
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        "--image-column",
        "--image-key",
        metavar="NAME",
        help="Column of the photos in a table. Default: image, and the usual names.",
        rich_help_panel=DATA,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="Column of the classes in a table. Default: label, and the usual names.",
        rich_help_panel=DATA,
    ),
]
ImageBatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, help="Images at a time.", rich_help_panel=MODEL)
]
