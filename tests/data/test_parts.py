"""The parts world: one scene whoever asks, truth that pixels and words bear out, chances as asked for."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from awase.cli._image_inputs import open_images
from awase.cli._inputs import open_source
from awase.data import parts
from awase.data._parts import drawing, shapes
from awase.data._parts.grammar import SaidWord
from awase.data._parts.vocabulary import SHAPES, VALUES, WORDS
from awase.data.labelled import parts as labelled
from awase.data.parts import Correlation, Edit, Scene, World
from awase.errors import DataError
from awase.images import load_image
from awase.protocols import ImageDataset, PairDataset
from awase.registry import names
from awase.types import LabelledImage, Pair

MANY = 20_000
DAMAGED = World(seed=5, defects=0.5)


# -- the same scene whoever asks


@pytest.mark.parametrize("world", [World(seed=2), DAMAGED, World(seed=3, size=33, objects=(1, 1))])
def test_scenes_do_not_depend_on_the_batch_or_its_order(world: World) -> None:
    indices = [*range(150), 10**12]
    whole = world.batch(indices)
    assert whole.dtype == torch.uint8
    assert whole.shape == (151, 3, world.size, world.size)
    order = torch.randperm(151, generator=torch.Generator().manual_seed(0))
    assert torch.equal(world.batch([indices[int(row)] for row in order]), whole[order])
    for row in (0, 63, 64, 150):
        alone = np.asarray(world.image(indices[row])).transpose(2, 0, 1)
        assert np.array_equal(alone, whole[row].numpy())
        assert world.scene(indices[row]) == world.scenes(indices)[row]
    assert torch.equal(torch.cat([world.batch(indices[at : at + 7]) for at in range(0, 151, 7)]), whole)


def test_a_tensor_of_indices_is_as_good_and_none_is_possible() -> None:
    world = World()
    assert torch.equal(world.batch(torch.tensor([4, 4, 1])), world.batch([4, 4, 1]))
    assert world.batch([]).shape == (0, 3, 64, 64)
    with pytest.raises(DataError, match="counted from 0"):
        world.batch([3, -1])


def _digest(world: World) -> str:
    digest = hashlib.sha256(world.batch(range(40)).numpy().tobytes())
    digest.update(repr([world.captions(i) for i in range(5)]).encode())
    return digest.hexdigest()


def test_other_processes_and_threads_draw_the_same() -> None:
    script = (
        "import hashlib; from awase.data.parts import World; world = World(seed=5, defects=0.5)\n"
        "captions = repr([world.captions(i) for i in range(5)]).encode()\n"
        "print(hashlib.sha256(world.batch(range(40)).numpy().tobytes() + captions).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == _digest(DAMAGED)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: _digest(DAMAGED), range(3))) == {_digest(DAMAGED)}


def test_seeds_differ_and_the_first_scene_stays_as_it_was() -> None:
    assert not torch.equal(World(seed=0).batch([0]), World(seed=1).batch([0]))
    # golden: whole numbers and sums only, so every machine must agree; made by this very call
    assert World(seed=0).captions(0) == (
        "a white hoop right of a small spotted snowy hoop, batch seven",
        "a small white hoop above a white ring",
    )


# -- pixels and masks


def _without_parts(world: World, index: int) -> np.ndarray:
    found = world.latents([index])
    return drawing.draw(replace(found, size=np.full_like(found.size, -1)), world.size)[0]


@pytest.mark.parametrize("world", [World(seed=8), World(seed=9, size=128, defects=1.0)])
def test_masks_agree_with_the_pixels(world: World) -> None:
    for index in range(20):
        covered = world.coverage(index)
        assert len(covered) == len(world.scene(index).parts)
        assert float(covered.sum(0).max()) <= 1 + 1e-6  # parts never share a pixel
        assert torch.equal(world.masks(index), covered >= 0.5)
        picture, bare = np.asarray(world.image(index)).astype(int), _without_parts(world, index).astype(int)
        untouched = (covered.sum(0) == 0).numpy()
        assert np.array_equal(picture[untouched], bare[untouched])
        changed = np.abs(picture - bare).sum(-1) > 12
        assert changed[(covered.sum(0) == 1).numpy()].mean() > 0.9


def test_a_plain_part_has_its_colour() -> None:
    world = World(seed=4, objects=(1, 1), sizes=("large",), textures=("plain",), size=96)
    seen: dict[str, list[np.ndarray]] = {}
    for index in range(120):
        inside = (world.coverage(index)[0] == 1).numpy()
        pixels = np.asarray(world.image(index))[inside] / world.scene(index).light
        seen.setdefault(world.scene(index).parts[0].colour, []).append(np.median(pixels, axis=0))
    assert len(seen) == 8
    middle = {colour: np.median(found, axis=0) for colour, found in seen.items()}
    for colour, found in seen.items():
        for one in found:
            assert min(middle, key=lambda name: np.abs(middle[name] - one).sum()) == colour


def _corners(index: int, world: World) -> list[tuple[float, float]]:
    """Corners of the scene's triangle, turned clockwise from standing on its base; y points down."""
    part = world.scene(index).parts[0]
    turn = np.radians(part.rotation)
    corners = []
    for k in range(3):
        angle = 2 * np.pi * k / 3 + turn
        corners.append(
            (part.x + 0.99 * part.radius * np.sin(angle), part.y - 0.99 * part.radius * np.cos(angle))
        )
    return corners


