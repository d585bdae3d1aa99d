"""Prompts with learned context: where the context words stand, and the class vectors they lead to.

    e'_j = e_j + shift_m     at the place j of context token m, in the prompt of every class
    t_k  = norm(E_T(e'))

CoOp (arXiv 2109.01134) learns the context's embeddings v_m; here they are the embeddings of real words plus
a learned shift, which is the same family of vectors (v_m = e_m + shift_m), works with any tower that takes
embeddings apart from ids, and is the untouched model where the shift is 0. One context for all classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.checkpoint import checkpoint

from awase.errors import DataError, EncoderError
from awase.functional.similarity import normalize
from awase.functional.text_tree import TextTree, can_grow, grow, run_tree
from awase.functional.towers import run_text
from awase.protocols import Encoder, TextTower, TokenEncoder
from awase.types import TokenBatch

POSITIONS = ("end", "mid", "front")
CONTEXTS = ("words", "random")
_FILLER = "X"  # stands for a context token that is to be learned from noise, as in CoOp
_KEPT = 2**29  # bytes of activations that a backward pass may keep; beyond that they are computed again
_STATES = 24  # vectors of the tower's width that one token leaves in one layer for the backward pass


@dataclass(frozen=True)
class Prompt:
    """The text before + name + after + suffix; the words of `before` and `after` are the context.

    Example:
        >>> Prompt("a photo of a ", "", ".").of("dog")
        'a photo of a dog.'
    """

    before: str
    after: str
    suffix: str

    @property
    def template(self) -> str:
        """The prompt with {} for the name."""
        return f"{self.before}{{}}{self.after}{self.suffix}"

    def of(self, name: str) -> str:
        """The prompt of a class."""
        return f"{self.before}{name}{self.after}{self.suffix}"

    def is_context(self, name: str, span: tuple[int, int]) -> bool:
        """Whether a token at these characters of the class's prompt belongs to the context."""
        start, end = span
        behind = len(self.before) + len(name)
        in_before = end <= len(self.before)
        in_after = behind <= start and end <= behind + len(self.after)
        return start < end and (in_before or in_after)


def make_prompt(template: str, *, context: str, n_tokens: int, position: str) -> Prompt:
    """The prompt to learn on.

    Args:
        template: of zero-shot, with one {}; what stands behind the name stays as it is, unlearned.
        context: `words` takes the template's words before the name, `random` `n_tokens` fillers.
        n_tokens: number of context words for `random`.
        position: of the class name: at the `end`, in the `mid` of the context, or in `front` of it.

    Raises:
        DataError: an unknown context or position, no tokens, or a template without words before its name.

    Example:
        >>> make_prompt("a photo of a {}.", context="words", n_tokens=16, position="mid").template
        'a photo {} of a.'
        >>> make_prompt("a photo of a {}.", context="random", n_tokens=3, position="end").template
        'X X X {}.'
    """
    if context not in CONTEXTS or position not in POSITIONS:
        raise DataError(
            f"context is one of {', '.join(CONTEXTS)} and position one of {', '.join(POSITIONS)}, "
            f"got {context!r} and {position!r}."
        )
    if n_tokens < 1:
        raise DataError(f"a prompt needs at least one context token to learn, got {n_tokens}.")
    start, _, suffix = template.partition("{}")
    words = start.split() if context == "words" else [_FILLER] * n_tokens
    if not words:
        raise DataError(
            f"the template {template!r} has no words before the name, which would be the context to learn; "
            'take another template such as "a photo of a {}.", or context="random".'
        )
    if position == "end":
        return Prompt(start if context == "words" else " ".join(words) + " ", "", suffix)
    half = len(words) // 2 if position == "mid" else 0
    before = "".join(f"{word} " for word in words[:half])
    return Prompt(before, "".join(f" {word}" for word in words[half:]), suffix)


def require_tokens(encoder: Encoder) -> TokenEncoder:
    """The encoder, if its text tower can be taken apart.

    Raises:
        EncoderError: it cannot.
    """
    if not isinstance(encoder, TokenEncoder):
        raise EncoderError(
            f"learned prompts run through the text tower from its embeddings on, and {encoder!r} gives no "
            "way in; use a builtin, hf or open_clip encoder, or a method on cached features such as taskres."
        )
    return encoder


