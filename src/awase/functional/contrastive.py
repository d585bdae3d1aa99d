"""Contrastive objectives over a batch of pairs, as functions of unit vectors.

InfoNCE in both directions, its regularised form (Chen et al. 2024, ICLR, arXiv 2310.00927, who publish no
code), with several positives, with soft targets; the sigmoid loss (Zhai et al. 2023, arXiv 2303.15343);
CyCLIP (Goel et al. 2022, arXiv 2205.14459).

Every function takes the rows of one device. Where a batch is spread over several, `image_bank` and
`text_bank` hold all of it, `offset` says which of its rows are the device's own, and the mean of the devices'
losses is the loss of the whole batch, the regulariser included: it reads the device's own pairs and is not
multiplied. Cosines are computed in float32 at least, whatever the features and autocast say: a logit of 100
times a cosine in half precision is off by tenths.

Left out: gathering the banks, which is `awase.training.devices`.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from awase.errors import DataError, ShapeError

Number = Float[Tensor, ""] | float | int  # a tensor where it learns
FORMS = ("mean", "sum")
PARTS = ("positives", "negatives", "both")


class Logits(NamedTuple):
    """Scaled similarities of a device's pairs with the whole batch; pair i is at column `offset + i`."""

    of_image: Float[Tensor, "b n"]  # its images with all texts
    of_text: Float[Tensor, "b n"]  # its texts with all images


def pair_logits(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
) -> Logits:
    """logit_scale * cosine, both directions.

    Args:
        image_features: unit vectors of this device's images.
        text_features: unit vectors of their texts, row by row.
        logit_scale: 1 / temperature.
        image_bank: unit vectors of the images of all devices; None where there is one device.
        text_bank: those of the texts.

    Raises:
        ShapeError: the two sides differ in rows, or one bank came without the other.
        DataError: the logit scale is not positive, or there is no pair.

    Example:
        >>> import torch
        >>> pair_logits(torch.eye(2), torch.eye(2), logit_scale=10.0).of_image
        tensor([[10.,  0.],
                [ 0., 10.]])
    """
    return _scaled(_cosines(image_features, text_features, image_bank, text_bank), logit_scale)


def info_nce(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    form: str = "mean",
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
    offset: int = 0,
) -> Float[Tensor, ""]:
    """Each image shall find its text among those of the batch, and each text its image.

        L_image = 1/b sum_i log sum_j exp(s (u_i w_j - u_i w_i))      each image among the texts
        L_text  = 1/b sum_i log sum_j exp(s (u_j w_i - u_i w_i))      each text among the images
        L       = (L_image + L_text) / 2  as `mean`,  L_image + L_text  as `sum`

    with the logit scale s. The `mean` of both directions is what open_clip trains, the `sum` what Chen et al.
    write; one is twice the other.

    Args:
        image_features: unit vectors.
        text_features: unit vectors; row i belongs to image i, and every other row counts as wrong for it.
        logit_scale: 1 / temperature; a tensor learns.
        form: `mean` or `sum` of the directions.
        image_bank: see `pair_logits`.
        text_bank: see `pair_logits`.
        offset: row of the banks at which this device's own rows begin.

    Returns:
        Nats, 0 at best. Where the batch holds the same thing twice it cannot fall below
        `awase.functional.false_negatives.loss_floor`.

    Raises:
        ShapeError: the sides do not fit.
        DataError: the form or the logit scale is out of range.

    Example:
        >>> import torch
        >>> same = torch.tensor([[1.0, 0.0]] * 4)
        >>> float(info_nce(same, same, logit_scale=20.0).exp())  # nothing to tell them apart by
        4.0
    """
    logits = pair_logits(
        image_features, text_features, logit_scale=logit_scale, image_bank=image_bank, text_bank=text_bank
    )
    return _cross_entropy(logits, offset, form)


