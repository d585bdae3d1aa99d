"""One run of the study: what decides it, training, and everything measured on data it has not seen."""

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from batches import CaptionBatches
from heads import Heads
from torch import Tensor

from awase.functional.contrastive import info_nce, multi_positive_info_nce, regularized_info_nce
from awase.training.loop import train

WEIGHT_DECAY = 0.1


@dataclass(frozen=True)
class Cell:
    """What decides a run.

    Args:
        world: data set.
        objective: info_nce, regularized (form: sum, as in the paper) or multi_positive.
        weight: lambda of the regulariser.
        part: what is regularised.
        temperature: fixed, None for one that learns.
        batch_size: captions in a batch.
        each: captions of one image in a batch.
        rate: learning rate.
        epochs: passes over the images.
        seed: of weights, batches and dropout.
    """

    world: str
    objective: str
    weight: float
    part: str
    temperature: float | None
    batch_size: int
    each: int
    rate: float
    epochs: int
    seed: int

    @property
    def key(self) -> str:
        """Name of its file."""
        facts = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Training:
    """What a cell learns from.

    Args:
        images: frozen vectors, one an image.
        texts: frozen vectors, one a caption.
        image_of_text: row of each caption's image.
        group_of_text: equal numbers are the same thing, for the objective with several positives and for
        counting. captions_of: rows of each image's captions. validate: a number that says how good the
        heads are on validation data; higher is better.
    """

    images: Tensor
    texts: Tensor
    image_of_text: Tensor
    group_of_text: Tensor
    captions_of: Tensor
    validate: Callable[[Heads], float]


@dataclass
class Outcome:
    """Heads at the epoch that validation chose, and what training showed on the way."""

    heads: Heads
    epoch: int = 0
    best: float = float("-inf")
    validation: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def fit(cell: Cell, data: Training) -> Outcome:
    """Train one cell; the epoch is chosen by validation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.seed)
        heads = Heads(data.images, data.texts, temperature=cell.temperature)
    batches = CaptionBatches(data.captions_of, cell.batch_size, cell.seed, cell.each)
    n_steps = cell.epochs * batches.per_epoch
    outcome = Outcome(heads)

    def loss(rows: Tensor, step: int) -> Tensor:
        images = heads.image(data.images[data.image_of_text[rows]])
        texts = heads.text(data.texts[rows])
        return objective(cell, images, texts, heads.logit_scale, data.group_of_text[rows])

    def watch(step: int, _total: int | None) -> None:
        if step % batches.per_epoch:
            return
        heads.eval()
        with torch.inference_mode():
            value = data.validate(heads)
        heads.train()
        outcome.validation.append(value)
        if value > outcome.best:
            outcome.best, outcome.epoch = value, step // batches.per_epoch
            outcome.heads = copy.deepcopy(heads)

    heads.train()
    weights = [value for value in heads.parameters() if value.requires_grad and value.ndim > 1]
    others = [value for value in heads.parameters() if value.requires_grad and value.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=cell.rate,
    )
    warmup = min(20, n_steps // 10)
    outcome.losses = train(
        heads,
        loss,
        batches=batches,
        n_steps=n_steps,
        optimizer=optimizer,
        schedule=lambda step: min(1.0, (step + 1) / (warmup + 1)) * _cosine(step / n_steps),
        progress=watch,
    )
    outcome.heads.eval()
    return outcome


def objective(cell: Cell, images: Tensor, texts: Tensor, scale: Tensor, groups: Tensor) -> Tensor:
    """The loss of a batch, all in the sum form of the paper so that one learning rate means the same."""
    if cell.objective == "multi_positive":
        return multi_positive_info_nce(images, texts, logit_scale=scale, groups=groups, form="sum")
    if cell.objective == "regularized":
        return regularized_info_nce(
            images, texts, logit_scale=scale, weight=cell.weight, part=cell.part, form="sum"
        )
    return info_nce(images, texts, logit_scale=scale, form="sum")


def _cosine(done: float) -> float:
    return float(0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(done, 1.0)))))
