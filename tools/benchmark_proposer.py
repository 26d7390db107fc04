"""Time person boxes beside detectron2's ``DefaultPredictor``, on the same images and weights.

    python tools/benchmark_proposer.py VIDEO --config CONFIG --weights FILE [--short-side 480]

Both sides go from a video's file to the boxes of one frame a second: detectron2 as its demo does
(OpenCV reads a frame, the predictor takes it), we as `propose` does. CONFIG is a YAML config of
detectron2 or a name of its model zoo. Runs are interleaved, ours with the C library's allocator as
`ava-detect` sets it; the table has medians of wall time.

Boxes are compared, too: with those of the predictor taken for people, the AP@50 of ours, both at or
above a score.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from allocators import use_ours, use_the_usual

from ava_detect.clips import VideoLibrary
from ava_detect.proposals.detectron import DetectronProposer
from ava_detect.proposals.proposer import propose_keyframes
from ava_detect.proposals.report import proposal_report
from ava_detect.timebase import Timebase
from ava_eval.tables import BOX, PERSON_BOX_COLUMNS

THEIRS = "DefaultPredictor"
MIN_SCORE, MAX_BOXES = 0.05, 100
THRESHOLDS = (0.05, 0.5, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--config", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--short-side", type=int, default=800)
    parser.add_argument("--images", type=int, default=24, help="how many of the video's seconds")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--candidates", type=int, help="ours; the predictor has the config's")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    library = VideoLibrary(arguments.video.parent)
    video_id = arguments.video.stem
    seconds = np.arange(0, np.floor(library.frame_times(video_id)[-1]))[: arguments.images]
    predictor = _predictor(arguments, seconds)
    ways = {
        THEIRS: predictor,
        f"{THEIRS}, our allocator": predictor,
        "ours": _ours(arguments, library, video_id, seconds),
    }
    boxes = {name: way() for name, way in ways.items()}  # warm
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            use_the_usual() if name == THEIRS else use_ours()
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    rate = {name: len(seconds) / statistics.median(some) for name, some in times.items()}
    ratio = rate["ours"] / rate[THEIRS]
    for name in ways:
        spread = [f"{len(seconds) / some:.2f}" for some in times[name]]
        print(f"{name:31}  {rate[name]:6.2f} images/s  ({', '.join(spread)})")
    print(f"ours is {ratio:.2f} times as fast, {torch.get_num_threads()} threads")
    agreement = {t: _agreement(boxes[THEIRS], boxes["ours"], video_id, t) for t in THRESHOLDS}
    for threshold, (count, ap) in agreement.items():
        print(f"score >= {threshold}: AP@50 {ap:.4f} against {count} boxes of the predictor")
    if arguments.json:
        facts = {"images_per_second": rate, "ratio": ratio, "agreement": agreement}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _predictor(arguments: argparse.Namespace, seconds: np.ndarray) -> Callable[[], pd.DataFrame]:
    """detectron2's way; gives the people it finds as PersonBoxes."""
    from detectron2.config import get_cfg
    from detectron2.engine import DefaultPredictor
    from detectron2.model_zoo import get_config_file

    settings = get_cfg()
    path = arguments.config
    settings.merge_from_file(path if Path(path).is_file() else get_config_file(path))
    settings.MODEL.WEIGHTS, settings.MODEL.DEVICE = str(arguments.weights), arguments.device
    settings.MODEL.ROI_HEADS.SCORE_THRESH_TEST = MIN_SCORE
    settings.INPUT.MIN_SIZE_TEST = arguments.short_side
    settings.INPUT.MAX_SIZE_TEST = arguments.short_side * 5 // 3
    settings.MODEL.MASK_ON = settings.MODEL.KEYPOINT_ON = False
    predictor = DefaultPredictor(settings)
    print(f"the predictor looks at {_candidates(predictor.model)}")

    def run() -> pd.DataFrame:
        capture, rows = cv2.VideoCapture(str(arguments.video)), []
        rate = capture.get(cv2.CAP_PROP_FPS)
        wanted = {round(second * rate): second for second in seconds}
        for number in range(max(wanted) + 1):
            capture.grab()
            if number in wanted:
                _, frame = capture.retrieve()
                rows += _rows(predictor(frame)["instances"], frame.shape, wanted[number])
        return pd.DataFrame(rows, columns=["timestamp", *BOX, "score"])

    return run


def _candidates(model: torch.nn.Module) -> str:
    """How many regions of an image the second stage looks at."""
    regions = getattr(model, "proposal_generator", None)
    return "no candidates" if regions is None else f"{regions.post_nms_topk[False]} candidates"


def _rows(instances: Any, shape: tuple[int, ...], second: float) -> list[tuple[float, ...]]:
    people = instances[instances.pred_classes == 0].to("cpu")
    height, width = shape[:2]
    boxes = people.pred_boxes.tensor.numpy() / [width, height, width, height]
    return [
        (second, *box, score)
        for box, score in zip(boxes.tolist(), people.scores.tolist(), strict=True)
    ]


def _ours(
    arguments: argparse.Namespace, library: VideoLibrary, video_id: str, seconds: np.ndarray
) -> Callable[[], pd.DataFrame]:
    proposer = DetectronProposer(
        arguments.config,
        arguments.weights,
        device=arguments.device,
        precision=arguments.precision,
        min_score=MIN_SCORE,
        max_boxes=MAX_BOXES,
        candidates=arguments.candidates,
        short_side=arguments.short_side,
    )
    keyframes = pd.DataFrame({"video_id": video_id, "timestamp": seconds})
    timebase = Timebase(fps=30.0)
    precision = str(proposer.dtype).removeprefix("torch.")
    print(f"ours looks at {_candidates(proposer.model)}, in {precision}")
    return lambda: propose_keyframes(
        proposer,
        library,
        keyframes,
        timebase,
        batch_size=arguments.batch_size,
        min_score=MIN_SCORE,
        max_boxes=MAX_BOXES,
    )


def _agreement(
    theirs: pd.DataFrame, ours: pd.DataFrame, video_id: str, threshold: float
) -> tuple[int, float]:
    """How many boxes the predictor finds at or above a score, and the AP@50 of ours on them."""
    people = theirs[theirs["score"] >= threshold].assign(video_id=video_id)
    people = people.assign(action_id=1, person_id=-1)
    found = ours.loc[ours["score"] >= threshold, PERSON_BOX_COLUMNS]
    return len(people), proposal_report(found, people)["AP50"] or 0.0


if __name__ == "__main__":
    main()
