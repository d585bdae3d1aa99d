"""Toy tasks: for learned prompts, images that lie where another context puts their class; for towers, real
pixels of three colours.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image

from awase.engine.features import encode_images
from awase.images import from_pixels
from awase.registry import load
from awase.tune._frozen import Frozen
from awase.tune._prompts import ContextEncoder, Prompt
from awase.tune._protocol import Task
from awase.types import Features, ImageReference, LabelledImage

NAMES = (
    "dog",
    "black cat",
    "church organ",
    "old chain saw blade",
    "cat",
    "red dog",
    "tench",
    "truck",
)  # 1 to 5 tokens each


@pytest.fixture
def prompt_task() -> Callable[..., tuple[Task, Features, torch.Tensor]]:
    """A function that makes (task, test images, their labels)."""

    def make(
        *, encoder: str = "0", dtype: str = "float32", shots: int = 4, strength: float = 0.4
    ) -> tuple[Task, Features, torch.Tensor]:
        model = load("encoder", "tiny").load(encoder, dtype=dtype)
        frozen = Frozen.of(model, NAMES, ["a photo of a {}."])
        generator = torch.Generator().manual_seed(5)
        encode = ContextEncoder(model, Prompt("a photo of a ", "", "."), NAMES)
        shift = strength * torch.randn(encode.n_tokens, encode.width, generator=generator)
        centres = encode.class_features(shift[None].to(encode.precision))[0].float()  # (k, d)
        labels = torch.arange(len(NAMES)).repeat_interleave(shots)

        def unit(values: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(values, dim=-1)

        def draw(part: str) -> Features:
            noise = torch.randn(len(labels), centres.shape[1], generator=generator)
            values = unit(centres[labels] + 0.08 * noise)
            background = unit(torch.randn(len(labels), 3, centres.shape[1], generator=generator))
            names = [f"{part}-{i}" for i in range(len(labels))]
            images = tuple(
                LabelledImage(name, ImageReference(name, data=b""), NAMES[label])
                for name, label in zip(names, labels.tolist(), strict=True)
            )
            patches = torch.cat((values[:, None], background), dim=1)  # (n, 4, d)
            return Features(values, images, tuple(names), frozen.fingerprint, patches)

        train, test = draw("train"), draw("test")
        return Task(frozen, train, labels, train.select([]), labels[:0]), test, labels

    return make


COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="session")
def photo_task() -> Callable[..., tuple[Task, Features, torch.Tensor]]:
    """A function that makes (task, test images, their labels) of noisy squares of one colour each."""

    def make(encoder: Any = None, *, shots: int = 4, n_test: int = 5) -> tuple[Task, Features, torch.Tensor]:
        model: Any = load("encoder", "tiny").load("0") if encoder is None else encoder
        frozen = Frozen.of(model, COLOURS, ["a photo of a {}."])
        generator = torch.Generator().manual_seed(3)

        def draw(part: str, per_class: int) -> tuple[Features, torch.Tensor]:
            labels = torch.arange(3).repeat_interleave(per_class)
            images = []
            for row, label in enumerate(labels.tolist()):
                square = torch.randint(0, 120, (32, 32, 3), generator=generator, dtype=torch.uint8)
                square[..., label] += 100
                picture = from_pixels(Image.fromarray(square.numpy()), f"{part}-{row}.bmp")
                images.append(LabelledImage(f"{part}-{row}", picture, COLOURS[label]))
            features, bad = encode_images(model, images, batch_size=8)
            assert not bad
            return features, labels

        (train, labels), (held, held_labels) = draw("train", shots), draw("validation", 2)
        test, test_labels = draw("test", n_test)
        return Task(frozen, train, labels, held, held_labels), test, test_labels

    return make


@pytest.fixture
def embedding_task() -> Callable[..., tuple[Task, Features, torch.Tensor]]:
    """A function that makes (task, test images, their labels) out of made-up unit vectors, with no model."""

    def make(
        *, k: int = 5, d: int = 16, shots: int = 4, validation: int = 4, noise: float = 0.3, seed: int = 0
    ) -> tuple[Task, Features, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)

        def unit(values: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(values, dim=-1)

        centres = unit(torch.randn(k, d, generator=generator))
        # texts lie beside their images, so that there is something to learn
        texts = unit(centres + 0.25 * torch.randn(k, d, generator=generator))
        names = tuple(f"class {index}" for index in range(k))

        def draw(part: str, per_class: int) -> tuple[Features, torch.Tensor]:
            labels = torch.arange(k).repeat_interleave(per_class)
            values = unit(centres[labels] + noise * torch.randn(len(labels), d, generator=generator))
            ids = [f"{part}-{index}" for index in range(len(labels))]
            images = tuple(LabelledImage(id, ImageReference(id, data=b"")) for id in ids)
            return Features(values, images, tuple(ids), "toy"), labels

        train, held, test = draw("train", shots), draw("validation", validation), draw("test", 20)
        return Task(Frozen(names, texts, 100.0, "toy"), *train, *held), *test

    return make
