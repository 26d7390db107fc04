"""`ava-detect annotate` over files and streams of every kind, with a person detector of our own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from ava_detect.cli import main
from ava_detect.clips import VideoFile
from ava_detect.visualize.delays import Delays
from ava_detect.visualize.film_reader import FilmReader
from ava_detect.visualize.live import LatestQueue
from ava_detect.visualize.people import Labelled, draw_labelled
from ava_detect.visualize.plates import place_plates

RATE = 20
LABEL_MAP = pd.DataFrame({"action_id": [12, 14, 80], "name": ["stand", "walk", "watch (a person)"]})


class Blob:
    """Finds the white square that ``film`` shows."""

    name = "blob"

    def propose(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [self._people(image) for image in images]

    def _people(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = np.nonzero(image.min(axis=2) > 200)
        if not len(rows):
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return np.array([box], np.float32), np.array([0.9], np.float32)


class Scorer:
    """Gives everybody the same scores; what else ``Detector`` has is not asked for."""

    label_map = LABEL_MAP

    def predict(self, clip: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        assert clip.dtype == np.uint8
        assert clip.shape[0] == 16
        assert (boxes[:, 2] <= clip.shape[2]).all()
        return np.tile(np.array([0.9, 0.6, 0.1], np.float32), (len(boxes), 1))


@pytest.fixture(autouse=True)
def _quick_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ava_detect.commands.annotate.build_proposer", lambda config: Blob())
    monkeypatch.setattr("ava_detect.commands.annotate.open_detector", lambda config: Scorer())


def film(
    path: Path,
    times: np.ndarray,
    *,
    size: tuple[int, int] = (96, 128),
    sound: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A white square that walks to the right over grey noise, shown at ``times`` f64[N] s."""
    rng = np.random.default_rng(0)
    height, width = size
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "12"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p" if height % 2 == width % 2 == 0 else "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream(sound, rate=44100) if sound else None
        for number, moment in enumerate(times.tolist()):
            picture = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
            x = 8 + number % (width // 2)
            picture[height // 2 :, x : x + width // 5] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(moment * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
            if tone is not None:
                samples = 44100 // RATE
                wave = np.sin(np.arange(number * samples, (number + 1) * samples) / 20) * 8000
                heard = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
                heard.rate, heard.pts = 44100, number * samples
                container.mux(tone.encode(heard))
        container.mux(stream.encode(None))
        if tone is not None:
            container.mux(tone.encode(None))
    return path


def run(video: Path | str, output: Path, *words: str) -> dict:
    """The JSON of a run that must succeed."""
    assert (
        main(["annotate", str(video), "demo/ava", "weights=final.pt", "-o", str(output), *words])
        == 0
    )
    assert {path.name for path in output.parent.iterdir()} >= {output.name, f"{output.stem}.json"}
    assert not [path for path in output.parent.iterdir() if path.name.startswith(".")]
    return json.loads(output.with_suffix(".json").read_text())


def steady(count: int) -> np.ndarray:
    return np.arange(count) / RATE


def test_a_film(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    facts = run(film(tmp_path / "in.mp4", steady(60)), tmp_path / "out.mp4")
    (track,) = facts["tracks"]
    assert track["id"] == 1
    assert [round(seen["time"], 3) for seen in track["boxes"]] == [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        2.5,
        2.95,
    ]
    first, second = track["boxes"][:2]
    np.testing.assert_allclose(first["box"], [8 / 128, 0.5, 33 / 128, 1], atol=0.02)
    np.testing.assert_allclose(second["box"], [18 / 128, 0.5, 43 / 128, 1], atol=0.02)
    assert [action["name"] for action in first["actions"]] == ["stand", "walk", "watch"]
    assert first["actions"][0] == {"id": 12, "name": "stand", "score": 0.9}
    assert facts["video"]["frames"] == 60
    assert facts["video"]["problem"] is None
    told = capsys.readouterr()
    assert "60 frames" in told.out
    assert "warning" not in told.err
    out = VideoFile(tmp_path / "out.mp4")
    assert out.shape == (60, 96, 128, 3)
    np.testing.assert_allclose(out.times, steady(60), atol=1e-4)
    picture = next(out.walk(np.array([0])))
    red = (picture[:, :, 0].astype(int) - picture[:, :, 1] > 60).mean()
    assert red > 0.05  # the box and the plate of the first colour


@pytest.mark.parametrize(("count", "size"), [(1, (96, 128)), (30, (121, 161)), (1, (63, 33))])
def test_one_frame_and_odd_sizes(tmp_path: Path, count: int, size: tuple[int, int]) -> None:
    facts = run(film(tmp_path / "in.mp4", steady(count), size=size), tmp_path / "out.mp4")
    assert (facts["video"]["height"], facts["video"]["width"]) == size
    assert len(facts["tracks"]) == 1
    height, width = (side + side % 2 for side in size)
    assert VideoFile(tmp_path / "out.mp4").shape == (count, height, width, 3)


def test_a_variable_rate_is_kept(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(1).integers(10, 300, 40)) / 1000
    times -= times[0]
    run(film(tmp_path / "in.mp4", times), tmp_path / "out.mp4")
    np.testing.assert_allclose(VideoFile(tmp_path / "out.mp4").times, times, atol=1e-4)


@pytest.mark.parametrize("name", ["in.mp4", "in.ts", "in.mkv"])
def test_the_sound_is_kept(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / name, steady(60), sound="aac")
    facts = run(source, tmp_path / "out.mp4")
    assert facts["video"]["sound"] is True
    (start, packets), (before, expected) = (_sound(p) for p in (tmp_path / "out.mp4", source))
    header = 7 if name == "in.ts" else 0  # of each packet, which mp4 keeps once
    assert packets == [packet[header:] for packet in expected]
    assert start == pytest.approx(before, abs=0.002)


def _sound(path: Path) -> tuple[float, list[bytes]]:
    """When the sound starts, in seconds after the pictures, and its packets."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.audio[0]) if p.size]
        start = float(packets[0].pts * packets[0].time_base)
        content = [bytes(packet) for packet in packets]
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return start - float(frame.pts * frame.time_base), content


def test_sound_that_no_mp4_holds_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = film(tmp_path / "in.mkv", steady(10), sound="pcm_s16le")
    assert run(source, tmp_path / "out.mp4")["video"]["sound"] is False
    assert "its sound (pcm_s16le) is left out" in caplog.text


def test_a_truncated_film_is_annotated_as_far_as_it_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = film(tmp_path / "a.mp4", steady(60), sound="aac", options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    facts = run(cut, tmp_path / "out.mp4")
    assert 20 < facts["video"]["frames"] < 50
    assert "it ends after" in facts["video"]["problem"]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"{cut}: it ends after" in warning
    assert warning.endswith(f"{facts['video']['frames']} frames of it were annotated")
    assert len(VideoFile(tmp_path / "out.mp4").times) == facts["video"]["frames"]


def test_a_broadcast_that_breaks_off_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = film(tmp_path / "a.ts", steady(60))
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert 20 < run(whole, tmp_path / "out.mp4")["video"]["frames"] < 50
    assert "1 damaged part was passed by" in caplog.text


def test_damage_in_the_middle_is_passed_by(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = film(tmp_path / "a.mp4", steady(60))
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = b"\7" * 3000
    whole.write_bytes(content)
    facts = run(whole, tmp_path / "out.mp4")
    assert 40 < facts["video"]["frames"] <= 60
    assert "damaged" in caplog.text


@pytest.mark.parametrize(
    ("video", "output", "expected"),
    [
        ("missing.mp4", "out.mp4", "missing.mp4"),
        ("text.mp4", "out.mp4", "text.mp4: expected a video"),
        ("cut.mp4", "out.mp4", "cut.mp4: expected a video"),
        ("sound.mp4", "out.mp4", "no stream of pictures"),
        ("in.mp4", "out.txt", "ends in .mp4"),
        ("in.mp4", "in.mp4", "is the video itself"),
        ("file:///missing.mp4", "out.mp4", "file:///missing.mp4"),
        ("7", "out.mp4", "no camera 7"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture, video: str, output: str, expected: str
) -> None:
    whole = film(tmp_path / "in.mp4", steady(20)).read_bytes()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=44100)
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.int16), "s16", "mono")
        heard.rate = 44100
        container.mux(tone.encode(heard))
        container.mux(tone.encode(None))
    given = str(tmp_path / video) if video.endswith(".mp4") and "://" not in video else video
    before = set(tmp_path.iterdir())
    assert (
        main(["annotate", given, "demo/ava", "weights=final.pt", "-o", str(tmp_path / output)]) == 2
    )
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    assert set(tmp_path.iterdir()) == before


def test_seconds_end_a_film_early(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", steady(60), sound="aac")
    facts = run(source, tmp_path / "out.mp4", "--seconds", "1")
    assert facts["video"]["frames"] == 20
    assert facts["video"]["problem"] is None


def test_frames_come_as_by_the_index(tmp_path: Path) -> None:
    """The one-pass reader shows what the indexed one does, frames stored out of order included."""
    for name in ("a.mp4", "a.avi", "a.mkv", "a.ts"):
        path = film(tmp_path / name, steady(30))
        with FilmReader(path) as reader:
            shots = [(shot.time, shot.pixels().copy()) for shot in reader.shots()]
        video = VideoFile(path)
        np.testing.assert_allclose([moment for moment, _ in shots], steady(30), atol=1e-6)
        for (_, picture), expected in zip(shots, video.walk(np.arange(30)), strict=True):
            np.testing.assert_array_equal(picture, expected)


def test_a_stream_is_annotated_with_its_latency(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = film(tmp_path / "in.mp4", steady(30))
    facts = run(f"file://{source}", tmp_path / "out.mp4")
    assert facts["video"]["frames"] + facts["video"]["dropped"] == facts["video"]["captured"] == 30
    assert 0 < facts["video"]["latency"]["median"] <= facts["video"]["latency"]["p95"] < 10
    assert "from capture to drawn" in capsys.readouterr().out
    times = VideoFile(tmp_path / "out.mp4").times
    assert times[-1] == pytest.approx(29 / RATE, abs=0.5)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("by", ["interrupt", "seconds"])
def test_a_stream_ends_when_told(tmp_path: Path, by: str) -> None:
    source = film(tmp_path / "in.mp4", steady(100))
    words = ["--seconds", "0.4"] if by == "seconds" else []
    if by == "interrupt":
        ending = threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGINT))
        ending.start()
    start = time.perf_counter()
    facts = run(f"file://{source}", tmp_path / "out.mp4", *words)
    assert time.perf_counter() - start < 10
    assert 0 < facts["video"]["frames"] < 60
    assert len(VideoFile(tmp_path / "out.mp4").times) == facts["video"]["frames"]


def test_a_full_queue_drops_the_oldest() -> None:
    queue: LatestQueue[int] = LatestQueue(5)
    for number in range(12):
        queue.put(number)
    assert queue.take() == [7, 8, 9, 10, 11]
    assert queue.dropped == 7
    queue.put(12)
    queue.close()
    assert queue.take() == [12]
    assert queue.take() == []


def test_delays_are_quantiles() -> None:
    delays = Delays()
    for milliseconds in range(1, 1001):
        delays.add(milliseconds / 1000)
    assert delays.facts() == {
        "median": pytest.approx(0.5, abs=0.006),
        "p95": pytest.approx(0.95, abs=0.006),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 10, 60, 150])
def test_plates_never_overlap_while_there_is_room(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = 640, 480
    corners = rng.integers(0, [width - 40, height - 80], (count, 2))
    boxes = np.concatenate([corners, corners + rng.integers(10, 80, (count, 2))], axis=1)
    forms = [[(90, 50), (90, 34), (90, 18), (26, 18)]] * count  # 150 of the last fill 23 %
    placed = place_plates(boxes, forms, (width, height))
    for form, plate in placed:
        assert (plate[2] - plate[0], plate[3] - plate[1]) == forms[0][form]
        assert (plate[:2] >= 0).all()
        assert (plate[2:] <= (width, height)).all()
    for (_, a), (_, b) in combinations(placed, 2):
        assert (np.minimum(a[2:], b[2:]) <= np.maximum(a[:2], b[:2])).any()


def test_a_plate_is_above_its_box_else_below() -> None:
    size = [[(50, 20)]]
    for box, expected in {
        (100, 100, 150, 200): [100, 80, 150, 100],
        (100, 10, 150, 200): [100, 200, 150, 220],
        (300, 100, 320, 200): [270, 80, 320, 100],  # moved into the frame
        (0, 0, 320, 240): [0, 0, 50, 20],
    }.items():
        ((_, plate),) = place_plates(np.array([box]), size, (320, 240))
        assert plate.tolist() == expected


def test_no_room_at_all_is_no_error() -> None:
    boxes = np.tile([0, 0, 20, 20], (30, 1))
    placed = place_plates(boxes, [[(40, 20), (200, 100)]] * 30, (60, 30))
    assert len(placed) == 30
    assert len(place_plates(boxes[:1], [[(200, 100)]], (60, 30))) == 1


@pytest.mark.parametrize("size", [(120, 160), (16, 16), (720, 1280)])
def test_a_crowd_is_drawn_on_any_frame(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = np.full((*size, 3), 128, np.uint8)
    corners = rng.uniform(-0.1, 0.9, (60, 2))
    boxes = np.concatenate([corners, corners + 0.1], axis=1)
    people = [Labelled(n + 1, box, ("stand 0.93", "walk 0.5")) for n, box in enumerate(boxes)]
    draw_labelled(image, [*people, Labelled(61, boxes[0], ())])
    assert (image != 128).any()
