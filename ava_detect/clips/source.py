"""What serves frames: one video, and many by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np


class Video(Protocol):
    """The frames of one video, by number in the order of showing."""

    @property
    def times(self) -> np.ndarray:
        """f64[N], seconds after the first frame, ascending; InputError for a broken video."""
        ...

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3) of all frames."""
        ...

    @property
    def digest(self) -> str:
        """Hexadecimal; another one for other frames, or the same ones at other times."""
        ...

    def walk(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """The frames u8[H, W, 3], RGB, of the numbers ``wanted`` i64[T], which ascend, unique.

        They are to be read, not written to, and may be views with gaps between the rows. Raises
        InputError where the video cannot be decoded.
        """
        ...


class ClipSource(Protocol):
    """Videos, by id, whose frames can be had by number.

    A missing or broken video raises InputError.
    """

    def has(self, video_id: str) -> bool:
        """Whether there is a video of that id."""
        ...

    def frame_times(self, video_id: str) -> np.ndarray:
        """When each frame is shown: f64[N], ascending, in the seconds of the tables."""
        ...

    def read(self, video_id: str, frames: np.ndarray) -> np.ndarray:
        """The frames u8[T, H, W, 3], RGB, of the numbers i64[T], in any order; the caller's own."""
        ...

    def walk(self, video_id: str, frames: np.ndarray) -> Iterator[np.ndarray]:
        """The frames of ascending, unique numbers, one after the other; see ``Video.walk``."""
        ...

    def fingerprint(self, video_ids: Iterable[str]) -> str:
        """Hexadecimal; another one for other frames, or other times, of any of those videos."""
        ...


def read_frames(video: Video, numbers: np.ndarray) -> np.ndarray:
    """The frames u8[T, H, W, 3] of ``numbers`` i64[T], in any order, by one walk.

    Raises IndexError where there is no frame of such a number.
    """
    numbers = np.asarray(numbers, np.int64)
    count, *size = video.shape
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
        raise IndexError(f"the video has frames 0 to {count - 1}")
    wanted, places = np.unique(numbers, return_inverse=True)
    frames = np.empty((len(wanted), *size), np.uint8)
    for place, frame in zip(frames, video.walk(wanted), strict=True):
        place[:] = frame
    return frames if np.array_equal(wanted, numbers) else frames[places]
