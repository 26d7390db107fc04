"""The frames of each clip are the right ones, whatever the file, in every way of reading."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from ava_detect.clips import VideoFile, VideoLibrary
from ava_detect.clips.frame_list import read_frame_list
from ava_detect.data.ava import KeyframeSampling
from ava_detect.data.dataset import ClipDataset
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.loaders import ClipLoader
from ava_detect.data.transforms import EvalTransform, TrainTransform
from ava_detect.data.walk import WalkedClips
from ava_detect.prepare import CopySettings, Wanted, prepare_video
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError
from tests.painted import number_of, painted, write_painted

NUM_FRAMES = 240
START = 900.0
SIZE = (48, 64)
SAMPLING = KeyframeSampling(Timebase(fps=30.0), num_frames=8, sampling_rate=2)
MILLISECOND = Fraction(1, 1000)
LONG_GROUPS = {"g": "250", "bf": "3"}
SHORT_GROUPS = {"g": "12", "bf": "3", "sc_threshold": "0"}
UNEVEN = np.cumsum(np.random.default_rng(0).choice([0.01, 0.04, 0.2], NUM_FRAMES)).round(3)


def constant(rate: Fraction | int) -> dict:
    unit = 1 / Fraction(rate)
    return {"times": np.arange(NUM_FRAMES) * float(unit), "unit": unit}


FILES: dict[str, dict] = {
    "23.976.mp4": constant(Fraction(24000, 1001)),
    "25.mkv": constant(25),
    "29.97.mp4": constant(Fraction(30000, 1001)),
    "30.mp4": constant(30),
    "10.mp4": constant(10),
    "variable.mp4": {"times": UNEVEN, "unit": MILLISECOND},
    "variable.mkv": {"times": UNEVEN, "unit": MILLISECOND, "options": SHORT_GROUPS},
    "long_groups.mp4": constant(30) | {"options": LONG_GROUPS},
    "late_start.mkv": {"times": 5 + UNEVEN, "unit": MILLISECOND},
    "transport.ts": constant(30) | {"options": SHORT_GROUPS},
    "odd.mkv": constant(30) | {"size": (51, 67), "pixel_format": "yuv444p"},
    "vp9.webm": constant(25) | {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}},
    "mpeg4.avi": constant(25) | {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "edit_list.mp4": constant(30) | {"options": SHORT_GROUPS},
    "turned.mp4": constant(30),
}
CUT = 30
"""Frames that the edit list of the file hides; decoding has to begin before they end."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of each kind."""
    root = tmp_path_factory.mktemp("kinds")
    for name, settings in FILES.items():
        path = write_painted(root / name, **{"options": LONG_GROUPS, "size": SIZE, **settings})
        if name == "edit_list.mp4":
            hide_first_second(path)
        if name == "turned.mp4":
            turn(path)
    return root


def hide_first_second(path: Path) -> None:
    """Let the file's edit list begin a second later."""
    content = path.read_bytes()
    place = content.index(b"elst")
    entries, duration, media_time = struct.unpack(">3i", content[place + 8 : place + 20])
    assert entries == 1
    scale = struct.unpack(">i", content[content.index(b"mdhd") + 16 :][:4])[0]
    changed = struct.pack(">3i", 1, duration - 1000, media_time + scale)
    path.write_bytes(content[: place + 8] + changed + content[place + 20 :])


def turn(path: Path) -> None:
    """Say in the file that it is to be shown turned by 90 degrees."""
    content, one = path.read_bytes(), 1 << 16
    plain = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, one, 0, -one, 0, 0, SIZE[0] * one, 0, 1 << 30)
    track = content.index(b"tkhd")
    path.write_bytes(content[:track] + content[track:].replace(plain, turned, 1))


def shown(name: str) -> tuple[np.ndarray, int]:
    """When the frames of a file are shown, in the tables' seconds, and the number of the first."""
    times, first = FILES[name]["times"], CUT if name == "edit_list.mp4" else 0
    return times[first:] - times[first] + START, first


