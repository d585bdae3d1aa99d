"""What the parts world knows exactly, beside what is measured: false negatives, loss floors, completeness.

python studies/transfer/truth.py --cache CACHE --cells DIR [--output studies/transfer/results]
"""

import argparse
import json
from pathlib import Path

import scene_ground
import scenes
import torch
from batches import CaptionBatches
from cell import Cell
from heads import Heads
from measures import features
from report import arm, table, temperature_name
from safetensors.torch import load_file

from awase.files import write_atomic
from awase.functional.completeness import completeness_curve
from awase.functional.false_negatives import (
    any_false_negative,
    batch_loss_floor,
    expected_false_negatives,
    loss_floor,
)
from awase.report.charts import draw_chart
from awase.types import Chart, Line

SIZES = (32, 64, 128, 256, 512)
N_BATCHES = 400
TEMPERATURES = (0.02, 0.07)


def false_negative_rows() -> list[list[str]]:
    """Closed forms from the world's own probabilities, and counts in the batches that training draws."""
    world = scenes.world_of("train")
    probabilities = world.probabilities("shape", "colour").flatten()
    n = scenes.PARTS["train"][1]
    truth = world.truth(range(n))
    shared = truth.shape[:, 0].long() * len(scenes.COLOURS) + truth.colour[:, 0].long()
    captions_of = torch.arange(n)[:, None]
    rows = []
    for size in SIZES:
        batches = CaptionBatches(captions_of, size, seed=1)
        drawn = [shared[batches.rows(step)] for step in range(N_BATCHES)]
        others = torch.cat([(z[:, None] == z[None, :]).sum(1) - 1 for z in drawn]).double()
        floors = torch.tensor([batch_loss_floor(z) for z in drawn], dtype=torch.float64)
        rows.append(
            [
                str(size),
                f"{expected_false_negatives(probabilities, size):.3f}",
                f"{float(others.mean()):.3f}",
                f"{any_false_negative(probabilities, size):.4f}",
                f"{float((others > 0).double().mean()):.4f}",
                f"{loss_floor(probabilities, size):.4f}",
                f"{float(floors.mean()):.4f}",
            ]
        )
    return rows


def curves(cells: Path, cache: Path) -> Chart:
    """Alpha over gamma of the first seed: InfoNCE, the strongest regulariser, several positives."""
    ground = scene_ground.ground(Path(), cache)
    world = scenes.read(cache)
    pairs, shared = world.pairs["test"], world.shared["test"]
    lines = []
    for path in sorted((cells / "parts").glob("*.json")):
        cell = Cell(**json.loads(path.read_text(encoding="utf-8"))["cell"])
        is_wanted = (
            cell.seed == 1
            and cell.batch_size == ground.batch_size
            and cell.part == "positives"
            and cell.temperature in TEMPERATURES
            and cell.weight in (0.0, 3.0)
        )
        if not is_wanted:
            continue
        training = ground.training
        heads = Heads(training.images, training.texts, temperature=cell.temperature)
        heads.load_state_dict(load_file(path.with_suffix(".safetensors")))
        heads.eval()
        images, texts = features(heads, pairs)
        found = completeness_curve(images, texts, image_of_text=pairs.image_of_text, groups=shared)
        name = f"τ {temperature_name(cell.temperature)}, {arm(vars(cell))}"
        lines.append(Line(name, tuple(found.gammas), tuple(found.alphas)))
    return Chart("parts_completeness", tuple(sorted(lines, key=lambda line: line.label)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    head = [
        "batch",
        "E FN, exact",
        "measured",
        "P(any), exact",
        "measured",
        "floor in nats, exact",
        "measured",
    ]
    text = [
        "# False negatives in the parts world",
        "",
        "Made by `truth.py`. Exact: closed forms from the world's probabilities (96 combinations). Measured:",
        f"{N_BATCHES} batches as training draws them out of 1500 scenes, whose combinations do not occur",
        "equally often, so that they lie a little above. One direction; training reports the sum of both.",
        "",
        *table(head, false_negative_rows()),
    ]
    write_atomic(arguments.output / "parts_false_negatives.md", "\n".join(text))
    draw_chart(
        curves(arguments.cells, arguments.cache),
        arguments.output / "parts_completeness.svg",
        title="Share of pairs that violate margin γ",
        x_label="γ (cosine)",
        y_label="α",
    )
