"""Heat maps through an encoder, and the overlay."""

import numpy as np
import pytest
import torch
from PIL import Image

from awase.check import heat_map, overlay
from awase.errors import DataError, EncoderError
from awase.registry import load


@pytest.fixture(scope="module")
def encoder():
    return load("encoder", "tiny").load("0")


@pytest.mark.parametrize("method", ["grad_eclip", "chefer"])
def test_maps_lie_in_their_range(encoder, method):
    # drawn from a seed: now and then noise has nothing that speaks for a dog, and the map is 0 everywhere
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    heat = heat_map(encoder, photo, "a dog", method=method)
    assert heat.shape == (4, 4)
    assert float(heat.min()) == 0.0
    assert float(heat.max()) == 1.0
    signed = heat_map(encoder, photo, "a dog", method=method, signed=True)
    assert float(signed.abs().max()) == pytest.approx(1.0)


def test_the_overlay_colours_where_the_heat_is():
    heat = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    painted = np.asarray(overlay(Image.new("RGB", (64, 64), (128, 128, 128)), heat)).astype(int)
    assert painted[4, 4, 0] > painted[4, 4, 2]
    assert painted[60, 60, 2] > painted[60, 60, 0]
    plain = np.asarray(overlay(Image.new("RGB", (8, 8), (90, 90, 90)), torch.zeros(2, 2)))
    assert (plain == 90).all()


def test_bad_questions_are_refused(encoder):
    photo = Image.new("RGB", (8, 8))
    with pytest.raises(DataError, match="grad_eclip, chefer"):
        heat_map(encoder, photo, "a dog", method="gradcam")
    with pytest.raises(DataError, match="empty"):
        heat_map(encoder, photo, " ")

    class Blind:
        spec = encoder.spec
        logit_scale = 1.0
        preprocess, encode_image, encode_text = encoder.preprocess, encoder.encode_image, encoder.encode_text

    with pytest.raises(EncoderError, match="taken apart"):
        heat_map(Blind(), photo, "a dog")