def test_place_turn_and_size_are_those_of_the_scene() -> None:
    """Oracle: the polygon drawn sixteen times as large by Pillow and averaged."""
    world = World(seed=6, objects=(1, 1), shapes=("triangle",))
    fine = 16 * world.size
    for index in range(25):
        canvas = Image.new("L", (fine, fine))
        ImageDraw.Draw(canvas).polygon([(x * fine, y * fine) for x, y in _corners(index, world)], fill=255)
        exact = np.asarray(canvas).reshape(world.size, 16, world.size, 16).mean((1, 3)) / 255
        found = world.coverage(index)[0].numpy()
        assert np.abs(found - exact).max() < 0.3
        assert abs(found.sum() / exact.sum() - 1) < 0.02


@pytest.mark.parametrize(
    ("shape", "area"),
    [("ring", np.pi * (0.97**2 - 0.62**2)), ("square", 1.38**2), ("cross", 4 * (0.54 * 0.94 - 0.27**2))],
)
def test_areas(shape: str, area: float) -> None:
    world = World(seed=1, objects=(1, 1), shapes=(shape,), size=224)
    for index in range(5):
        radius = world.scene(index).parts[0].radius * world.size
        assert float(world.coverage(index).sum()) == pytest.approx(area * radius**2, rel=0.02)


def test_the_twelve_shapes_are_unlike_one_another_however_they_are_turned() -> None:
    """The overlap of two shapes, at the best of 40 turns, stays well below that of a shape with itself."""
    places = (np.arange(48) + 0.5) / 48 * 2 - 1
    x, y = np.meshgrid(places * shapes.EXTENT, places * shapes.EXTENT)

    def inside(name: str, degrees: float) -> np.ndarray:
        sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        return shapes.DRAWN[name](cosine * x + sine * y, cosine * y - sine * x) < 0

    upright = {name: inside(name, 0) for name in SHAPES}
    for number, one in enumerate(SHAPES):
        for other in SHAPES[:number]:
            turned = [inside(one, degrees) for degrees in range(0, 360, 9)]
            overlap = max((t & upright[other]).sum() / (t | upright[other]).sum() for t in turned)
            assert overlap < 0.87, (one, other, overlap)


def test_shapes_and_defects_fit_into_the_disc() -> None:
    table = shapes.tables(512)
    places = ((np.arange(512) + 0.5) / 512 * 2 - 1) * shapes.EXTENT
    away = np.sqrt(places[:, None] ** 2 + places[None, :] ** 2)
    for variant, distances in zip(shapes.VARIANTS, table, strict=True):
        assert (distances[away > 1] > 0).all(), variant
        assert (distances < 0).mean() > 0.08, variant


