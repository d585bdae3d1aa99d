"""A world of scenes: settings and a seed in, pictures, captions and their exact truth out.

Scene i and its captions depend on the settings, the seed and i alone: not on the batch, the order or the
process that asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor

from awase.data._parts import drawing, latents
from awase.data._parts.chance import CAPTION, uniform
from awase.data._parts.claims import SAID_OF_PARTS, Claims, Mention
from awase.data._parts.distribution import ORDER, Correlation, Distribution, joint
from awase.data._parts.edits import Edit, edits
from awase.data._parts.grammar import SaidWord, Style, render
from awase.data._parts.latents import Latents
from awase.data._parts.scenes import Scene, from_latents
from awase.data._parts.telling import NUMBERS, choose
from awase.data._parts.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZES,
    TEXTURES,
    VALUES,
)
from awase.errors import DataError

SAID: Mapping[str, float] = {
    "shape": 1.0,
    "colour": 0.85,
    "size": 0.4,
    "texture": 0.4,
    "defect": 0.5,
    "background": 0.5,
    "relation": 0.5,
    "count": 0.5,
}
_MOST_CAPTIONS = 1000  # of a scene; keeps the numbers of captions apart


@dataclass(frozen=True, slots=True)
class Caption:
    """A true caption.

    Attributes:
        text: the sentence.
        words: those that say something of the scene, with what they stand for.
        claims: all that it says.
    """

    text: str
    words: tuple[SaidWord, ...]
    claims: Claims


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true of b scenes, as numbers: positions in `VALUES[name]`, -1 where there is no such part.

    Attributes:
        count: number of parts itself, 1 to 3.
        background: position in BACKGROUNDS.
        shape: position in SHAPES, for up to three parts; likewise colour, size, texture and defect.
        rotation: degrees clockwise.
        x: centre from the left as a share of the side; y from the top.
        radius: share of the side.
    """

    count: Int[Tensor, " b"]
    background: Int[Tensor, " b"]
    shape: Int[Tensor, "b 3"]
    colour: Int[Tensor, "b 3"]
    size: Int[Tensor, "b 3"]
    texture: Int[Tensor, "b 3"]
    defect: Int[Tensor, "b 3"]
    rotation: Int[Tensor, "b 3"]
    x: Float[Tensor, "b 3"]
    y: Float[Tensor, "b 3"]
    radius: Float[Tensor, "b 3"]


