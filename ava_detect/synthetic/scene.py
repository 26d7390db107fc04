"""One video's scene: what stands where, what a frame shows, and who is seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ava_detect.synthetic.camera import Camera, slow_wave
from ava_detect.synthetic.figure import Figure, Look, Mask
from ava_detect.synthetic.motion import perform
from ava_detect.synthetic.script import Action, ScriptWriter, write_script

WIDTH, HEIGHT = 160, 120
MARGIN = 24  # pixels of background around the frame, for the camera to move in
HOLD = 5  # frames in which the background stands; it moves less than half a pixel meanwhile
GREY = 128  # what stands for no noise
BEYOND = 80  # pixels around the frame in which bodies are measured
NEARBY = 1.25  # a person nearby is at most so many body heights away
TALLEST = {1: 90, 2: 88, 3: 84, 4: 74}  # scene pixels, by the number of figures
SHORTEST = 63


@dataclass(frozen=True)
class Person:
    """A figure as a keyframe shows it."""

    person_id: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 of its visible pixels, of the frame
    visible: float  # share of the body that is in the frame and not covered
    labels: list[Action]


@dataclass(frozen=True)
class Occluder:
    """A post or a low wall in front of everybody, scene pixels."""

    corners: np.ndarray  # f64[2, 2]
    colour: tuple[int, int, int]

    def paint(self, image: np.ndarray, camera: Camera, frame: int) -> None:
        """Fill it in a frame; in a mask (2 dimensions) with zeros."""
        seen = (self.corners - camera.centre) * camera.zoom[frame] + camera.centre
        (left, top), (right, bottom) = np.round(seen + camera.pan[frame]).astype(int)
        colour = self.colour if image.ndim == 3 else (0, 0, 0)
        cv2.rectangle(
            image, (int(left), int(top)), (int(right) - 1, int(bottom) - 1), colour, cv2.FILLED
        )


@dataclass(frozen=True)
class Scene:
    """Everything in a video: ``frames`` frames of 160x120."""

    fps: int
    backdrops: list[np.ndarray]  # u8[120, 160, 3], one for each HOLD frames
    camera: Camera
    figures: list[Figure]  # those in front last
    occluders: list[Occluder]
    empty_seconds: range  # a shot without people
    grain: np.ndarray  # u8, MARGIN larger than the frame on each side, of mean GREY

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        seconds: int,
        fps: int,
        cast: int,
        has_empty_shot: bool = False,
        write: ScriptWriter = write_script,
    ) -> Scene:
        """Draw a scene of ``seconds`` s with ``cast`` (1 to 4) figures at random.

        ``write`` decides what each of them does.
        """
        frames = seconds * fps
        zooming = bool(rng.random() < 0.5)
        camera = Camera.draw(rng, frames, (WIDTH, HEIGHT), zooming)
        return cls(
            fps=fps,
            backdrops=_backdrops(_background(rng), camera, frames),
            camera=camera,
            figures=_cast(rng, cast, seconds, fps, camera, growing=not zooming, write=write),
            occluders=[_occluder(rng) for _ in range(rng.integers(0, 3))],
            empty_seconds=_empty_shot(rng, seconds) if has_empty_shot else range(0),
            grain=_grain(rng, 2.5),
        )

    def render(self, frame: int) -> np.ndarray:
        """Frame u8[120, 160, 3], BGR."""
        image = self.backdrops[frame // HOLD].copy()
        second = self._second(frame)
        if second not in self.empty_seconds:
            for figure in self.figures:
                figure.paint(image, frame, figure.motion.act_at(second))
        for occluder in self.occluders:
            occluder.paint(image, self.camera, frame)
        y, x = 17 * frame % (2 * MARGIN), 29 * frame % (2 * MARGIN)
        grain = self.grain[y : y + HEIGHT, x : x + WIDTH]
        return cv2.addWeighted(image, 1, grain, 1, -GREY)

    def people(self, second: int) -> list[Person]:
        """Everybody of whom a pixel is seen at a keyframe, however little."""
        if second in self.empty_seconds:
            return []
        frame = second * self.fps
        seen = self.visible_bodies(frame)
        people = []
        for number, figure in enumerate(self.figures):
            rows, columns = np.nonzero(seen == number + 1)
            if not len(rows):
                continue
            body = np.zeros((HEIGHT + 2 * BEYOND, WIDTH + 2 * BEYOND), np.uint8)
            figure.mark(body, frame, Mask(1, BEYOND))
            left, top = float(columns.min()), float(rows.min())
            right, bottom = float(columns.max() + 1), float(rows.max() + 1)
            labels = figure.motion.act_at(second).labels(self._faces_person(figure, frame))
            people.append(
                Person(number, (left, top, right, bottom), len(rows) / int(body.sum()), labels)
            )
        return people

    def visible_bodies(self, frame: int) -> np.ndarray:
        """u8[120, 160]: the number (from 1) of the figure whose body is seen there, 0 nobody."""
        seen = np.zeros((HEIGHT, WIDTH), np.uint8)
        for number, figure in enumerate(self.figures):
            figure.mark(seen, frame, Mask(number + 1))
        for occluder in self.occluders:
            occluder.paint(seen, self.camera, frame)
        return seen

    def _faces_person(self, figure: Figure, frame: int) -> bool:
        ahead = [
            (other.motion.x[frame] - figure.motion.x[frame]) * figure.motion.facing[frame]
            for other in self.figures
            if other is not figure
        ]
        reach = NEARBY * figure.size[frame] / self.camera.zoom[frame]
        return any(0 < distance < reach for distance in ahead)

    def _second(self, frame: int) -> int:
        """The second whose keyframe is nearest; acts change in between."""
        return int(np.floor(frame / self.fps + 0.5))


def _cast(
    rng: np.random.Generator,
    count: int,
    seconds: int,
    fps: int,
    camera: Camera,
    growing: bool,
    write: ScriptWriter,
) -> list[Figure]:
    """Figures in lanes side by side, so that they seldom cover each other."""
    lane_width = 0.94 * WIDTH / count
    frames = seconds * fps
    figures = []
    for slot in range(count):
        height = rng.uniform(SHORTEST, TALLEST[count])
        left = 0.03 * WIDTH + slot * lane_width
        inset = min(0.42 * lane_width, 0.45 * height)  # room to lie down
        lane = left + inset, left + lane_width - inset
        neighbours = (-1,) * (slot > 0) + (1,) * (slot < count - 1)
        script = write(rng, seconds, neighbours)
        motion = perform(script, frames, fps, height, lane, home=rng.uniform(*lane))
        ground = rng.uniform(max(1.08 * height + 6, 0.74 * HEIGHT), 0.95 * HEIGHT)
        growth = 1 + 0.08 * slow_wave(rng, frames) * growing
        figures.append(Figure.stage(Look.draw(rng), motion, height * growth, ground, camera))
    return sorted(figures, key=lambda figure: figure.ground[0])


def _backdrops(background: np.ndarray, camera: Camera, frames: int) -> list[np.ndarray]:
    return [
        cv2.warpAffine(background, camera.matrix(frame, -MARGIN), (WIDTH, HEIGHT))
        for frame in range(0, frames, HOLD)
    ]


def _background(rng: np.random.Generator) -> np.ndarray:
    """A vertical gradient with blocks, ellipses and lines, slightly blurred and grainy."""
    height, width = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    share = np.linspace(0, 1, height)[:, None, None]
    top, bottom = rng.uniform(30, 200, (2, 3))
    image = np.broadcast_to(top * (1 - share) + bottom * share, (height, width, 3))
    image = image.astype(np.uint8, order="C")
    for _ in range(rng.integers(5, 13)):
        colour = _colour(rng)
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(5, 45)), int(rng.integers(5, 45))
        kind = rng.choice(3, p=(0.45, 0.25, 0.30))
        if kind == 0:
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, cv2.FILLED)
        elif kind == 1:
            angle = rng.uniform(0, 180)
            cv2.ellipse(image, (x, y), (w // 2, h // 2), angle, 0, 360, colour, cv2.FILLED)
        else:
            end = x + int(rng.integers(-50, 50)), y + int(rng.integers(-50, 50))
            cv2.line(image, (x, y), end, colour, int(rng.integers(1, 5)))
    return cv2.addWeighted(cv2.GaussianBlur(image, (3, 3), 0), 1, _grain(rng, 10.0), 1, -GREY)


def _grain(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Noise about GREY, a little coarser than a pixel, as large as a background."""
    noise = rng.normal(0, strength, (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, 3))
    return np.clip(np.round(GREY + cv2.GaussianBlur(noise, (0, 0), 0.8)), 0, 255).astype(np.uint8)


def _occluder(rng: np.random.Generator) -> Occluder:
    if rng.random() < 0.5:  # a post
        left, width, top = rng.uniform(0, WIDTH), rng.uniform(3, 8), float(-MARGIN)
    else:  # a low wall
        left, width, top = rng.uniform(0, WIDTH), rng.uniform(20, 60), HEIGHT - rng.uniform(5, 14)
    return Occluder(np.array([(left, top), (left + width, HEIGHT + MARGIN)]), _colour(rng))


def _empty_shot(rng: np.random.Generator, seconds: int) -> range:
    length = min(2, seconds - 1)
    first = int(rng.integers(1, seconds - length + 1))
    return range(first, first + length)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    blue, green, red = rng.integers(20, 235, 3).tolist()
    return blue, green, red
