"""Read many small videos for several epochs and watch what the processes hold on to.

    python tools/soak_loading.py [--videos 1000] [--workers 8] [--epochs 3]

Reads every clip once an epoch, at random as in training and in order as in evaluation. Prints every
so many batches, of the main process and of the workers (their mean): memory that is resident (MB;
without shared memory, in which finished batches travel), open files, and mapped regions. Ends with
a line for each that compares the medians of the last epoch with the one before: flat or growing.
Exits with 1 if something grows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ava_detect.clips import VideoLibrary
from ava_detect.data.ava import KeyframeSampling
from ava_detect.data.dataset import ClipDataset
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.loaders import ClipLoader, TrainBatches
from ava_detect.data.transforms import EvalTransform, TrainTransform
from ava_detect.data.walk import WalkedClips
from ava_detect.synthetic.video import write_video
from ava_detect.timebase import Timebase

FPS, FRAMES, SIZE = 10, 20, (64, 48)
MOMENTS = (0.5, 1.0, 1.5)  # the keyframes of each video, seconds
SAMPLING = KeyframeSampling(Timebase(FPS), num_frames=8, sampling_rate=2)
DIFFERENT = 5  # so many videos are made, the others are copies of them
BATCH_SIZE = 8


class Held(NamedTuple):
    """What a process holds."""

    megabytes: float
    files: float
    maps: float


ALLOWED = Held(2.0, 8.0, 16.0)
"""By so much the median of an epoch may be above the one before: batches under way come and go."""


def held_by(process: int) -> Held:
    """What a process holds now; ProcessLookupError (or FileNotFoundError) where it has ended."""
    folder = Path(f"/proc/{process}")
    kilobytes = re.findall(r"Rss(?:Anon|File):\s*(\d+) kB", (folder / "status").read_text())
    if not kilobytes:
        raise ProcessLookupError(process)
    maps = (folder / "maps").read_text().count("\n")
    files = sum(1 for _ in (folder / "fd").iterdir())
    return Held(sum(map(int, kilobytes)) / 1024, files, maps)


def look() -> tuple[Held, Held]:
    """What the main process holds, and each worker on average."""
    workers = []
    for child in multiprocessing.active_children():
        try:
            workers.append(held_by(child.pid or 0))
        except (FileNotFoundError, ProcessLookupError):
            continue
    means = [statistics.fmean(values) for values in zip(*workers, strict=True)]
    return held_by(os.getpid()), Held(*means) if means else Held(0, 0, 0)


def make_videos(folder: Path, number: int) -> list[Keyframe]:
    """Write videos, a few of them different; returns the keyframes of all, in order."""
    rng = np.random.default_rng(0)
    width, height = SIZE
    contents = []
    for k in range(DIFFERENT):
        path = folder / f"v{k:05d}.mp4"
        write_video(path, rng.integers(0, 256, (FRAMES, height, width, 3), np.uint8), SIZE, FPS)
        contents.append(path.read_bytes())
    for k in range(number):
        (folder / f"v{k:05d}.mp4").write_bytes(contents[k % DIFFERENT])
    box, labels = np.array([[0.2, 0.2, 0.8, 0.8]], np.float32), np.ones((1, 80), np.float32)
    return [
        Keyframe(f"v{k:05d}", moment, np.array([k * len(MOMENTS) + place]), box, labels)
        for k in range(number)
        for place, moment in enumerate(MOMENTS)
    ]


def at_random(
    keyframes: list[Keyframe], source: VideoLibrary, workers: int, epochs: int
) -> ClipLoader:
    """All clips of all epochs as training reads them, by workers that live all the time."""
    clips = ClipDataset(keyframes, source, SAMPLING, TrainTransform((48, 64), (32, 32)))
    steps = epochs * len(clips) // BATCH_SIZE
    return ClipLoader(clips, TrainBatches(len(clips), BATCH_SIZE, 0, 0, steps), workers)


def in_order(
    keyframes: list[Keyframe], source: VideoLibrary, workers: int, epochs: int
) -> ClipLoader:
    """All clips as evaluation reads them, again and again in one walk: the workers live on."""
    walk = WalkedClips(keyframes * epochs, source, SAMPLING, EvalTransform(32), BATCH_SIZE)
    return ClipLoader(walk, workers=workers)


def watch(loader: ClipLoader, num_clips: int, every: int) -> Iterator[tuple[int, Held, Held]]:
    """Read everything; (epoch, main process, a worker) every so many batches."""
    print(f"\n{'':>14}{'main process':^27}{'a worker':^27}")
    print(f"{'epoch':>6}{'batch':>8}" + f"{'MB':>9}{'files':>9}{'maps':>9}" * 2)
    clips = 0
    for number, batch in enumerate(loader):
        epoch = clips // num_clips
        clips += len(batch.frames)
        if number % every == every - 1:
            main, worker = look()
            figures = "".join(f"{value:>9.1f}" for value in (*main, *worker))
            print(f"{epoch + 1:>6}{number + 1:>8}{figures}", flush=True)
            yield epoch, main, worker


def verdict(seen: list[tuple[int, Held, Held]], epochs: int) -> bool:
    """Print how the last epoch differs from the one before; whether all is flat."""
    flat = True
    for place, who in ((1, "main process"), (2, "workers")):
        for column, what in enumerate(Held._fields):
            before, last = (
                statistics.median(row[place][column] for row in seen if row[0] == epoch)  # type: ignore[index]
                for epoch in (epochs - 2, epochs - 1)
            )
            grows = last - before > ALLOWED[column]
            flat = flat and not grows
            text = "growing" if grows else "flat"
            print(f"{who}, {what}: {before:.1f} -> {last:.1f}, {text}")
    print("verdict: flat" if flat else "verdict: growing")
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3, help="at least 2")
    parser.add_argument("--every", type=int, default=75, help="batches between two looks")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores
    flat = True
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"  # indices are made anew in the first epoch
        videos = Path(name) / "videos"
        videos.mkdir()
        keyframes = make_videos(videos, arguments.videos)
        for title, load in (("at random", at_random), ("in order", in_order)):
            source = VideoLibrary(videos)
            loader = load(keyframes, source, arguments.workers, arguments.epochs)
            print(
                f"\n{title}: {arguments.videos} videos, {len(keyframes)} clips,"
                f" {arguments.workers} workers, {arguments.epochs} epochs"
            )
            seen = list(watch(loader, len(keyframes), arguments.every))
            flat = verdict(seen, arguments.epochs) and flat
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
