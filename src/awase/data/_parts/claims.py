"""What a caption says of a scene, and whether it is true.

Captions are made from claims, and edits are checked by them.
"""

from dataclasses import dataclass

from awase.data._parts.layout import may_hold
from awase.data._parts.scenes import Part, Scene

SAID_OF_PARTS = ("size", "defect", "texture", "colour", "shape")  # in the order of English adjectives


@dataclass(frozen=True, slots=True)
class Mention:
    """Some parts, described by what is not None; `number` of them.

    One is "a red gear": there is at least one. Two and more are counted: there are exactly so many.
    """

    number: int = 1
    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    texture: str | None = None
    defect: str | None = None

    def fits(self, part: Part) -> bool:
        """Whether the description is true of a part."""
        return all(getattr(self, name) in (None, getattr(part, name)) for name in SAID_OF_PARTS)

    def holds(self, scene: Scene) -> bool:
        """Whether there are so many such parts."""
        found = sum(self.fits(part) for part in scene.parts)
        return found >= 1 if self.number == 1 else found == self.number


@dataclass(frozen=True, slots=True)
class Claims:
    """All that one caption says.

    Attributes:
        mentions: parts that are described; at least one.
        relation: how the first mention lies to the second, None where that is not said.
        background: None where it is not said.
        total: number of parts in the scene, None where it is not said.
    """

    mentions: tuple[Mention, ...]
    relation: str | None = None
    background: str | None = None
    total: int | None = None

    def hold(self, scene: Scene) -> bool:
        """Whether everything is true, with relations where their word is clearly right."""
        return (
            all(mention.holds(scene) for mention in self.mentions)
            and self.background in (None, scene.background)
            and self.total in (None, len(scene.parts))
            and (self.relation is None or self._related(scene, self.relation))
        )

    def are_clearly_false(self, scene: Scene) -> bool:
        """Whether nobody could call them true.

        Between this and `hold` lie relations that are a matter of taste.
        """
        return (
            not all(mention.holds(scene) for mention in self.mentions)
            or self.background not in (None, scene.background)
            or self.total not in (None, len(scene.parts))
            or (self.relation is not None and not self._could_be_related(scene, self.relation))
        )

    def _related(self, scene: Scene, word: str) -> bool:
        first, second = self.mentions[:2]
        return any(
            found == word and first.fits(scene.parts[a]) and second.fits(scene.parts[b])
            for a, found, b in scene.relations
        )

    def _could_be_related(self, scene: Scene, word: str) -> bool:
        first, second = self.mentions[:2]
        return any(
            may_hold(word, a.x - b.x, a.y - b.y)
            for a in scene.parts
            for b in scene.parts
            if a is not b and first.fits(a) and second.fits(b)
        )
