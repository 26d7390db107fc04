"""People over time: the boxes of keyframes linked into tracks, whose scores are smoothed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from ava_eval.matching import overlap

ROUNDING = 1e-6
"""Seconds; smaller differences of two times are not meant."""
GROWTH = 0.5
"""Boxes are grown by this part of their sides at each edge before they are compared: half a second
on, a walker has left the own box, and is still nearer to it than anybody else."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A person on one keyframe.

    Attributes:
        time: seconds after the first frame of the video.
        box: f64[4], x1 y1 x2 y2 normalised to [0, 1].
        person: score of the box, in [0, 1].
        scores: f32[C] of the actions, in [0, 1], smoothed over the track so far.
    """

    time: float
    box: np.ndarray
    person: float
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Shown:
    """A person of any frame: the track, the box f64[4] there, and what was last seen of them."""

    track: int
    box: np.ndarray
    sighting: Sighting


@dataclass(eq=False)
class Track:
    """One person: sightings in the order of time, at least one."""

    id: int
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def first(self) -> Sighting:
        return self.sightings[0]

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]

    def box_at(self, time: float) -> np.ndarray:
        """Where the person is expected at a ``time`` behind the last sighting: f64[4].

        The centre goes on as it last did; the size stays.
        """
        if len(self.sightings) < 2:
            return self.last.box
        before, last = self.sightings[-2:]
        moved = _centre(last.box) - _centre(before.box)
        step = moved * ((time - last.time) / (last.time - before.time))
        return last.box + np.tile(step, 2)

    def shown_at(self, time: float, hold: float) -> Shown | None:
        """The person on the frame at ``time``; None where the track does not reach.

        Between two sightings the box moves evenly from one to the other. It is held for up to
        ``hold`` seconds before the first and behind the last.
        """
        if not self.first.time - hold - ROUNDING <= time <= self.last.time + hold + ROUNDING:
            return None
        after = bisect_right(self.sightings, time + ROUNDING, key=lambda seen: seen.time)
        seen = self.sightings[max(after - 1, 0)]
        if after in (0, len(self.sightings)):
            return Shown(self.id, seen.box, seen)
        following = self.sightings[after]
        part = max(0.0, (time - seen.time) / (following.time - seen.time))
        return Shown(self.id, (1 - part) * seen.box + part * following.box, seen)


class Tracker:
    """Links the people of one keyframe to those of the keyframes before.

    A person goes on as the track whose expected box overlaps theirs most, over all people
    together; somebody who fits no track begins one. Ids count from 1.

    Args:
        max_gap: seconds that a person may be unseen and still be the same; between a keyframe and
            the next there is no limit.
        smoothing: seconds after which an old score has lost 63 % of its weight; 0 takes each
            keyframe's scores as they are.
        min_overlap: of grown boxes (``GROWTH``), below which two are not the same person.
        hold: see ``Track.shown_at``.
    """

    def __init__(
        self,
        max_gap: float = 1.0,
        smoothing: float = 0.5,
        min_overlap: float = 0.2,
        hold: float = 0.25,
    ) -> None:
        self.max_gap = max_gap
        self.smoothing = smoothing
        self.min_overlap = min_overlap
        self.hold = hold
        self.tracks: list[Track] = []  # of whom frames may still be drawn, in the order of ids
        self.num_tracks = 0
        self.newest = -math.inf  # time of the last keyframe
        self._open: list[Track] = []  # that may go on

    def update(
        self, time: float, boxes: np.ndarray, people: np.ndarray, scores: np.ndarray
    ) -> None:
        """Take the N people of the next keyframe.

        Args:
            time: seconds, later than those before.
            boxes: f[N, 4], x1 y1 x2 y2 normalised to [0, 1].
            people: f[N], scores of the boxes.
            scores: f[N, C] of the actions.
        """
        found = dict(self._links(time, np.asarray(boxes, np.float64)))
        for row in range(len(boxes)):
            track = found.get(row) or self._begin()
            track.sightings.append(
                Sighting(
                    time,
                    np.asarray(boxes[row], np.float64),
                    float(people[row]),
                    self._smoothed(track, time, scores[row]),
                )
            )
        self.newest = time
        self._open = [
            track
            for track in self._open
            if track.last.time == time or time - track.last.time < self.max_gap - ROUNDING
        ]

    def finish(self) -> None:
        """No keyframe follows: nobody who is missing comes back."""
        self._open = []
        self.newest = math.inf

    @property
    def settled(self) -> float:
        """Until when (seconds) it is decided who is where: nobody missing may still come back."""
        missing = [track.last.time for track in self._open if track.last.time < self.newest]
        return min([self.newest, *missing])

    def shown_at(self, time: float) -> list[Shown]:
        """The people of the frame at ``time``, in the order of their ids."""
        people = (track.shown_at(time, self.hold) for track in self.tracks)
        return [person for person in people if person is not None]

    def release(self, time: float) -> list[Track]:
        """Give away the tracks that have ended and show nobody from ``time`` on."""
        going = set(map(id, self._open))
        done = [
            track
            for track in self.tracks
            if id(track) not in going and track.last.time + self.hold < time - ROUNDING
        ]
        self.tracks = [track for track in self.tracks if track not in done]
        return done

    def _links(self, time: float, boxes: np.ndarray) -> Iterator[tuple[int, Track]]:
        """Pairs of a person and the track that goes on with them."""
        reached = [
            track
            for track in self._open
            if track.last.time == self.newest or time - track.last.time <= self.max_gap + ROUNDING
        ]
        if not reached or not len(boxes):
            return
        expected = np.stack([track.box_at(time) for track in reached])
        overlaps = _overlaps(_grown(expected), _grown(boxes))
        overlaps[overlaps < self.min_overlap] = 0
        for place, row in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[place, row] > 0:
                yield int(row), reached[place]

    def _begin(self) -> Track:
        self.num_tracks += 1
        track = Track(self.num_tracks)
        self.tracks.append(track)
        self._open.append(track)
        return track

    def _smoothed(self, track: Track, time: float, scores: np.ndarray) -> np.ndarray:
        """Scores f32[C], of which the track's former ones are a part."""
        scores = np.asarray(scores, np.float32)
        if not track.sightings or self.smoothing == 0:
            return scores
        kept = np.float32(math.exp((track.last.time - time) / self.smoothing))
        return kept * track.last.scores + (1 - kept) * scores


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _grown(boxes: np.ndarray) -> np.ndarray:
    """The boxes f64[N, 4] with more room at every edge."""
    margins = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * GROWTH
    return boxes + margins * np.array([-1, -1, 1, 1])


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union f64[N, M] of boxes f64[N, 4] and f64[M, 4]; 0 without any area."""
    pairs = overlap(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1)))
    return np.nan_to_num(pairs).reshape(len(a), len(b))
