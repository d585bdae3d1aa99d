"""Class vectors from weighted templates and several wordings, against loops written from the formula."""

import pytest
import torch

from awase.engine.prototypes import encode_classes
from awase.errors import DataError, ShapeError
from awase.registry import load
from awase.transfer import _class_vectors
from awase.transfer._class_vectors import class_vectors, encode_prompts, mean_prompts
from awase.transfer._mixture import convex, mixture
from awase.transfer._templates import Prompts

NAMES = ("dog", "sea horse", "cat")
TEMPLATES = ("a photo of a {}.", "{}", "a drawing of a {}.")


@pytest.fixture(scope="module")
def tiny():
    return load("encoder", "tiny").load("0")


def _naive(encoder, wordings, templates, weights):
    """norm(sum_j w_kj mean_c norm(E(template_j(c)))) in float64, one prompt at a time."""
    rows = []
    for words, of_class in zip(wordings, weights, strict=True):
        total = torch.zeros(24, dtype=torch.float64)
        for template, weight in zip(templates, of_class, strict=True):
            for word in words:
                vector = encoder.encode_text([template.replace("{}", word)])[0].double()
                total += weight / sum(of_class) * vector / vector.norm() / len(words)
        rows.append(total / total.norm())
    return torch.stack(rows)


@pytest.mark.parametrize("templates", [TEMPLATES, TEMPLATES[:1]])
def test_without_weights_it_is_the_zero_shot_ensemble_to_the_last_bit(tiny, templates) -> None:
    expected = encode_classes(tiny, NAMES, templates)
    assert torch.equal(class_vectors(tiny, NAMES, Prompts(templates)), expected)
    labels = ("n1", "n2", "n3")
    named = Prompts(templates, wordings={"n1": ("dog",), "n3": ("cat",)})
    assert torch.equal(class_vectors(tiny, ("?", "sea horse", "?"), named, labels=labels), expected)


def test_equal_weights_are_the_ensemble_and_one_weight_is_one_template(tiny) -> None:
    alike = class_vectors(tiny, NAMES, Prompts(TEMPLATES, (2.0, 2.0, 2.0)))
    torch.testing.assert_close(alike, encode_classes(tiny, NAMES, TEMPLATES), rtol=0, atol=1e-6)
    alone = class_vectors(tiny, NAMES, Prompts(TEMPLATES, (0.0, 3.0, 0.0)))
    torch.testing.assert_close(alone, encode_classes(tiny, NAMES, TEMPLATES[1:2]), rtol=0, atol=1e-6)


def test_weights_and_wordings_agree_with_a_loop(tiny) -> None:
    wordings = {"sea horse": ("sea horse", "hippocampus"), "cat": ("cat", "kitten", "pussy cat")}
    of_class = {"cat": (0.0, 1.0, 4.0)}
    prompts = Prompts(TEMPLATES, (3.0, 1.0, 0.0), wordings, of_class)
    words = [wordings.get(name, (name,)) for name in NAMES]
    expected = _naive(tiny, words, TEMPLATES, [(3, 1, 0), (3, 1, 0), (0, 1, 4)])
    found = class_vectors(tiny, NAMES, prompts)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    unlike = class_vectors(tiny, NAMES, Prompts(TEMPLATES, (3.0, 1.0, 0.0), wordings))
    assert float((unlike - found)[2].abs().max()) > 1e-3, "the weights of the class count"


def test_wordings_without_weights_are_averaged(tiny) -> None:
    prompts = Prompts(TEMPLATES, wordings={"dog": ("dog", "hound")})
    expected = _naive(tiny, [("dog", "hound"), *[(name,) for name in NAMES[1:]]], TEMPLATES, [(1, 1, 1)] * 3)
    torch.testing.assert_close(class_vectors(tiny, NAMES, prompts).double(), expected, rtol=0, atol=1e-6)


def test_templates_without_weight_are_not_read(tiny) -> None:
    read: list[str] = []

    class Listening:
        def encode_text(self, texts):
            read.extend(texts)
            return tiny.encode_text(texts)

    class_vectors(Listening(), NAMES, Prompts(TEMPLATES, (1.0, 0.0, 1.0)))
    assert sorted(read) == sorted(t.replace("{}", n) for n in NAMES for t in (TEMPLATES[0], TEMPLATES[2]))


def test_many_prompts_are_read_in_parts(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [["dog", "hound"], ["cat"], ["dog"]]
    whole = encode_prompts(tiny, words, TEMPLATES)
    monkeypatch.setattr(_class_vectors, "_AT_ONCE", 4)
    for one, other in zip(encode_prompts(tiny, words, TEMPLATES), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert torch.equal(whole[0][0], whole[2][0]), "equal prompts are read once"
    means = mean_prompts(tiny, words, TEMPLATES)
    torch.testing.assert_close(means[0], whole[0].mean(dim=0), rtol=0, atol=1e-6)
    torch.testing.assert_close(means[1], whole[1][0], rtol=0, atol=1e-6)


def test_a_mixture_is_the_loop_and_its_scale_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    prompts = torch.nn.functional.normalize(torch.randn(4, 5, 8, generator=generator), dim=-1)
    weights = torch.rand(4, 5, generator=generator)
    expected = torch.stack(
        [sum(w * p for w, p in zip(weights[k], prompts[k], strict=True)) for k in range(4)]
    )
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(mixture(prompts, weights), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(mixture(prompts, 7 * weights), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(mixture(prompts, weights[0])[0], expected[0], rtol=0, atol=1e-6)
    with pytest.raises(ShapeError, match=r"\(4,\) do not fit 4 classes and 5 templates"):
        mixture(prompts, torch.ones(4))


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -0.5], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(DataError, match="not negative"):
        convex(torch.tensor(weights))


def test_what_does_not_fit_is_refused(tiny) -> None:
    with pytest.raises(DataError, match="2 labels came with 3"):
        class_vectors(tiny, NAMES, Prompts(TEMPLATES), labels=("a", "b"))
    with pytest.raises(DataError, match="exactly one"):
        encode_prompts(tiny, [["dog"]], ["a dog."])
    with pytest.raises(DataError, match="one of each"):
        encode_prompts(tiny, [], ["a {}."])
    with pytest.raises(DataError, match="one has none"):
        encode_prompts(tiny, [["dog"], []], ["a {}."])
