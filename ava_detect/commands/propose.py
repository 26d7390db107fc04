"""`ava-detect train-proposer` and `ava-detect propose`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision

from ava_detect.assemble import build_device, build_originals, build_timebase, load_split
from ava_detect.clips import ClipSource
from ava_detect.commands.box_preview import save_box_preview
from ava_detect.commands.lock import alone_in
from ava_detect.commands.proposal_report import report_files, save_report
from ava_detect.commands.proposers import (
    build_proposer,
    fit_proposer,
    require_trainable,
    trained_weights,
)
from ava_detect.commands.provenance import provenance
from ava_detect.config import Config
from ava_detect.engine import distributed
from ava_detect.engine.logs import StatusLine
from ava_detect.models.precision import choose_precision
from ava_detect.proposals.batches import Batch, make_batches, share
from ava_detect.proposals.files import write_proposals
from ava_detect.proposals.journal import Journal
from ava_detect.proposals.people import PeopleOfKeyframe, people_of_keyframes
from ava_detect.proposals.proposer import Found, Proposer, find_people, people_table
from ava_detect.proposals.report_text import report_text
from ava_detect.timebase import Timebase
from ava_eval.atomic import require_writable
from ava_eval.errors import InputError

SHOWN_SCORE = 0.5  # least one of the boxes in the preview, where none is known to be best

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proposals:
    """What `propose` wrote, and how good it is where people are annotated."""

    path: Path
    num_boxes: int
    num_keyframes: int
    skipped: dict[str, int]
    report: dict | None = None
    files: tuple[Path, ...] = ()

    def text(self) -> str:
        """What a person reads."""
        lines = [f"{self.path}: {self.num_boxes} boxes on {self.num_keyframes} keyframes"]
        if self.skipped:
            lines.append(
                f"skipped: {sum(self.skipped.values())} keyframes of {len(self.skipped)} videos"
                " that cannot be read"
            )
        if self.report is not None:
            lines.append(report_text(self.report))
        return "\n".join([*lines, "", *map(str, self.files)])


def train_proposer(config: Config, videos: ClipSource | None = None) -> Path:
    """Fine-tune the person detector on the training split's people; return its weights' file.

    Raises InputError where another such training is at work on the same output.
    """
    require_trainable(config)
    require_writable(trained_weights(config))  # makes the folder, too
    with alone_in(config.output, "train-proposer"):
        return _train_proposer(config, videos)


def _train_proposer(config: Config, videos: ClipSource | None) -> Path:
    videos = videos or build_originals(config, "train")
    people = people_of_keyframes(load_split(config, "train", videos).annotations)
    if config.data.on_error == "skip":
        people = _readable(people, videos, build_timebase(config))
    return fit_proposer(config, people, videos)


def propose(config: Config, videos: ClipSource | None = None) -> Proposals:
    """Find the people on every keyframe of a split; write `proposals_{split}.csv`.

    A run that ended early goes on where it was: what it has found lies in `FILE.part`, which goes
    once the file is written. Several processes share the keyframes. Neither changes a byte of the
    file (on a CPU, with the same number of threads: these change a convolution's last bits).
    Raises InputError where another run is at work on it.

    Not on prepared copies: a detector wants larger images.
    """
    require_writable(_output(config))
    lock = alone_in(config.output, f"propose split={config.split}")
    with lock if distributed.is_main() else nullcontext():
        return _propose(config, videos or _originals(config))


def _propose(config: Config, videos: ClipSource) -> Proposals:
    path = _output(config)
    data = load_split(config, config.split, videos)
    proposer = build_proposer(config)
    made_with = provenance(config, proposer)
    journal = Journal(
        path.with_name(f"{path.name}.part"),
        made_with | _conditions(config),
        cache(lambda video_id: _digest(videos, video_id)),
    )
    parts = _find(config, proposer, videos, data.keyframes, journal)
    boxes = people_table(data.keyframes, parts)
    skipped = Counter(video_id for found in parts for video_id, _ in found.unreadable)
    done = Proposals(path, len(boxes), len(data.keyframes), dict(skipped))
    if not distributed.is_main():
        return done
    facts = {
        "keyframes": data.keyframes["video_id"].value_counts().to_dict(),
        "videos": videos.fingerprint(set(data.keyframes["video_id"]) - set(skipped)),
        "skipped_keyframes": skipped,
    }
    preview = path.with_suffix(".jpg")
    pictures = (*report_files(config, path), preview)
    for picture in pictures:  # of other boxes
        picture.unlink(missing_ok=True)
    write_proposals(boxes, path, made_with | facts)
    journal.remove()
    report = None if data.annotations.empty else save_report(config, path, boxes, data)
    best = report["best"]["score"] if report and report["best"] else SHOWN_SCORE
    read = data.keyframes[~data.keyframes["video_id"].isin(skipped)]
    save_box_preview(config, videos, boxes[boxes["score"] >= best], data, read, preview)
    return replace(done, report=report, files=tuple(filter(Path.is_file, pictures)))


def _find(
    config: Config,
    proposer: Proposer,
    videos: ClipSource,
    keyframes: pd.DataFrame,
    journal: Journal,
) -> list[Found]:
    """What is found on all keyframes: what the journal has, and the rest by all processes."""
    batches = make_batches(keyframes, config.proposer.batch_size)
    skip, tell = config.data.on_error == "skip", _teller()
    # Only the main process reads the journal, for the others' files may be begun by then.
    recalled = _recall(journal, batches, skip) if distributed.is_main() else []
    known = {found.batch: found for found in distributed.gather_objects(recalled)[0]}
    if known:
        count = sum(len(batch.times) for batch in known)
        _log.info("going on: %d of %d keyframes are done already", count, len(keyframes))
        tell(known.values())
    rest = [batch for batch in batches if batch not in known]
    mine = share(rest, distributed.rank(), distributed.world_size())
    finding = find_people(
        proposer,
        videos,
        build_timebase(config),
        mine,
        min_score=config.proposer.min_score,
        max_boxes=config.proposer.max_boxes,
        skip=skip,
    )
    mine_found = []
    with closing(finding), journal.writing() as note:
        for found in _shown(finding, mine):
            note(found)
            tell([found])
            mine_found.append(found)
    everyone = [found for part in distributed.gather_objects(mine_found) for found in part]
    tell(everyone)
    return [*known.values(), *everyone]


def _recall(journal: Journal, batches: Sequence[Batch], skip: bool) -> list[Found]:
    """What the journal has of these batches; unless that is skipped, without the unreadable."""
    wanted = set(batches)
    return [
        found
        for found in journal.recall()
        if found.batch in wanted and (skip or not found.unreadable)
    ]


def _shown(finding: Iterable[Found], mine: Sequence[Batch]) -> Iterator[Found]:
    """What is found by this process, with a line that tells how far it is."""
    line, done = StatusLine(), 0
    total = sum(len(batch.times) for batch in mine)
    processes = distributed.world_size()
    whose = f" of process 1 of {processes}" if processes > 1 else ""
    for found in finding:
        yield found
        done += len(found.answers)
        if line.due():
            line.show(f"propose {done}/{total} keyframes{whose}")
    line.close()


def _teller() -> Callable[[Iterable[Found]], None]:
    """A function that warns of keyframes that cannot be read, once a video."""
    told = set[str]()

    def tell(parts: Iterable[Found]) -> None:
        for found in parts:
            for (video_id, _), reason in found.unreadable.items():
                if video_id not in told:
                    _log.warning("warning: skipped: %s", reason)
                told.add(video_id)

    return tell


def _output(config: Config) -> Path:
    return config.output / f"proposals_{config.split}.csv"


def _originals(config: Config) -> ClipSource:
    """The videos of the split, of which none is kept in memory: each is read once."""
    data = config.data.model_copy(update={"cache_gb": 0.0})
    return build_originals(config.model_copy(update={"data": data}), config.split)


def _conditions(config: Config) -> dict[str, Any]:
    """What decides on the last bits of the boxes, besides the detector and the videos."""
    device = build_device(config)
    return {
        "batch_size": config.proposer.batch_size,
        "device": device.type,
        "precision": str(choose_precision(config.precision, device)),
        "timebase": asdict(build_timebase(config)),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def _digest(videos: ClipSource, video_id: str) -> str | None:
    """What tells the video from another; None where it cannot be read."""
    try:
        return videos.fingerprint([video_id])
    except InputError:
        return None


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
