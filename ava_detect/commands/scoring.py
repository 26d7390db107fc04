"""A detector and the scores that it gives to people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ava_detect.assemble import (
    build_device,
    build_eval_label_map,
    build_label_map,
    build_sampling,
    build_timebase,
    build_video_sampling,
)
from ava_detect.clips import ClipSource
from ava_detect.config import Config
from ava_detect.data.batch import Unreadable
from ava_detect.data.dataset import Sampling
from ava_detect.data.keyframes import Keyframe, detection_keyframes
from ava_detect.data.kinetics import mean_of_views, views_in_time
from ava_detect.data.loaders import ClipLoader
from ava_detect.data.transforms import EvalTransform
from ava_detect.data.walk import WalkedClips
from ava_detect.engine import distributed
from ava_detect.engine.evaluate import join_detections, score_boxes
from ava_detect.engine.logs import StatusLine
from ava_detect.inference.detector import Detector
from ava_detect.models.views import CropViews, FlipViews
from ava_detect.pretrained import load_detector, load_model
from ava_eval.errors import InputError


def open_detector(config: Config) -> Detector:
    """The detector of `weights=FILE`, which the config must fit.

    Call it before ``build_videos``, which can take minutes: a wrong file shows at once.
    """
    if config.weights is None:
        raise InputError("weights: expected weights=FILE, the checkpoint to use; got none")
    detector = load_detector(config.weights, config, str(build_device(config)), config.precision)
    scored = build_eval_label_map(config)
    unknown = scored[~scored["action_id"].isin(detector.label_map["action_id"])]
    if len(unknown):
        raise InputError(
            f"weights: {config.weights} was not trained on {unknown['name'].iloc[0]!r}"
            f" ({len(unknown)} of the {len(scored)} scored classes); use the data.label_map and"
            " data.classes that it was trained with"
        )
    return detector


def open_classifier(config: Config) -> Detector:
    """The classifier of whole clips of `weights=FILE`, which the config must fit.

    Call it before ``build_videos``, which can take minutes: a wrong file shows at once.
    """
    if config.weights is None:
        raise InputError("weights: expected weights=FILE, the checkpoint to use; got none")
    loaded, label_map = load_model(config.weights, config), build_label_map(config)
    if len(loaded.label_map) != len(label_map):
        raise InputError(
            f"weights: {config.weights} has {len(loaded.label_map)} classes, the recipe"
            f" {len(label_map)}; use a classifier of clips, with the data.label_map and"
            " data.classes that it was trained with"
        )
    return Detector(loaded.model, label_map, config.precision, build_device(config))


def score_videos(
    config: Config, detector: Detector, videos: ClipSource, listed: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, list[Unreadable]]:
    """Which of the ``listed`` videos were read, i64[V], and their mean scores f32[V, C].

    The views are those of ``evaluation``. And the clips that could not be read; there are such only
    where ``data.on_error`` is skip. Several processes share the clips, and all get the whole.
    """
    settings = config.evaluation
    loader = _walk(
        config,
        views_in_time(listed, settings.clips),
        videos,
        build_video_sampling(config, at_random=False),
        settings.short_side,
    )
    rows, scores = score_boxes(
        CropViews(detector.model, settings.crops),
        loader,
        np.arange(len(listed) * settings.clips),
        len(detector.label_map),
        device=detector.device,
        to_scores=lambda scores: scores,
        log=StatusLine(),
        unread=lambda: loader.unreadable_rows,
    )
    unread = [problem for part in distributed.gather_objects(loader.unreadable) for problem in part]
    return *mean_of_views(rows, scores, len(listed), settings.clips), unread


def _walk(
    config: Config,
    keyframes: list[Keyframe],
    videos: ClipSource,
    sampling: Sampling,
    short_side: int | None,
) -> ClipLoader:
    """This process's share of the clips."""
    clips = WalkedClips(
        keyframes,
        videos,
        sampling,
        EvalTransform(short_side),
        config.evaluation.batch_size,
        distributed.rank(),
        distributed.world_size(),
    )
    return ClipLoader(clips, workers=config.data.workers, skip=config.data.on_error == "skip")


def score_people(
    config: Config,
    detector: Detector,
    videos: ClipSource,
    boxes: pd.DataFrame,
    keyframes: pd.DataFrame,
) -> tuple[pd.DataFrame, list[Unreadable]]:
    """Detections of every person in ``boxes`` and every class that is scored.

    And those of the ``keyframes`` that could not be read, whose people have none; there are such
    only where ``data.on_error`` is skip. Several processes share the keyframes, and all get the
    whole.
    """
    settings = config.evaluation
    sides = settings.scales or (settings.short_side,)
    looks = [_look(config, detector, videos, boxes, side) for side in sides]
    rows, _, unread = looks[0]
    detections = join_detections(
        boxes,
        rows,
        np.mean([scores for _, scores, _ in looks], axis=0),
        detector.label_map,
        action_ids=build_eval_label_map(config)["action_id"],
        use_person_score=settings.multiply_person_score,
    )
    if config.data.on_error == "skip":
        unread = [*unread, *_without_video(config, videos, keyframes, unread)]
    return detections, unread


def _look(
    config: Config,
    detector: Detector,
    videos: ClipSource,
    boxes: pd.DataFrame,
    short_side: int | None,
) -> tuple[np.ndarray, np.ndarray, list[Unreadable]]:
    """Which boxes were scored in frames of one size, i64[M], their scores f32[M, C], and which
    clips could not be read."""
    flip = config.evaluation.flip
    loader = _walk(config, detection_keyframes(boxes), videos, build_sampling(config), short_side)
    rows, scores = score_boxes(
        FlipViews(detector.model) if flip else detector.model,
        loader,
        boxes.index.to_numpy(),
        len(detector.label_map),
        device=detector.device,
        to_scores=(lambda scores: scores) if flip else detector.model.scores,
        log=StatusLine(),
        unread=lambda: loader.unreadable_rows,
    )
    unread = [problem for part in distributed.gather_objects(loader.unreadable) for problem in part]
    return rows, scores, unread


def _without_video(
    config: Config, videos: ClipSource, keyframes: pd.DataFrame, known: list[Unreadable]
) -> Iterator[Unreadable]:
    """Keyframes besides the ``known`` that no video shows: without one, nobody was proposed."""
    seen = {(problem.video_id, problem.timestamp) for problem in known}
    timebase, nobody = build_timebase(config), np.empty(0, np.int64)
    for key, rows in keyframes.groupby("video_id", sort=False):
        video_id = str(key)
        for timestamp in rows["timestamp"].tolist():
            try:
                timebase.require_inside(timestamp, video_id, videos.frame_times(video_id))
            except InputError as problem:
                if (video_id, timestamp) not in seen:
                    yield Unreadable(video_id, timestamp, nobody, str(problem))
