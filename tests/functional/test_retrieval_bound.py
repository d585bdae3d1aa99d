"""The loss over all items and the bound it gives, against loops."""

import math

import pytest
import torch
from torch import Tensor

from awase.errors import DataError
from awase.functional.contrastive import info_nce
from awase.functional.margins import margins
from awase.functional.retrieval_bound import Losses, retrieval_losses
from awase.functional.similarity import normalize

TEMPERATURES = (0.02, 0.3, 5.0)


def _case() -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    images = normalize(torch.randn(14, 6, generator=draws, dtype=torch.float64))
    owner = torch.cat([torch.arange(14), torch.randint(14, (9,), generator=draws)])
    noise = torch.randn(23, 6, generator=draws, dtype=torch.float64)
    return images, normalize(images[owner] + 0.5 * noise), owner


@pytest.mark.parametrize("block_size", [1, 7, 256, 14, None])
@pytest.mark.parametrize("grouped", [False, True])
def test_losses_are_those_of_a_loop(block_size: int | None, grouped: bool) -> None:
    images, texts, owner = _case()
    shown = torch.arange(14) % 5 if grouped else torch.arange(14)
    found = retrieval_losses(
        images,
        texts,
        temperatures=TEMPERATURES,
        image_of_text=owner,
        groups=shown if grouped else None,
        block_size=block_size,
    )
    cosine = (images @ texts.T).tolist()
    for place, tau in enumerate(TEMPERATURES):
        losses, hits = [], []
        for i in range(14):
            own = max(cosine[i][j] for j in range(23) if owner[j] == i)
            wrong = [cosine[i][j] for j in range(23) if shown[owner[j]] != shown[i]]
            losses.append(math.log(1 + sum(math.exp((score - own) / tau) for score in wrong)))
            hits.append(sum(score >= own for score in wrong))
        assert found.image_to_text.losses[place] == pytest.approx(sum(losses) / 14)
        assert found.image_to_text.n_at_least.tolist() == hits
        losses = []
        for j in range(23):
            own = cosine[owner[j]][j]
            wrong = [cosine[i][j] for i in range(14) if shown[i] != shown[owner[j]]]
            losses.append(math.log(1 + sum(math.exp((score - own) / tau) for score in wrong)))
        assert found.text_to_image.losses[place] == pytest.approx(sum(losses) / 23)


def _holds(found: Losses) -> None:
    for side in found:
        for place in range(len(side.losses)):
            for r in (1, 2, 5):
                bound = side.bound(r, place)
                assert bound.bound >= bound.error - 1e-12


def test_the_bound_holds_with_ties_and_without() -> None:
    images, texts, owner = _case()
    _holds(retrieval_losses(images, texts, temperatures=TEMPERATURES, image_of_text=owner))
    same = torch.tensor([[0.6, 0.8]] * 5)
    _holds(retrieval_losses(same, same, temperatures=TEMPERATURES))


def test_the_error_with_r_1_is_the_share_without_a_margin() -> None:
    images, texts, owner = _case()
    found = retrieval_losses(images, texts, temperatures=[1.0], image_of_text=owner)
    both = margins(images, texts, image_of_text=owner)
    for side, margin in zip(found, both, strict=True):
        assert side.bound(1).error == float((margin.margin <= 0).double().mean()) > 0


def test_of_one_caption_an_image_both_losses_are_the_halves_of_info_nce() -> None:
    images, texts, _ = _case()
    found = retrieval_losses(images, texts[:14], temperatures=[0.1])
    both = found.image_to_text.losses[0] + found.text_to_image.losses[0]
    assert both == pytest.approx(float(info_nce(images, texts[:14], logit_scale=10.0, form="sum")))


def test_no_temperature_overflows() -> None:
    images = torch.eye(3)
    found = retrieval_losses(images, images.roll(1, 0), temperatures=[1e-4])
    assert found.image_to_text.losses[0] == pytest.approx(1e4, rel=1e-6)


def test_what_is_refused() -> None:
    u = torch.eye(3)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(DataError, match="temperature"):
            retrieval_losses(u, u, temperatures=[temperature])
    with pytest.raises(DataError, match="two images"):
        retrieval_losses(u[:1], u[:1], temperatures=[1.0])
