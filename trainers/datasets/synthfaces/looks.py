"""From a person to numbers that can be drawn: blend shapes, colours, hair and clothes."""

from typing import NamedTuple

import numpy as np

from trainers.datasets.synthfaces.accessories import Worn
from trainers.datasets.synthfaces.hair import Hair
from trainers.datasets.synthfaces.painting import Paint
from trainers.datasets.synthfaces.sampler import IDENTITY, NAMES, NUISANCE, STRENGTHS, Person, generator

# Blend shapes of the bones. Each weight is normally distributed with this spread and cut at 1 in absolute
# value; positive weights move the first shape, negative ones the second.
BONES = (
    *((f"{name}-incr", f"{name}-decr", spread) for name, spread in (
        ("head/head-scale-horiz", 0.3), ("head/head-scale-vert", 0.2), ("forehead/forehead-scale-vert", 0.25),
        ("eyes/eye-scale", 0.6), ("nose/nose-scale-vert", 0.5), ("nose/nose-width2", 0.8),
        ("nose/nose-hump", 0.5), ("nose/nose-flaring", 0.8), ("mouth/mouth-scale-horiz", 0.7),
        ("mouth/mouth-cupidsbow", 0.6), ("chin/chin-width", 0.6), ("chin/chin-height", 0.5),
        ("chin/chin-prominent", 0.5), ("ears/ear-scale", 0.6), ("ears/ear-wing", 0.5),
        ("eyes/eye-height3", 0.4))),
    ("eyes/eye-trans-out", "eyes/eye-trans-in", 0.7), ("eyes/eye-corner1-up", "eyes/eye-corner1-down", 0.5),
    ("eyes/eye-corner2-up", "eyes/eye-corner2-down", 0.5), ("nose/nose-base-up", "nose/nose-base-down", 0.6),
    ("nose/nose-curve-concave", "nose/nose-curve-convex", 0.5),
    ("mouth/mouth-trans-up", "mouth/mouth-trans-down", 0.5),
    ("eyebrows/eyebrows-angle-up", "eyebrows/eyebrows-angle-down", 0.3),
    ("head/head-square", "head/head-triangular", 0.35),
)  # fmt: skip

# Attributes that are blend shapes, and how far each goes at full strength.
FEATURES = {
    "Chubby": {"head/head-fat-incr": 0.9, "cheek/cheek-volume-incr": 0.7},
    "Double_Chin": {"neck/neck-double-incr": 1.0},
    "Big_Nose": {
        "nose/nose-scale-horiz-incr": 1.4, "nose/nose-volume-incr": 1.2, "nose/nose-scale-vert-incr": 0.5,
    },
    "Pointy_Nose": {
        "nose/nose-point-width-decr": 1.5, "nose/nose-scale-depth-incr": 1.0,
        "nose/nose-nostrils-width-decr": 1.3, "nose/nose-width3-decr": 1.0,
    },
    "Big_Lips": {
        "mouth/mouth-upperlip-height-incr": 1.1, "mouth/mouth-lowerlip-height-incr": 1.1,
        "mouth/mouth-lowerlip-volume-incr": 0.6,
    },
    "Oval_Face": {"head/head-oval": 1.0},
    "High_Cheekbones": {"cheek/cheek-bones-incr": 1.0},
    "Bags_Under_Eyes": {"eyes/eye-bag-incr": 0.8},
    "Narrow_Eyes": {"unit/eyeBlink": 0.2, "unit/eyeSquint": 0.75},
}  # fmt: skip

HAIR_COLOURS = {
    "Gray_Hair": (0.70, 0.70, 0.71), "Blond_Hair": (0.86, 0.69, 0.40),
    "Black_Hair": (0.07, 0.06, 0.06), "Brown_Hair": (0.31, 0.19, 0.12),
}  # fmt: skip
AUBURN = (0.43, 0.22, 0.135)
SKIN_TONES = np.array(
    [[0.30, 0.19, 0.13], [0.58, 0.40, 0.28], [0.83, 0.62, 0.47], [0.94, 0.76, 0.65]]
)  # dark to light
PALE = np.array([0.97, 0.90, 0.87])
IRISES = np.array([[0.30, 0.18, 0.10], [0.30, 0.18, 0.10], [0.35, 0.55, 0.75], [0.35, 0.50, 0.35]])
METALS = np.array([[0.95, 0.80, 0.35], [0.85, 0.86, 0.90]])  # gold, silver
FRAMES = np.array([[0.06, 0.06, 0.07], [0.25, 0.13, 0.07], [0.50, 0.45, 0.30]])
LUMA = np.array([0.30, 0.59, 0.11])


class Scene(NamedTuple):
    """Pose and surroundings. Angles in radians; `light` [3]: direction towards the lamp; background colours
    [3] `above` and `below`; `blur` from 0 to 1."""

    yaw: float
    pitch: float
    roll: float
    light: np.ndarray
    above: np.ndarray
    below: np.ndarray
    blur: float


