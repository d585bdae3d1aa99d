"""Train on pairs: frozen sides are run once, the rest learns by a contrastive objective.

Steps are `awase.training.loop.train`'s: a killed run goes on to the same weights, several devices share a
batch. With `chunk` the gradient of a whole batch is made of smaller passes (cached gradients). Dev pairs are
measured while training and choose a checkpoint only where `keep` says so; nothing else is looked at.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from awase.engine.leaks import refuse_overlap
from awase.errors import DataError
from awase.functional.retrieval import Ranks
from awase.protocols import Encoder
from awase.registry import load
from awase.training import devices
from awase.training.checkpoint import trainable
from awase.training.contrast import Contrast
from awase.training.gradient_cache import cached_backward
from awase.training.loop import Report, train
from awase.training.sampler import GroupedBatches
from awase.training.schedule import cosine
from awase.tune.pairs._measure import best_step, estimates, found, recalls
from awase.tune.pairs._model import PairModel, Sources
from awase.tune.pairs._progress import RunLog
from awase.tune.pairs._recipe import BEST, PairRecipe
from awase.tune.pairs._rows import PairRows
from awase.types import EncoderSpec, Estimate

Progress = Callable[[int, int | None], None]
_POINTS = 200  # of the loss curve


@dataclass(frozen=True, slots=True, eq=False)
class PairTask:
    """What is learned from.

    Attributes:
        encoder: the model before training; it is not touched.
        train: pairs to learn from.
        dev: pairs that are measured on, of other photos; None for none.
    """

    encoder: Encoder
    train: PairRows
    dev: PairRows | None = None

    def __post_init__(self) -> None:
        if self.dev is not None:
            sides = [
                {digest: image.name for digest, image in zip(rows.hashes, rows.images, strict=True)}
                for rows in (self.train, self.dev)
            ]
            refuse_overlap(sides[0], sides[1], what=("training photos", "dev photos"))


@dataclass(frozen=True, slots=True, eq=False)
class TrainedPairs:
    """What came of it.

    Attributes:
        encoder: the trained model, a copy.
        base: the model before.
        weights: changed weights of the towers, by their names in the encoder's module.
        heads: weights of the heads by side; a head that changes nothing is left out.
        logit_scale: 1 / temperature.
        logit_bias: of the sigmoid loss.
        n_steps: steps taken.
        per_epoch: steps of an epoch.
        kept_step: the step whose weights these are.
        n_parameters: how many numbers learned.
        losses: by step.
        measured: R@k on the dev pairs by step.
        estimates: R@k on the dev pairs before and after, with intervals; none without dev pairs.
    """

    encoder: Encoder
    base: EncoderSpec
    weights: Mapping[str, Tensor]
    heads: Mapping[str, Mapping[str, Tensor]]
    logit_scale: float
    logit_bias: float
    n_steps: int
    per_epoch: int
    kept_step: int
    n_parameters: int
    losses: Mapping[int, float]
    measured: Mapping[int, Mapping[str, float]]
    estimates: tuple[Estimate, ...]


def fit_pairs(
    task: PairTask,
    recipe: PairRecipe,
    *,
    seed: int,
    from_scratch: bool = False,
    checkpoint: Path | None = None,
    save_every: int = 200,
    workers: int = 2,
    progress: Progress | None = None,
    report: Report | None = None,
) -> TrainedPairs:
    """Learn; equal seeds give equal weights on a CPU, also when `checkpoint` goes on from a killed run.

    Args:
        task: what to learn from.
        recipe: how.
        seed: of every draw.
        from_scratch: the encoder's weights are random: the logit scale starts where the objective says
            instead of at the encoder's own.
        checkpoint: folder of its own for what a killed run goes on from; None for none.
        save_every: steps between two saves.
        workers: threads that read photos, where the image tower learns.
        progress: told of steps done and in all.
        report: is given losses and measurements.

    Raises:
        DataError: a setting does not fit the data, such as `keep="best"` without dev pairs.
        EncoderError: the encoder's towers cannot be trained.
        LeakError: a photo is on both sides.
        RowError: a training photo can no longer be read.
    """
    if recipe.keep == BEST and task.dev is None:
        raise DataError("keep=best needs dev pairs to choose by; name a dev split.")
    run = _Run(task, recipe, seed, from_scratch, workers)
    identity = run.identity()
    log = RunLog(checkpoint, report, identity)
    run.watch(log)
    train(
        run.model,
        run.loss,
        batches=run.batches,
        n_steps=run.n_steps,
        optimizer=run.optimizer(),
        schedule=cosine(run.n_steps, warmup_steps=round(recipe.warmup * run.n_steps), ramp=True),
        checkpoint=checkpoint,
        save_every=save_every,
        identity=identity,
        progress=progress,
        report=log,
        report_every=max(1, run.n_steps // _POINTS),
        measures=lambda: {"logit_scale": float(run.model.logit_scale.detach())},
        clip_norm=recipe.clip_norm,
    )
    return run.finish(log)


def save_pairs(folder: str | Path, trained: TrainedPairs, *, facts: Mapping[str, Any] | None = None) -> None:
    """Write a folder that the encoder `tuned:DIR` reads; an older model there is replaced.

    Args:
        folder: made where it is missing.
        trained: what `fit_pairs` returned.
        facts: what else config.json is to say, JSON values.

    Raises:
        DataError: the facts hold something else, or the disk is full.
    """
    load("encoder", "tuned").write_tuned(
        Path(folder),
        base=trained.base,
        weights=trained.weights,
        heads=trained.heads,
        logit_scale=trained.logit_scale,
        facts=dict(facts or {}),
    )


class _Run:
    """The parts of one training, put together."""

    def __init__(
        self, task: PairTask, recipe: PairRecipe, seed: int, from_scratch: bool, workers: int
    ) -> None:
        self.task, self.recipe, self.seed = task, recipe, seed
        objective = recipe.objective
        groups = task.train.groups(recipe.groups)
        self.batches = GroupedBatches(
            groups,
            recipe.batch_size,
            seed,
            apart=objective.groups_apart or recipe.each > 1,
            each=recipe.each,
        )
        self.n_steps = recipe.n_steps(self.batches.per_epoch)
        self.scale = _start_scale(recipe, task.encoder, from_scratch)
        self.model = PairModel(
            task.encoder, recipe, scale=self.scale, bias=float(objective.initial_bias), seed=seed
        )
        self.groups = groups.to(self.model.device)
        self.sources = self.model.sources(task.train, workers=workers)
        self.dev = None if task.dev is None else self.model.sources(task.dev, workers=workers)
        self.log: RunLog | None = None
        self.before: Ranks | None = None

    def watch(self, log: RunLog) -> None:
        """Measure the dev pairs, before the first step and at every due step from then on."""
        self.log = log
        if self.dev is not None and devices.rank() == 0:
            self.before = self._ranks(self.dev, heads=False)
            if 0 not in log.measured:
                log.measure(0, recalls(self.before))
                if self.recipe.keep == BEST:
                    log.keep_best(0, trainable(self.model))

    def identity(self) -> dict[str, Any]:
        """What decides the weights, beside what the loop adds."""
        recipe, task = self.recipe, self.task
        sides = [task.train] if recipe.keep != BEST or task.dev is None else [task.train, task.dev]
        facts = [[side.hashes, side.captions, side.image_of_text.tolist()] for side in sides]
        return {
            "recipe": repr(recipe),
            "encoder": task.encoder.spec.fingerprint,
            "scale": self.scale,
            "steps": [self.n_steps, self.seed],
            "data": hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16],
            "batches": dict(self.batches.facts),
        }

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW with CLIP's betas; norms, biases and the logit scale are not decayed."""
        recipe = self.recipe
        rate, head_rate = recipe.rates
        own_rate = head_rate if "heads" in recipe.parts else rate
        buckets: dict[tuple[float, float], list[Tensor]] = {}
        for name, value in trainable(self.model).items():
            of_tower = name.startswith("towers.")
            decay = recipe.weight_decay if value.ndim > 1 else 0.0
            buckets.setdefault((rate if of_tower else own_rate, decay), []).append(value)
        groups = [
            {"params": values, "lr": speed, "weight_decay": decay}
            for (speed, decay), values in buckets.items()
        ]
        return torch.optim.AdamW(groups, betas=(0.9, 0.98))

    def loss(self, rows: Int[Tensor, " b"], step: int) -> Tensor:
        """The objective on this device's share of a batch."""
        # subtle: measured at the start of a step and not behind one, so that a run that was killed right
        # behind a save still measures at that step when it goes on
        self._measure(step)
        self.model.clamp_scale()
        groups = self.groups[rows]

        def of_features(image_features: Tensor, text_features: Tensor) -> Tensor:
            batch = Contrast(image_features, text_features, self.model.logit_scale, self.model.bias, groups)
            return self.recipe.objective.loss(devices.gathered(batch))

        if self.recipe.chunk is None:
            return of_features(*self.model.embed(self.sources, rows))
        return cached_backward(
            lambda part: self.model.embed(self.sources, part), rows, of_features, chunk=self.recipe.chunk
        )

    def finish(self, log: RunLog) -> TrainedPairs:
        """The kept weights as an encoder, with all that was recorded."""
        self.model.clamp_scale()
        self._measure(self.n_steps, is_last=True)
        step = self.n_steps
        if self.recipe.keep == BEST and devices.rank() == 0:
            step = best_step(log.measured)
            with torch.no_grad():
                for name, value in trainable(self.model).items():
                    value.copy_(log.best()[name])
        figures: tuple[Estimate, ...] = ()
        if self.dev is not None and self.before is not None and self.task.dev is not None:
            after = self._ranks(self.dev, heads=step > 0) if step else self.before
            figures = estimates(self.before, after, self.task.dev.image_of_text, seed=self.seed)
        # no step leaves the model as it was, its logit scale too
        scale = float(self.model.logit_scale.detach()) if step else self.task.encoder.logit_scale
        return TrainedPairs(
            encoder=self.model.tuned(self.task.encoder, scale),
            base=self.task.encoder.spec,
            weights=self.model.changed_weights(),
            heads=self.model.changed_heads(),
            logit_scale=scale,
            logit_bias=float(self.model.bias.detach()),
            n_steps=self.n_steps,
            per_epoch=self.batches.per_epoch,
            kept_step=step,
            n_parameters=sum(value.numel() for value in trainable(self.model).values()),
            losses=dict(sorted(log.losses.items())),
            measured=dict(sorted(log.measured.items())),
            estimates=figures,
        )

    def _measure(self, step: int, *, is_last: bool = False) -> None:
        log = self.log
        if log is None or self.dev is None or devices.rank() != 0 or step == 0 or step in log.measured:
            return
        every = self.recipe.measure_every or self.batches.per_epoch
        if step % every and not is_last:
            return
        numbers = recalls(self._ranks(self.dev))
        is_best = all(numbers["rsum"] > before["rsum"] for before in log.measured.values())
        if self.recipe.keep == BEST and is_best:
            log.keep_best(step, trainable(self.model))
        log.measure(step, numbers)

    def _ranks(self, sources: Sources, *, heads: bool = True) -> Ranks:
        images, texts = self.model.all_features(sources, heads=heads)
        return found(images, texts, sources.image_of_text)


def _start_scale(recipe: PairRecipe, encoder: Encoder, from_scratch: bool) -> float:
    if not isinstance(recipe.temperature, str):
        return 1 / float(recipe.temperature)
    objective = recipe.objective
    # a bias and a scale start together: the sigmoid loss is lost with the scale of a softmax
    if from_scratch or objective.initial_bias != 0:
        return float(objective.initial_scale)
    return float(encoder.logit_scale)