@dataclass(frozen=True)
class World:
    """Scenes of workshop parts, as many as are asked for.

    Args:
        seed: two worlds of different seeds share no scene.
        size: pixels to a side, 32 to 512.
        objects: fewest and most parts in a scene, 1 to 3. Where it is (1, 1) parts are drawn larger.
        shapes: those that occur, in the order of SHAPES; likewise the next four.
        said: for each attribute the share of captions that say it (default SAID); what is left out of the
            mapping keeps its default. With 0 an attribute is known to the image alone.
        language: of captions, `en` or `ja`.
        n_captions: captions of a scene.
        synonyms: share of words that are less usual ones for the same.
        asides: share of captions with an opening ("a photo of"), and with a closing that says nothing.
        correlations: pairs of attributes that go together.
        held_out: combinations, such as {"shape": "gear", "colour": "red"}, that no part and scene shows.
        show: `seen` (all but what is held out), `held_out` (only that) or `all`.
        frequencies: for an attribute the relative frequency of its values; equal where it is not named.
        alike: share of scenes with parts of one shape, colour, size and texture ("two red gears").
        defects: share of parts with a scratch, a missing tooth or a bend.
        turn: parts are turned by up to so many degrees either way, 0 to 180.

    Raises:
        DataError: a setting is out of its range, a name is unknown, or nothing is left to show.

    Example:
        >>> world = World(seed=3, objects=(1, 1))
        >>> world.batch([0, 1, 2]).shape
        torch.Size([3, 3, 64, 64])
        >>> scene = world.scene(7)
        >>> world.captions(7)[0] == world.captions(7)[0], scene.parts[0].shape in world.shapes
        (True, True)
    """

    seed: int = 0
    size: int = 64
    objects: tuple[int, int] = (1, 3)
    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = COLOURS
    sizes: tuple[str, ...] = SIZES
    textures: tuple[str, ...] = TEXTURES
    backgrounds: tuple[str, ...] = BACKGROUNDS
    said: Mapping[str, float | int] = field(default_factory=dict)
    language: str = "en"
    n_captions: int = 2
    synonyms: float | int = 0.3
    asides: float | int = 0.3
    correlations: tuple[Correlation, ...] = ()
    held_out: tuple[Mapping[str, str], ...] = ()
    show: str = "seen"
    frequencies: Mapping[str, Sequence[float | int]] = field(default_factory=dict)
    alike: float | int = 0.2
    defects: float | int = 0.0
    turn: int = 180

    def __post_init__(self) -> None:
        _check_range("size", self.size, 32, 512)
        _check_range("the fewest objects", self.objects[0], 1, 3)
        _check_range("the most objects", self.objects[1], self.objects[0], 3)
        _check_range("n_captions", self.n_captions, 1, _MOST_CAPTIONS)
        _check_range("turn", self.turn, 0, 180)
        for name in ("synonyms", "asides", "alike", "defects"):
            _check_range(name, getattr(self, name), 0, 1)
        for name, share in self.said.items():
            if name not in SAID:
                raise DataError(f"captions cannot say {name!r}; there are: {', '.join(SAID)}.")
            _check_range(f"said[{name!r}]", share, 0, 1)
        if self.language not in ("en", "ja"):
            raise DataError(f"captions are written in en or ja, not {self.language!r}.")
        for name, values in self.values.items():
            unknown = [value for value in values if value not in VALUES[name]]
            if unknown or not values or list(values) != sorted(set(values), key=VALUES[name].index):
                raise DataError(
                    f"values of {name}: some of {', '.join(VALUES[name])} in this order and none twice are "
                    f"expected, got {', '.join(values) or 'none'}."
                )
        unknown = sorted(set(self.frequencies) - set(ORDER))
        if unknown:
            raise DataError(f"there are no frequencies of {unknown[0]!r}; name one of {', '.join(ORDER)}.")
        _ = self.distribution  # refuses what cannot be shown

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The values of each attribute that occur here."""
        low, high = self.objects
        return {
            "count": tuple(str(number) for number in range(low, high + 1)),
            "background": self.backgrounds,
            "shape": self.shapes,
            "colour": self.colours,
            "size": self.sizes,
            "texture": self.textures,
        }

    @cached_property
    def distribution(self) -> Distribution:
        """The joint distribution of the attributes of a scene and one of its parts, as a table."""
        return joint(
            self.values,
            frequencies=self.frequencies,
            correlations=self.correlations,
            held_out=self.held_out,
            show=self.show,
        )

    def probabilities(self, *attributes: str) -> Float[Tensor, "..."]:
        """P of every combination of values of these attributes, in a part drawn at random of a random scene.

        Exact but for rounding, not counted. Axes follow the names, and the values those of `values`.

        Raises:
            DataError: there is no such attribute, or one is named twice.

        Example:
            >>> World(frequencies={"size": [3, 1, 1]}).probabilities("size").round(decimals=6).tolist()
            [0.6, 0.2, 0.2]
        """
        if not set(attributes) <= set(ORDER) or len(set(attributes)) < len(attributes) or not attributes:
            raise DataError(f"name some of {', '.join(ORDER)}, each once; got {', '.join(attributes)}.")
        return torch.from_numpy(self.distribution.marginal(*attributes))

    def latents(self, indices: Sequence[int] | Int[Tensor, " b"]) -> Latents:
        """What these scenes are made of, as arrays.

        Raises:
            DataError: an index is negative.
        """
        wanted = np.asarray(indices, np.int64).reshape(-1)
        if len(wanted) and int(wanted.min()) < 0:
            raise DataError(f"scenes are counted from 0, got {int(wanted.min())}.")
        return latents.draw(
            wanted,
            seed=self.seed,
            distribution=self.distribution,
            numbers=self._numbers,
            most=self.objects[1],
            alike=float(self.alike),
            defects=float(self.defects),
            turn=self.turn,
        )

    def batch(self, indices: Sequence[int] | Int[Tensor, " b"]) -> UInt8[Tensor, "b 3 size size"]:
        """Pictures of these scenes, RGB from 0 to 255."""
        pictures = drawing.draw(self.latents(indices), self.size)
        return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))

    def truth(self, indices: Sequence[int] | Int[Tensor, " b"]) -> Truth:
        """What is true of these scenes, as numbers."""
        found = self.latents(indices)
        names = ("count", "background", "shape", "colour", "size", "texture", "defect", "rotation")
        whole = {name: torch.from_numpy(getattr(found, name)) for name in names}
        places = {name: torch.from_numpy(getattr(found, name)).float() for name in ("x", "y", "radius")}
        return Truth(**whole, **places)

    def scene(self, index: int) -> Scene:
        """What is true of one scene, in words."""
        return self.scenes([index])[0]

    def scenes(self, indices: Sequence[int] | Int[Tensor, " b"]) -> list[Scene]:
        """What is true of these scenes, in words."""
        return from_latents(self.latents(indices))

    def image(self, index: int) -> Image.Image:
        """The picture of one scene."""
        return Image.fromarray(drawing.draw(self.latents([index]), self.size)[0])

    def masks(self, index: int) -> Bool[Tensor, "k size size"]:
        """For each part of a scene the pixels of which it covers at least half."""
        return self.coverage(index) >= 0.5

    def coverage(self, index: int) -> Float[Tensor, "k size size"]:
        """For each part of a scene the share of every pixel that it covers, 0 to 1."""
        found = self.latents([index])
        return torch.from_numpy(drawing.coverage(found, self.size)[0, : int(found.count[0])])

    def captions(self, index: int) -> tuple[str, ...]:
        """All captions of one scene."""
        return tuple(self.caption(index, k).text for k in range(self.n_captions))

    def caption(self, index: int, k: int = 0) -> Caption:
        """Caption k of one scene, with what its words stand for.

        Raises:
            DataError: k is not below `n_captions`.
        """
        scene = self.scene(index)
        claims, at = self._told([scene], [k])[0]
        return Caption(*render(claims, self._style, at), claims)

    def texts(
        self, indices: Sequence[int] | Int[Tensor, " b"], ks: Sequence[int] | Int[Tensor, " b"] | int = 0
    ) -> list[str]:
        """One caption of each of these scenes: caption k for all of them, or each its own."""
        scenes = self.scenes(indices)
        numbers = [ks] * len(scenes) if isinstance(ks, int) else [int(k) for k in ks]
        return [render(claims, self._style, at)[0] for claims, at in self._told(scenes, numbers)]

    def edits(self, index: int, k: int = 0, *, kinds: Sequence[str] | None = None) -> tuple[Edit, ...]:
        """Every way to make caption k of a scene wrong by one word.

        Args:
            index: the scene.
            k: the caption.
            kinds: keep only these: colour, shape, size, texture, relation, background, count, defect.
        """
        scene = self.scene(index)
        claims, at = self._told([scene], [k])[0]
        found = edits(scene, claims, self._style, at, counts=self.objects[1])
        return tuple(edit for edit in found if kinds is None or edit.kind in kinds)

    def phrase(self, **values: str) -> str:
        """The usual words for a part with these attributes, for zero-shot prompts: "a red gear".

        Raises:
            DataError: no such attribute of a part, or no such value.

        Example:
            >>> World().phrase(colour="red", shape="gear"), World(language="ja").phrase(shape="gear")
            ('a red gear', '歯車')
        """
        for name, value in values.items():
            if name not in SAID_OF_PARTS or value not in VALUES.get(name, (value,)):
                raise DataError(f"a part has no {name} {value!r}; attributes are {', '.join(SAID_OF_PARTS)}.")
        return render(Claims((Mention(**values),)), Style(self.language, 0.0, 0.0), [0.5] * NUMBERS)[0]  # type: ignore[arg-type]

    @cached_property
    def _numbers(self) -> dict[str, Int[np.ndarray, " k"]]:
        """Position of the values of this world among all values."""
        return {
            name: np.array([VALUES[name].index(value) for value in values], np.int64)
            for name, values in self.values.items()
        }

    @property
    def _style(self) -> Style:
        return Style(self.language, float(self.synonyms), float(self.asides))

    def _told(self, scenes: Sequence[Scene], ks: Sequence[int]) -> list[tuple[Claims, list[float]]]:
        """Claims and numbers of one caption of each scene."""
        for k in ks:
            if not 0 <= k < self.n_captions:
                raise DataError(f"a scene has {self.n_captions} captions, counted from 0; got {k}.")
        places = np.array([scene.index for scene in scenes], np.int64) * _MOST_CAPTIONS + np.array(
            ks, np.int64
        )
        numbers = uniform(self.seed, CAPTION, places, NUMBERS).tolist()
        said = {**SAID, **{name: float(share) for name, share in self.said.items()}}
        return [(choose(scene, said, at), at) for scene, at in zip(scenes, numbers, strict=True)]


def _check_range(name: str, value: float | int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise DataError(f"{name} must lie in [{low}, {high}], got {value}.")