class Look(NamedTuple):
    """Everything that a picture shows. `bones`: weights of the blend shapes that decide the frame;
    `features`: weights of the others; `hair`: None if bald."""

    bones: dict[str, float]
    features: dict[str, float]
    scene: Scene
    paint: Paint
    hair: Hair | None
    worn: Worn


class Strengths:
    """How strongly a person shows an attribute: above a least strength if it is present, else 0 or little."""

    def __init__(self, person: Person):
        self.has = dict(zip(NAMES, person.labels, strict=True))
        self.drawn = dict(zip(NAMES, generator(person.strengths, STRENGTHS).random(len(NAMES)), strict=True))

    def __call__(self, name: str, least: float = 0.65, absent: float = 0.0) -> float:
        return least + (1 - least) * self.drawn[name] if self.has[name] else absent * self.drawn[name]


def look(person: Person) -> Look:
    """What the person looks like. Identity and nuisance draw the same numbers whatever the labels are."""
    of, body = Strengths(person), generator(person.identity, IDENTITY)
    mood = generator(person.nuisance, NUISANCE)
    sex = 0.5 + (of.has["Male"] - 0.5) * (0.75 + 0.25 * of.drawn["Male"])  # 0 female, 1 male
    old = 0.2 * of.drawn["Young"] if of.has["Young"] else 0.7 + 0.3 * of.drawn["Young"]
    descent = body.dirichlet([0.55, 0.35, 0.35])  # caucasian, asian, african
    bones, own = _bones(body, descent, sex, old), _Own(body, descent)
    features = {name: far * of(key, 0.6) for key, shapes in FEATURES.items() for name, far in shapes.items()}
    for name, weight in _expression(of, mood).items():
        features[name] = features.get(name, 0.0) + weight
    hair, scene, wardrobe = _hair(of, own), _scene(of, mood), _Wardrobe(mood)
    paint, worn = _paint(of, own, wardrobe, sex, old), _worn(of, own, wardrobe, hair)
    return Look(bones, features, scene, paint, hair, worn)


def _bones(body: np.random.Generator, descent, sex: float, old: float) -> dict[str, float]:
    weights = {}
    for people, share in zip(("caucasian", "asian", "african"), descent, strict=True):
        for kind, part in (("male", sex), ("female", 1 - sex)):
            weights[f"macro/{people}-{kind}-old"] = share * part * old
            weights[f"macro/{people}-{kind}-young"] = share * part * (1 - old)
    for up, down, spread in BONES:
        weight = np.clip(body.normal() * spread * 0.8, -1, 1)
        weights[up if weight > 0 else down] = abs(weight)
    return weights


def _expression(of: Strengths, mood: np.random.Generator) -> dict[str, float]:
    smile, opened = of("Smiling", 0.7), of("Mouth_Slightly_Open", 0.6)
    chance = mood.random(5)
    wide = 0.45 + 0.2 * smile * of.has["Narrow_Eyes"]  # a smile narrows eyes too: they must not close
    return {
        "unit/mouthSmile": 0.9 * smile + 0.10 * chance[0], "mouth/mouth-angles-up": 0.55 * smile,
        "unit/cheekSquint": 0.4 * smile, "unit/mouthStretch": 0.45 * smile, "unit/mouthDimple": 0.3 * smile,
        "unit/jawOpen": opened * (0.42 - 0.26 * smile), "unit/mouthUpperUp": opened * 0.7 * smile,
        "unit/mouthLowerDown": opened * 0.5 * smile,
        "unit/mouthFrown": 0.2 * chance[1] * (1 - min(1, 1.4 * smile)), "unit/eyeWide": wide,
        "unit/browOuterUp": 0.3 * chance[2], "unit/browDown": 0.1 * chance[3],
        "unit/browInnerUp": 0.3 * chance[4],
    }  # fmt: skip


class _Own:
    """What a person keeps in all pictures besides the bones."""

    def __init__(self, body: np.random.Generator, descent):
        tone = np.clip(descent @ [0.86, 0.66, 0.16] + 0.07 * body.normal(), 0, 1)
        self.skin = np.array([np.interp(tone, [0, 0.35, 0.65, 1], channel) for channel in SKIN_TONES.T])
        self.iris = IRISES[body.integers(4)]
        self.phase = body.uniform(0, 2 * np.pi)
        self.hair_shade = 1 + 3 * np.clip(body.normal(0, 0.04), -0.1, 0.1)
        self.brow_height = 0.02 * body.normal()
        self.volume = 0.04 + 0.10 * body.random()
        self.opening = 1.08 + 0.3 * body.random()
        self.square, self.rim = body.random(2)
        self.frame = FRAMES[body.integers(3)]
        self.line = np.clip(0.03 * body.normal(), -0.06, 0.06)
        self.part = body.choice([-0.28, -0.22, 0.0, 0.22, 0.28])
        self.lift = body.random()


