"""What is measured of trained heads on data that chose nothing."""

import torch
from flickr import Classes, Pairs, World
from heads import Heads
from torch import Tensor

from awase.functional.contrastive import info_nce
from awase.functional.retrieval import ranks, recall_at_k

QUANTILES = (0.05, 0.25, 0.5, 0.75)


def features(heads: Heads, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Unit vectors of both sides."""
    with torch.inference_mode():
        return heads.image(pairs.images), heads.text(pairs.texts)


def recalls(heads: Heads, pairs: Pairs) -> dict[str, float]:
    """R@1, 5, 10 in both directions and their sum, in percent."""
    images, texts = features(heads, pairs)
    found = ranks(images, texts, image_of_text=pairs.image_of_text)
    values = {
        f"{name}_r{k}": 100 * float(recall_at_k(side, k=k))
        for name, side in (("i2t", found.image_to_text), ("t2i", found.text_to_image))
        for k in (1, 5, 10)
    }
    return values | {"rsum": sum(values.values())}


def zero_shot(heads: Heads, classes: Classes) -> dict[str, float]:
    """Top-1 accuracy in percent, and the margin of the true prompt over the best other one."""
    with torch.inference_mode():
        similarity = heads.image(classes.images) @ heads.text(classes.prompts).T  # (n, k)
    own = similarity.gather(1, classes.labels[:, None])[:, 0]
    other = similarity.scatter(1, classes.labels[:, None], -torch.inf).amax(1)
    return {
        "top1": 100 * float((own > other).double().mean()),
        "margin_mean": float((own - other).mean()),
        "margin_median": float((own - other).median()),
        "margin_q05": float((own - other).quantile(0.05)),
    }


def flickr_measures(heads: Heads, world: World) -> dict[str, float]:
    """Everything on the test photos and the zero-shot sets."""
    images, texts = features(heads, world.test)
    owner = world.test.image_of_text
    out = {f"test_{name}": value for name, value in recalls(heads, world.test).items()}
    similarity = texts @ images.T  # (m, n): 5000 x 1000
    own = similarity.gather(1, owner[:, None])[:, 0]
    best_image = similarity.scatter(1, owner[:, None], -torch.inf).amax(1)
    is_own = owner[:, None] == torch.arange(len(images))[None, :]
    best_text = similarity.masked_fill(is_own, -torch.inf).amax(0)  # of other images' captions
    out |= margin_numbers("t2i", own - best_image) | margin_numbers("i2t", own - best_text[owner])
    # scale-free: the margin in units of how much cosines of wrong pairs vary
    out["spread_of_wrong"] = float(similarity[~is_own].std())
    out |= geometry(images[owner], texts)
    temperature = float(1 / heads.logit_scale)
    out["temperature"] = temperature
    first = torch.arange(len(images)) * 5  # one caption a photo: no false negatives known
    batch = [
        float(info_nce(images[part], texts[first[part]], logit_scale=1 / temperature, form="sum"))
        for part in torch.arange(len(images)).split(250)
    ]
    out["test_loss_250"] = sum(batch) / len(batch)
    for name, classes in world.classes.items():
        out |= {f"{name}_{key}": value for key, value in zero_shot(heads, classes).items()}
    return out


def margin_numbers(name: str, margins: Tensor) -> dict[str, float]:
    """Quantiles and the share of margins that are not positive."""
    values = {f"margin_{name}_q{round(100 * q):02d}": float(margins.quantile(q)) for q in QUANTILES}
    return values | {
        f"margin_{name}_mean": float(margins.mean()),
        f"margin_{name}_nonpositive": float((margins <= 0).double().mean()),
    }


def geometry(images: Tensor, texts: Tensor) -> dict[str, float]:
    """Alignment of the pairs, and the gap between the two sides."""
    return {
        "alignment": float((images - texts).square().sum(1).mean()),
        "gap": float((images.mean(0) - texts.mean(0)).norm()),
    }
