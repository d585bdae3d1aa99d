"""The linear maps of attention layers, found by their names in the module that holds both towers."""

from collections.abc import Sequence

from torch import nn

from awase.errors import EncoderError


def require_tower(tower: str) -> None:
    """Refuse a tower that is neither `image` nor `text`.

    Raises:
        EncoderError: as said.
    """
    if tower not in ("image", "text"):
        raise EncoderError(f"a tower is called image or text, got {tower!r}.")


def linear_maps(module: nn.Module, tower: str, *, prefix: str, ends: Sequence[str]) -> tuple[str, ...]:
    """Names of the linear maps of one tower, in the order of the module.

    Args:
        module: holds both towers.
        tower: `image` or `text`.
        prefix: what the names of the tower's parts begin with.
        ends: what the names of the wanted maps end with.

    Raises:
        EncoderError: there is no such tower, or it holds no such map.

    Example:
        >>> block = nn.ModuleDict({"text": nn.ModuleDict({"query": nn.Linear(2, 2), "out": nn.Linear(2, 2)})})
        >>> linear_maps(block, "text", prefix="text.", ends=("query", "value"))
        ('text.query',)
    """
    require_tower(tower)
    found = tuple(
        name
        for name, part in module.named_modules()
        if name.startswith(prefix)
        and any(name == end or name.endswith(f".{end}") for end in ends)
        and isinstance(part, nn.Linear)
    )
    if not found:
        raise EncoderError(
            f"the {tower} tower keeps its attention in no linear maps that are known here; "
            "fine-tune it in full instead."
        )
    return found