@pytest.mark.parametrize("objects", [(1, 1), (2, 2), (1, 3)])
def test_parts_lie_apart_and_inside(objects: tuple[int, int]) -> None:
    truth = World(seed=7, objects=objects).truth(range(MANY))
    there = truth.shape >= 0
    assert torch.equal(there.sum(1), truth.count)
    assert set(truth.count.tolist()) == set(range(objects[0], objects[1] + 1))
    for place in (truth.x, truth.y):
        assert bool((((place - truth.radius) > 0) & ((place + truth.radius) < 1))[there].all())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = there[:, one] & there[:, other]
        dx, dy = truth.x[:, one] - truth.x[:, other], truth.y[:, one] - truth.y[:, other]
        gap = (dx**2 + dy**2).sqrt() - truth.radius[:, one] - truth.radius[:, other]
        assert bool((gap[both] > 1.2 / 64).all())


def test_defects_change_pixels_and_suit_the_shape() -> None:
    world = World(seed=3, objects=(1, 1), defects=1.0, size=128)
    found = world.latents(range(200))
    whole = replace(found, defect=np.full_like(found.defect, -1))
    different = (drawing.draw(found, 128) != drawing.draw(whole, 128)).any(-1).sum((1, 2))
    assert int(different.min()) >= 12
    kinds = {(s.parts[0].defect, s.parts[0].shape) for s in world.scenes(range(1000))}
    assert {shape for defect, shape in kinds if defect == "scratch"} == set(SHAPES)
    assert {shape for defect, shape in kinds if defect == "missing tooth"} == {"gear"}
    assert {shape for defect, shape in kinds if defect == "bent"} == {"bolt", "cross", "arrow", "T-piece"}
    share = float((World(defects=0.3).truth(range(MANY)).defect[:, 0] >= 0).double().mean())
    assert abs(share - 0.3) < 3 * (0.3 * 0.7 / MANY) ** 0.5
    assert bool((World().truth(range(500)).defect == -1).all())


def test_turn_is_bounded() -> None:
    truth = World(turn=15).truth(range(MANY))
    assert (int(truth.rotation.min()), int(truth.rotation.max())) == (-15, 15)
    assert bool((World(turn=0).truth(range(99)).rotation == 0).all())


# -- chances


def _first(world: World, name: str) -> torch.Tensor:
    """Place of an attribute's value, of the scene or its first part, among the values of the world."""
    found = getattr(world.truth(range(MANY)), name)
    column = found[:, 0] if found.ndim == 2 else found
    return column - world.objects[0] if name == "count" else column


def _within(count: int, n: int, share: float) -> bool:
    return abs(count / n - share) <= 3 * (share * (1 - share) / n) ** 0.5 + 1e-12


PAIRS = [("shape", "colour"), ("background", "colour"), ("size", "texture"), ("count", "background")]
PAIRS += [("shape", "background"), ("texture", "shape")]


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_correlation_is_as_asked(first: str, second: str, strength: float) -> None:
    world = World(seed=11, correlations=(Correlation(first, second, strength),))
    one, other = _first(world, first), _first(world, second)
    smaller = min(len(VALUES[first]), len(VALUES[second]))
    together = (one % smaller) == (other % smaller)
    assert _within(int(together.sum()), MANY, strength + (1 - strength) / smaller)
    table = world.probabilities(first, second).numpy()
    agree = (np.arange(table.shape[0]) % smaller)[:, None] == (np.arange(table.shape[1]) % smaller)[None]
    assert table[agree].sum() == pytest.approx(strength + (1 - strength) / smaller)
    if table.shape[0] == table.shape[1]:  # Cramer's V, from its definition
        expected = np.outer(table.sum(1), table.sum(0))
        chi = ((table - expected) ** 2 / expected).sum()
        assert (chi / (len(table) - 1)) ** 0.5 == pytest.approx(strength)


def test_every_part_of_a_scene_follows_the_correlation() -> None:
    world = World(seed=1, objects=(3, 3), correlations=(Correlation("shape", "colour", 0.9),))
    truth = world.truth(range(MANY))
    for part in range(3):
        assert _within(int((truth.shape[:, part] % 8 == truth.colour[:, part]).sum()), MANY, 0.9 + 0.1 / 8)