def keyframes_of(name: str) -> list[Keyframe]:
    """Twelve moments of a video, one of them at each end, in no rhythm."""
    times, _ = shown(name)
    moments = np.linspace(times[0], times[-1], 12).round(2)
    moments[-1] = times[-1]
    return [
        Keyframe(Path(name).stem, float(moment), np.array([row]), np.array([[0, 0, 1, 1.0]]), None)
        for row, moment in enumerate(moments)
    ]


def expected(name: str, timestamp: float) -> list[set[int]]:
    """The painted numbers a clip may show, by looking at every frame for every moment."""
    times, first = shown(name)
    wanted = timestamp + (np.arange(8) - 4) * 2 / 30
    far = np.abs(times[None] - wanted[:, None])
    near = far <= far.min(axis=1, keepdims=True) + 2.1e-3  # files keep milliseconds
    assert near.sum(axis=1).max() <= 2
    return [set((np.flatnonzero(row) + first).tolist()) for row in near]


def upright(name: str, frame: np.ndarray) -> np.ndarray:
    """The frame as it was painted."""
    return np.rot90(frame) if name == "turned.mp4" else frame


def require_exact(name: str, source: VideoLibrary) -> None:
    """Reading at random and a walk give the right frames; in training they are the same."""
    keyframes = keyframes_of(name)
    plain = ClipDataset(keyframes, source, SAMPLING, EvalTransform(None))
    whole = source.video(Path(name).stem).shape[1:3]
    training = ClipDataset(keyframes, source, SAMPLING, TrainTransform(None, whole, flip=0))
    walk = ClipLoader(WalkedClips(keyframes, source, SAMPLING, EvalTransform(None), 4))
    walked = [clip.numpy() for batch in walk for clip in batch.frames]
    for place in np.random.default_rng(1).permutation(len(keyframes)):
        clip = plain[place, 0].frames.numpy()
        found = [number_of(upright(name, frame)) for frame in clip]
        for number, right in zip(found, expected(name, keyframes[place].timestamp), strict=True):
            assert number in right
        np.testing.assert_array_equal(walked[place], clip)
        np.testing.assert_array_equal(training[place, 7].frames.numpy(), clip)


@pytest.mark.parametrize("name", FILES)
def test_the_original(folder: Path, name: str) -> None:
    require_exact(name, VideoLibrary(one(folder, name), start=START))


@pytest.mark.parametrize("name", FILES)
def test_the_original_in_memory(folder: Path, name: str) -> None:
    require_exact(name, VideoLibrary(one(folder, name), start=START, cache_bytes=10**9))


@pytest.mark.parametrize("kind", ["video", "frames"])
@pytest.mark.parametrize("name", FILES)
def test_after_prepare(folder: Path, name: str, kind: str, tmp_path: Path) -> None:
    """Copies have only the frames that are needed, and tell times and numbers of the original."""
    video = VideoFile(folder / name)
    timestamps = np.array([keyframe.timestamp for keyframe in keyframes_of(name)])
    wanted = Wanted(timestamps - START, SAMPLING.timebase, 8, 2).frames("v", video.times)
    assert len(wanted) < len(video.times)
    settings = CopySettings(kind, short_side=32)
    prepare_video(video, wanted, settings.target(tmp_path, Path(name).stem), settings)
    copies = VideoLibrary(tmp_path, start=START)
    require_exact(name, copies)
    np.testing.assert_array_equal(copies.frame_times(Path(name).stem), video.times + START)
    missing = np.setdiff1d(np.arange(len(video.times)), wanted)[:1]
    with pytest.raises(InputError, match=f"frame {missing[0]} of the original is not in this"):
        copies.read(Path(name).stem, missing)


def one(folder: Path, name: str) -> Path:
    """A folder with that file alone: some differ in their suffixes only."""
    alone = folder / f"only_{name}"
    alone.mkdir(exist_ok=True)
    (alone / name).unlink(missing_ok=True)
    (alone / name).hardlink_to(folder / name)
    return alone


NAMES = {
    "pyslowfast": "v_{:06d}.png",
    "mmaction2": "img_{:05d}.png",
    "plain": "{:d}.png",
}