def regularizer(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    part: str = "positives",
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
    offset: int = 0,
) -> Float[Tensor, ""]:
    """How far apart the two sides of a pair lie: mean ||u_i - w_i||^2 = 2 - 2 mean cos_ii, in [0, 4].

    Its gradient with respect to cos_ii is the constant -2 / b: it goes on pulling where the softmax of
    InfoNCE is saturated. `negatives` and `both` are for ablation: minus the mean of ||u_i - w_j||^2 over
    j != i, in [-4, 0], which pushes apart whatever stands in the batch, false negatives too; `both` is the
    sum of the two.

    Args:
        image_features: unit vectors.
        text_features: unit vectors, row by row.
        part: `positives` (the paper's), `negatives` or `both`.
        image_bank: see `pair_logits`; read for negatives only.
        text_bank: see `pair_logits`.
        offset: row of the banks at which this device's own rows begin.

    Raises:
        ShapeError: the sides do not fit.
        DataError: there is no such part, or negatives are asked for in a batch of one pair.

    Example:
        >>> import torch
        >>> float(regularizer(torch.eye(2), -torch.eye(2)))  # antipodal pairs
        4.0
    """
    require_part(part)
    require_pairs(image_features, text_features)
    if part == "positives":
        return _nearness(image_features, text_features)
    cosines = _cosines(image_features, text_features, image_bank, text_bank)
    return _regularizer(image_features, text_features, cosines, part, offset)


def regularized_info_nce(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    weight: float | int,
    part: str = "positives",
    form: str = "mean",
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
    offset: int = 0,
) -> Float[Tensor, ""]:
    """InfoNCE with a pull on the positive pairs that does not fade (Chen et al. 2024, section 5).

        L_sum = L_image + L_text + weight * 1/b sum_i ||u_i - w_i||^2,     L_mean = L_sum / 2

    `weight` is the paper's in either form: the mean form is half of the whole, so a trainer that averages the
    two directions by itself has to take weight / 2. Weight 0 is `info_nce`, to the last bit.

    Args:
        image_features: unit vectors.
        text_features: unit vectors, row by row.
        logit_scale: 1 / temperature.
        weight: lambda, at least 0; the paper's value is not known for certain, so sweep it.
        part: what is regularised, see `regularizer`.
        form: `mean` or `sum`.
        image_bank: see `pair_logits`.
        text_bank: see `pair_logits`.
        offset: see `info_nce`.

    Raises:
        ShapeError: the sides do not fit.
        DataError: the weight is negative, or another setting is out of range.

    Example:
        >>> import torch
        >>> u = torch.eye(2)
        >>> round(float(regularized_info_nce(u, u.flip(1), logit_scale=1.0, weight=1.0, form="sum")), 4)
        4.6265
    """
    require_weight("weight", weight)
    require_part(part)
    cosines = _cosines(image_features, text_features, image_bank, text_bank)
    plain = _cross_entropy(_scaled(cosines, logit_scale), offset, form)
    if weight == 0:
        return plain
    pull = _regularizer(image_features, text_features, cosines, part, offset)
    return plain + (weight if form == "sum" else weight / 2) * pull


def multi_positive_info_nce(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    groups: Int[Tensor, " b"],
    form: str = "mean",
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
    group_bank: Int[Tensor, " n"] | None = None,
    offset: int = 0,
) -> Float[Tensor, ""]:
    """InfoNCE in which any item of the same group is a right answer.

        L = form over directions of  - 1/b sum_i log( sum_{j: z_j = z_i} exp(s cos_ij) / sum_j exp(s cos_ij) )

    The probability of all right answers together counts, so perfect features reach 0 however often a batch
    holds the same thing; InfoNCE would stay at log m. With a group for every pair it is `info_nce`.

    Args:
        image_features: unit vectors.
        text_features: unit vectors, row by row.
        logit_scale: 1 / temperature.
        groups: equal numbers are the same thing: captions of one image, images of one class.
        form: `mean` or `sum`.
        image_bank: see `pair_logits`.
        text_bank: see `pair_logits`.
        group_bank: groups of the banks' rows.
        offset: see `info_nce`.

    Raises:
        ShapeError: the sides do not fit.
        DataError: a setting is out of range.

    Example:
        >>> import torch
        >>> u = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(multi_positive_info_nce(u, u, logit_scale=50.0, groups=torch.tensor([0, 0, 1]))), 6)
        0.0
    """
    logits = pair_logits(
        image_features, text_features, logit_scale=logit_scale, image_bank=image_bank, text_bank=text_bank
    )
    is_right = same_group(groups, group_bank, like=logits.of_image, offset=offset)
    losses = [
        (side.logsumexp(dim=1) - side.masked_fill(~is_right, -torch.inf).logsumexp(dim=1)).mean()
        for side in logits
    ]
    return _joined(losses[0], losses[1], form)