def test_frequencies_and_the_table_are_those_that_are_drawn() -> None:
    world = World(
        seed=2,
        frequencies={"shape": [12, *[1] * 11], "count": [0, 1, 3]},
        correlations=(Correlation("shape", "size", 0.5), Correlation("background", "texture", 0.7)),
        held_out=({"shape": "bolt", "texture": "plain"},),
    )
    for pair in (("shape", "texture"), ("size", "shape"), ("background", "texture"), ("count", "colour")):
        table = world.probabilities(*pair).numpy()
        assert table.sum() == pytest.approx(1)
        drawn = np.zeros_like(table)
        np.add.at(drawn, (_first(world, pair[0]).numpy(), _first(world, pair[1]).numpy()), 1)
        sigma = np.sqrt(table * (1 - table) / MANY)
        assert (np.abs(drawn / MANY - table) <= 4 * sigma).all()  # over 150 cells: some pass 3 sigma
    assert float(world.probabilities("count")[0]) == 0.0
    assert World().probabilities("shape", "colour").tolist() == [[pytest.approx(1 / 96)] * 8] * 12


def test_held_out_combinations_never_appear() -> None:
    held = ({"shape": "gear", "colour": "red"}, {"size": "small", "background": "wood"}, {"colour": "blue"})

    def shown(scene: Scene) -> list[bool]:
        return [
            any(all(scene.value(name, k) == value for name, value in each.items()) for each in held)
            for k in range(len(scene.parts))
        ]

    tight = (Correlation("shape", "colour", 0.99),)  # most parts would be held out otherwise
    assert not any(
        any(shown(s)) for s in World(seed=1, held_out=held, correlations=tight).scenes(range(2500))
    )
    assert all(all(shown(s)) for s in World(seed=1, held_out=held, show="held_out").scenes(range(800)))
    everything = [
        each for s in World(seed=1, held_out=held, show="all").scenes(range(800)) for each in shown(s)
    ]
    assert 0.05 < np.mean(everything) < 0.95
    known, new = World(shapes=SHAPES[:9]), World(shapes=SHAPES[9:])
    assert {p.shape for s in known.scenes(range(500)) for p in s.parts} == set(SHAPES[:9])
    assert {p.shape for s in new.scenes(range(500)) for p in s.parts} == set(SHAPES[9:])


def test_alike_parts_make_number_words() -> None:
    assert all(len({p.shape for p in s.parts}) == 1 for s in World(alike=1.0).scenes(range(200)))
    shape = World(alike=0.0, objects=(2, 2)).truth(range(MANY)).shape
    assert _within(int((shape[:, 0] == shape[:, 1]).sum()), MANY, 1 / 12)
    shape = World(alike=0.3, objects=(2, 2)).truth(range(MANY)).shape
    assert _within(int((shape[:, 0] == shape[:, 1]).sum()), MANY, 0.3 + 0.7 / 12)
    assert any(text.startswith("two ") for text in World(alike=1.0, asides=0.0).texts(range(50)))


# -- captions and their truth; the oracle below reads words and looks at the scene, and knows no claims


MEANING = {
    language: {
        (kind, word): value for kind, table in words.items() for value, all_ in table.items() for word in all_
    }
    for language, words in WORDS.items()
}


def _meaning(text: str, kind: str, language: str) -> str:
    known = MEANING[language]
    singular = [text, text.removesuffix("s"), text.removesuffix("es")]
    return next(known[kind, word] for word in singular if (kind, word) in known)


