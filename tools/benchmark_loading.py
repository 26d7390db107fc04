"""Time reading clips beside PySlowFast's ``Ava`` data set, on the same content.

    python tools/benchmark_loading.py --pyslowfast DIR [--video FILE] [--workers 0 2] [--json FILE]

Some videos of 64 s, 640x360, 30 frames a second (H.264 by x264's medium preset: a key frame every
250 frames, B-frames), each with 60 keyframes of AVA's seconds, are read as both sides read them:
PySlowFast from JPEG frames of ``ffmpeg -q:v 1``, we from the videos themselves and from what
``ava-detect prepare`` makes of them. Clips are 32 frames, every second one; evaluation walks
through them in order (short side 256), training reads them at random (short side 256 to 320, crop
224). PySlowFast gives normalised float32, we give bytes, which are normalised on the device:
``+ normalised`` does that here, on the CPU, in the main process.

Before timing, both sides' pictures of a few clips are compared. Variants are interleaved; the table
has medians of wall time, their spread, and processor time (of all processes, which other programs
disturb less). Starting the workers is part of it; OpenCV's threads are as each side leaves them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import pandas as pd
import torch
from peer_loading import SHORT_SIDE, PeerClips, extract_frames, peer_clips
from torch import nn

from ava_detect.assemble import decoder_threads
from ava_detect.clips import VideoFile, VideoLibrary
from ava_detect.data.ava import KeyframeSampling
from ava_detect.data.dataset import ClipDataset
from ava_detect.data.keyframes import Keyframe, training_keyframes
from ava_detect.data.loaders import ClipLoader, TrainBatches
from ava_detect.data.transforms import EvalTransform, TrainTransform
from ava_detect.data.walk import WalkedClips
from ava_detect.models.network import ActionDetector
from ava_detect.prepare import CopySettings, Job, Wanted, num_bytes
from ava_detect.synthetic.scene import Scene
from ava_detect.timebase import Timebase
from ava_detect.video_index import scan_video

FPS, WIDTH, HEIGHT = 30, 640, 360
FIRST, SECONDS, KEYFRAMES = 900, 64, 60  # the time of the first frame; keyframes from FIRST + 2
SAMPLING = KeyframeSampling(Timebase(FPS), num_frames=32, sampling_rate=2)
PEOPLE = [(0.1, 0.2, 0.4, 0.9), (0.45, 0.1, 0.7, 0.8), (0.6, 0.3, 0.95, 1.0)]
SAME = 5.0  # grey levels between a JPEG image and the frame it was made of, on average
COPIES = {
    "prepared": CopySettings(),
    "prepared, JPEG": CopySettings(kind="frames"),
}


def make_video(path: Path, source: Path | None) -> None:
    """Write a video that repeats the ``source`` forth and back, or a scene of the demo world."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = 250
        pictures = _real(source) if source else _synthetic()
        for pixels in islice(pictures, SECONDS * FPS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode())


def _real(source: Path) -> Iterator[np.ndarray]:
    with av.open(str(source)) as container:
        decoded = islice(container.decode(video=0), SECONDS * FPS)
        frames = [
            cv2.resize(frame.to_ndarray(format="bgr24"), (WIDTH, HEIGHT)) for frame in decoded
        ]
    return cycle(frames + frames[-2:0:-1])


def _synthetic() -> Iterator[np.ndarray]:
    scene = Scene.draw(np.random.default_rng(0), SECONDS, FPS, cast=3, has_empty_shot=False)
    for number in range(SECONDS * FPS):
        yield cv2.resize(scene.render(number)[15:105], (WIDTH, HEIGHT))


def make_annotations(video_ids: list[str]) -> pd.DataFrame:
    """``Annotations``: three people with two actions each at every keyframe."""
    rows = [
        (video_id, float(FIRST + 2 + second), *box, action, person)
        for video_id in video_ids
        for second in range(KEYFRAMES)
        for person, box in enumerate(PEOPLE)
        for action in (12, 80)
    ]
    columns = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
    return pd.DataFrame(rows, columns=columns)


