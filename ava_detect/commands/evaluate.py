"""`ava-detect evaluate` and `ava-detect export`: a checkpoint scores the people of a split."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ava_detect.assemble import (
    build_device,
    build_eval_label_map,
    build_timebase,
    build_videos,
    load_detector,
    load_split,
)
from ava_detect.clips import ClipSource
from ava_detect.commands.people import boxes_to_score
from ava_detect.config import Config
from ava_detect.data.ava import AvaClips
from ava_detect.data.keyframes import detection_keyframes
from ava_detect.data.loaders import EvalBatches, build_loader
from ava_detect.data.transforms import EvalTransform
from ava_detect.engine.evaluate import join_detections, score_boxes
from ava_detect.engine.logs import StatusLine
from ava_detect.inference.detector import Detector
from ava_eval import FrameMap
from ava_eval import evaluate as frame_map
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError
from ava_eval.files import write_detections
from ava_eval.submission import write_submission
from ava_eval.summary import summary


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found and wrote."""

    result: FrameMap
    detections: Path
    metrics: Path

    def text(self) -> str:
        """What a person reads: AP per class, the mAP and the files."""
        return (
            f"{summary(self.result)}\n\ndetections  {self.detections}\nmetrics     {self.metrics}"
        )


def evaluate(config: Config, videos: ClipSource | None = None, name: str = "") -> Evaluation:
    """Score a labelled split; write `detections.csv` and `metrics.json` into the output folder.

    ``videos``: a source that is open already. ``name`` goes into the names of the files.
    """
    videos = videos or build_videos(config, config.split)
    data = load_split(config, config.split, videos)
    if data.annotations.empty:
        raise InputError(f"split: {config.split} has no annotations to score against; use export")
    detector = _detector(config)
    boxes = boxes_to_score(config, config.split, data)
    detections = score_people(config, detector, videos, boxes)
    result = frame_map(
        data.annotations, detections, build_eval_label_map(config), keyframes=data.keyframes
    )
    suffix = f"_{name}" if name else ""
    detections_path = config.output / f"detections{suffix}.csv"
    metrics_path = config.output / f"metrics{suffix}.json"
    write_detections(detections, detections_path)
    with atomic_path(metrics_path) as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    return Evaluation(result, detections_path, metrics_path)


def export(config: Config, path: Path, videos: ClipSource | None = None) -> str:
    """Write the challenge file of a split, labelled or not; returns a word on what is in it."""
    videos = videos or build_videos(config, config.split)
    data = load_split(config, config.split, videos)
    detector = _detector(config)
    boxes = boxes_to_score(config, config.split, data)
    detections = score_people(config, detector, videos, boxes)
    label_map = build_eval_label_map(config)
    summary = write_submission(detections, path, label_map, keyframes=data.keyframes)
    return f"{path}: {summary}"


def score_people(
    config: Config, detector: Detector, videos: ClipSource, boxes: pd.DataFrame
) -> pd.DataFrame:
    """Detections of every person in ``boxes`` and every class that is scored."""
    settings, data = config.evaluation, config.data
    keyframes = detection_keyframes(boxes)
    clips = AvaClips(
        keyframes,
        videos,
        build_timebase(config),
        data.num_frames,
        data.sampling_rate,
        EvalTransform(settings.short_side),
    )
    loader = build_loader(clips, EvalBatches(keyframes, settings.batch_size), data.workers)
    scores = score_boxes(
        detector.model,
        loader,
        boxes.index.to_numpy(),
        len(detector.label_map),
        dtype=detector.dtype,
        device=detector.device,
        log=StatusLine(),
    )
    return join_detections(
        boxes,
        boxes.index.to_numpy(),
        scores,
        detector.label_map,
        action_ids=build_eval_label_map(config)["action_id"],
        use_person_score=settings.multiply_person_score,
    )


def _detector(config: Config) -> Detector:
    if config.weights is None:
        raise InputError("weights: expected weights=FILE, the checkpoint to use; got none")
    return load_detector(config.weights, config, build_device(config), config.precision)
