"""run_text equals the encoder's own path to the last bit; a tree of texts equals the texts one by one."""

import pytest
import torch

from awase.errors import DataError, ShapeError
from awase.functional.text_tree import can_grow, grow, run_tree
from awase.functional.towers import run_text
from awase.registry import load

TEXTS = ("a photo of a dog.", "a photo of a black cat.", "a photo of a", "entirely other words", "a photo")


def _encoder(name: str = "0", dtype: str = "float32"):
    return load("encoder", "tiny").load(name, dtype=dtype)


@pytest.mark.parametrize("name", ["0", "bidirectional-0", "cls-0"])
def test_unchanged_embeddings_give_the_encoders_own_features_bit_for_bit(name: str) -> None:
    encoder = _encoder(name)
    tokens = encoder.tokenize(TEXTS)
    features = run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens))
    assert torch.equal(torch.nn.functional.normalize(features, dim=-1), encoder.encode_text(TEXTS))


def test_the_builtin_tower_too() -> None:
    encoder = load("encoder", "builtin").load("")
    tokens = encoder.tokenize(TEXTS)
    features = run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens))
    assert torch.equal(torch.nn.functional.normalize(features, dim=-1), encoder.encode_text(TEXTS))


@pytest.mark.parametrize("name", ["0", "bidirectional-0", "cls-0"])
def test_the_gradient_is_that_of_small_differences(name: str) -> None:
    encoder = _encoder(name, "float64")
    tokens = encoder.tokenize(TEXTS[:2])
    embedded = encoder.text_tower.embed(tokens).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(embedded.shape, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, 24, generator=generator, dtype=torch.float64)

    def value(at: torch.Tensor) -> torch.Tensor:
        return (run_text(encoder.text_tower, tokens, at) * weights).sum()

    value(embedded).backward()
    step = 1e-5 * direction
    with torch.no_grad():
        slope = (value(embedded + step) - value(embedded - step)) / 2e-5
    assert torch.allclose((embedded.grad * direction).sum(), slope, rtol=1e-6)


def test_embeddings_of_other_texts_are_refused() -> None:
    encoder = _encoder()
    tokens = encoder.tokenize(TEXTS)
    with pytest.raises(ShapeError, match="do not fit"):
        run_text(encoder.text_tower, tokens, encoder.text_tower.embed(tokens)[:, :-1])


def _as_tree(encoder, marks: torch.Tensor | None = None):
    tokens = encoder.tokenize(TEXTS)
    embedded = encoder.text_tower.embed(tokens)
    tree = grow(tokens, torch.zeros_like(tokens.ids) if marks is None else marks)
    return tokens, embedded, tree


def test_a_tree_gives_every_text_its_own_embedding() -> None:
    encoder = _encoder(dtype="float64")
    tokens, embedded, tree = _as_tree(encoder)
    nodes = embedded[tree.texts, tree.positions]
    assert len(nodes) < int(tokens.mask.sum())  # something is shared
    whole = run_text(encoder.text_tower, tokens, embedded)
    assert torch.allclose(run_tree(encoder.text_tower, tree, nodes[None])[0], whole, atol=1e-12)


def test_sets_of_embeddings_of_one_tree_do_not_mix() -> None:
    encoder = _encoder(dtype="float64")
    _, embedded, tree = _as_tree(encoder)
    generator = torch.Generator().manual_seed(0)
    nodes = embedded[tree.texts, tree.positions]
    sets = nodes + torch.randn((3, *nodes.shape), generator=generator, dtype=torch.float64)
    together = run_tree(encoder.text_tower, tree, sets)
    for one, alone in zip(together, sets, strict=True):
        assert torch.allclose(one, run_tree(encoder.text_tower, tree, alone[None])[0], atol=1e-12)


def test_a_tree_has_the_gradient_of_the_texts() -> None:
    encoder = _encoder(dtype="float64")
    tokens, embedded, tree = _as_tree(encoder)
    shift = torch.zeros(embedded.shape[2], dtype=torch.float64, requires_grad=True)
    run_text(encoder.text_tower, tokens, embedded + shift).square().sum().backward()
    plain, shift.grad = shift.grad, None
    nodes = embedded[tree.texts, tree.positions] + shift
    run_tree(encoder.text_tower, tree, nodes[None]).square().sum().backward()
    assert torch.allclose(shift.grad, plain, rtol=1e-10)


def test_marks_keep_equal_tokens_apart() -> None:
    encoder = _encoder()
    tokens = encoder.tokenize(["a dog", "a cat"])
    marks = torch.zeros_like(tokens.ids)
    assert len(grow(tokens, marks).texts) == 2 + 2 * 2
    marks[1, 1] = 1  # "a" of the second text is another vector
    assert len(grow(tokens, marks).texts) == 1 + 2 * 3


def test_equal_texts_are_read_at_one_node() -> None:
    encoder = _encoder()
    tokens = encoder.tokenize(["a dog", "a dog"])
    tree = grow(tokens, torch.zeros_like(tokens.ids))
    assert tree.pooled.tolist() == [3, 3]


def test_a_tree_is_not_grown_where_tokens_look_ahead_or_are_averaged() -> None:
    for name, expected in (("0", True), ("bidirectional-0", False), ("cls-0", False)):
        encoder = _encoder(name)
        assert can_grow(encoder.text_tower, encoder.tokenize(TEXTS)) is expected
    tokens = _encoder("bidirectional-0").tokenize(TEXTS)
    with pytest.raises(DataError, match="use run_text"):
        grow(tokens, torch.zeros_like(tokens.ids))