def soft_target_info_nce(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    text_targets: Float[Tensor, "b n"],
    image_targets: Float[Tensor, "b n"],
    form: str = "mean",
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
) -> Float[Tensor, ""]:
    """The softmax of each row shall be a given distribution: KL(target || softmax), both directions.

    Cross-entropy less the entropy of the targets, a constant, so that 0 is the best there is. With one-hot
    targets at the pairs it is `info_nce`.

    Args:
        image_features: unit vectors.
        text_features: unit vectors, row by row.
        logit_scale: 1 / temperature.
        text_targets: for every image a distribution over the texts of the batch; rows sum to 1.
        image_targets: for every text one over the images.
        form: `mean` or `sum`.
        image_bank: see `pair_logits`.
        text_bank: see `pair_logits`.

    Raises:
        ShapeError: the targets do not fit.
        DataError: a row of the targets is no distribution.

    Example:
        >>> import torch
        >>> u = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> half = torch.full((2, 2), 0.5)
        >>> float(soft_target_info_nce(u, u, logit_scale=5.0, text_targets=half, image_targets=half))
        0.0
    """
    logits = pair_logits(
        image_features, text_features, logit_scale=logit_scale, image_bank=image_bank, text_bank=text_bank
    )
    losses = []
    for side, targets in zip(logits, (text_targets, image_targets), strict=True):
        if targets.shape != side.shape:
            raise ShapeError(f"targets are {tuple(targets.shape)}, the logits {tuple(side.shape)}.")
        if bool((targets < 0).any()) or not bool(((targets.sum(dim=1) - 1).abs() < 1e-3).all()):
            raise DataError("each row of the targets must be a distribution: no negatives, sum 1.")
        entropy = torch.special.entr(targets).sum(dim=1)
        losses.append((-(targets * side.log_softmax(dim=1)).sum(dim=1) - entropy).mean())
    return _joined(losses[0], losses[1], form)


