"""One figure: joints from angles, and strokes of paint between the joints."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ava_detect.synthetic.camera import Camera
from ava_detect.synthetic.motion import ANGLES, Motion
from ava_detect.synthetic.script import Act, Action, Arms

# Lengths in body heights.
THIGH, SHIN, FOOT, TORSO, NECK, UPPER_ARM, FOREARM = 0.25, 0.23, 0.07, 0.30, 0.11, 0.16, 0.16
HEAD = 0.085  # radius
FLESH = {"head": HEAD, "neck": 0.07, "hip": 0.07}  # how far the body reaches around a joint
SHIFT = 4  # coordinates are drawn in sixteenths of a pixel
OBJECT_COLOUR, OBJECT_BAND, STOOL, SHOE = (40, 230, 250), (20, 20, 200), (60, 70, 90), (30, 30, 30)
HAND_COLOURS = ((250, 250, 250), (30, 160, 255), (250, 90, 250), (255, 240, 60), (70, 255, 90))

Colour = tuple[int, int, int]  # blue, green, red
Channel = int | np.integer


@dataclass(frozen=True)
class Look:
    """Colours and build of a figure; widths are in body heights."""

    shirt: Colour
    trousers: Colour
    skin: Colour
    hair: Colour
    hand: Colour
    limb: float
    hand_radius: float
    object_radius: float
    round_object: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Look:
        shirt = _hue(rng.integers(0, 180), rng.integers(60, 255), rng.integers(60, 255))
        distance = [np.abs(np.subtract(shirt, colour)).sum() for colour in HAND_COLOURS]
        farthest = np.argsort(distance)[-3:]
        return cls(
            shirt=shirt,
            trousers=_hue(rng.integers(0, 180), rng.integers(40, 220), rng.integers(30, 220)),
            skin=_hue(rng.integers(5, 18), rng.integers(50, 170), rng.integers(90, 250)),
            hair=_hue(rng.integers(0, 30), 120, rng.integers(10, 160)),
            hand=HAND_COLOURS[int(rng.choice(farthest))],
            limb=rng.uniform(0.062, 0.085),
            hand_radius=rng.uniform(0.066, 0.08),
            object_radius=rng.uniform(0.13, 0.16),
            round_object=bool(rng.random() < 0.5),
        )


@dataclass(frozen=True)
class Shape:
    """A stroke through several joints, or a disc on a single one."""

    points: np.ndarray  # i32[T, k, 2], sixteenths of a pixel of the frame
    colour: Colour
    width: float  # body heights; of a disc: its radius

    def paint(self, image: np.ndarray, frame: int, size: float, mask: Mask | None = None) -> None:
        """Draw it for a body of ``size`` pixels, in its colour or into a mask."""
        colour, line, offset = self.colour, cv2.LINE_AA, 0
        if mask is not None:
            colour, line, offset = (mask.value,) * 3, cv2.LINE_8, mask.margin << SHIFT
        points = self.points[frame] + offset
        if len(points) > 1:
            width = max(1, round(self.width * size))
            cv2.polylines(image, [points], False, colour, width, line, SHIFT)
        else:
            radius = round(self.width * size * (1 << SHIFT))
            cv2.circle(image, points[0].tolist(), radius, colour, cv2.FILLED, line, SHIFT)


@dataclass(frozen=True)
class Mask:
    """How to draw into a u8 mask: with which value, and how much larger than the frame it is."""

    value: int
    margin: int = 0


@dataclass(frozen=True)
class Figure:
    """A figure as the camera sees it in T frames."""

    look: Look
    motion: Motion
    size: np.ndarray  # f64[T], body height in pixels of the frame
    ground: np.ndarray  # f64[T], where it stands, pixels of the frame
    body: list[Shape]  # in the order of painting
    hip: np.ndarray  # i32[T, 2], sixteenths of a pixel of the frame
    hands: np.ndarray  # i32[T, 2], between the hands

    @classmethod
    def stage(
        cls, look: Look, motion: Motion, height: np.ndarray, ground: float, camera: Camera
    ) -> Figure:
        """Stand a figure of ``height`` f64[T] (scene pixels) on the scene's row ``ground``."""
        joints = {
            name: _fixed(camera.project(scene_points))
            for name, scene_points in _joints(motion, height, ground).items()
        }
        feet = camera.project(np.stack([motion.x, np.full(len(motion.x), ground)], 1))
        return cls(
            look=look,
            motion=motion,
            size=height * camera.zoom,
            ground=feet[:, 1],
            body=_body(look, joints),
            hip=joints["hip"],
            hands=(joints["left_hand"] + joints["right_hand"]) // 2,
        )

    def paint(self, image: np.ndarray, frame: int, act: Act) -> None:
        """Draw the figure, its stool and what it carries into a BGR frame."""
        if act.posture is Action.SIT:
            self._paint_stool(image, frame)
        for shape in self.body:
            shape.paint(image, frame, float(self.size[frame]))
        if act.arms is Arms.CARRYING:
            self._paint_object(image, frame)

    def mark(self, image: np.ndarray, frame: int, mask: Mask) -> None:
        """Set the pixels of the body alone in a u8 mask."""
        for shape in self.body:
            shape.paint(image, frame, float(self.size[frame]), mask)

    def _paint_object(self, image: np.ndarray, frame: int) -> None:
        """A bright ball or box with a red band, between the hands."""
        size = self.look.object_radius * self.size[frame]
        radius = round(size * (1 << SHIFT))
        x, y = self.hands[frame].tolist()
        if self.look.round_object:
            cv2.circle(image, (x, y), radius, OBJECT_COLOUR, -1, cv2.LINE_AA, SHIFT)
        else:
            corners = (x - radius, y - radius), (x + radius, y + radius)
            cv2.rectangle(image, *corners, OBJECT_COLOUR, -1, cv2.LINE_AA, SHIFT)
        ends = (x - radius, y), (x + radius, y)
        cv2.line(image, *ends, OBJECT_BAND, max(1, round(size / 2)), cv2.LINE_AA, SHIFT)

    def _paint_stool(self, image: np.ndarray, frame: int) -> None:
        x, y = (self.hip[frame] / (1 << SHIFT)).tolist()
        size = self.size[frame]
        seat, half = round(y + 1.3 * self.look.limb * size), 0.1 * size
        width = max(1, round(0.05 * size))
        cv2.line(image, (round(x - half), seat), (round(x + half), seat), STOOL, width)
        cv2.line(image, (round(x), seat), (round(x), round(self.ground[frame])), STOOL, width)