def _could_be_true(words: Sequence[tuple[str, int | None, str]], scene: Scene) -> bool:
    """Whether a generous reader could agree with words of (kind, mention, value)."""
    mentions = sorted({mention for _, mention, _ in words if mention is not None})
    found: dict[int, list[int]] = {}
    for mention in mentions:
        own = [(kind, value) for kind, where, value in words if where == mention]
        wanted = next((int(value) for kind, value in own if kind == "count"), 1)
        found[mention] = [
            k
            for k in range(len(scene.parts))
            if all(scene.value(kind, k) == value for kind, value in own if kind != "count")
        ]
        if not found[mention] or (wanted > 1 and len(found[mention]) != wanted):
            return False
    for kind, mention, value in words:
        if mention is None and kind in ("background", "count") and scene.value(kind) != value:
            return False
        if kind == "relation":
            every = range(len(scene.parts))  # a mention that says nothing is of any part
            offsets = [
                (scene.parts[a].x - scene.parts[b].x, scene.parts[a].y - scene.parts[b].y)
                for a in found.get(0, every)
                for b in found.get(1, every)
                if a != b
            ]
            side = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}[value]
            if not any(dx * side[0] + dy * side[1] > 0 for dx, dy in offsets):
                return False
    return True


WORLDS = [World(seed=21, defects=0.4, alike=0.3, n_captions=3), World(seed=22, defects=0.4, language="ja")]
WORLDS += [World(seed=23, objects=(1, 1)), World(seed=24, said={"shape": 0.3, "colour": 0.4})]


@pytest.mark.parametrize("world", WORLDS, ids=["en", "ja", "one part", "vague"])
def test_captions_are_true_and_every_edit_makes_them_wrong(world: World) -> None:
    kinds: dict[str, int] = {}
    for index in range(18):  # the hook that checks types makes every word dear here
        scene = world.scene(index)
        for k in range(world.n_captions):
            caption = world.caption(index, k)
            assert caption.text == world.captions(index)[k] == world.texts([index], [k])[0]
            words = caption.words
            for word in words:
                assert caption.text[word.start : word.end] == word.text
                assert _meaning(word.text, word.kind, world.language) == word.value
            assert _could_be_true([(w.kind, w.mention, w.value) for w in words], scene)
            assert caption.claims.hold(scene)
            for edit in world.edits(index, k):
                _check_edit(caption.text, words, edit, scene, world.language)
                kinds[edit.kind] = kinds.get(edit.kind, 0) + 1
    several = {"relation", "count"} if world.objects[1] > 1 else set()
    damaged = {"defect"} if world.defects else set()
    assert set(kinds) == {"shape", "colour", "size", "texture", "background"} | several | damaged


def _check_edit(caption: str, words: Sequence[SaidWord], edit: Edit, scene: Scene, language: str) -> None:
    assert edit.text[edit.start : edit.end] == edit.word != edit.original
    # the rest stays as it was, so one word is exchanged
    assert edit.text[: edit.start] + edit.original + edit.text[edit.end :] == caption
    if language == "en":
        before, after = caption.split(), edit.text.split()
        assert len(before) == len(after)
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert _meaning(edit.word, edit.kind, language) == edit.value
    assert _meaning(edit.original, edit.kind, language) == edit.original_value
    place = next(k for k, word in enumerate(words) if word.start == edit.start)
    assert words[place].kind == edit.kind
    changed = [(w.kind, w.mention, edit.value if k == place else w.value) for k, w in enumerate(words)]
    assert not _could_be_true(changed, scene), (caption, edit, scene)


def test_edits_of_chosen_kinds() -> None:
    world = World()
    for kind in ("colour", "background"):
        found = [edit for index in range(20) for edit in world.edits(index, kinds=[kind])]
        assert found
        assert {edit.kind for edit in found} == {kind}


def test_what_is_not_said_is_in_no_caption() -> None:
    quiet = {"size": 0, "texture": 0, "background": 0, "relation": 0, "count": 0}
    world = World(seed=1, objects=(1, 1), said={**quiet, "colour": 1}, synonyms=0.0, asides=0.0)
    for index in range(30):
        (part,) = world.scene(index).parts
        assert world.captions(index) == (f"a {part.colour} {part.shape}",) * 2
        assert world.captions(index)[0] == world.phrase(colour=part.colour, shape=part.shape)
    share = np.mean(["timber" in text or " wood" in text for text in World(seed=1).texts(range(1000))])
    assert abs(share - 0.5 / 6) < 3 * (0.083 * 0.917 / 1000) ** 0.5