def _hair(of: Strengths, own: _Own) -> Hair | None:
    if of.has["Bald"]:
        return None
    wave = (of("Wavy_Hair", 0.6) if of.has["Wavy_Hair"] else 0.0 if of.has["Straight_Hair"]
            else 0.12 + 0.14 * of.drawn["Wavy_Hair"])  # fmt: skip
    return Hair(colour=_hair_colour(of, own).astype(np.float32),
                length=(0.45 + 0.55 * of.drawn["Long_Hair"]) * of.has["Long_Hair"], wave=wave,
                straight=of("Straight_Hair", 0.7),
                volume=own.volume * (0.6 if of.has["Straight_Hair"] else 1),
                recede=of("Receding_Hairline", 0.7), bangs=of("Bangs", 0.8),
                lift=own.lift * (1 - 0.7 * of.has["Long_Hair"]) * (1 - of.has["Bangs"]), line=own.line,
                part=own.part, opening=own.opening, phase=own.phase)  # fmt: skip


def _hair_colour(of: Strengths, own: _Own) -> np.ndarray:
    for name, colour in HAIR_COLOURS.items():
        if of.has[name]:
            return np.array(colour) * (1 if name == "Black_Hair" else own.hair_shade)
    return np.array(AUBURN) * own.hair_shade


def _paint(of: Strengths, own: _Own, wardrobe: "_Wardrobe", sex: float, old: float) -> Paint:
    hair = _hair_colour(of, own)
    skin = own.skin + (PALE - own.skin) * of("Pale_Skin", 0.7) * 0.62
    blond = of.has["Blond_Hair"]
    brow = hair * (0.58 * np.array([0.95, 0.85, 0.75]) if blond else 0.6)
    lips = np.array([0.78, 0.10, 0.20]) * wardrobe.lipstick
    return Paint(
        skin=skin.astype(np.float32), iris=own.iris.astype(np.float32), brow=brow.astype(np.float32),
        beard_colour=_against(hair * (0.72 if blond else 0.8), skin).astype(np.float32),
        lip_colour=lips.astype(np.float32), gaze=wardrobe.gaze, brow_height=own.brow_height,
        lashes=0.6 * (1 - sex), wrinkles=max(0, old - 0.2) * 1.1, smile=of("Smiling", 0.7),
        rosy=of("Rosy_Cheeks"), lipstick=of("Wearing_Lipstick"), makeup=of("Heavy_Makeup"),
        bags=of("Bags_Under_Eyes"), arched=of("Arched_Eyebrows", 0.7),
        bushy=of("Bushy_Eyebrows", 0.65, absent=0.35), beard=of("Full_Beard", 0.8),
        mustache=of("Mustache", 0.8), goatee=of("Goatee", 0.8), sideburns=of("Sideburns", 0.8),
        stubble=of("5_o_Clock_Shadow", 0.7),
    )  # fmt: skip


def _against(colour: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """The colour, darkened if it is so near to the skin's brightness that a beard would not be visible."""
    light, ground = LUMA @ colour, LUMA @ skin
    return colour if abs(light - ground) > 0.2 else colour * max(ground - 0.2, 0.45 * ground) / light


class _Wardrobe:
    """What changes from picture to picture besides pose and expression."""

    def __init__(self, mood: np.random.Generator):
        self.cloth, self.tie, self.hat = _muted(mood), _muted(mood), _muted(mood)
        self.hat_height = mood.random()
        self.metal = METALS[mood.integers(2)]
        self.lipstick = mood.uniform(0.7, 1.1)
        self.gaze = float(np.clip(mood.normal(0, 0.5), -1, 1))


def _muted(
    mood: np.random.Generator, colourful: float = 0.6, low: float = 0.1, high: float = 0.9
) -> np.ndarray:
    return low + (high - low) * ((1 - colourful) * mood.random() + colourful * mood.random(3))


def _scene(of: Strengths, mood: np.random.Generator) -> Scene:
    above, shade = _muted(mood, 0.22, 0.15, 0.9), mood.uniform(0.5, 1.1)
    yaw, pitch, roll, side = np.clip(mood.normal(size=4), -2, 2)
    light = np.array([0.8 * np.sin(0.7 * side), 0.45, 0.85])
    below = np.clip(above * shade, 0, 1)
    return Scene(0.11 * yaw, 0.05 * pitch, 0.02 * roll, light, above, below, of("Blurry", 0.5))


def _worn(of: Strengths, own: _Own, wardrobe: _Wardrobe, hair: Hair | None) -> Worn:
    dark = of.drawn["Eyeglasses"]  # some wear sunglasses, through which the eyes are still seen
    return Worn(cloth=wardrobe.cloth, metal=wardrobe.metal, tie_colour=wardrobe.tie, hat_colour=wardrobe.hat,
                frame_colour=own.frame, tie=float(of.has["Wearing_Necktie"]),
                necklace=of("Wearing_Necklace", 0.8), earrings=of("Wearing_Earrings", 0.6),
                hat=float(of.has["Wearing_Hat"]), hat_height=wardrobe.hat_height,
                bulk=0.0 if hair is None else hair.volume, glasses=float(of.has["Eyeglasses"]), rim=own.rim,
                square=own.square, tint=0.05 + (0.45 * dark if dark > 0.85 else 0))  # fmt: skip
