"""The one best template: what people do by hand, done on a selection split.

Every template alone, ranked by the mean log-probability of the right class. Counting right images instead
(`by="accuracy"`) makes many ties on few images; those go to the likelihood, and then to the earlier template.
"""

from dataclasses import dataclass

from awase.errors import DataError
from awase.transfer._prompt_task import Found, PromptTask, only, trial

_BY = ("likelihood", "accuracy")


@dataclass(frozen=True, slots=True)
class Single:
    """All weight on one template.

    Args:
        by: what is compared: `likelihood` or `accuracy`.

    Example:
        >>> import torch
        >>> prompts = torch.stack([torch.eye(2).flip(0), torch.eye(2)], dim=1)  # the first mixes them up
        >>> task = PromptTask(prompts, ("no {}", "a {}"), torch.eye(2), torch.arange(2))
        >>> Single().search(task, seed=0).weights
        tensor([0., 1.])
    """

    by: str = "likelihood"

    def __post_init__(self) -> None:
        if self.by not in _BY:
            raise DataError(f"by must be {' or '.join(_BY)}, got {self.by!r}.")

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """The best template on these images."""
        t = len(task.templates)
        trials = [trial(text, task, only(j, t)) for j, text in enumerate(task.templates)]
        if self.by == "likelihood":
            best = max(range(t), key=lambda j: (trials[j].likelihood, -j))
        else:
            best = max(range(t), key=lambda j: (trials[j].accuracy, trials[j].likelihood, -j))
        return Found(only(best, t), tuple(trials))


METHOD = Single
