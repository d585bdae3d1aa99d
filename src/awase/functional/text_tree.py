"""Many texts that begin alike, run through a causal text tower as one tree: equal beginnings run once.

In a causal tower a token depends on itself and on what stands before it, so two texts with the same first
tokens have the same hidden states there. The k prompts "a photo of a NAME." become a trunk and k short
branches: one sequence of t nodes, in which a node attends to itself and to its ancestors.

    visible[i, j] = j is i or one of its ancestors

Exact, not an approximation: the sums run over the same terms as in the plain forward pass, and the branches
carry no padding. Behind the last layer only the pooled nodes are read, so only they pass its second half.
Left out: towers that look ahead, and those that read a mean over tokens; `awase.functional.towers` runs them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from awase.errors import DataError
from awase.functional.attribution import is_one_hot
from awase.protocols import TextTower
from awase.types import TokenBatch


class TextTree(NamedTuple):
    """t nodes, each standing for one token of every text that passes through it.

    Attributes:
        texts: a text that passes through the node, to take its embedding from.
        positions: the node's place in that text.
        visible: which nodes (columns) each node (row) attends to.
        pooled: the node where each of the k texts is read.
    """

    texts: Int[Tensor, " t"]
    positions: Int[Tensor, " t"]
    visible: Bool[Tensor, "t t"]
    pooled: Int[Tensor, " k"]


def can_grow(tower: TextTower, tokens: TokenBatch) -> bool:
    """Whether these texts can be run as a tree: a causal tower, each text read at one token."""
    return tower.causal and is_one_hot(tokens.row_weights)


def grow(tokens: TokenBatch, marks: Int[Tensor, "k n"]) -> TextTree:
    """The tree of k texts. Nodes are shared by texts whose ids and marks agree up to there.

    Args:
        tokens: the texts, each read at one token; tokens behind it are left out.
        marks: tells tokens apart that have equal ids and yet get different embeddings.

    Raises:
        DataError: a text is read at more than one token.

    Example:
        >>> import torch
        >>> from awase.registry import load
        >>> tokens = load("encoder", "tiny").load("0").tokenize(["a red dog", "a red cat", "a red"])
        >>> tree = grow(tokens, torch.zeros_like(tokens.ids))
        >>> tree.positions.tolist(), tree.pooled.tolist()
        ([0, 1, 2, 3, 4, 3, 4, 3], [4, 6, 7])
    """
    if not is_one_hot(tokens.row_weights):
        raise DataError("a tree needs texts that are read at one token each; use run_text.")
    last = tokens.row_weights.argmax(dim=1).tolist()
    children: dict[tuple[int, int, int], int] = {}  # (parent, id, mark) -> node
    nodes: list[tuple[int, int, int]] = []  # text, position, parent
    pooled = []
    for text, (ids, labels) in enumerate(zip(tokens.ids.tolist(), marks.tolist(), strict=True)):
        parent = -1
        for position in range(last[text] + 1):
            step = (parent, ids[position], labels[position])
            if step not in children:
                children[step] = len(nodes)
                nodes.append((text, position, parent))
            parent = children[step]
        pooled.append(parent)
    visible = torch.eye(len(nodes), dtype=torch.bool)
    for node, (_, _, parent) in enumerate(nodes):  # a parent comes before its children
        if parent >= 0:
            visible[node] |= visible[parent]
    device = tokens.ids.device
    texts, positions = (torch.tensor([node[i] for node in nodes], device=device) for i in (0, 1))
    return TextTree(texts, positions, visible.to(device), torch.tensor(pooled, device=device))


def run_tree(tower: TextTower, tree: TextTree, embedded: Float[Tensor, "b t w"]) -> Float[Tensor, "b k d"]:
    """Un-normalised embeddings of the k texts of a tree, differentiable in `embedded`.

    Args:
        tower: a causal text tower, in evaluation mode.
        tree: the texts.
        embedded: b sets of input embeddings of the nodes, such as one a photo.

    Example:
        >>> import torch
        >>> from awase.functional.towers import run_text
        >>> from awase.registry import load
        >>> encoder = load("encoder", "tiny").load("0")
        >>> tokens = encoder.tokenize(["a photo of a dog.", "a photo of a black cat."])
        >>> tree, embedded = grow(tokens, torch.zeros_like(tokens.ids)), encoder.text_tower.embed(tokens)
        >>> one = run_tree(encoder.text_tower, tree, embedded[tree.texts, tree.positions][None])
        >>> bool(torch.allclose(one[0], run_text(encoder.text_tower, tokens, embedded), atol=1e-5))
        True
    """
    allowed = embedded.new_zeros(tree.visible.shape).masked_fill(~tree.visible, -torch.inf)  # (t, t)
    hidden = embedded
    for layer in tower.layers[:-1]:
        query, key, value = layer.project(hidden)
        hidden = layer.merge(hidden, scaled_dot_product_attention(query, key, value, attn_mask=allowed))
    query, key, value = tower.layers[-1].project(hidden)
    read = scaled_dot_product_attention(
        query[:, :, tree.pooled], key, value, attn_mask=allowed[tree.pooled]
    )  # (b, h, k, c)
    rows = tower.layers[-1].merge(hidden[:, tree.pooled], read).flatten(0, 1).unsqueeze(1)  # (b k, 1, w)
    pooled = tower.head(rows, torch.ones_like(rows[:, :, 0]))
    return pooled.reshape(len(embedded), len(tree.pooled), pooled.shape[1])
