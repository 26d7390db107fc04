"""From timestamps to seconds of the file, to frames."""

import numpy as np
import pytest

from ava_detect.timebase import AVA, Timebase, nearest_frames


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
    times = AVA.clip_times(902, num_frames, sampling_rate)
    frames = nearest_frames(np.arange(27030) / 30, times)
    assert frames.tolist() == [60 + offset for offset in offsets]
    assert times[num_frames // 2] == pytest.approx(2.0)


def test_a_clip_counts_in_the_nominal_rate_whatever_that_of_the_file() -> None:
    times = Timebase(start=-0.5, fps=20).clip_times(1.0, 4, 4)
    np.testing.assert_allclose(times, [1.1, 1.3, 1.5, 1.7])
    assert nearest_frames(np.arange(100) / 10, times).tolist() == [11, 13, 15, 17]


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
