"""CoCoOp: a learned context that every image moves (Zhou et al. 2022, arXiv 2203.05557).

    v_m(x) = v_m + h(f(x)),    h = Linear(d, d/16) - ReLU - Linear(d/16, w)
    t_k(x) = norm(E_T([v_1(x) .. v_M(x)] [name_k].))

One bias an image, shared by all context tokens. The text tower runs over all classes for every image, in
training and afterwards: k times the work of CoOp. What the classes of an image share runs once for all of
them, and images stream in blocks, so memory does not grow with their number.

The paper's settings: words ("a photo of a"), 10 epochs of one image a step, SGD 0.002. Here the last layer
of h starts at zero, so that learning starts from zero-shot (`meta_start="linear"` for the usual random
start). Left out: random crops and flips: an image is one cached vector (a single view).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, relu

from awase.errors import DataError
from awase.training.sampler import seeded
from awase.tune._context import LearnedContext, descend, fitting, prepare, starting_shift
from awase.tune._frozen import Frozen
from awase.tune._prompts import ContextEncoder, make_prompt
from awase.tune._protocol import Progress, Task
from awase.types import Evidence, Features

_NARROWING = 16
_META_STARTS = ("zero", "linear")
_META = -2  # index of the draw of the meta-net, beside that of the shift
_ROWS = 1024  # hidden states of the text tower that are computed at once


def context_bias(
    meta: Mapping[str, Float[Tensor, "..."]], image_features: Float[Tensor, "n d"]
) -> Float[Tensor, "n w"]:
    """h(f): what each image adds to every context token."""
    narrow = relu(linear(image_features, meta["narrow_weight"], meta["narrow_bias"]))
    return linear(narrow, meta["widen_weight"], meta["widen_bias"])


def conditional_similarity(
    encode: ContextEncoder,
    shift: Float[Tensor, "m w"],
    bias: Float[Tensor, "n w"],
    image_features: Float[Tensor, "n d"],
) -> Float[Tensor, "n k"]:
    """Cosine of image i with class k in the context of image i, with gradient where one is asked for."""
    classes = encode.class_features(shift + bias.unsqueeze(1))  # (n, k, d)
    return (classes @ image_features.unsqueeze(2)).squeeze(2)


@dataclass(frozen=True, eq=False)
class ConditionalContext:
    """A model whose prompts carry a context that depends on the image.

    Attributes:
        frozen: the model before.
        shift: what is added to the input embeddings of the m context tokens for every image.
        meta: h: narrow_weight, narrow_bias, widen_weight, widen_bias.
        before: text of the prompt before the name, such as "a photo of a ".
        after: context behind the name, "" where the name comes last.
        suffix: what ends the prompt, unlearned.
    """

    frozen: Frozen
    shift: Float[Tensor, "m w"]
    meta: Mapping[str, Float[Tensor, "..."]]
    before: str
    after: str
    suffix: str

    @property
    def n_parameters(self) -> int:
        return self.shift.numel() + sum(value.numel() for value in self.meta.values())

    @property
    def unconditional(self) -> LearnedContext:
        """The same without the images' bias: CoOp's model."""
        return LearnedContext(self.frozen, self.shift, self.before, self.after, self.suffix)

    def evidence(self, images: Features, class_names: Sequence[str] | None = None) -> Evidence:
        """Cosine of every image with the classes in its own context, of any names.

        `class_features`, which patches are compared with, are those of the context without a bias.

        Raises:
            DataError: features of another encoder, or a prompt that is too long.
        """
        plain = self.unconditional
        whole = plain.evidence(images, class_names)
        if not any(bool(self.meta[name].any()) for name in ("widen_weight", "widen_bias")):
            return whole  # h is 0 for every image: CoOp, and with no shift zero-shot, to the last bit
        names = self.frozen.class_names if class_names is None else class_names
        encode = ContextEncoder(self.frozen.reader(), plain.prompt, names)
        with torch.no_grad():
            rows = torch.cat([whole.similarity[:0], *self._blocks(encode, images.values)])
        return Evidence(rows, whole.image_features, whole.class_features, whole.patch_features)

    def _blocks(self, encode: ContextEncoder, values: Float[Tensor, "n d"]) -> Iterator[Tensor]:
        meta = {name: encode.place(value) for name, value in self.meta.items()}
        shift = encode.place(fitting(self.shift, encode))
        for block in torch.split(values, max(1, _ROWS // encode.n_nodes_at_once)):
            images = encode.place(block)
            similarity = conditional_similarity(encode, shift, context_bias(meta, images), images)
            yield similarity.float().to(values.device)

    def image_features(self, images: Features) -> Float[Tensor, "n d"]:
        return self.frozen.image_features(images)

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "m d"]:
        return self.frozen.text_features(texts)


@dataclass(frozen=True)
class CoCoOp:
    """Conditional context optimisation.

    Args:
        context: `words` or `random`, as for `coop`.
        n_tokens: M for a random context; words bring their own number.
        position: of the class name: at the `end`, in the `mid` or in `front` of the context.
        meta_start: `zero` starts the last layer of h at 0, `linear` at random as the paper's code does.
        epochs: passes over the shots; 0 learns nothing.
        batch_size: images in a step, each with its own prompts of all classes.
        learning_rate: of SGD, after warm-up.

    Example:
        >>> CoCoOp(epochs=5).batch_size
        1
    """

    tuned: ClassVar[type] = ConditionalContext
    zero: ClassVar[Mapping[str, Any]] = {
        "epochs": 0,
        "context": "words",
        "position": "end",
        "meta_start": "zero",
    }
    context: str = "words"
    n_tokens: int = 4
    position: str = "end"
    meta_start: str = "zero"
    epochs: int = 10
    batch_size: int = 1
    learning_rate: float = 0.002

    def fit(
        self,
        task: Task,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> ConditionalContext:
        """Learn the context and the meta-net.

        Raises:
            EncoderError: the encoder's text tower cannot be taken apart.
            DataError: no images, a prompt that is too long, or settings that are no settings.
        """
        if self.meta_start not in _META_STARTS:
            raise DataError(f"meta_start is one of {', '.join(_META_STARTS)}, got {self.meta_start!r}.")
        prompt = make_prompt(
            task.frozen.templates[0], context=self.context, n_tokens=self.n_tokens, position=self.position
        )
        encode = prepare(task, prompt)
        images, labels, scale = encode.place(task.train.values), task.train_labels, task.frozen.logit_scale
        module = nn.ParameterDict(
            {
                "shift": starting_shift(encode, context=self.context, seed=seed),
                **_starting_meta(encode, images.shape[1], start=self.meta_start, seed=seed),
            }
        ).to(images.device)

        def loss(rows: Tensor, step: int) -> Tensor:
            bias = context_bias(dict(module.items()), images[rows])
            similarity = conditional_similarity(encode, module["shift"], bias, images[rows])
            return cross_entropy(scale * similarity, labels[rows].to(similarity.device))

        descend(
            module,
            loss,
            task,
            method=self,
            epochs=self.epochs,
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
        )
        learned = {name: value.detach().clone().cpu() for name, value in module.items()}
        shift = learned.pop("shift")
        return ConditionalContext(task.frozen, shift, learned, prompt.before, prompt.after, prompt.suffix)


def _starting_meta(encode: ContextEncoder, d: int, *, start: str, seed: int) -> dict[str, Tensor]:
    """torch's own random start of linear maps, from a generator; the last map zero for `zero`."""
    generator, narrow = seeded(seed, _META), max(1, d // _NARROWING)
    shapes = {
        "narrow_weight": (narrow, d),
        "narrow_bias": (narrow,),
        "widen_weight": (encode.width, narrow),
        "widen_bias": (encode.width,),
    }
    meta = {}
    for name, shape in shapes.items():
        bound = (d if name.startswith("narrow") else narrow) ** -0.5
        meta[name] = torch.empty(shape, dtype=encode.precision).uniform_(-bound, bound, generator=generator)
        if start == "zero" and name.startswith("widen"):
            meta[name].zero_()
    return meta


METHOD = CoCoOp