class ContextEncoder:
    """The prompts of k classes as a function of the shift of their context.

    What does not depend on the shift (tokens, embeddings, the tree of shared beginnings) is made once.

    Args:
        encoder: its text tower is run, never changed.
        prompt: of every class.
        class_names: the k names.

    Raises:
        EncoderError: the encoder's text tower cannot be taken apart, or its tokenizer does not keep the
            words of the context apart from the names.
        DataError: no classes, or a prompt that is longer than the tower reads.
    """

    def __init__(self, encoder: Encoder, prompt: Prompt, class_names: Sequence[str]) -> None:
        reader = require_tokens(encoder)
        if not class_names:
            raise DataError("there are no classes to make prompts of.")
        tokens = reader.tokenize([prompt.of(name) for name in class_names])
        for name, is_cut in zip(class_names, tokens.truncated, strict=True):
            if is_cut:
                raise DataError(
                    f"the prompt of class {name!r} is longer than the text tower reads "
                    f"({tokens.ids.shape[1]} tokens); shorten the name or take fewer context tokens."
                )
        slots = _slots(tokens, prompt, class_names)
        self.tower = reader.text_tower
        self.n_classes, self.n_tokens = len(class_names), int(slots.max()) + 1
        with torch.no_grad():
            embedded = self.tower.embed(tokens)
        self.width, self._dtype, self._device = embedded.shape[2], embedded.dtype, embedded.device
        order = tokens.mask.sum(dim=1).argsort(stable=True)  # texts of one pass are then about as long
        self._passes = tuple(
            _pass(self.tower, tokens.select(rows.tolist()), embedded[rows], slots[rows], self.n_tokens)
            for rows in torch.split(order, _rows_of_a_pass(self.tower, tokens, slots, 2 * self.width))
        )
        self._back = order.argsort()

    @property
    def precision(self) -> torch.dtype:
        """What the class vectors and the shift are in: the tower's, float32 at least."""
        return self._dtype if self._dtype.itemsize >= 4 else torch.float32

    def place(self, values: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Image vectors, say, where the class vectors are, and in their precision."""
        return values.to(self._device, self.precision)

    @property
    def n_nodes(self) -> int:
        """Tokens that one context runs through the tower, those that texts of a pass share once."""
        return sum(part.n_nodes for part in self._passes)

    @property
    def n_nodes_at_once(self) -> int:
        """The same in the largest pass."""
        return max(part.n_nodes for part in self._passes)

    def class_features(self, shift: Float[Tensor, "b m w"]) -> Float[Tensor, "b k d"]:
        """Unit vectors of the classes for each of b contexts, with gradient where the shift asks for one.

        The memory for the backward pass is bounded: of many classes no activations are kept, they are
        computed again.
        """
        moved = shift.to(self._device)
        states = len(shift) * self.n_nodes * len(self.tower.layers) * _STATES * self.width
        is_large = torch.is_grad_enabled() and states * self._dtype.itemsize > _KEPT
        rows = [
            checkpoint(part.run, self.tower, moved, use_reentrant=False, preserve_rng_state=False)
            if is_large
            else part.run(self.tower, moved)
            for part in self._passes
        ]
        whole = torch.cat(rows, dim=1)[:, self._back]  # (b, k, d)
        return normalize(whole.to(self.precision))


@dataclass(frozen=True, eq=False)
class _Pass:
    """Some of the classes, run at once: as a tree, or else each text for itself."""

    tokens: TokenBatch
    embedded: Float[Tensor, "c t w"]  # of each text; of the nodes of a tree (c = 1)
    chosen: Float[Tensor, "c t m"]  # 1 where a token is context token m
    tree: TextTree | None

    @property
    def n_nodes(self) -> int:
        return self.embedded.shape[0] * self.embedded.shape[1]

    def run(self, tower: TextTower, shift: Float[Tensor, "b m w"]) -> Float[Tensor, "b k d"]:
        added = self.chosen.to(shift.dtype) @ shift.unsqueeze(1)  # (b, c, t, w)
        moved = self.embedded + added.to(self.embedded.dtype)
        if self.tree is not None:
            return run_tree(tower, self.tree, moved[:, 0])
        b, c = moved.shape[:2]
        every = self.tokens.select(list(range(c)) * b)
        features = run_text(tower, every, moved.flatten(0, 1))
        return features.reshape(b, c, features.shape[1])


def _pass(
    tower: TextTower,
    tokens: TokenBatch,
    embedded: Float[Tensor, "c n w"],
    slots: Int[Tensor, "c n"],
    n_tokens: int,
) -> _Pass:
    chosen = one_hot(slots + 1, n_tokens + 1)[:, :, 1:].float()  # (c, n, m)
    if can_grow(tower, tokens):
        tree = grow(tokens, slots)
        nodes = (tree.texts, tree.positions)
        return _Pass(tokens, embedded[nodes][None], chosen[nodes][None], tree)
    length = int(tokens.mask.any(dim=0).nonzero().max()) + 1
    return _Pass(tokens.cut(length), embedded[:, :length], chosen[:, :length], None)


def _rows_of_a_pass(tower: TextTower, tokens: TokenBatch, slots: Int[Tensor, "k n"], nodes: int) -> int:
    """So many classes that a pass has about `nodes` tokens: twice the width of the tower.

    With fewer, what the classes share runs too often; with more, the attention within a tree, which grows
    with the square of its nodes, costs more than the rest.
    """
    length = float(tokens.mask.sum(dim=1).float().mean())
    if can_grow(tower, tokens):
        alike = (tokens.ids == tokens.ids[:1]).all(dim=0) & (slots == slots[:1]).all(dim=0)
        shared = int(alike.long().cumprod(dim=0).sum())
        return max(1, int((nodes - shared) / max(1.0, length - shared)))
    return max(1, int(nodes / length))


def _slots(tokens: TokenBatch, prompt: Prompt, class_names: Sequence[str]) -> Int[Tensor, "k n"]:
    """For every token which context token it is, -1 for none.

    Raises:
        EncoderError: the context is not the same tokens in every prompt.
    """
    slots = torch.full(tokens.ids.shape, -1, device=tokens.ids.device)
    found = []
    for row, name in enumerate(class_names):
        places = [i for i, span in enumerate(tokens.spans[row]) if prompt.is_context(name, span)]
        slots[row, places] = torch.arange(len(places), device=slots.device)
        found.append(tuple(tokens.ids[row, places].tolist()))
    if not found[0] or len(set(found)) > 1:
        odd = next((name for name, ids in zip(class_names, found, strict=True) if ids != found[0]), None)
        raise EncoderError(
            f"the context of {prompt.template!r} is {len(found[0])} tokens for class {class_names[0]!r}"
            + (f" and other ones for {odd!r}" if odd is not None else "")
            + "; take another template, one with spaces around the name and words that the model knows."
        )
    return slots
