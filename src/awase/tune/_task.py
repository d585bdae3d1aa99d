"""What a method learns from, drawn out of labelled images: shots, a validation split, a record of both.

Settings are chosen on the validation images, never on the test. Images that are equal by content stay on one
side, and an image of the test among the shots is refused rather than left out in silence.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Int
from torch import Tensor

from awase.engine.leaks import refuse_overlap
from awase.errors import DataError
from awase.functional.splits import draw_shots
from awase.tune._frozen import Frozen
from awase.tune._protocol import Task
from awase.tune._split import SplitRecord, recorded
from awase.types import Features

_MOST_VALIDATION = 4  # as in CoOp and Tip-Adapter: no more labels for choosing than these


def make_task(
    frozen: Frozen,
    features: Features,
    labels: Int[Tensor, " n"],
    *,
    shots: int,
    seed: int,
    validation: int | None = None,
    test: Features | Mapping[str, str] | None = None,
    allow_fewer: bool = False,
    made_test: bool = False,
) -> tuple[Task, SplitRecord]:
    """A few images of every class to learn from, and a few others to choose settings on.

    Args:
        frozen: the model before tuning, with the classes.
        features: labelled images of the training split, from its encoder.
        labels: class of each, 0 .. k - 1 in the order of `frozen.class_names`.
        shots: training images per class; the 2 shots of a seed hold its 1 shot.
        seed: of the draw.
        validation: validation images per class; None takes as many as shots, 4 at most.
        test: the images that will be measured on, as features or as content hash to name.
        allow_fewer: take what there is where a class has fewer images, and record it.
        made_test: recorded: the test part is not the data's own.

    Raises:
        LeakError: a drawn image is one of the test by content; the message names the files.
        DataError: a class has fewer images than shots and validation need, shots is not positive, or the
            labels do not fit the classes.

    Example:
        >>> import torch
        >>> from awase.types import ImageReference, LabelledImage
        >>> images = tuple(LabelledImage(str(i), ImageReference(str(i), data=b"")) for i in range(8))
        >>> pool = Features(torch.eye(8), images, tuple("abcdefgh"), "toy")
        >>> frozen = Frozen(("cat", "dog"), torch.eye(8)[:2], 100.0, "toy")
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
        >>> task, split = make_task(frozen, pool, labels, shots=2, seed=1)
        >>> task.train_labels.tolist(), task.validation_labels.tolist(), len(split.seen)
        ([0, 0, 1, 1], [0, 0, 1, 1], 8)
    """
    frozen.require(features)
    k = len(frozen.class_names)
    _require_labels(labels, len(features), frozen.class_names)
    if validation is None:
        validation = min(shots, _MOST_VALIDATION)
    drawn = draw_shots(
        labels.tolist(),
        features.hashes,
        shots=shots,
        validation=validation,
        seed=seed,
        allow_fewer=True,
    )
    taken = labels[[*drawn.train, *drawn.validation]].bincount(minlength=k).tolist()
    fewer = {frozen.class_names[label]: taken[label] for label in drawn.fewer}
    _require_enough(fewer, shots, validation, allow_fewer=allow_fewer)
    train, held = features.select(drawn.train), features.select(drawn.validation)
    if test is not None:
        refuse_overlap(train, test, what=("training images", "test images"))
        refuse_overlap(held, test, what=("validation images", "test images"))
    task = Task(frozen, train, labels[[*drawn.train]], held, labels[[*drawn.validation]])
    record = SplitRecord(
        seed=seed,
        shots=shots,
        train=recorded(train),
        validation=recorded(held),
        test=_by_id(test),
        fewer=fewer,
        made_test=made_test,
    )
    return task, record


def _require_enough(fewer: Mapping[str, int], shots: int, validation: int, *, allow_fewer: bool) -> None:
    """Refuse classes with too few images, by name; with none at all even where fewer are allowed."""
    short = {name: n for name, n in fewer.items() if n == 0 or not allow_fewer}
    if not short:
        return
    shown = ", ".join(f"{name!r} has {n}" for name, n in list(short.items())[:10])
    more = f" and {len(short) - 10} more" if len(short) > 10 else ""
    raise DataError(
        f"{shots} training and {validation} validation images need {shots + validation} different images of "
        f"every class, and {shown}{more}; ask for fewer shots, or allow fewer (--allow-fewer)."
    )


def _by_id(test: Features | Mapping[str, str] | None) -> dict[str, str]:
    if isinstance(test, Features):
        return recorded(test)
    return {name: hash for hash, name in (test or {}).items()}


def _require_labels(labels: Int[Tensor, " n"], n: int, names: Sequence[str]) -> None:
    k = len(names)
    if len(labels) != n:
        raise DataError(f"{n} images came with {len(labels)} labels.")
    if n == 0 or int(labels.min()) < 0 or int(labels.max()) >= k:
        said = f"{int(labels.min())} .. {int(labels.max())}" if n else "none"
        raise DataError(f"labels must lie in 0 .. {k - 1}, one for each of the {k} classes, got {said}.")
    if missing := [
        name for name, count in zip(names, labels.bincount(minlength=k), strict=True) if not count
    ]:
        shown = ", ".join(map(repr, missing[:10])) + (" ..." if len(missing) > 10 else "")
        raise DataError(f"there are no training images of {shown}; leave these classes out.")