def make_copies(videos: Path, target: Path, keyframes: list[Keyframe], how: CopySettings) -> None:
    """What ``ava-detect prepare`` makes of the videos in a folder."""
    for video in sorted(videos.iterdir()):
        times = np.array([k.timestamp for k in keyframes if k.video_id == video.stem])
        wanted = Wanted(
            times - FIRST, SAMPLING.timebase, SAMPLING.num_frames, SAMPLING.sampling_rate
        )
        Job(video.stem, VideoFile(video), wanted, how.target(target, video.stem), how).run()


class Ours(NamedTuple):
    """Our readers of one set of keyframes."""

    keyframes: list[Keyframe]
    batch_size: int
    normalise: Callable[[torch.Tensor], torch.Tensor]

    def walk(self, source: VideoLibrary, normalised: bool, workers: int) -> int:
        """Read all clips in order; returns how many."""
        clips = WalkedClips(
            self.keyframes, source, SAMPLING, EvalTransform(SHORT_SIDE), self.batch_size
        )
        return self._read(ClipLoader(clips, workers=workers), normalised)

    def train(self, source: VideoLibrary, normalised: bool, workers: int) -> int:
        """Read all clips in a random order; returns how many."""
        clips = ClipDataset(self.keyframes, source, SAMPLING, TrainTransform())
        batches = TrainBatches(
            len(clips), self.batch_size, 0, 0, len(self.keyframes) // self.batch_size
        )
        return self._read(ClipLoader(clips, batches, workers), normalised)

    def _read(self, loader: ClipLoader, normalised: bool) -> int:
        number = 0
        for batch in loader:
            number += len(batch.frames)
            if normalised:
                self.normalise(batch.frames)
        return number


@dataclass
class Variant:
    """One way to read, and what it took: seconds a window of each repeat."""

    name: str
    read: Callable[[int], int]  # with so many workers; returns how many windows it read
    peer: Variant | None = None  # what it is measured by
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, workers: int) -> None:
        """Read once."""
        start, used = time.perf_counter(), _processor_seconds()
        windows = self.read(workers)
        self.wall.append((time.perf_counter() - start) / windows)
        self.processor.append((_processor_seconds() - used) / windows)

    def row(self) -> str:
        """Its line of the table."""
        milliseconds = [1000 * value for value in self.wall]
        median = statistics.median(self.wall)
        spread = f"{min(milliseconds):.1f}-{max(milliseconds):.1f}"
        text = f"{self.name:<38}{1000 * median:>8.1f}{spread:>14}{1 / median:>11.1f}"
        text += f"{1000 * statistics.median(self.processor):>11.1f}"
        if self.peer:
            text += f"{statistics.median(self.peer.wall) / median:>8.2f}"
            cost = statistics.median(self.processor)
            text += f"{statistics.median(self.peer.processor) / cost:>11.2f}"
        return text


