"""`ava-detect evaluate`: a checkpoint scores the people of a labelled split."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ava_detect.assemble import build_eval_label_map, build_videos, load_split
from ava_detect.clips import ClipSource
from ava_detect.commands.evaluate_videos import evaluate_videos
from ava_detect.commands.facts import inputs, skipped_facts
from ava_detect.commands.people import boxes_to_score
from ava_detect.commands.preview import save_preview
from ava_detect.commands.report import save_report
from ava_detect.commands.scoring import open_detector, score_people
from ava_detect.config import Config
from ava_detect.data.batch import Unreadable
from ava_detect.data.loaders import count_by_video, unread_text
from ava_detect.engine import distributed
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError
from ava_eval.files import write_detections
from ava_eval.frame_map import FrameMap, frame_map, score_tables
from ava_eval.summary import summary


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found and wrote."""

    result: FrameMap
    detections: Path
    metrics: Path
    preview: Path
    report: Path
    unread: list[Unreadable]

    def text(self) -> str:
        """What a person reads: AP per class, the mAP and the files."""
        files = {
            name: getattr(self, name) for name in ("detections", "metrics", "preview", "report")
        }
        told = [f"{name:<12}{path}" for name, path in files.items() if path.is_file()]
        lines = [summary(self.result), "", *told]
        if self.unread:
            lines.append(self.unread_text())
        return "\n".join(lines)

    def unread_text(self) -> str:
        """What could not be read, and what that means."""
        return unread_text(count_by_video(self.unread), "their people count as missed")


def evaluate(config: Config) -> str:
    """Score a labelled split, of people or of whole clips; what a person reads."""
    if config.data.kind == "kinetics":
        return evaluate_videos(config).text()
    return evaluate_people(config).text()


def evaluate_people(config: Config, videos: ClipSource | None = None, name: str = "") -> Evaluation:
    """Score a labelled split; write `detections.csv`, `metrics.json`, `preview.png`, `report.html`.

    ``videos``: a source that is open already. ``name`` goes into the names of the files.
    """
    require_writable(config.output / "metrics.json")
    detector = open_detector(config)
    videos = videos or build_videos(config, config.split)
    data = load_split(config, config.split, videos)
    if data.annotations.empty:
        raise InputError(f"split: {config.split} has no annotations to score against; use export")
    boxes = boxes_to_score(config, config.split, data)
    detections, unread = score_people(config, detector, videos, boxes, data.keyframes)
    if unread and detections.empty:
        told = unread_text(count_by_video(unread), "nothing is left to score")
        raise InputError(f"{told}; the first: {unread[0].reason}")
    scored, classes = score_tables(
        data.annotations, detections, build_eval_label_map(config), keyframes=data.keyframes
    )
    suffix = f"_{name}" if name else ""
    done = Evaluation(
        frame_map(scored, classes),
        detections=config.output / f"detections{suffix}.csv",
        metrics=config.output / f"metrics{suffix}.json",
        preview=config.output / f"preview{suffix}.png",
        report=config.output / f"report{suffix}.html",
        unread=unread,
    )
    if distributed.is_main():
        _write(config, videos, done, detections)
        warnings = [done.unread_text()] if unread else []
        save_report(config, videos, scored, classes, done.report, done.detections, warnings)
    return done


def _write(config: Config, videos: ClipSource, done: Evaluation, detections: pd.DataFrame) -> None:
    """Write the files of an evaluation."""
    write_detections(detections, done.detections)
    with atomic_path(done.metrics) as temporary:
        facts = done.result.to_json(inputs(config)) | {
            "split": config.split,
            "boxes": config.evaluation.boxes,
            "videos": _fingerprint(videos, detections["video_id"]),
            "skipped": skipped_facts(done.unread),
        }
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    save_preview(config, videos, detections, done.preview)


def _fingerprint(videos: ClipSource, video_ids: Iterable[str]) -> dict[str, Any]:
    """Which frames the number is of: two results of one fingerprint saw the same ones."""
    seen = set(video_ids)
    return {"count": len(seen), "fingerprint": videos.fingerprint(seen)}
