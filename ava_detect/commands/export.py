"""`ava-detect export`: the challenge file of a split, labelled or not."""

from __future__ import annotations

import logging
from pathlib import Path

from ava_detect.assemble import build_eval_label_map, build_videos, load_split
from ava_detect.clips import ClipSource
from ava_detect.commands.people import boxes_to_score
from ava_detect.commands.scoring import open_detector, score_people
from ava_detect.config import Config
from ava_detect.data.loaders import count_by_video, unread_text
from ava_detect.engine import distributed
from ava_eval.atomic import require_writable
from ava_eval.submission import write_submission

_log = logging.getLogger(__name__)


def export(config: Config, path: Path, videos: ClipSource | None = None) -> str:
    """Write the challenge file of a split; returns a line on what is in it and what is not.

    Of several processes the main one does so; the others return "".
    """
    require_writable(path)
    detector = open_detector(config)
    videos = videos or build_videos(config, config.split)
    data = load_split(config, config.split, videos)
    boxes = boxes_to_score(config, config.split, data)
    detections, unread = score_people(config, detector, videos, boxes, data.keyframes)
    if not distributed.is_main():
        return ""
    counts = write_submission(
        detections, path, build_eval_label_map(config), keyframes=data.keyframes
    )
    covered = f"{counts['keyframes']} of {len(data.keyframes)} keyframes"
    if unread:
        _log.warning("%s", unread_text(count_by_video(unread), "their people are not in the file"))
    return (
        f"{path}: {counts['rows']} rows on {covered};"
        f" {counts['dropped_by_capacity']} rows beyond the best 50 of a keyframe left out"
    )