def _processor_seconds() -> float:
    """Of this process and of its workers that have ended."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def make_variants(ours: Ours, peer: PeerClips, sources: dict[str, VideoLibrary]) -> list[Variant]:
    """Evaluation, then training; the peer first."""
    windows = len(ours.keyframes)

    def read_peer(training: bool, workers: int) -> int:
        order = np.arange(windows)
        if training:
            np.random.default_rng(0).shuffle(order)
        data = peer.train if training else peer.test
        for _ in peer.items(data, order.tolist(), workers, ours.batch_size):
            pass
        return windows

    variants = []
    for training, name, read in ((False, "test", ours.walk), (True, "train", ours.train)):
        theirs = Variant(f"PySlowFast, {name}", partial(read_peer, training))
        variants.append(theirs)
        for kind, source in sources.items():
            for more, end in ((False, ""), (True, " + normalised")):
                ways = partial(read, source, more)
                variants.append(Variant(f"{read.__name__}, {kind}{end}", ways, theirs))
    return variants


def compare_content(ours: Ours, peer: PeerClips, sources: dict[str, VideoLibrary]) -> None:
    """Print how far the same clips are apart; SystemExit where it is too far to be the same."""
    for name, source in sources.items():
        clips = ClipDataset(ours.keyframes, source, SAMPLING, EvalTransform(SHORT_SIDE))
        middle, worst = 0.0, 0.0
        for index in np.linspace(0, len(clips) - 1, 4).astype(int).tolist():
            theirs, mine = peer.pictures(index), clips[index, 0].frames.numpy()
            size = theirs.shape[2], theirs.shape[1]  # (a copy's even sides may cost a pixel)
            same = np.stack([cv2.resize(frame, size) for frame in mine])
            far = np.abs(theirs - same).mean(axis=(1, 2, 3))
            middle, worst = max(middle, far[len(far) // 2]), max(worst, far.max())
        text = f"{middle:.2f} grey levels from PySlowFast's (any frame {worst:.2f})"
        print(f"keyframe's picture, {name:<18}{text}")
        if worst > SAME:
            raise SystemExit("these are not the same frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pyslowfast", type=Path, required=True, metavar="DIR", help="checkout")
    parser.add_argument("--video", type=Path, help="a real clip to repeat; else the demo world's")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--videos", type=int, default=4, help="so many copies of the video")
    parser.add_argument(
        "--windows", type=int, default=120, help="of each variant; a worker walks 60, one video"
    )
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"  # each run indexes its own videos
        figures = _benchmark(arguments, Path(name))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, separators=(",", ":")) + "\n")


def open_sources(folders: dict[str, Path], workers: int) -> dict[str, VideoLibrary]:
    """The videos of each kind, decoded as a run with so many workers decodes them."""
    threads = decoder_threads(workers)
    return {
        kind: VideoLibrary(path, start=FIRST, threads=threads) for kind, path in folders.items()
    }


def _benchmark(arguments: argparse.Namespace, folder: Path) -> dict:
    videos, images, lists = (folder / name for name in ("videos", "images", "lists"))
    videos.mkdir()
    lists.mkdir()
    ids = [f"video{number}" for number in range(arguments.videos)]
    first = videos / f"{ids[0]}.mp4"
    make_video(first, arguments.video)
    for video_id in ids[1:]:
        (videos / f"{video_id}.mp4").write_bytes(first.read_bytes())
    extract_frames(first, images)
    annotations = make_annotations(ids)
    keyframes = training_keyframes(annotations, range(1, 81))
    folders = {"original": videos}
    sizes = {"JPEG frames": num_bytes(images), "original": first.stat().st_size}
    for kind, settings in COPIES.items():
        target = folder / settings.kind
        make_copies(videos, target, keyframes, settings)
        folders[kind] = target
        sizes[kind] = num_bytes(target) // len(ids)
    keys = scan_video(first).keys
    print(f"{len(ids)} videos of {SECONDS} s, {WIDTH}x{HEIGHT}, {len(keyframes)} keyframes")
    print(f"original: {len(keys)} key frames, at most {np.diff(keys).max()} frames apart")
    print("MB a video: " + ", ".join(f"{kind} {size / 1e6:.1f}" for kind, size in sizes.items()))

    peer = peer_clips(arguments.pyslowfast, annotations, images, lists)
    detector = ActionDetector(nn.Identity(), nn.Identity())  # type: ignore[arg-type]
    ours = Ours(keyframes, arguments.batch_size, detector.normalise)
    compare_content(ours, peer, open_sources(folders, workers=0))

    figures: dict = {"megabytes": {kind: size / 1e6 for kind, size in sizes.items()}, "ms": {}}
    chosen = keyframes[: arguments.windows // arguments.batch_size * arguments.batch_size]
    for workers in arguments.workers:
        sources = open_sources(folders, workers)
        variants = make_variants(ours._replace(keyframes=chosen), peer, sources)
        for _ in range(arguments.repeats):
            for variant in variants:
                variant.measure(workers)
        print(
            f"\n{workers} workers, {len(chosen)} windows in batches of {arguments.batch_size},"
            f" {decoder_threads(workers)} threads of our decoder"
        )
        print(f"{'':<38}{'ms':>8}{'spread':>14}{'windows/s':>11}{'CPU ms':>11}", end="")
        print(f"{'ratio':>8}{'CPU ratio':>11}")
        for variant in variants:
            print(variant.row())
        figures["ms"][workers] = {
            variant.name: {
                "wall": [round(1000 * value, 2) for value in variant.wall],
                "processor": [round(1000 * value, 2) for value in variant.processor],
            }
            for variant in variants
        }
    return figures


if __name__ == "__main__":
    main()
