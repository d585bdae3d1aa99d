"""CoOp: the words around the class names are learned, as vectors (Zhou et al. 2022, arXiv 2109.01134).

    t_k  = norm(E_T([v_1 .. v_M] [name_k].)),    loss = CE(logit_scale * <f, t_k>)

Encoders stay frozen; M vectors are learned, shared by all classes. SGD 0.002 with momentum, one epoch of
warm-up at 1e-5, cosine, batches of 32, the last step's model, as in the paper's code. Left out: contexts of
their own for every class; random crops and flips: an image is one cached vector (a single view), so numbers
are not those of papers that train on crops. Weight decay pulls towards the words the context started from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from awase.tune._context import LearnedContext, descend, prepare, starting_shift
from awase.tune._prompts import make_prompt
from awase.tune._protocol import Progress, Task
from awase.tune._recipe import epochs_by_shots


@dataclass(frozen=True)
class CoOp:
    """Context optimisation.

    Args:
        context: `random` starts from `n_tokens` fillers and noise of N(0, 0.02^2), as in the paper; `words`
            from the words of the first template before the name ("a photo of a": M = 4), which is zero-shot.
            Words move less: they keep more of what the model knew of other classes, and gain less on these.
        n_tokens: M for a random context, 16 in the paper; words bring their own number.
        position: of the class name: at the `end`, in the `mid` or in `front` of the context.
        epochs: None takes 50 for one shot, 100 up to four, 200 above; 0 learns nothing.
        batch_size: images in a step. The classes are encoded anew in every step, and that is what a step
            costs: with many classes larger batches are faster.
        learning_rate: of SGD, after warm-up.

    Example:
        >>> CoOp(context="words").position
        'end'
    """

    tuned: ClassVar[type] = LearnedContext
    zero: ClassVar[Mapping[str, Any]] = {"epochs": 0, "context": "words", "position": "end"}
    context: str = "random"
    n_tokens: int = 16
    position: str = "end"
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float = 0.002

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> LearnedContext:
        """Learn the context.

        Raises:
            EncoderError: the encoder's text tower cannot be taken apart.
            DataError: no images, a prompt that is too long, or settings that are no settings.
        """
        prompt = make_prompt(
            task.frozen.templates[0], context=self.context, n_tokens=self.n_tokens, position=self.position
        )
        encode = prepare(task, prompt)
        module = nn.ParameterDict({"shift": starting_shift(encode, context=self.context, seed=seed)})
        images, labels, scale = encode.place(task.train.values), task.train_labels, task.frozen.logit_scale

        def loss(rows: Tensor, step: int) -> Tensor:
            classes = encode.class_features(module["shift"][None])[0]  # (k, d)
            return cross_entropy(scale * images[rows] @ classes.T, labels[rows].to(classes.device))

        epochs = epochs_by_shots(task.shots) if self.epochs is None else self.epochs
        descend(
            module,
            loss,
            task,
            method=self,
            epochs=epochs,
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
        )
        shift = module["shift"].detach().clone()
        return LearnedContext(task.frozen, shift, prompt.before, prompt.after, prompt.suffix)


METHOD = CoOp
