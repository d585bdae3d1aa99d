"""Prompts: where the context stands, class vectors as a function of its shift, and what is refused."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from awase.errors import DataError, EncoderError
from awase.functional.similarity import normalize
from awase.functional.towers import run_text
from awase.registry import load
from awase.tune import _prompts
from awase.tune._prompts import ContextEncoder, Prompt, make_prompt

NAMES = ("dog", "black cat", "church organ", "old chain saw blade", "dog")
TOWERS = ("0", "bidirectional-0", "cls-0")


def _encoder(name: str = "0", dtype: str = "float64"):
    return load("encoder", "tiny").load(name, dtype=dtype)


def _prompt(position: str = "end", context: str = "words", n_tokens: int = 5) -> Prompt:
    return make_prompt("a photo of a {}.", context=context, n_tokens=n_tokens, position=position)


def _shift(encode: ContextEncoder, contexts: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (contexts, encode.n_tokens, encode.width)
    return torch.randn(shape, generator=generator, dtype=encode.precision)


def _by_hand(encoder, prompt: Prompt, shift: torch.Tensor) -> torch.Tensor:
    """Each prompt alone: the shift is added to the tokens inside the context's characters, one by one."""
    rows = []
    for name in NAMES:
        text = prompt.of(name)
        tokens = encoder.tokenize([text])
        embedded = encoder.text_tower.embed(tokens).clone()
        inside = range(len(prompt.before)), range(len(text) - len(prompt.after + prompt.suffix), len(text))
        m = 0
        for place, (start, end) in enumerate(tokens.spans[0]):
            in_suffix = start >= len(text) - len(prompt.suffix)
            if end > start and not in_suffix and any(start in part for part in inside):
                embedded[0, place] += shift[m]
                m += 1
        assert m == len(shift)
        rows.append(run_text(encoder.text_tower, tokens, embedded)[0])
    return normalize(torch.stack(rows))


@pytest.mark.parametrize(
    ("position", "words", "fillers"),
    [
        ("end", "a photo of a {}.", "X X X X X {}."),
        ("mid", "a photo {} of a.", "X X {} X X X."),
        ("front", "{} a photo of a.", "{} X X X X X."),
    ],
)
def test_prompts_are_worded_as_the_position_says(position: str, words: str, fillers: str) -> None:
    assert _prompt(position).template == words
    assert _prompt(position, "random").template == fillers


