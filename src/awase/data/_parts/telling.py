"""Which claims a caption makes of its scene: seldom all, so that every image holds more than its text says.

Numbers in [0, 1) decide, so that caption k of scene i is always the same. Their places: 0 and 1 opening and
closing, 2 background, 3 relation, 4 count, 5 how many parts, 6 which pair, 7 pattern of the sentence, 8 to 10
words of the scene, then ten of each mention: five for what is said, five for the words.
"""

from collections.abc import Mapping, Sequence

from awase.data._parts.claims import SAID_OF_PARTS, Claims, Mention
from awase.data._parts.scenes import Part, Scene

PER_MENTION, FIRST_MENTION = 10, 11
NUMBERS = FIRST_MENTION + 3 * PER_MENTION


def choose(scene: Scene, said: Mapping[str, float], at: Sequence[float]) -> Claims:
    """True claims about a scene.

    Args:
        scene: what is described.
        said: for each attribute the share of captions that say it.
        at: NUMBERS numbers in [0, 1).
    """
    background = scene.background if at[2] < said["background"] else None
    clear = scene.relations
    if clear and at[3] < said["relation"]:
        first, word, second = clear[int(at[6] * len(clear))]
        mentions = tuple(_mention(scene.parts[p], said, at, k) for k, p in enumerate((first, second)))
        return Claims(mentions, word, background)
    n = len(scene.parts)
    start, kept = int(at[6] * n), 1 + int(at[5] * n)
    order = [(start + k) % n for k in range(kept)]
    chosen = list(dict.fromkeys(_mention(scene.parts[p], said, at, k) for k, p in enumerate(order)))
    if n == 1 or at[4] >= said["count"]:
        return Claims(tuple(chosen), None, background)
    counted = _counted(scene, chosen[0])
    if counted.number > 1:
        return Claims((counted,), None, background)
    return Claims(tuple(chosen), None, background, n)


def _mention(part: Part, said: Mapping[str, float], at: Sequence[float], place: int) -> Mention:
    own = at[FIRST_MENTION + PER_MENTION * place :]
    told = {name: getattr(part, name) for k, name in enumerate(SAID_OF_PARTS) if own[k] < said[name]}
    return Mention(**told)


def _counted(scene: Scene, mention: Mention) -> Mention:
    number = sum(mention.fits(part) for part in scene.parts)
    told = {name: getattr(mention, name) for name in SAID_OF_PARTS}
    return Mention(number=number, **told)
