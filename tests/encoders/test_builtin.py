"""The model that ships: what must hold whatever its weights are, and that they are the weights we mean."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from awase.encoders import builtin
from awase.encoders._builtin.convnet import LITE_SCALES, EfficientNetLite, SameConv
from awase.encoders._builtin.pixels import MEAN, SCALE, to_pixels
from awase.encoders._builtin.text import CausalTextTower
from awase.errors import EncoderError
from awase.functional.attribution import attribute, full
from awase.functional.attribution import operator as text_operator

CAPTIONS = ["A brown dog runs.", "two people in the snow", "A red car on a street, near a tree and a house."]


@pytest.fixture(scope="module")
def encoder() -> builtin.BuiltinEncoder:
    return builtin.load("")


def picture(seed: int, size: tuple[int, int] = (90, 60)) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def features(encoder: builtin.BuiltinEncoder) -> torch.Tensor:
    return encoder.encode_image(torch.stack([encoder.preprocess(picture(seed)) for seed in range(3)]))


def test_files_are_small_and_hold_no_pickle() -> None:
    names = {path.name for path in builtin.FOLDER.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "card.md"} <= names
    assert not {".pt", ".pth", ".bin", ".pkl"} & {path.suffix for path in builtin.FOLDER.iterdir()}
    assert (builtin.FOLDER / "model.safetensors").stat().st_size < 40e6


def test_features_are_unit_vectors_and_repeatable(
    encoder: builtin.BuiltinEncoder, features: torch.Tensor
) -> None:
    texts = encoder.encode_text(CAPTIONS)
    for vectors in (features, texts):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))
    again = builtin.load("")
    assert torch.equal(texts, again.encode_text(CAPTIONS))
    assert encoder.spec == again.spec
    assert encoder.encode_text([]).shape == (0, features.shape[1])
    assert encoder.encode_image(torch.empty(0, 3, 8, 8)).shape == (0, features.shape[1])


def test_batch_does_not_matter(encoder: builtin.BuiltinEncoder, features: torch.Tensor) -> None:
    together = encoder.encode_text(CAPTIONS)
    for row, caption in enumerate(CAPTIONS):
        torch.testing.assert_close(encoder.encode_text([caption])[0], together[row], atol=2e-6, rtol=0)
        alone = encoder.encode_image(encoder.preprocess(picture(row))[None])[0]
        torch.testing.assert_close(alone, features[row], atol=2e-5, rtol=0)


def test_a_token_does_not_see_what_stands_behind_it(encoder: builtin.BuiltinEncoder) -> None:
    def rows(text: str) -> torch.Tensor:
        tower = encoder.text_tower
        hidden = tower.embed(encoder.tokenize([text]))
        for layer in tower.layers:
            attended = functional.scaled_dot_product_attention(*layer.project(hidden), is_causal=True)
            hidden = layer.merge(hidden, attended)
        return hidden[0]

    first, second = rows("a dog runs fast"), rows("a dog runs in the snow")
    torch.testing.assert_close(first[:4], second[:4], atol=1e-5, rtol=0)
    assert not torch.allclose(first[4], second[4], atol=1e-2)


def test_the_end_token_is_read(encoder: builtin.BuiltinEncoder) -> None:
    tokens = encoder.tokenize(CAPTIONS)
    config = json.loads((builtin.FOLDER / "config.json").read_text(encoding="utf-8"))
    read = tokens.ids[torch.arange(3), tokens.row_weights.argmax(dim=1)]
    assert read.tolist() == [config["tokens"]["end"]] * 3
    assert torch.equal(tokens.row_weights.sum(dim=1), torch.ones(3))
    assert (tokens.ids[:, 0] == config["tokens"]["start"]).all()


def test_spans_point_into_the_caption(encoder: builtin.BuiltinEncoder) -> None:
    caption = "A DOG, in Café-light"
    tokens = encoder.tokenize([caption])
    words = [caption[start:end] for start, end in tokens.spans[0] if end > start]
    assert words[:4] == ["A", "DOG", ",", "in"]


def test_unknown_words_have_no_span_and_say_so(encoder: builtin.BuiltinEncoder) -> None:
    tokens = encoder.tokenize(["a qzxwvkj dog"])
    assert tokens.spans[0] == ((0, 0), (0, 1), (0, 0), (10, 13), (0, 0))
    assert not tokens.truncated[0]


def test_long_captions_are_cut_and_say_so(encoder: builtin.BuiltinEncoder) -> None:
    tokens = encoder.tokenize(["dog " * 100, "dog"])
    config = json.loads((builtin.FOLDER / "config.json").read_text(encoding="utf-8"))
    assert tokens.truncated == (True, False)
    assert tokens.ids.shape[1] == config["text"]["context"]
    assert encoder.encode_text(["dog " * 100]).isfinite().all()


def test_attributions_of_one_layer_add_up(encoder: builtin.BuiltinEncoder, features: torch.Tensor) -> None:
    """The attributions of all tokens of one layer sum to <g, o>: the attention output times its slope."""
    tower, tokens = encoder.text_tower, encoder.tokenize(CAPTIONS)
    last = tower.layers[-1]
    with torch.no_grad():
        hidden = tower.embed(tokens)
        for layer in tower.layers[:-1]:
            attended = functional.scaled_dot_product_attention(*layer.project(hidden), is_causal=True)
            hidden = layer.merge(hidden, attended)
        attended = functional.scaled_dot_product_attention(*last.project(hidden), is_causal=True)
    attended.requires_grad_()
    text = functional.normalize(tower.head(last.merge(hidden, attended), tokens.row_weights), dim=-1)
    (slope,) = torch.autograd.grad((text * features).sum(), attended)
    whole = (slope * attended).sum(dim=(1, 2, 3)) / slope.shape[1]
    scores = attribute(tower, tokens, features, layers=1).scores
    torch.testing.assert_close(scores.sum(dim=1), whole.detach(), atol=1e-6, rtol=1e-4)


def naive_scores(encoder: builtin.BuiltinEncoder, caption: str, image: torch.Tensor) -> torch.Tensor:
    """The definition (arXiv 2412.18404): mean over layers and heads of A * ds/dA, row of the end token."""
    tower, tokens = encoder.text_tower, encoder.tokenize([caption])
    hidden, maps = tower.embed(tokens).requires_grad_(), []
    n = hidden.shape[1]
    for layer in tower.layers:
        query, key, value = layer.project(hidden)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights = scores.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf")).softmax(-1)
        maps.append(weights)
        hidden = layer.merge(hidden, weights @ value)
    text = functional.normalize(tower.head(hidden, tokens.row_weights), dim=-1)
    slopes = torch.autograd.grad(text[0] @ image, maps)
    relevance = torch.stack([(m * g).mean(dim=1)[0, -1] for m, g in zip(maps, slopes, strict=True)])
    return relevance.mean(dim=0).detach()


def test_attributions_equal_the_definition(encoder: builtin.BuiltinEncoder, features: torch.Tensor) -> None:
    for caption, image in zip(CAPTIONS, features, strict=True):
        fast = attribute(encoder.text_tower, encoder.tokenize([caption]), image[None]).scores[0]
        torch.testing.assert_close(
            fast, naive_scores(encoder, caption, image), atol=1e-6 * fast.abs().max().item(), rtol=1e-4
        )


def test_the_ways_to_attribute_agree(encoder: builtin.BuiltinEncoder, features: torch.Tensor) -> None:
    tokens = encoder.tokenize(CAPTIONS)
    fast = attribute(encoder.text_tower, tokens, features)
    slow = full(encoder.text_tower, tokens, features)
    linear = text_operator(encoder.text_tower, tokens)
    largest = fast.scores.abs().max().item()
    inner = fast.scores * (torch.arange(tokens.ids.shape[1]) < tokens.row_weights.argmax(1)[:, None])
    inner[:, 0] = 0
    for other in (slow.scores, torch.einsum("bnd,bd->bn", linear.rows, features)):
        compared = torch.where(inner != 0, other, 0.0)
        torch.testing.assert_close(compared, inner, atol=2e-5 * largest, rtol=0)
    cosine = (encoder.encode_text(CAPTIONS) * features).sum(dim=-1)
    torch.testing.assert_close(fast.cosine, cosine, atol=1e-5, rtol=0)


def test_preprocessing_squashes_the_whole_image() -> None:
    image = Image.new("RGB", (300, 20), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 150, 20))
    pixels = to_pixels([image], size=64)[0]
    assert pixels.shape == (3, 64, 64)
    torch.testing.assert_close(pixels[:, 32, 4], torch.full((3,), -MEAN / SCALE))
    torch.testing.assert_close(pixels[:, 32, 60], torch.full((3,), (1 - MEAN) / SCALE))


def test_grey_images_are_read(encoder: builtin.BuiltinEncoder) -> None:
    grey = picture(0).convert("L")
    assert torch.equal(encoder.preprocess(grey), encoder.preprocess(grey.convert("RGB")))


def test_pooling_layer_is_the_average_for_the_even_heads(encoder: builtin.BuiltinEncoder) -> None:
    tower = encoder.image_tower
    with torch.no_grad():
        hidden = tower.embed(encoder.preprocess(picture(1))[None])
        query, key, value = tower.pooling.project(hidden)
        pooled = tower.pooling.merge(
            hidden[:, :1], functional.scaled_dot_product_attention(query, key, value)
        )
    rows, columns = tower.grid
    assert hidden.shape[1] == rows * columns
    even = tower.pooling.averaged
    torch.testing.assert_close(pooled[0, 0, :even], hidden[0, :, :even].mean(0), atol=1e-4, rtol=1e-4)
    # training pools first and projects afterwards: the same numbers
    quick = tower.pooling.pool(hidden[..., :even].mean(1), hidden[..., even:])
    torch.testing.assert_close(quick, pooled[:, 0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("size", [32, 33, 64])
@pytest.mark.parametrize("name", sorted(LITE_SCALES))
def test_network_covers_the_image(name: str, size: int) -> None:
    maps = EfficientNetLite(name)(torch.zeros(1, 3, size, size))
    assert maps.head.shape[2:] == (-(-size // 32),) * 2
    assert maps.middle.shape[2:] == (-(-size // 16),) * 2


def test_same_padding_is_one_sided_for_even_sizes() -> None:
    conv = SameConv(1, 1, 3, stride=2, active=False)
    with torch.no_grad():
        conv.conv.weight.zero_()
        conv.conv.bias.zero_()  # type: ignore[union-attr]
        conv.conv.weight[0, 0, 0, 0] = 1.0  # reads the top left of its window
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert conv(image)[0, 0].tolist() == [[0.0, 2.0], [8.0, 10.0]]


def test_fresh_tower_has_the_shape_it_was_asked_for() -> None:
    tower = CausalTextTower(vocabulary=9, width=8, heads=2, layers=3, hidden=16, context=5, dimension=4)
    query, key, value = tower.layers[0].project(torch.zeros(2, 5, 8))
    assert query.shape == key.shape == value.shape == (2, 2, 5, 4)


@pytest.mark.parametrize("dtype", ["float16", "int8", "double"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(EncoderError, match="float32 or float64"):
        builtin.load("", dtype=dtype)


def test_other_folders_are_refused(tmp_path: object) -> None:
    with pytest.raises(EncoderError, match="does not hold a model"):
        builtin.load(str(tmp_path))


def test_double_precision_agrees_with_single() -> None:
    texts = ["Two dogs run on the grass.", "A red bus"]
    single, double = builtin.load("").encode_text(texts), builtin.load("", dtype="float64").encode_text(texts)
    assert torch.allclose(single, double, atol=1e-5)
