"""The gradient of a contrastive batch that is too large to keep the towers' activations of.

A contrastive loss cannot be cut into parts and summed: every pair is measured against the whole batch. But it
reads the towers through their features alone, which are small. So (Gao et al. 2021, "Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup", arXiv 2101.06983): embed the rows chunk by chunk without
graph; take the loss of all features and its gradient with respect to them; embed each chunk again, with
graph, and go backward from the stored gradient. The price is one more forward pass.

Left out: layers that mix the rows of a batch (batch normalisation) see chunks, and see them twice.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from awase.errors import DataError

Embed = Callable[[Int[Tensor, " c"]], tuple[Tensor, Tensor]]  # rows -> image and text features (c, d)
FeatureLoss = Callable[[Tensor, Tensor], Tensor]  # image and text features (b, d) -> scalar


def cached_backward(
    embed: Embed,
    rows: Int[Tensor, " b"],
    loss: FeatureLoss,
    *,
    chunk: int,
) -> Float[Tensor, ""]:
    """Add the gradient of loss(*embed(rows)) to every parameter, with the activations of one chunk at a time.

    Equal to the gradient of the whole batch up to rounding. Dropout draws the same units in both passes.
    Parameters that only the loss reads (a learned logit scale) get their gradient too.

    Args:
        embed: image and text features of some rows, with graph; nothing may depend on the other rows.
        rows: of the batch, on several devices this device's share.
        loss: of the features of all rows; may gather those of other devices inside.
        chunk: rows embedded at a time, at least 1; the batch's size or more is one ordinary backward pass.

    Returns:
        The loss, without graph: the gradients are in place.

    Raises:
        DataError: the chunk is smaller than 1, or there are no rows.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(2.0))
        >>> x = torch.arange(4.0)[:, None]
        >>> loss = cached_backward(
        ...     lambda rows: (weight * x[rows], x[rows]),
        ...     torch.arange(4),
        ...     lambda images, texts: (images @ texts.T).mean(),
        ...     chunk=3,
        ... )
        >>> float(loss), float(weight.grad)
        (4.5, 2.25)
    """
    if chunk < 1:
        raise DataError(f"chunk must be at least 1, got {chunk}; as many rows as fit into memory are best.")
    if len(rows) == 0:
        raise DataError("a contrastive loss needs at least one row.")
    if chunk >= len(rows):
        value = loss(*embed(rows))
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()
    chunks = torch.split(rows, chunk)
    draws, features = [], []
    with torch.no_grad():
        for part in chunks:
            draws.append(_Draws.now())
            features.append(embed(part))
    images = torch.cat([image for image, _ in features]).detach().requires_grad_()
    texts = torch.cat([text for _, text in features]).detach().requires_grad_()
    value = loss(images, texts)
    value.backward()  # type: ignore[no-untyped-call]
    gradients = zip(_parts(images, chunk), _parts(texts, chunk), strict=True)
    with _forked():  # what comes next draws as it would have after one pass and the loss
        for part, drawn, gradient in zip(chunks, draws, gradients, strict=True):
            drawn.restore()
            _backward(embed(part), gradient)
    return value.detach()


def _backward(features: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """From both sides at once: they may share parameters and so a graph."""
    pairs = [
        (feature, gradient)
        for feature, gradient in zip(features, gradients, strict=True)
        if feature.requires_grad and gradient is not None
    ]
    if pairs:
        torch.autograd.backward([feature for feature, _ in pairs], [gradient for _, gradient in pairs])


def _parts(features: Tensor, chunk: int) -> Sequence[Tensor | None]:
    if features.grad is None:  # the loss does not read this side
        return [None] * -(-len(features) // chunk)
    return torch.split(features.grad, chunk)


@dataclass(frozen=True)
class _Draws:
    """Where the generators that dropout draws from stand."""

    cpu: Tensor
    cuda: Tensor | None

    @staticmethod
    def now() -> "_Draws":
        return _Draws(torch.get_rng_state(), torch.cuda.get_rng_state() if _cuda_runs() else None)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)


def _forked() -> AbstractContextManager[None]:
    return torch.random.fork_rng(devices=[torch.cuda.current_device()] if _cuda_runs() else [])


def _cuda_runs() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