def test_the_end_of_a_template_is_kept_and_not_learned() -> None:
    prompt = make_prompt("a photo of a {}, a type of pet.", context="words", n_tokens=1, position="end")
    assert prompt.template == "a photo of a {}, a type of pet."
    assert ContextEncoder(_encoder(), prompt, NAMES).n_tokens == 5  # a, phot, o, of, a


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("position", ["end", "mid", "front"])
@pytest.mark.parametrize("context", ["words", "random"])
def test_class_vectors_equal_the_prompts_one_by_one(tower: str, position: str, context: str) -> None:
    encoder, prompt = _encoder(tower), _prompt(position, context)
    encode = ContextEncoder(encoder, prompt, NAMES)
    assert encode.n_tokens == 5
    shift = _shift(encode, 2)
    together = encode.class_features(shift)
    for one, own in zip(together, shift, strict=True):
        assert torch.allclose(one, _by_hand(encoder, prompt, own), atol=1e-10)


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("position", ["end", "mid", "front"])
def test_no_shift_is_zero_shot_with_the_same_words(tower: str, position: str) -> None:
    encoder, prompt = _encoder(tower, "float32"), _prompt(position)
    encode = ContextEncoder(encoder, prompt, NAMES)
    features = encode.class_features(torch.zeros(1, encode.n_tokens, encode.width))[0]
    own = encoder.encode_text([prompt.of(name) for name in NAMES])
    assert float((1 - (features * own).sum(dim=1)).abs().max()) < 1e-5


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("nodes", [1, 20, 10_000])
def test_passes_of_few_classes_give_what_one_gives(
    tower: str, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ContextEncoder(_encoder(tower), _prompt("mid"), NAMES)
    shift = _shift(whole, 2).requires_grad_()
    plain = whole.class_features(shift)
    plain.square().mul(torch.arange(5)[:, None]).sum().backward()
    gradient, shift.grad = shift.grad, None

    rows = _prompts._rows_of_a_pass
    monkeypatch.setattr(_prompts, "_rows_of_a_pass", lambda *a: rows(a[0], a[1], a[2], nodes))
    monkeypatch.setattr(_prompts, "_KEPT", 0)  # and compute everything again for the backward pass
    parts = ContextEncoder(_encoder(tower), _prompt("mid"), NAMES)
    assert (len(parts._passes) == 1) is (nodes == 10_000)
    again = parts.class_features(shift)
    again.square().mul(torch.arange(5)[:, None]).sum().backward()
    assert torch.allclose(again, plain, atol=1e-12)
    assert torch.allclose(shift.grad, gradient, atol=1e-12)


@pytest.mark.parametrize("tower", TOWERS)
def test_the_gradient_is_that_of_small_differences(tower: str) -> None:
    encode = ContextEncoder(_encoder(tower), _prompt(), NAMES[:3])
    shift = _shift(encode).mul(0.1).requires_grad_()
    weights = torch.randn(3, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def value(at: torch.Tensor) -> torch.Tensor:
        return (encode.class_features(at)[0] * weights).sum()

    value(shift).backward()
    step = 1e-5 * _shift(encode)
    with torch.no_grad():
        slope = (value(shift + step) - value(shift - step)) / 2e-5
    assert torch.allclose((shift.grad * _shift(encode)).sum(), slope, rtol=1e-6)


def test_weights_get_no_gradient_and_no_change() -> None:
    encoder = _encoder()
    before = [value.clone() for value in encoder.text_tower.parameters()]
    encode = ContextEncoder(encoder, _prompt(), NAMES)
    encode.class_features(_shift(encode).requires_grad_()).sum().backward()
    for value, old in zip(encoder.text_tower.parameters(), before, strict=True):
        assert value.grad is None
        assert torch.equal(value, old)


def test_what_classes_share_runs_once() -> None:
    encode = ContextEncoder(_encoder(), _prompt(), NAMES[:2])
    # start, a, phot, o, of, a; then dog . end and blac k cat . end
    assert encode.n_nodes == 6 + 3 + 5


def test_a_long_name_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"'very very.*longer than the text tower reads"):
        ContextEncoder(_encoder(), _prompt(), ["dog", "very " * 60])


def test_a_name_that_melts_with_the_context_is_refused() -> None:
    prompt = Prompt("photo of abc", "", ".")  # no space: the pieces depend on the name
    with pytest.raises(EncoderError, match="other ones for 'xyz'"):
        ContextEncoder(_encoder(), prompt, [" dog", "xyz"])


def test_a_context_of_unknown_words_is_refused() -> None:
    encoder = load("encoder", "builtin").load("")
    with pytest.raises(EncoderError, match="is 0 tokens"):
        ContextEncoder(encoder, Prompt("qzxv wqjk ", "", "."), ["dog"])


def test_an_encoder_without_a_text_tower_is_refused() -> None:
    encoder = _encoder()
    members = ("preprocess", "encode_image", "encode_text", "spec", "logit_scale")
    vectors = SimpleNamespace(**{name: getattr(encoder, name) for name in members})
    with pytest.raises(EncoderError, match="gives no way in"):
        _prompts.require_tokens(vectors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "{} here"}, "no words before the name"),
        ({"context": "noise"}, "context is one of"),
        ({"position": "back"}, "position one of"),
        ({"n_tokens": 0, "context": "random"}, "at least one context token"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "template": "a {}",
        "context": "words",
        "n_tokens": 4,
        "position": "end",
        **settings,
    }
    with pytest.raises(DataError, match=message):
        make_prompt(given.pop("template"), **given)


def test_no_classes_are_refused() -> None:
    with pytest.raises(DataError, match="no classes"):
        ContextEncoder(_encoder(), _prompt(), [])
