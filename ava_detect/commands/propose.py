"""`ava-detect train-proposer` and `ava-detect propose`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from ava_detect.assemble import build_originals, build_timebase, load_split
from ava_detect.clips import ClipSource
from ava_detect.commands.proposers import (
    build_proposer,
    fit_proposer,
    provenance,
    trained_weights,
)
from ava_detect.config import Config
from ava_detect.engine.logs import StatusLine
from ava_detect.proposals.files import write_proposals
from ava_detect.proposals.people import PeopleOfKeyframe, people_of_keyframes
from ava_detect.proposals.proposer import propose_keyframes
from ava_detect.proposals.report import proposal_report
from ava_detect.timebase import Timebase
from ava_eval.atomic import require_writable
from ava_eval.errors import InputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proposals:
    """What `propose` wrote, and how good it is where people are annotated."""

    path: Path
    num_boxes: int
    num_keyframes: int
    report: dict | None
    skipped: dict[str, int]

    def text(self) -> str:
        """What a person reads."""
        lines = [f"{self.path}: {self.num_boxes} boxes on {self.num_keyframes} keyframes"]
        if self.skipped:
            lines.append(
                f"skipped: {sum(self.skipped.values())} keyframes of {len(self.skipped)} videos"
                " that cannot be read"
            )
        if self.report is not None:
            lines.append(f"AP@50  {_percent(self.report['AP50'])}")
            lines.append("score   recall  precision  boxes a keyframe")
            lines += [
                f"{row['score']:5.2f}  {_percent(row['recall'])}  {_percent(row['precision'])}"
                f"  {row['boxes_per_keyframe']:9.2f}"
                for row in self.report["thresholds"][1::2]
            ]
        return "\n".join(lines)


def train_proposer(config: Config, videos: ClipSource | None = None) -> Path:
    """Fine-tune the person detector on the training split's people; return its weights' file."""
    require_writable(trained_weights(config))
    videos = videos or build_originals(config, "train")
    people = people_of_keyframes(load_split(config, "train", videos).annotations)
    if config.data.on_error == "skip":
        people = _readable(people, videos, build_timebase(config))
    return fit_proposer(config, people, videos)


def propose(config: Config, videos: ClipSource | None = None) -> Proposals:
    """Find the people on every keyframe of a split; write `proposals_{split}.csv`.

    Not on prepared copies: a detector wants larger images.
    """
    split = config.split
    path = config.output / f"proposals_{split}.csv"
    require_writable(path)
    videos = videos or build_originals(config, split)
    data = load_split(config, split, videos)
    proposer = build_proposer(config)
    line = StatusLine()

    def progress(done: int, total: int) -> None:
        if line.due():
            line.show(f"propose {done}/{total} keyframes")

    skipped: dict[str, int] = {}

    def skip(video_id: str, _: float, problem: InputError) -> None:
        if video_id not in skipped:
            _log.warning("warning: skipped: %s", problem)
        skipped[video_id] = skipped.get(video_id, 0) + 1

    boxes = propose_keyframes(
        proposer,
        videos,
        data.keyframes,
        build_timebase(config),
        batch_size=config.proposer.batch_size,
        min_score=config.proposer.min_score,
        max_boxes=config.proposer.max_boxes,
        progress=progress,
        unreadable=None if config.data.on_error == "fail" else skip,
    )
    line.close()
    facts = {
        "videos": videos.fingerprint(set(data.keyframes["video_id"]) - set(skipped)),
        "skipped_keyframes": skipped,
    }
    write_proposals(boxes, path, provenance(config, proposer) | facts)
    labelled = len(data.annotations) > 0
    report = proposal_report(boxes, data.annotations, data.keyframes) if labelled else None
    return Proposals(path, len(boxes), len(data.keyframes), report, skipped)


def _readable(
    people: list[PeopleOfKeyframe], videos: ClipSource, timebase: Timebase
) -> list[PeopleOfKeyframe]:
    """Those whose video is whole and shows them; a warning counts the others."""
    reasons: dict[str, str] = {}
    kept = []
    for keyframe in people:
        try:
            times = videos.frame_times(keyframe.video_id)
            timebase.require_inside(keyframe.timestamp, keyframe.video_id, times)
        except InputError as problem:
            reasons.setdefault(keyframe.video_id, str(problem))
        else:
            kept.append(keyframe)
    for reason in reasons.values():
        _log.warning("warning: skipped: %s", reason)
    if reasons:
        left_out = len(people) - len(kept)
        _log.warning("%d keyframes of %d videos are left out", left_out, len(reasons))
    return kept


def _percent(value: float | None) -> str:
    return "     -" if value is None else f"{100 * value:5.1f}%"