def test_wording_knows_nothing_of_the_scene() -> None:
    """Openings and synonyms are as frequent whatever the shape is."""
    world = World(seed=9, objects=(1, 1), asides=0.5, synonyms=0.5)
    gears = [s.index for s in world.scenes(range(3000)) if s.parts[0].shape == "gear"]
    others = [s.index for s in world.scenes(range(3000)) if s.parts[0].shape == "nut"]
    for wanted in ("a photo of", "crimson"):
        counts = [np.mean([wanted in text for text in world.texts(found)]) for found in (gears, others)]
        sigma = (counts[0] * (1 - counts[0]) * (1 / len(gears) + 1 / len(others))) ** 0.5
        assert counts[0] > 0
        assert abs(counts[0] - counts[1]) < 4 * sigma
    texts = World(seed=9, synonyms=1.0, asides=0.0, objects=(1, 1)).texts(range(300))
    assert not any(" red " in text or "gear" in text for text in texts)


def test_phrases() -> None:
    assert World().phrase(shape="arrow") == "an arrow"
    assert World().phrase(size="small", defect="bent", colour="red", shape="bolt") == "a small bent red bolt"
    assert World().phrase(colour="red") == "a red part"
    assert World(language="ja").phrase(colour="red", shape="gear") == "赤い歯車"
    for values in ({"colour": "orange"}, {"weight": "heavy"}, {"number": "2"}):
        with pytest.raises(DataError, match="a part has no"):
            World().phrase(**values)


def test_relations_are_said_only_where_they_are_clear() -> None:
    seen = set()
    for scene in World(seed=2, objects=(2, 3)).scenes(range(300)):
        for a, word, b in scene.relations:
            dx, dy = scene.parts[a].x - scene.parts[b].x, scene.parts[a].y - scene.parts[b].y
            along, across = (dx, dy) if word in ("left", "right") else (dy, dx)
            assert abs(across) < 0.6 * abs(along)
            assert (along < 0) == (word in ("left", "above"))
            seen.add(word)
        assert len(scene.relations) >= 2
    assert seen == {"left", "right", "above", "below"}


# -- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 8}, "size must lie in"),
        ({"objects": (0, 2)}, "fewest objects"),
        ({"objects": (3, 2)}, "most objects"),
        ({"turn": 200}, "turn must lie in"),
        ({"alike": 1.5}, "alike must lie in"),
        ({"defects": float("nan")}, "defects must lie in"),
        ({"n_captions": 0}, "n_captions"),
        ({"said": {"smell": 1.0}}, "cannot say 'smell'"),
        ({"said": {"size": 2.0}}, "must lie in"),
        ({"language": "fr"}, "en or ja"),
        ({"shapes": ("cog",)}, "values of shape"),
        ({"shapes": ("nut", "bolt")}, "in this order"),
        ({"colours": ()}, "got none"),
        ({"frequencies": {"smell": [1.0]}}, "no frequencies of 'smell'"),
        ({"frequencies": {"size": [1.0, 2.0]}}, "3 numbers"),
        ({"frequencies": {"size": [1.0, -1.0, 0.0]}}, "from 0 up"),
        ({"show": "some"}, "show is one of"),
        ({"show": "held_out"}, "nothing|no combination"),
        ({"held_out": ({"colour": "mauve"},)}, "does not know"),
        ({"held_out": ({"smell": "oil"},)}, "does not know"),
        ({"held_out": ({},)}, "at least one attribute"),
        ({"colours": ("red",), "held_out": ({"colour": "red"},)}, "no combination"),
        (
            {"correlations": (Correlation("shape", "colour", 0.1), Correlation("background", "colour", 0.1))},
            "one other only",
        ),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        World(**settings)


def test_correlations_that_cannot_be() -> None:
    with pytest.raises(DataError, match="no attribute"):
        Correlation("shape", "smell", 0.5)
    with pytest.raises(DataError, match="with itself"):
        Correlation("shape", "shape", 0.5)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        Correlation("shape", "size", 1.01)
    with pytest.raises(DataError, match="each once"):
        World().probabilities("shape", "shape")
    with pytest.raises(DataError, match="counted from 0; got 2"):
        World().caption(0, 2)