def _body(look: Look, joints: dict[str, np.ndarray]) -> list[Shape]:
    """Far limbs first, then the trunk and the head, then near limbs and both hands."""

    def shape(colour: Colour, width: float, *names: str) -> Shape:
        points = np.stack([joints[name] for name in names], 1)
        return Shape(np.ascontiguousarray(points), colour, width)

    def limb(colour: Colour, width: float, *names: str) -> Shape:
        return shape(colour, width * look.limb, *names)

    far_leg, sleeve = _shade(look.trousers), _shade(look.shirt)
    return [
        limb(far_leg, 1.1, "hip", "right_knee", "right_ankle"),
        limb(SHOE, 0.8, "right_ankle", "right_toe"),
        limb(sleeve, 0.9, "right_shoulder", "right_elbow"),
        limb(look.skin, 0.8, "right_elbow", "right_hand"),
        limb(look.shirt, 2.3, "hip", "neck"),
        limb(look.trousers, 1.1, "hip", "left_knee", "left_ankle"),
        limb(SHOE, 0.8, "left_ankle", "left_toe"),
        limb(look.skin, 0.8, "head", "nose"),
        shape(look.skin, HEAD, "head"),
        shape(look.hair, HEAD * 0.7, "crown"),
        limb(sleeve, 0.9, "left_shoulder", "left_elbow"),
        limb(look.skin, 0.8, "left_elbow", "left_hand"),
        shape(look.hand, look.hand_radius, "right_hand"),
        shape(look.hand, look.hand_radius, "left_hand"),
    ]


def _joints(motion: Motion, height: np.ndarray, ground: float) -> dict[str, np.ndarray]:
    """Scene positions f64[T, 2] of every joint; the lowest point touches the ground."""
    angle = {name: np.deg2rad(motion.angles[:, i]) for i, name in enumerate(ANGLES)}
    lean = angle["torso"]
    joints = {"hip": np.zeros((len(lean), 2))}  # x forwards, y upwards, in body heights
    joints["neck"] = joints["hip"] + _rising(lean, TORSO)
    joints["head"] = joints["neck"] + _rising(lean, NECK)
    joints["nose"] = joints["head"] + _rising(lean + np.pi / 2, HEAD * 1.4)
    joints["crown"] = joints["head"] + _rising(lean - np.pi / 2, HEAD * 0.6)
    for side in ("left", "right"):
        thigh = angle[f"{side}_thigh"]
        shin = thigh - angle[f"{side}_knee"]
        upper = angle[f"{side}_shoulder"] - lean
        fore = upper + angle[f"{side}_elbow"]
        joints[f"{side}_knee"] = joints["hip"] + _hanging(thigh, THIGH)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + _hanging(shin, SHIN)
        joints[f"{side}_toe"] = joints[f"{side}_ankle"] + _hanging(shin + np.pi / 2, FOOT)
        joints[f"{side}_shoulder"] = joints["hip"] + _rising(lean, TORSO * 0.92)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + _hanging(upper, UPPER_ARM)
        joints[f"{side}_hand"] = joints[f"{side}_elbow"] + _hanging(fore, FOREARM)
    heights = [at[:, 1] - FLESH.get(name, 0.03) for name, at in joints.items()]
    lift = motion.angles[:, ANGLES.index("hop")] - np.min(heights, axis=0)
    return {
        name: np.stack(
            [
                motion.x + motion.facing * at[:, 0] * height,
                ground - (at[:, 1] + lift) * height,
            ],
            1,
        )
        for name, at in joints.items()
    }


def _hanging(angle: np.ndarray, length: float) -> np.ndarray:
    return np.stack([np.sin(angle), -np.cos(angle)], 1) * length


def _rising(angle: np.ndarray, length: float) -> np.ndarray:
    return np.stack([np.sin(angle), np.cos(angle)], 1) * length


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << SHIFT)).astype(np.int32)


def _shade(colour: Colour) -> Colour:
    blue, green, red = (int(0.67 * channel) for channel in colour)
    return blue, green, red


def _hue(hue: Channel, saturation: Channel, value: Channel) -> Colour:
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red
