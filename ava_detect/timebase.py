"""From the timestamps of the tables to the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ava_eval.errors import InputError

ROUNDING = 1e-6
"""Seconds; smaller differences of two times are not meant."""


@dataclass(frozen=True)
class Timebase:
    """What the timestamps of the tables mean, and how far apart the frames of a clip are.

    Attributes:
        fps: the nominal rate in which ``sampling_rate`` counts; the file's own may differ.
        unit: what timestamps count: seconds, or frames of the video file (MultiSports).
        first_frame: the number of a file's first frame, where the unit is frames.
        shift: whole frames by which everything is read later. 1 is what mmaction2 reads from the
            frames that it extracts: it counts their first number twice.
    """

    fps: float = 30.0
    unit: Literal["seconds", "frames"] = "seconds"
    first_frame: int = 1
    shift: int = 0

    def clip_frames(
        self, timestamp: float, frame_times: np.ndarray, num_frames: int, sampling_rate: int
    ) -> np.ndarray:
        """Numbers i64[num_frames] of the frames of the clip around ``timestamp``.

        The keyframe is item ``num_frames // 2``, as in PySlowFast. A ``sampling_rate`` of 0 gives
        ``num_frames`` copies of the keyframe. What lies before the first or behind the last frame
        is that frame. In seconds, the frame shown nearest to each moment is taken; in frames,
        ``sampling_rate`` counts frames of the file.

        Args:
            timestamp: of the keyframe, in the unit.
            frame_times: f64[N], ascending: when each frame is shown, in the tables' seconds.
            num_frames: T.
            sampling_rate: from one frame of the clip to the next.
        """
        offsets = np.arange(num_frames) - num_frames // 2
        if self.unit == "frames":
            numbers = round(timestamp) - self.first_frame + offsets * sampling_rate
        else:
            wanted = timestamp + offsets * (sampling_rate / self.fps)
            numbers = nearest_frames(frame_times, wanted)
        return np.clip(numbers + self.shift, 0, len(frame_times) - 1)

    def is_inside(self, timestamps: np.ndarray, frame_times: np.ndarray) -> np.ndarray:
        """Which ``timestamps`` f64[K] a video shows, whose frames appear at ``frame_times``.

        A clip may hang over the ends of a video (its frames repeat there), its centre not. In
        seconds, one nominal frame of tolerance is given on both sides.
        """
        timestamps = np.asarray(timestamps, np.float64)
        if self.unit == "frames":
            numbers = timestamps - self.first_frame
            return (numbers >= 0) & (numbers < len(frame_times)) & (numbers == np.rint(numbers))
        first, end = time_span(frame_times)
        tolerance = 1 / self.fps
        return (timestamps >= first - tolerance) & (timestamps <= end + tolerance)

    def require_inside(self, timestamp: float, video_id: str, frame_times: np.ndarray) -> None:
        """Raise InputError unless the video shows ``timestamp``; see ``is_inside``."""
        if not self.is_inside(np.array([timestamp]), frame_times)[0]:
            raise InputError(
                f"video {video_id}: the keyframe at {self.moment(timestamp)} lies outside of the"
                f" file, which shows {self.shown(frame_times)}; check that it is complete, and"
                " data.timebase (start is 900 for segments cut from AVA's films)"
            )

    def moment(self, timestamp: float) -> str:
        """A timestamp in words."""
        return f"frame {timestamp:g}" if self.unit == "frames" else f"{timestamp:g} s"

    def shown(self, frame_times: np.ndarray) -> str:
        """In words, the timestamps that a video shows."""
        if self.unit == "frames":
            return f"frames {self.first_frame} to {self.first_frame + len(frame_times) - 1}"
        first, end = time_span(frame_times)
        return f"{first:g} to {end:g} s"


def time_span(frame_times: np.ndarray) -> tuple[float, float]:
    """When the first of the frames f64[N] appears, and when the last ends, in their seconds.

    The last frame lasts as long as most do.
    """
    gaps = np.diff(frame_times)
    return float(frame_times[0]), float(frame_times[-1] + (np.median(gaps) if len(gaps) else 0.0))


def nearest_frames(frame_times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Numbers i64[T] of the frames shown nearest to the ``wanted`` f64[T] seconds.

    Times before the first or after the last frame (f64[N], ascending) get that frame; halfway
    between two, the earlier one.
    """
    right = np.clip(np.searchsorted(frame_times, wanted), 1, max(1, len(frame_times) - 1))
    left = right - 1
    right = np.minimum(right, len(frame_times) - 1)
    closer = frame_times[right] - wanted < wanted - frame_times[left] - ROUNDING
    return np.where(closer, right, left)