def group_targets(
    groups: Int[Tensor, " b"],
    *,
    share: float | int = 1.0,
    group_bank: Int[Tensor, " n"] | None = None,
    offset: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b n"]:
    """Soft targets that give every item of a pair's group its part.

        t_ij = (1 - share) [j = i] + share * [z_j = z_i] / #{j: z_j = z_i}

    Args:
        groups: equal numbers are the same thing.
        share: what is spread evenly over the group, in [0, 1]; 0 is one-hot.
        group_bank: groups of the whole batch where it is spread over devices.
        offset: row of the bank at which this device's own rows begin.
        dtype: of the targets; that of the logits is best.

    Raises:
        DataError: the share lies outside [0, 1].

    Example:
        >>> import torch
        >>> group_targets(torch.tensor([0, 0, 1]), share=0.5)
        tensor([[0.7500, 0.2500, 0.0000],
                [0.2500, 0.7500, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    require_share(share)
    bank = groups if group_bank is None else group_bank
    shape = torch.zeros(len(groups), len(bank), dtype=dtype, device=groups.device)
    is_right = same_group(groups, group_bank, like=shape, offset=offset).to(shape.dtype)
    targets = share * is_right / is_right.sum(dim=1, keepdim=True)
    return torch.where(_own(shape, offset), targets + (1 - share), targets)


def sigmoid_loss(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    logit_bias: Number,
    groups: Int[Tensor, " b"] | None = None,
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
    group_bank: Int[Tensor, " n"] | None = None,
    offset: int = 0,
) -> Float[Tensor, ""]:
    """Every pair of an image and a text is judged on its own (SigLIP, equation 1).

        L = - 1/b sum_i sum_j log sigmoid(z_ij (s cos_ij + bias))

    with z_ij = 1 for what belongs together and -1 else. There is one direction only: the sum over all i and j
    is symmetric.

    Args:
        image_features: unit vectors.
        text_features: unit vectors, row by row.
        logit_scale: s; training starts at 10 in the paper.
        logit_bias: starts at -10, since nearly all pairs are wrong.
        groups: items of one group belong together; None for the pairs alone.
        image_bank: see `pair_logits`.
        text_bank: see `pair_logits`.
        group_bank: groups of the banks' rows.
        offset: see `info_nce`.

    Raises:
        ShapeError: the sides do not fit.
        DataError: the logit scale is not positive.

    Example:
        >>> import torch
        >>> round(float(sigmoid_loss(torch.eye(2), torch.eye(2), logit_scale=20.0, logit_bias=-10.0)), 6)
        9.1e-05
    """
    logits = pair_logits(
        image_features, text_features, logit_scale=logit_scale, image_bank=image_bank, text_bank=text_bank
    ).of_image
    is_right = (
        _own(logits, offset) if groups is None else same_group(groups, group_bank, like=logits, offset=offset)
    )
    signed = torch.where(is_right, logits + logit_bias, -(logits + logit_bias))
    return -logsigmoid(signed).sum() / len(logits)


def cyclip_loss(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    *,
    logit_scale: Number,
    in_modal: float | int = 0.25,
    cross_modal: float | int = 0.25,
    form: str = "mean",
    image_bank: Float[Tensor, "n d"] | None = None,
    text_bank: Float[Tensor, "n d"] | None = None,
    offset: int = 0,
) -> Float[Tensor, ""]:
    """InfoNCE with two consistencies (CyCLIP, Goel et al. 2022, arXiv 2205.14459).

        L = L_InfoNCE + in_modal    * 1/n sum_jk (u_j u_k - w_j w_k)^2
                      + cross_modal * 1/n sum_jk (u_j w_k - u_k w_j)^2

    The consistencies are divided by n, not by the n^2 terms they have. Weights of 0 are `info_nce`, to the
    last bit.

    Args:
        image_features: unit vectors.
        text_features: unit vectors, row by row.
        logit_scale: 1 / temperature; the consistencies read plain cosines.
        in_modal: weight of images being as far from each other as their texts.
        cross_modal: weight of the two halves of the similarity matrix mirroring each other.
        form: of InfoNCE, `mean` (the paper's) or `sum`.
        image_bank: see `pair_logits`.
        text_bank: see `pair_logits`.
        offset: see `info_nce`.

    Raises:
        ShapeError: the sides do not fit.
        DataError: a weight is negative, or another setting is out of range.

    Example:
        >>> import torch
        >>> u = torch.eye(3)
        >>> bool(cyclip_loss(u, u, logit_scale=10.0) == info_nce(u, u, logit_scale=10.0))
        True
    """
    require_weight("in_modal", in_modal)
    require_weight("cross_modal", cross_modal)
    cosines = _cosines(image_features, text_features, image_bank, text_bank)
    loss = _cross_entropy(_scaled(cosines, logit_scale), offset, form)
    images = image_features if image_bank is None else image_bank
    texts = text_features if text_bank is None else text_bank
    if in_modal > 0:
        gap = _products(image_features, images) - _products(text_features, texts)  # (b, n)
        loss = loss + in_modal * gap.square().sum() / len(gap)
    if cross_modal > 0:
        gap = cosines.of_image - cosines.of_text
        loss = loss + cross_modal * gap.square().sum() / len(gap)
    return loss


def same_group(
    groups: Int[Tensor, " b"],
    group_bank: Int[Tensor, " n"] | None,
    *,
    like: Float[Tensor, "b n"],
    offset: int = 0,
) -> Bool[Tensor, "b n"]:
    """Which columns belong to the group of each row; its own column always does.

    Raises:
        ShapeError: there is not one group a row and a column.

    Example:
        >>> import torch
        >>> same_group(torch.tensor([0, 1]), None, like=torch.zeros(2, 2))
        tensor([[ True, False],
                [False,  True]])
    """
    bank = groups if group_bank is None else group_bank
    if (len(groups), len(bank)) != tuple(like.shape):
        raise ShapeError(f"{len(groups)} and {len(bank)} groups came with logits {tuple(like.shape)}.")
    return (groups[:, None] == bank[None, :]) | _own(like, offset)


def require_form(form: str) -> None:
    """Refuse what is no form of joining two directions.

    Raises:
        DataError: the form is neither `mean` nor `sum`.

    Example:
        >>> require_form("mean")
    """
    if form not in FORMS:
        raise DataError(f"form must be one of {', '.join(FORMS)}, got {form!r}.")


def require_part(part: str) -> None:
    """Refuse what is no part of a batch to regularise.

    Raises:
        DataError: the part is none of `positives`, `negatives` and `both`.

    Example:
        >>> require_part("both")
    """
    if part not in PARTS:
        raise DataError(f"part must be one of {', '.join(PARTS)}, got {part!r}.")


def require_weight(name: str, weight: float | int) -> None:
    """Refuse a weight that would reward what it shall punish.

    Raises:
        DataError: the weight is negative, infinite or NaN.

    Example:
        >>> require_weight("weight", 0.3)
    """
    if not 0 <= weight < math.inf:
        raise DataError(f"{name} must be at least 0 and finite, got {weight}; 0 leaves that term out.")


def require_share(share: float | int) -> None:
    """Refuse a share that is none.

    Raises:
        DataError: the share lies outside [0, 1].

    Example:
        >>> require_share(1.0)
    """
    if not 0 <= share <= 1:
        raise DataError(
            f"share must lie in [0, 1], got {share}; 0 is one-hot, 1 gives all of a group the same."
        )


def require_pairs(image_features: Float[Tensor, "b d"], text_features: Float[Tensor, "b d"]) -> None:
    """Refuse two sides that are no pairs.

    Raises:
        ShapeError: they differ in rows or width.
        DataError: there is no pair.

    Example:
        >>> import torch
        >>> require_pairs(torch.eye(2), torch.eye(2))
    """
    if image_features.shape != text_features.shape:
        raise ShapeError(
            f"image features {tuple(image_features.shape)} came with text features "
            f"{tuple(text_features.shape)}; row i of one belongs to row i of the other."
        )
    if len(image_features) == 0:
        raise DataError("a contrastive loss needs at least one pair.")


def _mean_square_distance(cosines: Logits, offset: int) -> Float[Tensor, ""]:
    """Of every item from everything it is not paired with: mean of 2 - 2 cos, in [0, 4]."""
    b, n = cosines.of_image.shape
    if n < 2:
        raise DataError("a batch of one pair has no negatives.")
    own = _own(cosines.of_image, offset)
    means = [(2 - 2 * side).masked_fill(own, 0.0).sum() / (b * (n - 1)) for side in cosines]
    return (means[0] + means[1]) / 2


def _regularizer(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    cosines: Logits,
    part: str,
    offset: int,
) -> Float[Tensor, ""]:
    if part == "positives":
        return _nearness(image_features, text_features)
    away = _mean_square_distance(cosines, offset)
    return -away if part == "negatives" else _nearness(image_features, text_features) - away


def _nearness(image_features: Float[Tensor, "b d"], text_features: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    return (_wide(image_features) - _wide(text_features)).square().sum(dim=-1).mean()


def _cosines(
    image_features: Float[Tensor, "b d"],
    text_features: Float[Tensor, "b d"],
    image_bank: Float[Tensor, "n d"] | None,
    text_bank: Float[Tensor, "n d"] | None,
) -> Logits:
    """Of a device's pairs with the whole batch, not scaled: what several terms of a loss share."""
    require_pairs(image_features, text_features)
    if (image_bank is None) != (text_bank is None):
        raise ShapeError("image_bank and text_bank come together.")
    if image_bank is None or text_bank is None:
        of_image = _products(image_features, text_features)
        return Logits(of_image, of_image.T)
    return Logits(_products(image_features, text_bank), _products(text_features, image_bank))  # (b, n)


def _scaled(cosines: Logits, logit_scale: Number) -> Logits:
    scale = float(logit_scale.detach() if isinstance(logit_scale, Tensor) else logit_scale)
    if not 0 < scale < math.inf:
        raise DataError(f"logit_scale = 1 / temperature must be positive and finite, got {scale}.")
    return Logits(cosines.of_image * logit_scale, cosines.of_text * logit_scale)


def _cross_entropy(logits: Logits, offset: int, form: str) -> Float[Tensor, ""]:
    """Of every row with its own column, both directions."""
    own = offset + torch.arange(len(logits.of_image), device=logits.of_image.device)
    return _joined(cross_entropy(logits.of_image, own), cross_entropy(logits.of_text, own), form)


def _products(rows: Float[Tensor, "b d"], columns: Float[Tensor, "n d"]) -> Float[Tensor, "b n"]:
    """All cosines, in float32 at least even where autocast would round them."""
    with torch.autocast(rows.device.type, enabled=False):
        return _wide(rows) @ _wide(columns).T


def _wide(features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    return features.to(torch.promote_types(features.dtype, torch.float32))


def _own(logits: Float[Tensor, "b n"], offset: int) -> Bool[Tensor, "b n"]:
    b, n = logits.shape
    rows = offset + torch.arange(b, device=logits.device)
    return rows[:, None] == torch.arange(n, device=logits.device)[None, :]


def _joined(first: Float[Tensor, ""], second: Float[Tensor, ""], form: str) -> Float[Tensor, ""]:
    require_form(form)
    whole = first + second
    return whole if form == "sum" else whole / 2
