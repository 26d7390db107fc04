"""Time scoring the people of a film beside PySlowFast's way, from files to scores.

    python tools/benchmark_evaluation.py VIDEO --pyslowfast DIR --pytorchvideo DIR [--keyframes 60]

PySlowFast reads JPEG frames of ``ffmpeg -q:v 1`` with its ``Ava`` data set in test mode and scores
with its model as ``test_net.py`` does; we score as ``ava-detect evaluate`` does, from the film
itself and with the C library's allocator as that sets it. Both have the same weights, boxes (3 on
each keyframe, one keyframe a second) and frames of short side 256. Rounds take turns; the
table has keyframes a second (medians), and the largest difference of a score: JPEG's loss, and that
PySlowFast clips boxes to whole pixels.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from allocators import use_ours, use_the_usual
from peer_loading import SHORT_SIDE, extract_frames, peer_clips
from peers import fill, peers

from ava_detect.clips import VideoLibrary
from ava_detect.commands.scoring import score_people
from ava_detect.config import load_config
from ava_detect.inference.detector import Detector
from ava_detect.pretrained import load_model
from ava_eval.tables import BOX

THEIRS = "PySlowFast"
RECIPE, PEER = "ava/slowfast_r50_8x8", "SLOWFAST_32x2_R50_SHORT"
FIRST = 902  # the first keyframe's second; the film begins at 900
BOXES = [(0.1, 0.2, 0.4, 0.9), (0.45, 0.1, 0.7, 0.8), (0.6, 0.3, 0.95, 1.0)]

Scores = Callable[[], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("video", type=Path, help="30 frames a second")
    parser.add_argument("--pyslowfast", type=Path, required=True, metavar="DIR", help="checkout")
    parser.add_argument("--pytorchvideo", type=Path, metavar="DIR", help="checkout")
    parser.add_argument("--keyframes", type=int, default=60)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=1, help="ours; PySlowFast has one clip")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        ways = build(arguments, Path(folder))
        scores = {name: way() for name, way in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                use_the_usual() if name == THEIRS else use_ours()
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
    theirs, ours = (arguments.keyframes / statistics.median(some) for some in seconds.values())
    print(f"PySlowFast {theirs:.3f}, ours {ours:.3f} keyframes a second: {ours / theirs:.2f} times")
    difference = np.abs(np.subtract(*scores.values())).max()
    print(f"largest difference of a score {difference:.1e}, {torch.get_num_threads()} threads")


def build(arguments: argparse.Namespace, folder: Path) -> dict[str, Scores]:
    models = dict(peers(pyslowfast=arguments.pyslowfast, pytorchvideo=arguments.pytorchvideo))
    peer = models[f"pyslowfast/{PEER}"]()
    fill(peer.model, 0)
    peer.model.eval()
    peer.save(folder / "peer.pyth")
    videos, images, lists = (folder / name for name in ("videos", "frames", "lists"))
    videos.mkdir()
    lists.mkdir()
    shutil.copy(arguments.video, videos / f"film{arguments.video.suffix}")
    extract_frames(arguments.video, images)
    boxes = pd.DataFrame(
        [("film", float(FIRST + k), *box) for k in range(arguments.keyframes) for box in BOXES],
        columns=["video_id", "timestamp", *BOX],
    )
    clips = peer_clips(arguments.pyslowfast, boxes.assign(action_id=1), images, lists)

    def theirs() -> np.ndarray:
        found = []
        order = range(arguments.keyframes)
        with torch.inference_mode():
            for item in clips.items(clips.test, order, arguments.workers, 1):
                inputs, _, _, _, extra = item if arguments.workers else clips.collate([item])
                found.append(peer.model(inputs, extra["boxes"]).numpy())
        return np.concatenate(found)

    config = load_config(
        RECIPE,
        [
            "data.timebase.start=900", f"data.workers={arguments.workers}",
            f"evaluation.short_side={SHORT_SIDE}", "data.eval_label_map=ava_80",
            f"evaluation.batch_size={arguments.batch_size}",
        ],
    )  # fmt: skip
    loaded = load_model(folder / "peer.pyth")
    detector = Detector(loaded.model, loaded.label_map, arguments.precision)
    print(f"our precision: {str(detector.model.dtype).removeprefix('torch.')}")

    def ours() -> np.ndarray:
        library = VideoLibrary(videos, start=config.data.timebase.start)
        table = boxes.assign(score=1.0)
        found, _ = score_people(config, detector, library, table, table)
        return found["score"].to_numpy().reshape(len(boxes), -1)

    return {THEIRS: theirs, "ours": ours}


if __name__ == "__main__":
    main()
