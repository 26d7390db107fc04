"""From timestamps to frames."""

import numpy as np
import pytest

from ava_detect.timebase import Timebase, nearest_frames
from ava_eval.errors import InputError


@pytest.mark.parametrize(
    ("num_frames", "sampling_rate", "offsets"),
    [
        (32, 2, range(-32, 32, 2)),
        (4, 16, range(-32, 32, 16)),
        (8, 8, range(-32, 32, 8)),
        (1, 2, [0]),
        (4, 0, [0, 0, 0, 0]),
        (5, 3, range(-6, 9, 3)),
    ],
)
def test_ava_clips_are_those_of_pyslowfast(
    num_frames: int, sampling_rate: int, offsets: list[int]
) -> None:
    """There, second t is frame (t - 900) * 30, and a clip is centred on it."""
    times = 900 + np.arange(27030) / 30
    frames = Timebase(fps=30).clip_frames(902, times, num_frames, sampling_rate)
    assert frames.tolist() == [60 + offset for offset in offsets]
    later = Timebase(fps=30, shift=1).clip_frames(902, times, num_frames, sampling_rate)
    np.testing.assert_array_equal(later, frames + 1)  # mmaction2's


def test_a_clip_counts_in_the_nominal_rate_whatever_that_of_the_file() -> None:
    times = -0.5 + np.arange(100) / 10
    frames = Timebase(fps=20).clip_frames(1.0, times, 4, 4)
    assert frames.tolist() == [11, 13, 15, 17]  # at 0.6, 0.8, 1.0, 1.2 s


def test_timestamps_may_be_frame_numbers() -> None:
    """MultiSports counts the frames of each file from 1, whatever its rate."""
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 50))
    timebase = Timebase(unit="frames")
    assert timebase.clip_frames(1, times, 4, 2).tolist() == [0, 0, 0, 2]
    assert timebase.clip_frames(20, times, 4, 2).tolist() == [15, 17, 19, 21]
    assert timebase.clip_frames(50, times, 4, 2).tolist() == [45, 47, 49, 49]
    inside = timebase.is_inside(np.array([0, 1, 50, 51, 20.5]), times)
    assert inside.tolist() == [False, True, True, False, False]
    with pytest.raises(InputError, match=r"frame 51 lies outside .* shows frames 1 to 50"):
        timebase.require_inside(51, "v", times)


@pytest.mark.parametrize(
    ("times", "wanted", "frames"),
    [
        ([0, 1, 2, 3], [-5, 0, 0.4, 0.6, 2.9, 3, 9], [0, 0, 0, 1, 3, 3, 3]),
        ([0, 1, 2, 3], [0.5, 1.5, 2.5], [0, 1, 2]),
        ([0, 0.1, 0.2, 0.3], [0.05, 0.15, 0.25], [0, 1, 2]),
        ([0, 0.1, 1.0], [0.5, 0.6], [1, 2]),
        ([0], [-1, 0, 1], [0, 0, 0]),
        ([0, 1], [], []),
    ],
)
def test_nearest_frames(times: list[float], wanted: list[float], frames: list[int]) -> None:
    assert nearest_frames(np.array(times, float), np.array(wanted, float)).tolist() == frames
