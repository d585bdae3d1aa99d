"""Back towards the original weights: WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903).

    theta(strength) = (1 - strength) * theta_0 + strength * theta

Between the model before and after tuning there is often one that keeps most of the new accuracy and loses
less of what the old one could do. For low-rank updates the same line scales the update.
"""

from typing import Protocol, runtime_checkable

from awase.errors import DataError
from awase.tune._protocol import Task, Tuned
from awase.tune._select import choose

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # nearest to zero-shot first, as ties go to the first


@runtime_checkable
class Interpolated(Tuned, Protocol):
    """A tuned model on the line between its weights before (0) and after tuning (1)."""

    @property
    def strength(self) -> float: ...

    def at_strength(self, strength: float) -> "Interpolated":
        """The same tuning at another place on the line."""
        ...


def interpolate(tuned: Tuned, strength: float) -> Interpolated:
    """The same tuned model at another strength: nothing is trained again.

    Args:
        tuned: of full fine-tuning or LoRA, at any strength.
        strength: in [0, 1]; 0 is the model before tuning to the last bit, 1 the tuned weights.

    Raises:
        DataError: the strength lies outside [0, 1], or this method has no such line.
    """
    if not isinstance(tuned, Interpolated):
        raise DataError(
            f"{type(tuned).__name__} does not change an encoder's weights, so there is nothing between it "
            "and the original; lora and full can be interpolated."
        )
    return tuned.at_strength(strength)


def chosen_strength(tuned: Interpolated, strength: float | None, task: Task) -> float:
    """The given strength, or for None the one with the best validation accuracy, 1 without validation."""
    candidates = STRENGTHS if strength is None else (strength,)
    best, _ = choose(
        "strength",
        candidates,
        lambda candidate: tuned.at_strength(candidate).evidence(task.validation).similarity,
        task.validation_labels,
        default=1.0,
    )
    return best


def require_strength(strength: float) -> None:
    """Refuse a strength outside [0, 1].

    Raises:
        DataError: as said.
    """
    if not 0 <= strength <= 1:
        raise DataError(
            f"strength must lie in [0, 1], got {strength}; 0 is the original model, 1 the tuned one."
        )
