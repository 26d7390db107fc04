"""What detection and classification do differently: their samples, and how they are measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from ava_detect.assemble import (
    build_eval_label_map,
    build_sampling,
    build_video_sampling,
    build_videos,
    load_kinetics,
    load_split,
    split_section,
)
from ava_detect.clips import ClipSource
from ava_detect.commands.people import boxes_to_score, training_people
from ava_detect.commands.scoring import score_people, score_videos
from ava_detect.config import Config
from ava_detect.data.dataset import Sampling
from ava_detect.data.keyframes import Keyframe, training_keyframes
from ava_detect.data.kinetics import training_videos
from ava_detect.engine.accuracy import is_in_top
from ava_detect.inference.detector import Detector
from ava_detect.proposals.files import file_digest
from ava_eval import evaluate as frame_map
from ava_eval.errors import InputError
from ava_eval.tables import BOX

Measure = Callable[[Detector], dict[str, float]]
"""The figures of a detector on a split; the first is the one that counts."""


def training_samples(
    config: Config, videos: ClipSource, label_map: pd.DataFrame
) -> tuple[list[Keyframe], Sampling]:
    """What is trained on, and which frames make a clip of it."""
    ids = label_map["action_id"].tolist()
    sampling: Sampling
    if config.data.kind == "kinetics":
        samples = training_videos(load_kinetics(config, "train", videos)[0], ids)
        sampling = build_video_sampling(config, at_random=True)
    else:
        people = training_people(config, load_split(config, "train", videos))
        samples, sampling = training_keyframes(people, ids), build_sampling(config)
    if not samples:
        raise InputError("data.train.annotations: expected people to train on, got none")
    return samples, sampling


def build_measure(config: Config, label_map: pd.DataFrame) -> Measure:
    """How a detector in training is measured, on the split val: mAP, or top-1 and top-5.

    Kinetics is measured on one view a video here, the middle square of the middle clip.
    """
    videos = build_videos(config, "val")
    if config.data.kind == "kinetics":
        listed, _ = load_kinetics(config, "val", videos)
        columns = pd.Index(label_map["action_id"]).get_indexer(listed["action_id"])
        once = config.evaluation.model_copy(update={"clips": 1, "crops": 1})
        view = config.model_copy(update={"evaluation": once})

        def accuracy(detector: Detector) -> dict[str, float]:
            read, scores, _ = score_videos(view, detector, videos, listed)
            if not len(read):
                raise InputError(f"data.val: none of the {len(listed)} videos could be read")
            right = {f"top{k}": is_in_top(scores, columns[read], k).mean() for k in (1, 5)}
            return {name: float(share) for name, share in right.items()}

        return accuracy
    data = load_split(config, "val", videos)
    if data.annotations.empty:
        raise InputError("evaluate_every: data.val has no annotations to score against")
    boxes, scored = boxes_to_score(config, "val", data), build_eval_label_map(config)

    def mean_ap(detector: Detector) -> dict[str, float]:
        detections, _ = score_people(config, detector, videos, boxes, data.keyframes)
        found = frame_map(data.annotations, detections, scored, keyframes=data.keyframes)
        return {"mAP": found.mean}

    return mean_ap


def people_of(samples: Sequence[Keyframe]) -> pd.DataFrame:
    """The people of training samples: ``video_id timestamp x1 y1 x2 y2``, indexed by row."""
    tables = [
        pd.DataFrame(s.boxes, columns=BOX, index=s.rows).assign(
            video_id=s.video_id, timestamp=s.timestamp
        )
        for s in samples
    ]
    return pd.concat(tables)[["video_id", "timestamp", *BOX]]


def fingerprint(config: Config, samples: Sequence[Keyframe]) -> dict[str, Any]:
    """What a run is trained on: the files, how much is in them, and a digest of all of that."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.video_id}\n{sample.timestamp!r}\n".encode())
        for part in (sample.boxes, sample.labels):
            assert part is not None
            digest.update(part.tobytes())
    section, root = split_section(config, "train"), config.data.root
    files = [root / path for path in (*section.annotations, *section.labelled_boxes)]
    return {
        "clips": len(samples),
        "people": sum(len(sample.rows) for sample in samples),
        "videos": len({sample.video_id for sample in samples}),
        "sha256": digest.hexdigest(),
        "files": {str(path): file_digest(path) for path in files},
    }
