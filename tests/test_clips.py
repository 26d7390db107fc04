"""Every frame of every kind of file, exactly: each carries its number in its pixels."""

from __future__ import annotations

import dataclasses
import pickle
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ava_detect.clips import VideoFile, VideoLibrary
from ava_detect.clips.source import read_frames
from ava_detect.video_index import scan_video
from ava_eval.errors import InputError

HEIGHT, WIDTH, BLOCK = 48, 64, 16
BITS = [(row, column) for row in range(2) for column in range(4)]
NUM_FRAMES = 60
FRAME_BYTES = HEIGHT * WIDTH * 3
X264 = {"bf": "3", "g": "12", "sc_threshold": "0"}
MPEG = {"bf": "2", "g": "12"}
CONSTANT = np.arange(NUM_FRAMES) / 30
UNEVEN = np.cumsum(np.random.default_rng(0).choice([0.01, 0.04, 0.2], NUM_FRAMES)).round(3)


def numbered(number: int) -> np.ndarray:
    """A picture of eight white or black blocks: the bits of the number."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit, (row, column) in enumerate(BITS):
        if number >> bit & 1:
            image[row * 24 : row * 24 + 24, column * BLOCK : (column + 1) * BLOCK] = 255
    return image


def number_of(image: np.ndarray) -> int:
    centres = [image[row * 24 + 12, column * BLOCK + 8].mean() for row, column in BITS]
    return sum((centre > 128) << bit for bit, centre in enumerate(centres))


def write_video(
    path: Path,
    times: np.ndarray = CONSTANT,
    codec: str = "libx264",
    options: dict[str, str] = X264,
    unit: Fraction = Fraction(1, 30),
    container_options: dict[str, str] | None = None,
    first: int = 0,
) -> Path:
    """Pictures numbered from ``first``, shown at ``times``, which are multiples of ``unit``."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=1 / unit, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = unit
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(first + number), format="rgb24")
            frame.pts, frame.time_base = round(time / unit), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


NTSC_FILM = Fraction(1001, 24000)
MILLISECOND = Fraction(1, 1000)


def read_all(video: VideoFile) -> np.ndarray:
    return read_frames(video, np.arange(len(video.times)))


