"""All templates, equally weighted: the ensemble of Radford et al. 2021 (CLIP, arXiv 2103.00020).

Learns nothing. Against this a search has to show that choosing pays; with many sensible templates it is
hard to beat, and with poor ones among them it is not.
"""

from dataclasses import dataclass

import torch

from awase.transfer._prompt_task import Found, PromptTask, Trial


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every template weighs the same.

    Example:
        >>> import torch
        >>> prompts = torch.eye(2)[:, None].repeat(1, 2, 1)
        >>> task = PromptTask(prompts, ("{}", "a {}"), torch.eye(2), torch.arange(2))
        >>> Uniform().search(task, seed=0).weights
        tensor([0.5000, 0.5000])
    """

    def search(self, task: PromptTask, *, seed: int) -> Found:
        """Equal weights, whatever the images."""
        t = len(task.templates)
        weights = torch.full((t,), 1 / t)
        return Found(weights, (Trial(f"all {t} templates", task.score(weights)),))


METHOD = Uniform