# -- the readers


def _good(rows: Any) -> list[Any]:
    """Rows of which none is bad."""
    found = list(rows)
    assert all(isinstance(row, Pair | LabelledImage) for row in found)
    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(**settings: Any) -> Path:
        path = tmp_path / "world.parts.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return path

    return make


def test_a_settings_file_is_pairs(write: Callable[..., Path]) -> None:
    path = write(
        splits={"train": {"scenes": 70, "correlations": [["shape", "colour", 1]]}, "test": 30},
        seed=4,
        objects=[1, 1],
        n_captions=3,
        label=["colour", "shape"],
    )
    dataset = open_source(str(path))
    assert isinstance(dataset, PairDataset)
    pairs = _good(dataset)
    assert dataset.count() == len(pairs) == 300
    assert [pair.id for pair in pairs[:4]] == ["0#0", "0#1", "0#2", "1#0"]
    assert len({pair.id for pair in pairs}) == 300
    assert [pair.split for pair in pairs] == ["train"] * 210 + ["test"] * 90
    train = World(seed=4, objects=(1, 1), n_captions=3, correlations=(Correlation("shape", "colour", 1),))
    test = replace(train, correlations=())
    for world, index in ((train, 0), (train, 69), (test, 70), (test, 99)):
        own = pairs[3 * index : 3 * index + 3]
        assert tuple(pair.caption for pair in own) == world.captions(index)
        assert {pair.group for pair in own} == {str(index)}
        part = world.scene(index).parts[0]
        assert own[0].label == f"{part.colour} {part.shape}"
        assert own[0].image is own[2].image
        assert np.array_equal(np.asarray(load_image(own[0].image)), np.asarray(world.image(index)))
    assert [pair.caption for pair in _good(dataset)] == [pair.caption for pair in pairs]


def test_a_settings_file_is_labelled_images(write: Callable[..., Path]) -> None:
    path = write(scenes=20, objects=[1, 1])
    dataset = open_images(str(path))
    assert isinstance(dataset, ImageDataset)
    rows = _good(dataset)
    scenes = World(objects=(1, 1)).scenes(range(20))
    assert dataset.count() == 20
    assert {row.split for row in rows} == {None}
    assert [row.label for row in rows] == [scene.parts[0].shape for scene in scenes]
    for column in ("colour", "background", "size+texture", "defect", "count"):
        wanted = [" ".join(scene.value(name) for name in column.split("+")) for scene in scenes]
        assert [row.label for row in _good(open_images(str(path), label_column=column))] == wanted
    pairs = _good(open_source(str(path)))
    assert np.array_equal(np.asarray(load_image(rows[5].image)), np.asarray(load_image(pairs[10].image)))


def test_several_parts_have_no_label_of_their_own(write: Callable[..., Path]) -> None:
    path = write(scenes=3)
    assert {pair.label for pair in _good(open_source(str(path)))} == {None}
    with pytest.raises(DataError, match="no label of their own"):
        open_images(str(path))
    assert {row.label for row in _good(open_images(str(path), label_column="background"))} <= set(
        VALUES["background"]
    )
    with pytest.raises(DataError, match="needs scenes of one part"):
        open_images(str(path), label_column="shape")


def test_fingerprints_tell_worlds_apart(write: Callable[..., Path]) -> None:
    def fingerprint(**settings: Any) -> str:
        return open_source(str(write(**settings))).fingerprint()

    assert fingerprint(scenes=3) == fingerprint(scenes=3, seed=0) == fingerprint(scenes=3)
    others: list[dict[str, Any]] = [
        {"scenes": 4},
        {"scenes": 3, "seed": 1},
        {"scenes": 3, "said": {"size": 0}},
        {"splits": {"a": 3}},
    ]
    assert len({fingerprint(scenes=3), *(fingerprint(**each) for each in others)}) == 5


