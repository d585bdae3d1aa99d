"""The one best template: what people do by hand, done on a selection split.

Every template alone, by the number of images that are right; of equal ones by the mean probability of the
right class, and then the earlier.
"""

from dataclasses import dataclass

from awase.transfer._prompt_task import Found, PromptTask, Trial, only


@dataclass(frozen=True, slots=True)
class Single:
    """All weight on one template.

    Example:
        >>> import torch
        >>> prompts = torch.stack([torch.eye(2).flip(0), torch.eye(2)], dim=1)  # the first mixes them up
        >>> task = PromptTask(prompts, ("no {}", "a {}"), torch.eye(2), torch.arange(2))
        >>> Single().search(task, seed=0).weights
        tensor([0., 1.])
    """

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """The best template on these images."""
        t = len(task.templates)
        trials = [Trial(text, task.score(only(j, t))) for j, text in enumerate(task.templates)]
        best = max(range(t), key=lambda j: (trials[j].score, -j))
        return Found(only(best, t), tuple(trials))


METHOD = Single
