"""The values that a scene of workshop parts can take, and the words for them in English and Japanese.

The first word of a value is the usual one, the others are synonyms. No English word but `arrow` begins with a
vowel, so that exchanging one word hardly ever asks for another article.
"""

from collections.abc import Mapping

SHAPES = (
    "bolt",
    "nut",
    "gear",
    "washer",
    "ring",
    "star",
    "cross",
    "arrow",
    "triangle",
    "square",
    "crescent",
    "T-piece",
)
COLOURS = ("red", "yellow", "green", "blue", "purple", "pink", "white", "black")
SIZES = ("small", "medium", "large")
TEXTURES = ("plain", "striped", "dotted")
BACKGROUNDS = ("wood", "steel", "stone", "cloth", "paper", "rubber")
COUNTS = ("1", "2", "3")
DEFECTS = ("scratch", "missing tooth", "bent")
RELATIONS = ("left", "right", "above", "below")

SCENE_ATTRIBUTES = ("count", "background")
PART_ATTRIBUTES = ("shape", "colour", "size", "texture")
VALUES: Mapping[str, tuple[str, ...]] = {
    "count": COUNTS,
    "background": BACKGROUNDS,
    "shape": SHAPES,
    "colour": COLOURS,
    "size": SIZES,
    "texture": TEXTURES,
}

# which shapes a defect can befall; a scratch befalls all
BENDABLE = ("bolt", "cross", "arrow", "T-piece")
TOOTHED = ("gear",)

OPPOSITE: Mapping[str, str] = {"left": "right", "right": "left", "above": "below", "below": "above"}

ENGLISH: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shape": {
        "bolt": ("bolt", "screw"),
        "nut": ("nut", "hexnut"),
        "gear": ("gear", "cogwheel"),
        "washer": ("washer", "disc"),
        "ring": ("ring", "hoop"),
        "star": ("star", "pentagram"),
        "cross": ("cross", "plus"),
        "arrow": ("arrow", "pointer"),
        "triangle": ("triangle", "wedge"),
        "square": ("square", "block"),
        "crescent": ("crescent", "moon"),
        "T-piece": ("T-piece", "tee"),
    },
    "colour": {
        "red": ("red", "crimson"),
        "yellow": ("yellow", "lemon"),
        "green": ("green", "jade"),
        "blue": ("blue", "cobalt"),
        "purple": ("purple", "violet"),
        "pink": ("pink", "rose"),
        "white": ("white", "snowy"),
        "black": ("black", "sooty"),
    },
    "size": {"small": ("small", "little"), "medium": ("medium", "midsize"), "large": ("large", "big")},
    "texture": {
        "plain": ("plain", "smooth"),
        "striped": ("striped", "lined"),
        "dotted": ("dotted", "spotted"),
    },
    "defect": {"scratch": ("scratched",), "missing tooth": ("gap-toothed",), "bent": ("bent", "crooked")},
    "background": {
        "wood": ("wood", "timber"),
        "steel": ("steel", "metal"),
        "stone": ("stone", "concrete"),
        "cloth": ("cloth", "fabric"),
        "paper": ("paper", "cardboard"),
        "rubber": ("rubber",),
    },
    "count": {"2": ("two",), "3": ("three",)},
    "relation": {"left": ("left",), "right": ("right",), "above": ("above",), "below": ("below",)},
    "noun": {"part": ("part", "piece", "workpiece")},
}

JAPANESE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shape": {
        "bolt": ("ボルト", "ねじ"),
        "nut": ("ナット", "六角ナット"),
        "gear": ("歯車", "ギア"),
        "washer": ("ワッシャー", "座金"),
        "ring": ("リング", "輪"),
        "star": ("星", "星形"),
        "cross": ("十字", "十字形"),
        "arrow": ("矢印",),
        "triangle": ("三角形", "三角"),
        "square": ("正方形", "四角"),
        "crescent": ("三日月", "三日月形"),
        "T-piece": ("T字管", "ティー"),
    },
    "colour": {
        "red": ("赤い", "赤色の"),
        "yellow": ("黄色い", "黄色の"),
        "green": ("緑の", "緑色の"),
        "blue": ("青い", "青色の"),
        "purple": ("紫の", "紫色の"),
        "pink": ("ピンクの", "桃色の"),
        "white": ("白い", "白色の"),
        "black": ("黒い", "黒色の"),
    },
    "size": {
        "small": ("小さい", "小さな"),
        "medium": ("中くらいの", "中型の"),
        "large": ("大きい", "大きな"),
    },
    "texture": {
        "plain": ("無地の",),
        "striped": ("縞模様の", "縞の"),
        "dotted": ("水玉模様の", "水玉の"),
    },
    "defect": {"scratch": ("傷のある",), "missing tooth": ("歯の欠けた",), "bent": ("曲がった",)},
    "background": {
        "wood": ("木", "木材"),
        "steel": ("鋼板", "金属"),
        "stone": ("石", "コンクリート"),
        "cloth": ("布", "布地"),
        "paper": ("紙", "厚紙"),
        "rubber": ("ゴム",),
    },
    "count": {"2": ("二つ", "2個"), "3": ("三つ", "3個")},
    "relation": {"left": ("左",), "right": ("右",), "above": ("上",), "below": ("下",)},
    "noun": {"part": ("部品", "もの")},
}
WORDS: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = {"en": ENGLISH, "ja": JAPANESE}
