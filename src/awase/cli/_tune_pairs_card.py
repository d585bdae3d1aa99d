"""What the card of a model trained on pairs says: its figures as numbers, and what a reader must know."""

from awase.report.transfer_wording import phrase
from awase.tune.pairs._fit import TrainedPairs
from awase.tune.pairs._recipe import BEST, PairRecipe
from awase.types import Chart, Language, Line


def title_of(language: Language) -> str:
    """Heading of the card."""
    return phrase("pairs_title", language)


def charts_of(trained: TrainedPairs) -> tuple[Chart, ...]:
    """The loss by step, and R@1 on the dev pairs by step where there are any."""
    made = []
    if trained.losses:
        steps = tuple(float(step) for step in trained.losses)
        made.append(Chart("training_loss", (Line("loss", steps, tuple(trained.losses.values())),)))
    if trained.measured:
        steps = tuple(float(step) for step in trained.measured)
        lines = tuple(
            Line(side, steps, tuple(values[f"recall_at_1.{side}"] for values in trained.measured.values()))
            for side in ("image_to_text", "text_to_image")
        )
        made.append(Chart("dev_recall", lines, marks={"kept step": float(trained.kept_step)}))
    return tuple(made)


def notes_of(trained: TrainedPairs, recipe: PairRecipe, n_bad: int) -> list[str]:
    """In English; `report.transfer_wording` has them in Japanese too."""
    notes = []
    if not trained.estimates:
        notes.append("No dev pairs were named, so nothing says what training has changed; see --dev-split.")
    elif recipe.keep == BEST:
        notes.append(
            f"The dev pairs chose step {trained.kept_step} of {trained.n_steps}, so their figures flatter "
            "it; measure on test pairs."
        )
    else:
        notes.append("The dev pairs chose nothing: the weights are those of the last step.")
    if n_bad:
        notes.append(f"{n_bad} rows could not be read and were left out.")
    notes.append("The weights belong to this base alone, which is named by its hash.")
    return notes