@pytest.fixture(scope="module")
def extracted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames of a video in folders of each tool's names, and as PySlowFast's list."""
    root = tmp_path_factory.mktemp("extracted")
    video = VideoFile(folder / "30.mp4")
    lines = ["original_vido_id video_id frame_id path labels"]
    for number, frame in enumerate(video.walk(np.arange(NUM_FRAMES))):
        for tool, pattern in NAMES.items():
            path = root / tool / "v" / pattern.format(number + 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        lines.append(f'v 7 {number} v/{NAMES["pyslowfast"].format(number + 1)} ""')
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return root


def sources(folder: Path, extracted: Path) -> dict[str, VideoLibrary]:
    (folder / "v").mkdir(exist_ok=True)
    (folder / "v" / "v.mp4").unlink(missing_ok=True)
    (folder / "v" / "v.mp4").hardlink_to(folder / "30.mp4")
    listed = read_frame_list(extracted / "list.csv", extracted / "pyslowfast", fps=30)
    return {
        "video": VideoLibrary(folder / "v", start=START),
        **{tool: VideoLibrary(extracted / tool, start=START) for tool in NAMES},
        "list": VideoLibrary(listed=listed, start=START),
    }


def test_all_sources_show_the_same_pixels_at_the_same_second(folder: Path, extracted: Path) -> None:
    moments = [Keyframe("v", START + t, np.arange(1), np.zeros((1, 4)), None) for t in (0, 2, 4.5)]
    clips = {
        name: [
            ClipDataset(moments, source, SAMPLING, EvalTransform(None))[place, 0].frames.numpy()
            for place in range(3)
        ]
        for name, source in sources(folder, extracted).items()
    }
    assert number_of(clips["video"][1][4]) == 60
    for name, found in clips.items():
        np.testing.assert_array_equal(found, clips["video"], err_msg=name)
    # mmaction2 itself reads img_00062 at second 902; a setting reads as it does.
    as_it_does = KeyframeSampling(Timebase(fps=30.0, shift=1), 8, 2)
    source = VideoLibrary(extracted / "mmaction2", start=START)
    clip = ClipDataset(moments, source, as_it_does, EvalTransform(None))[1, 0].frames.numpy()
    np.testing.assert_array_equal(
        clip[4], cv2.imread(str(extracted / "mmaction2/v/img_00062.png"))[..., ::-1]
    )


def test_a_missing_image_shifts_no_other(extracted: Path, tmp_path: Path) -> None:
    for path in sorted((extracted / "mmaction2" / "v").iterdir()):
        if path.name not in ("img_00001.png", "img_00050.png"):
            (tmp_path / "v").mkdir(exist_ok=True)
            (tmp_path / "v" / path.name).hardlink_to(path)
    source = VideoLibrary(tmp_path, start=START)
    times = source.frame_times("v")
    assert len(times) == NUM_FRAMES - 2
    assert times[0] == pytest.approx(START + 1 / 30)
    frame = SAMPLING.timebase.clip_frames(902, times, 1, 0)
    assert number_of(source.read("v", frame)[0]) == 60
    lines = (extracted / "list.csv").read_text().splitlines()
    (tmp_path / "list.csv").write_text("\n".join(lines[:5] + lines[6:]) + "\n")
    listed = read_frame_list(tmp_path / "list.csv", extracted / "pyslowfast", fps=30)
    assert number_of(next(listed["v"].walk(np.array([59])))) == 60


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('v 7 3 ../../etc/passwd.jpg ""', r":3: column path: expected a path within"),
        ('v 7 3 /etc/passwd.jpg ""', r":3: column path: expected a path within"),
        ('../v 7 3 v/1.jpg ""', r"column original_vido_id: expected an id without"),
        ("v 7 3 a b.jpg x y", r":3: expected 5 columns"),
        ('v 7 x v/1.jpg ""', r":3: column frame_id: expected a number"),
        ('v 7 0 v/1.jpg ""', r":3: column frame_id: expected each frame once"),
    ],
)
def test_a_bad_frame_list_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f'original_vido_id video_id frame_id path labels\nv 7 0 v/0.jpg ""\n{line}\n')
    with pytest.raises(InputError, match=message):
        read_frame_list(path, tmp_path, fps=30)


def test_painted_numbers_are_read_back() -> None:
    for number in range(256):
        for size in ((48, 64), (51, 67), (32, 42)):
            assert number_of(painted(number, *size)) == number