KINDS = {
    "b_frames.mp4": {},
    "all_in_one_group.mp4": {"options": {"bf": "3", "g": "250"}},
    "open_groups.mp4": {"options": X264 | {"x264-params": "open-gop=1"}},
    "ten.mp4": {"times": np.arange(NUM_FRAMES) / 10, "unit": Fraction(1, 10)},
    "film.mkv": {"times": np.arange(NUM_FRAMES) * float(NTSC_FILM), "unit": NTSC_FILM},
    "uneven.mp4": {"times": UNEVEN, "unit": MILLISECOND},
    "uneven.mkv": {"times": UNEVEN, "unit": MILLISECOND},
    "late_start.mkv": {"times": 5 + UNEVEN, "unit": MILLISECOND},
    "h264.ts": {},
    "mpeg2.ts": {"codec": "mpeg2video", "options": MPEG},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": MPEG},
    "h264.flv": {},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": MPEG},
    "mjpeg.avi": {"codec": "mjpeg", "options": {}},
    "h264_without_stamps.avi": {},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of each kind, of ``NUM_FRAMES`` frames."""
    root = tmp_path_factory.mktemp("kinds")
    for name, settings in KINDS.items():
        write_video(root / name, **settings)
    return root


@pytest.mark.parametrize("name", KINDS)
def test_index_gives_the_time_of_each_frame(folder: Path, name: str) -> None:
    times = KINDS[name].get("times", CONSTANT)
    np.testing.assert_allclose(scan_video(folder / name).times, times - times[0], atol=1.1e-3)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_each_sought_frame_is_the_right_one(folder: Path, name: str, threads: int) -> None:
    video = VideoFile(folder / name, threads)
    whole = read_all(video)
    assert [number_of(frame) for frame in whole] == list(range(NUM_FRAMES))
    for number in np.random.default_rng(1).permutation(NUM_FRAMES)[:: threads * 2]:
        np.testing.assert_array_equal(read_frames(video, [number])[0], whole[number])
    unordered = [50, 3, 3, 59, 0, 20]
    np.testing.assert_array_equal(read_frames(video, unordered), whole[unordered])
    assert read_frames(video, []).shape == (0, HEIGHT, WIDTH, 3)
    with pytest.raises(IndexError):
        read_frames(video, [NUM_FRAMES])


@pytest.mark.parametrize("name", ["b_frames.mp4", "h264.ts"])
@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_seek_that_lands_elsewhere_still_gives_the_right_frame(
    folder: Path, name: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = VideoFile(folder / name)
    seeks = video.index.key_seeks
    elsewhere = dataclasses.replace(video.index, key_seeks=np.full_like(seeks, seeks[place]))
    monkeypatch.setattr(VideoFile, "index", elsewhere)
    wanted = [25, 59, 13]
    assert [number_of(read_frames(video, [number])[0]) for number in wanted] == wanted


def test_a_packet_without_a_picture_shows_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = VideoFile(folder / "vp8.webm")
    stamps = video.index.stamps
    hidden = stamps[[17, -1]] + 1
    free = np.zeros(NUM_FRAMES + 2, bool)
    index = dataclasses.replace(video.index, stamps=np.insert(stamps, [18, 60], hidden), free=free)
    monkeypatch.setattr(VideoFile, "index", index)
    assert [number_of(read_frames(video, [place])[0]) for place in (17, 18, 19)] == [17, 17, 18]
    assert [number_of(frame) for frame in read_frames(video, [18, 60, 61])] == [17, 59, 59]


def damage(path: Path, number: int, how: str) -> None:
    """Spoil the bytes of the ``number``-th packet, and leave the rest of the file as it is."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content, packet = path.read_bytes(), bytes(packets[number])
    half = len(packet) // 2
    spoilt = {
        "zeros": bytes(len(packet)),
        "bits": packet[:half] + bytes(byte ^ 255 for byte in packet[half:]),
    }[how]
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, spoilt))


@pytest.mark.parametrize("how", ["zeros", "bits"])
def test_no_picture_that_rests_on_a_damaged_one_is_shown(tmp_path: Path, how: str) -> None:
    options = {"bf": "2", "g": "250", "b-pyramid": "none"}
    path = write_video(tmp_path / "hurt.mp4", options=options)
    damage(path, 30, how)
    video = VideoFile(path)
    with av.open(str(path)) as container:
        shown = [packet.pts for packet in container.demux(video=0) if packet.size]
    hurt = int(np.searchsorted(video.index.stamps, shown[30]))
    assert [number_of(frame) for frame in read_frames(video, np.arange(20))] == list(range(20))
    outcomes = {}
    for number in range(hurt - 3, NUM_FRAMES):
        try:
            outcomes[number] = number_of(read_frames(video, np.array([number]))[0])
        except InputError as error:
            assert "cannot be" in str(error) or "Invalid data" in str(error)  # noqa: PT017
    assert all(outcome == number for number, outcome in outcomes.items())
    assert hurt not in outcomes
    assert not video.index.free[hurt]
    sound_again = video.index.keys[np.searchsorted(video.index.keys, hurt)]
    assert min(number for number in outcomes if number > hurt) >= sound_again


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("avi", "mjpeg")])
def test_colours_are_kept_in_both_ranges(tmp_path: Path, suffix: str, codec: str) -> None:
    color = (200, 60, 30)
    path = tmp_path / f"video.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        image = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    decoded = read_all(VideoFile(path))
    assert decoded.shape == (1, HEIGHT, WIDTH, 3)
    assert np.abs(decoded.astype(int) - color).max() <= 6


