"""What is measured of trained heads on data that chose nothing: by the functions of the package."""

import torch
from flickr import Classes, Pairs
from heads import Heads
from torch import Tensor

from awase.functional.completeness import completeness_curve, transfer_bound
from awase.functional.contrastive import info_nce
from awase.functional.false_negatives import batch_loss_floor
from awase.functional.geometry import alignment, effective_rank, modality_gap, uniformity
from awase.functional.margins import Side, largest_safe_temperature, margins, zero_shot_margins
from awase.functional.retrieval import ranks, recall_at_k
from awase.training.sampler import seeded

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
ALPHAS = (0.01, 0.05)
DELTA = 0.05


def features(heads: Heads, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Unit vectors of both sides."""
    with torch.inference_mode():
        images, texts = heads.image(pairs.images), heads.text(pairs.texts)
    return images.clone(), texts.clone()


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


def of_pairs(heads: Heads, pairs: Pairs, *, groups: Tensor | None, batch_size: int) -> dict[str, float]:
    """Margins, completeness, loss and geometry of pairs.

    Args:
        heads: trained.
        pairs: unseen.
        groups: what each image shows; None takes every image as something of its own.
        batch_size: of the loss.
    """
    images, texts = features(heads, pairs)
    owner = pairs.image_of_text
    found = margins(images, texts, image_of_text=owner, groups=groups)
    out = numbers("margin_i2t", found.image_to_text) | numbers("margin_t2i", found.text_to_image)
    curve = completeness_curve(images, texts, image_of_text=owner, groups=groups)
    for alpha in ALPHAS:
        kept = [g for g, a in zip(curve.gammas, curve.alphas, strict=True) if a <= alpha]
        out[f"gamma_at_alpha_{alpha:g}"] = max(kept) if kept else curve.gammas[0]
    if curve.beta_images is not None:
        out["beta_images"] = curve.beta_images
    if curve.beta_texts is not None:
        out["beta_texts"] = curve.beta_texts
    scale = float(heads.logit_scale)
    out["temperature"] = 1 / scale
    labels = torch.arange(len(images)) if groups is None else groups
    out |= losses(images, texts, owner, labels, scale=scale, batch_size=batch_size)
    out["alignment"] = alignment(images, texts, image_of_text=owner)
    out["gap"] = modality_gap(images, texts)
    out["uniformity_images"], out["uniformity_texts"] = uniformity(images), uniformity(texts)
    out["rank_images"], out["rank_texts"] = effective_rank(images), effective_rank(texts)
    return out


def losses(
    images: Tensor, texts: Tensor, owner: Tensor, labels: Tensor, *, scale: float, batch_size: int
) -> dict[str, float]:
    """InfoNCE (sum form) of unseen batches of one caption an image, its floor, and what is above it."""
    order = torch.randperm(len(owner), generator=seeded(7, 0))
    taken = torch.zeros(len(images), dtype=torch.bool)
    one: list[int] = []
    for text in order.tolist():  # one caption of each image
        if not taken[owner[text]]:
            taken[owner[text]] = True
            one.append(text)
    whole, floor = [], []
    for start in range(0, len(one) - batch_size + 1, batch_size):
        rows = torch.tensor(one[start : start + batch_size])
        whole.append(float(info_nce(images[owner[rows]], texts[rows], logit_scale=scale, form="sum")))
        floor.append(2 * batch_loss_floor(labels[owner[rows]]))
    mean, least = sum(whole) / len(whole), sum(floor) / len(floor)
    return {"loss": mean, "loss_floor": least, "loss_excess": mean - least}


def of_classes(heads: Heads, classes: Classes) -> dict[str, float]:
    """Zero-shot top-1 accuracy in percent, margins, and the bound that holds for any scores."""
    with torch.inference_mode():
        similarity = (heads.image(classes.images) @ heads.text(classes.prompts).T).clone()  # (n, k)
    side = zero_shot_margins(similarity, classes.labels)
    bound = transfer_bound(similarity, classes.labels, temperature=float(1 / heads.logit_scale))
    if bound.bound < bound.error:
        raise RuntimeError("the bound of zero-shot does not hold, which cannot be")
    out = numbers("margin", side)
    out["top1"] = 100 * (1 - out["margin_nonpositive"])
    out["bound"] = bound.bound
    safe = largest_safe_temperature(out["margin_q05"], 256, DELTA)
    return out | {"safe_temperature": float("nan") if safe is None else safe}


def numbers(name: str, side: Side) -> dict[str, float]:
    """Quantiles of margins, their mean, and the share that is not positive."""
    values = {f"{name}_q{round(100 * q):02d}": float(side.margin.quantile(q)) for q in QUANTILES}
    return values | {
        f"{name}_mean": float(side.margin.mean()),
        f"{name}_own": float(side.own.mean()),
        f"{name}_nonpositive": float((side.margin <= 0).double().mean()),
    }


def prefixed(name: str, values: dict[str, float]) -> dict[str, float]:
    """The same numbers under longer names; what has no value is left out."""
    return {f"{name}_{key}": value for key, value in values.items() if value == value}
