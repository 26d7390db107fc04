"""Keyframes from a folder of videos: the right frame, whatever the container."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ava_eval.errors import InputError
from ava_eval.report.pictures import VideoFolder
from tests.painted import number_of, write_painted

CODECS = {
    ".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264", ".webm": "libvpx", ".flv": "libx264",
    ".ts": "libx264", ".avi": "mpeg4", ".mpg": "mpeg2video",
}  # fmt: skip


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_every_frame_by_its_time(tmp_path: Path, suffix: str, b_frames: str) -> None:
    options = {} if suffix == ".webm" else {"bf": b_frames}
    path = tmp_path / f"v{suffix}"
    write_painted(path, np.arange(60) / 25, Fraction(1, 25), codec=CODECS[suffix], options=options)
    folder = VideoFolder(tmp_path, start=100.0)
    wanted = [0, 1, 5, 17, 18, 40, 41, 59]
    shown = folder("v", [100 + number / 25 for number in wanted])
    assert [number_of(frame) for frame in shown] == wanted


@pytest.mark.parametrize("begins", [0, 7])
def test_frames_of_uneven_length(tmp_path: Path, begins: int) -> None:
    numbers = np.arange(60)
    times = (numbers + (numbers > 30) * 20 + begins) / 10  # a long frame in the middle
    write_painted(tmp_path / "v.mp4", times, Fraction(1, 10))
    folder = VideoFolder(tmp_path, start=100.0)
    moments = [99.0, 100.0, 100.1, 102.96, 104.0, 105.2, 107.9, 200.0, 1e17, 1e300]
    told = [one if isinstance(one, InputError) else number_of(one) for one in folder("v", moments)]
    assert told[1:7] == [0, 1, 30, 30, 32, 59]
    assert all(isinstance(told[place], InputError) for place in (0, 7, 8, 9))
    assert "--start" in str(told[0])


@pytest.mark.parametrize("suffix", [".avi", ".ts", ".mkv"])
def test_a_file_that_breaks_off(tmp_path: Path, suffix: str) -> None:
    """Each moment has an answer, whether the rest of the file is missing or damaged."""
    path = tmp_path / f"v{suffix}"
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    write_painted(path, np.arange(200) / 10, Fraction(1, 10), codec=codec, options={"g": "10"})
    whole = path.read_bytes()
    moments = [0.5, 2.0, 18.0, 19.5]
    for damaged in (whole[: len(whole) // 2], whole[: len(whole) // 2] + b"\xff" * 5000):
        path.write_bytes(damaged)
        answers = list(VideoFolder(tmp_path)("v", moments))
        assert len(answers) == len(moments)
        assert [number_of(frame) for frame in answers[:2]] == [5, 20]
        assert isinstance(answers[-1], InputError)


def test_a_failure_on_the_way_is_told_once_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(path: Path, moments: list[float]):
        yield np.zeros((2, 2, 3), np.uint8)
        raise InputError("broken")

    monkeypatch.setattr("ava_eval.report.pictures.frames_at", breaks)
    (tmp_path / "v.mp4").touch()
    first, *others = VideoFolder(tmp_path)("v", [0.0, 1.0, 2.0])
    assert first.shape == (2, 2, 3)
    assert [str(one) for one in others] == ["broken", "broken"]


def test_ids_choose_among_files(tmp_path: Path) -> None:
    for place, first in (("a/b.mp4", 10), ("b.mp4", 20), ("a/c.mp4", 30), ("d/c.mp4", 40)):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        write_painted(tmp_path / place, np.arange(5) / 5, Fraction(1, 5), first=first)
    (tmp_path / "e.mp4").write_bytes(b"no video")
    folder = VideoFolder(tmp_path)
    for name, number in (("b", 20), ("b.mp4", 20), ("a/b", 10), ("a/c.mp4", 30), ("d/c", 40)):
        (frame,) = folder(name, [0.0])
        assert number_of(frame) == number
    for name, told in (("c", "got .*a/c.mp4 and"), ("../b", "got none"), ("e", "as a video")):
        first, second = folder(name, [0.0, 0.2])
        assert re.search(told, str(first))
        assert isinstance(second, InputError)
