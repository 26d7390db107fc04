"""Score and annotate a film of an hour and watch the memory.

    python tools/soak_inference.py FILM CONFIG weights=FILE [key=value ...] [--minutes 60]

The film is FILM again and again, without decoding it. The work of two commands is done on it, that
of `evaluate` (a clip a second, two people in each) and that of `annotate`. Prints the resident
memory (MB) and the open files of this process at equal intervals, then compares what it always
holds (the lowest tenth: memory for a batch comes and goes) in the last third with the middle third:
flat or growing. Exits with 1 if something grows.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pandas as pd
from soak_loading import Held, held_by

from ava_detect.allocator import keep_freed_memory
from ava_detect.clips import VideoLibrary
from ava_detect.commands.annotate import Options, annotate
from ava_detect.commands.scoring import open_detector, score_people
from ava_detect.config import Config, load_config
from ava_eval.tables import PERSON_BOX_COLUMNS

ALLOWED = Held(24.0, 4.0, 64.0)
"""By so much the last third may be above the one before."""
NAME = "hour"


def make_film(source: Path, path: Path, minutes: float) -> int:
    """Write the packets of ``source`` again and again; returns the whole seconds of the film."""
    with av.open(str(source)) as film, av.open(str(path), "w") as out:
        stream = film.streams.video[0]
        copy = out.add_stream_from_template(stream)
        base = stream.time_base or 1
        start, shift, last = None, 0, 0
        while shift * base < minutes * 60:
            film.seek(0)
            for packet in film.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                start = packet.dts if start is None else start
                packet.pts += shift - start
                packet.dts += shift - start
                last = max(last, packet.pts + (packet.duration or 1))
                packet.stream = copy
                out.mux(packet)
            shift = last
        return int(last * base)


@contextmanager
def watched(title: str, looks: int, results: list[bool]) -> Iterator[None]:
    """Look at this process all the time; at the end print ``looks`` of it and the verdict."""
    seen, ended = list[tuple[float, Held]](), threading.Event()
    start = time.perf_counter()

    def watch() -> None:
        while not ended.wait(0.5):
            seen.append((time.perf_counter() - start, held_by(os.getpid())))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    print(f"\n{title}\n{'seconds':>9}{'MB':>9}{'files':>9}")
    for place in range(0, len(seen), max(1, len(seen) // looks)):
        moment, held = seen[place]
        print(f"{moment:>9.0f}{held.megabytes:>9.1f}{held.files:>9.0f}")
    third = len(seen) // 3
    middle, last = seen[third : 2 * third], seen[2 * third :]
    for column, what in enumerate(("MB", "files")):
        before, after = (
            statistics.quantiles((held[column] for _, held in part), n=10)[0]
            for part in (middle, last)
        )
        grows = after - before > ALLOWED[column]
        results.append(not grows)
        print(f"{what}: {before:.1f} -> {after:.1f}, {'growing' if grows else 'flat'}", flush=True)


def score(config: Config, folder: Path, seconds: int) -> None:
    """A clip a second with two people in it, as `evaluate` does it."""
    videos = VideoLibrary(folder, start=config.data.timebase.start)
    first = config.data.timebase.start
    people = [(0.1, 0.1, 0.4, 0.9, 1.0), (0.5, 0.2, 0.8, 0.95, 1.0)]
    rows = [(NAME, first + t, *person) for t in range(1, seconds - 1) for person in people]
    boxes = pd.DataFrame(rows, columns=PERSON_BOX_COLUMNS)
    found, _ = score_people(config, open_detector(config), videos, boxes, boxes)
    assert len(found) >= len(boxes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", choices=("evaluate", "annotate"))
    parser.add_argument("--every", type=float, default=1.0, help="seconds between keyframes drawn")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_freed_memory()  # as the commands do
    config = load_config(arguments.config, arguments.overrides)
    results = list[bool]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = folder / f"{NAME}.mp4"
        seconds = make_film(arguments.film, film, arguments.minutes)
        print(f"a film of {seconds} s, {film.stat().st_size / 1e6:.0f} MB")
        if arguments.only != "annotate":
            with watched("evaluate", 12, results):
                score(config, folder, seconds)
        if arguments.only != "evaluate":
            with watched("annotate", 12, results):
                print(annotate(config, str(film), folder / "seen.mp4", Options(arguments.every)))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
