"""Who does what on every frame of a running video, in one pass and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from ava_detect.inference.tracks import ROUNDING, Shown, Tracker


class Shot(Protocol):
    """A frame of a running video, which is turned into a picture where one is needed."""

    @property
    def time(self) -> float:
        """Seconds after the first frame."""
        ...

    def pixels(self) -> np.ndarray:
        """The picture u8[H, W, 3], RGB; to be read, not written to."""
        ...


AnyShot = TypeVar("AnyShot", bound=Shot)


@dataclass(frozen=True)
class ClipRule:
    """Which frames the model sees of a keyframe.

    Attributes:
        before, after: seconds that the clip reaches on both sides of it.
        numbers: its time and the times f64[N] of the frames at hand -> i64[T] of these; frames
            that the video does not have are the first or the last one, as ``Timebase`` does it.
    """

    before: float
    after: float
    numbers: Callable[[float, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Eyes:
    """What looks at pictures.

    Attributes:
        find: picture u8[H, W, 3] -> boxes f[N, 4], normalised xyxy, and their scores f[N].
        shrink: picture -> as the model sees it, u8[h, w, 3].
        score: clip u8[T, h, w, 3] and boxes f[N, 4], normalised -> scores f[N, C] of the actions.
    """

    find: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    shrink: Callable[[np.ndarray], np.ndarray]
    score: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Annotated(Generic[AnyShot]):
    """A frame, its picture, and the people on it."""

    shot: AnyShot
    pixels: np.ndarray
    people: list[Shown]


@dataclass(eq=False)
class _Held(Generic[AnyShot]):
    """A frame in memory: whole until it is drawn, small while clips may need it."""

    time: float
    shot: AnyShot | None
    small: np.ndarray | None = None


class Annotator(Generic[AnyShot]):
    """Finds, scores and links people at keyframes, and tells where they are in between.

    Frames come in the order of time. A window over them is held: as far back as the next clip
    reaches in the model's size, and whole from the first frame of which it is open who is on it
    (a clip ahead, a keyframe, and the tracker's gap while somebody is missing). So memory depends
    on the rate of the frames and not on the length of the video.

    Args:
        eyes, rule, tracker: what is done at keyframes.
        every: seconds from one keyframe to the next.
        latest: choose as the next keyframe the newest one whose clip is there, instead of the
            first: for a camera that brings frames faster than people are scored.
    """

    def __init__(
        self,
        eyes: Eyes,
        rule: ClipRule,
        tracker: Tracker,
        *,
        every: float = 0.5,
        latest: bool = False,
    ) -> None:
        self.eyes = eyes
        self.rule = rule
        self.tracker = tracker
        self.every = every
        self.latest = latest
        self.num_keyframes = 0
        self.most_held = 0  # frames at once, whole or small
        self._window: deque[_Held[AnyShot]] = deque()
        self._drawn = 0  # so many of the first ones in the window
        self._due = -np.inf

    def feed(self, shots: Iterable[AnyShot]) -> Iterator[Annotated[AnyShot]]:
        """Take the next frames; yields those of which it is decided now who is on them."""
        for shot in shots:
            self._window.append(_Held(shot.time, shot))
        self.most_held = max(self.most_held, len(self._window))
        yield from self._go_on(ended=False)

    def finish(self) -> Iterator[Annotated[AnyShot]]:
        """No frame follows; yields the rest."""
        yield from self._go_on(ended=True)
        if self._window and self._window[-1].time > self.tracker.newest + self.every / 2:
            yield from self._look(self._window[-1])
        self.tracker.finish()
        yield from self._draw()

    def _go_on(self, ended: bool) -> Iterator[Annotated[AnyShot]]:
        while (keyframe := self._next_keyframe(ended)) is not None:
            yield from self._look(keyframe)

    def _next_keyframe(self, ended: bool) -> _Held[AnyShot] | None:
        if not self._window:
            return None
        last = np.inf if ended else self._window[-1].time - self.rule.after + ROUNDING
        first = self._due - ROUNDING
        if self.latest:
            ready = (held for held in reversed(self._window) if held.time <= last)
            newest = next(ready, None)
            return newest if newest is not None and newest.time >= first else None
        return next((held for held in self._window if first <= held.time <= last), None)

    def _look(self, keyframe: _Held[AnyShot]) -> Iterator[Annotated[AnyShot]]:
        """Find and score the people of a keyframe; then draw what is decided by it."""
        assert keyframe.shot is not None  # it is later than all that are drawn
        boxes, people = self.eyes.find(keyframe.shot.pixels())
        scores = np.empty((0, 0), np.float32)
        if len(boxes):
            scores = self.eyes.score(self._clip(keyframe.time), boxes)
        self.tracker.update(keyframe.time, boxes, people, scores)
        self.num_keyframes += 1
        self._due = keyframe.time + self.every
        yield from self._draw()

    def _clip(self, time: float) -> np.ndarray:
        """The clip u8[T, h, w, 3] around a keyframe."""
        window = [held for held in self._window if held.shot is not None or held.small is not None]
        numbers = self.rule.numbers(time, np.array([held.time for held in window]))
        return np.stack([self._small(window[number]) for number in numbers.tolist()])

    def _small(self, held: _Held[AnyShot]) -> np.ndarray:
        if held.small is None:
            assert held.shot is not None  # before it was drawn it was made small
            held.small = self.eyes.shrink(held.shot.pixels())
        return held.small

    def _draw(self) -> Iterator[Annotated[AnyShot]]:
        """Yield the frames up to the moment that is settled, and let go of what nobody needs."""
        # The last frame of all may be a keyframe before the next one is due; see ``finish``.
        settled = self.tracker.settled
        needed = self.tracker.newest + self.every / 2 - self.rule.before
        while self._drawn < len(self._window):
            held = self._window[self._drawn]
            if held.time > settled:
                break
            assert held.shot is not None
            annotated = Annotated(held.shot, held.shot.pixels(), self.tracker.shown_at(held.time))
            self._drawn += 1
            is_last = self._drawn == len(self._window)
            if held.small is None and (is_last or self._window[self._drawn].time > needed):
                held.small = self.eyes.shrink(annotated.pixels)
            held.shot = None
            yield annotated
        # The frame before the first moment of a clip may be the nearest to it.
        while self._drawn > 1 and self._window[1].time <= needed:
            self._window.popleft()
            self._drawn -= 1
