"""A detector and the scores that it gives to people."""

from __future__ import annotations

import pandas as pd

from ava_detect.assemble import (
    build_device,
    build_eval_label_map,
    build_timebase,
)
from ava_detect.clips import ClipSource
from ava_detect.config import Config
from ava_detect.data.ava import AvaClips
from ava_detect.data.keyframes import detection_keyframes
from ava_detect.data.loaders import ClipLoader, EvalBatches
from ava_detect.data.transforms import EvalTransform
from ava_detect.engine.evaluate import join_detections, score_boxes
from ava_detect.engine.logs import StatusLine
from ava_detect.inference.detector import Detector
from ava_detect.pretrained import load_detector
from ava_eval.errors import InputError


def open_detector(config: Config) -> Detector:
    """The detector of `weights=FILE`, which the config must fit."""
    if config.weights is None:
        raise InputError("weights: expected weights=FILE, the checkpoint to use; got none")
    return load_detector(config.weights, config, str(build_device(config)), config.precision)


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
    loader = ClipLoader(clips, EvalBatches(keyframes, settings.batch_size), data.workers)
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