def test_every_setting_of_a_world_can_be_written(write: Callable[..., Path]) -> None:
    path = write(
        scenes=2, seed=1, size=48, objects=[1, 2], shapes=["nut"], colours=["red"], sizes=["small", "large"],
        textures=["plain"], backgrounds=["wood"], said={"size": 0}, language="ja", n_captions=1, synonyms=0,
        asides=1, correlations=[["size", "background", 0.5]], held_out=[{"size": "small"}], show="all",
        frequencies={"size": [1, 2.5]}, alike=0, defects=1, turn=0,
    )  # fmt: skip
    (split,) = parts.open_pairs(path).settings.splits
    assert split.world == World(
        seed=1, size=48, objects=(1, 2), shapes=("nut",), colours=("red",), sizes=("small", "large"),
        textures=("plain",), backgrounds=("wood",), said={"size": 0}, language="ja", n_captions=1, synonyms=0,
        asides=1, correlations=(Correlation("size", "background", 0.5),), held_out=({"size": "small"},),
        show="all", frequencies={"size": (1, 2.5)}, alike=0, defects=1, turn=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[3]", "a JSON object, not a list"),
        ("{}", 'either "scenes"'),
        ('{"scenes": 3, "splits": {"a": 1}}', 'either "scenes"'),
        ('{"scenes": 0}', "from 1 to"),
        ('{"scenes": true}', "from 1 to"),
        ('{"scenes": 1e3}', "from 1 to"),
        ('{"scenes": 3, "colour": "red"}', "no setting 'colour'; there are: .*colours"),
        ('{"scenes": 3, "seed": "x"}', "seed: a whole number is expected"),
        ('{"scenes": 3, "alike": NaN}', "alike must lie"),
        ('{"scenes": 3, "alike": "much"}', "alike: a number from 0 to 1 is expected"),
        ('{"scenes": 3, "objects": [1]}', "objects: the fewest and the most"),
        ('{"scenes": 3, "objects": 1}', "objects: the fewest and the most"),
        ('{"scenes": 3, "shapes": "nut"}', "shapes: a list of names is expected"),
        ('{"scenes": 3, "language": 3}', "language: a text is expected"),
        ('{"scenes": 3, "said": ["size"]}', "said: shares by attribute"),
        ('{"scenes": 3, "correlations": [["shape", "size"]]}', "correlations: a list of such"),
        ('{"scenes": 3, "correlations": [["shape", "smell", 1]]}', "no attribute to correlate"),
        ('{"scenes": 3, "held_out": [{"shape": 3}]}', "held_out: a list of such"),
        ('{"scenes": 3, "frequencies": {"size": ["a", "b", "c"]}}', "frequencies: lists of numbers"),
        ('{"scenes": 3, "label": "weight"}', "the label is one or more of"),
        ('{"scenes": 3, "label": "shape"}', "needs scenes of one part"),
        ('{"splits": {"a": {"scenes": 3, "seed": 1}}}', "seed is one for all splits"),
        ('{"splits": {"a": {"turn": 3}}}', "split a: scenes is a number"),
        ('{"splits": {}}', "object of names"),
        ('{"splits": 3}', "object of names"),
    ],
)
def test_settings_files_that_cannot_be_read(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "world.parts.json"
    path.write_text(content, encoding="utf-8")
    for open_it in (open_source, open_images):
        with pytest.raises(DataError, match=said) as caught:
            open_it(str(path))
        assert "world.parts.json" in str(caught.value)


def test_only_settings_files_fit_and_other_options_are_refused(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(scenes=1)
    assert "parts" in names("reader")
    assert "parts" in names("image_reader")
    other = tmp_path / "world.json"
    other.write_bytes(path.read_bytes())
    for module in (parts, labelled):
        assert module.fits(path)
        assert not module.fits(other)
        assert not module.fits(tmp_path / "gone.parts.json")
    with pytest.raises(DataError, match="leave out --images"):
        open_source(str(path), images=tmp_path)
    with pytest.raises(DataError, match="leave out --caption-column"):
        open_source(str(path), caption_column="text")
    with pytest.raises(DataError, match="leave out --id-column"):
        open_images(str(path), id_column="id")
    with pytest.raises(DataError, match="no such file"):
        parts.open_pairs(tmp_path / "gone.parts.json")