def test_a_video_that_is_stored_sideways_is_turned_upright(tmp_path: Path) -> None:
    """Telephones do that; annotations are made on the picture as it is shown."""
    path = write_video(tmp_path / "video.mp4", CONSTANT[:8])
    upright = read_all(VideoFile(path))
    content = path.read_bytes()
    one = 1 << 16
    unturned = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    track = content.index(b"tkhd")
    content = content[:track] + content[track:].replace(unturned, turned, 1)
    path.write_bytes(content)
    clockwise = np.rot90(upright, -1, axes=(1, 2))
    np.testing.assert_array_equal(read_all(VideoFile(path)), clockwise)


def truncated(tmp_path: Path, suffix: str, **settings) -> Path:
    path = write_video(tmp_path / f"cut{suffix}", **settings)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def audio_only(tmp_path: Path) -> Path:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def of_bytes(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: of_bytes(folder, b""),
        lambda folder: of_bytes(folder, b"not a video at all\n" * 50),
        lambda folder: folder / "missing.mp4",
        audio_only,
        lambda folder: truncated(folder, ".mp4"),
        lambda folder: truncated(folder, ".mp4", container_options={"movflags": "faststart"}),
        lambda folder: truncated(folder, ".mkv"),
        lambda folder: truncated(folder, ".flv"),
        lambda folder: truncated(folder, ".avi", codec="mpeg4", options=MPEG),
    ],
    ids=["empty", "text", "missing", "sound", "mp4", "faststart", "mkv", "flv", "avi"],
)
def test_what_is_no_whole_video_gives_one_clear_error(tmp_path: Path, make) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as raised:
        read_all(VideoFile(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


IDS = ["-5KQ66BBWC4", "_7oWZq_s_Sk", "a.b", "plain"]
FORMATS = [(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx"), (".avi", "mjpeg")]
VIDEO_BYTES = 10 * FRAME_BYTES


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of ten frames, and two files that are none."""
    root = tmp_path_factory.mktemp("videos")
    for place, video_id in enumerate(IDS):
        suffix, codec = FORMATS[place]
        write_video(root / (video_id + suffix), CONSTANT[:10], codec, {}, first=10 * place)
    (root / "notes.txt").write_text("no video")
    (root / ".half.mp4").write_text("a download that is not done")
    return root


def test_a_folder_lists_its_videos_by_id(videos: Path) -> None:
    folder = VideoLibrary(videos)
    assert folder.video_ids == sorted(IDS)
    assert folder.has("-5KQ66BBWC4")
    assert not folder.has("notes")
    assert not folder.has("../videos/plain")
    np.testing.assert_allclose(folder.frame_times("plain"), np.arange(10) / 30, atol=1e-3)


@pytest.mark.parametrize("cached_videos", [0, 1, 3.5, 10])
def test_the_cache_changes_no_frame_and_keeps_its_bounds(
    videos: Path, cached_videos: float
) -> None:
    plain = VideoLibrary(videos)
    cached = VideoLibrary(videos, cache_bytes=int(cached_videos * VIDEO_BYTES))
    wanted = np.array([3, 0, 0, 9, 1, 3])
    for place in np.random.default_rng(0).integers(0, 4, 40):
        frames = cached.read(IDS[place], wanted)
        numbers = [number_of(frame) - 10 * place for frame in frames]
        assert numbers == wanted.tolist()
        np.testing.assert_array_equal(frames, plain.read(IDS[place], wanted))
        frames[:] = 0  # the caller owns them
        assert sum(kept.nbytes for kept in cached._cache.values()) <= cached.cache_bytes


def test_a_full_cache_follows_reading_in_order_only(videos: Path) -> None:
    folder = VideoLibrary(videos, cache_bytes=2 * VIDEO_BYTES)
    for video_id in IDS:
        folder.read(video_id, np.zeros(1, int))
    assert list(folder._cache) == IDS[:2]
    folder.read(IDS[3], np.zeros(1, int))
    assert list(folder._cache) == [IDS[1], IDS[3]]


def test_preloading_fills_the_cache_while_videos_fit(videos: Path) -> None:
    folder = VideoLibrary(videos, cache_bytes=int(3.5 * VIDEO_BYTES))
    assert folder.preload([IDS[2], IDS[0], IDS[2]]) == 2
    assert folder.preload(IDS) == 1
    assert sorted(folder._cache) == sorted([IDS[0], IDS[1], IDS[2]])
    assert VideoLibrary(videos).preload(IDS) == 0
    with pytest.raises(InputError, match="absent"):
        folder.preload(["absent"])


def test_threads_and_pickled_copies_read_the_same(videos: Path) -> None:
    folder = VideoLibrary(videos, cache_bytes=2 * VIDEO_BYTES)
    folder.preload(IDS)
    copy = pickle.loads(pickle.dumps(folder))
    assert not copy._cache
    wanted = np.arange(10)

    def numbers(place: int) -> list[int]:
        source = (folder, copy)[place % 2]
        frames = source.read(IDS[place % 4], wanted)
        return [number_of(frame) - 10 * (place % 4) for frame in frames]

    with ThreadPoolExecutor(4) as pool:
        assert all(found == list(range(10)) for found in pool.map(numbers, range(24)))


def test_errors_name_the_id_and_the_folder(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent") as raised:
        VideoLibrary(videos).read("absent", np.zeros(1, int))
    assert str(videos) in str(raised.value)
    with pytest.raises(InputError, match="expected a folder"):
        VideoLibrary(tmp_path / "nowhere")
    (tmp_path / "one.mp4").touch()
    (tmp_path / "one.mkv").touch()
    with pytest.raises(InputError, match=r"one\.mkv and .*one\.mp4"):
        VideoLibrary(tmp_path).has("one")


def test_ids_are_paths_names_and_segments(videos: Path, tmp_path: Path) -> None:
    for name in ("plain.mkv", "deep/plain.mkv", "deep/ID_000012_000022.mkv", "other.d/x.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).hardlink_to(videos / "_7oWZq_s_Sk.mkv")
    (tmp_path / "deep" / "cover1.jpg").touch()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    library = VideoLibrary(tmp_path, start=900)
    assert library.video_ids == ["ID", "plain", "x"]
    starts = {
        "plain": 900,  # the one that is whole, not the bare name of another
        "plain.mkv": 900,
        "deep/plain": 900,
        "deep/plain.mkv": 900,
        "ID": 12,
        "ID_000012_000022": 900,
        "deep/ID_000012_000022.mkv": 900,
        "x": 900,
        "other.d/x": 900,
    }
    for video_id, start in starts.items():
        assert library.has(video_id), video_id
        assert library.start_of(video_id) == start
    assert library.path_of("plain") == tmp_path / "plain.mkv"
    for video_id in ("x.mp4", "deep", "../plain", "other.d", "/etc/passwd", ""):
        assert not library.has(video_id)


def test_the_cache_stays_within_its_bytes_while_it_reads(videos: Path) -> None:
    library = VideoLibrary(videos, cache_bytes=int(1.1 * VIDEO_BYTES))
    library.read("plain", np.zeros(1, int))
    tracemalloc.start()
    for _ in library.walk("plain", np.arange(10)):
        pass
    for _ in range(2):
        library.read("a.b", np.zeros(1, int))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(library._cache) == ["a.b"]
    assert peak < 1.3 * VIDEO_BYTES


@pytest.mark.parametrize(
    ("name", "shape", "fps"),
    [
        ("pedestrians/videos/vtest.avi", (795, 576, 768, 3), 10),
        ("videos/armwrestling_28fps.mp4", (280, 256, 340, 3), 28),
        ("videos/basketball_2997fps.mp4", (300, 240, 426, 3), 30000 / 1001),
    ],
)
def test_real_videos(shared_data: Path, name: str, shape: tuple, fps: float) -> None:
    video = VideoFile(shared_data / name)
    assert video.index.shape == shape
    np.testing.assert_allclose(video.times, np.arange(shape[0]) / fps, atol=1e-3)
    wanted = np.arange(200, 240)
    run = read_frames(video, wanted)
    for number in (239, 200, 221):
        np.testing.assert_array_equal(read_frames(video, [number])[0], run[number - 200])
