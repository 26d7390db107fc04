"""`ava-detect prepare`: copies of a data set's videos that are quick to read."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ava_detect.assemble import (
    build_originals,
    build_sampling,
    build_videos,
    load_split,
    split_section,
)
from ava_detect.clips import Video
from ava_detect.clips.prepared import MARKER
from ava_detect.commands.lock import alone_in
from ava_detect.config import Config
from ava_detect.engine.logs import StatusLine
from ava_detect.prepare import CopySettings, Job, Wanted, num_bytes, start_process
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError
from ava_eval.tables import KEYFRAME_COLUMNS

DEFAULT_FOLDER = Path("prepared")
SPLITS = ("train", "val", "test")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did."""

    folder: Path
    made: int
    kept: int
    failed: dict[str, str]
    size: int
    fingerprint: str

    def text(self) -> str:
        """What a person reads."""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return (
            f"{self.folder}: {self.made} copies made, {self.kept} there already{failed};"
            f" {self.size / 1e9:.3f} GB\nfingerprint of all of them: {self.fingerprint}\n"
            f"read them with data.prepared={self.folder}"
        )


def prepare(config: Config) -> Prepared:
    """Copy the videos of all splits into ``data.prepared``; what is there already is kept.

    With ``data.on_error=skip`` a video that cannot be read is left out; otherwise the others are
    still made before InputError is raised. Two runs do not work on one folder.
    """
    folder = config.data.root / (config.data.prepared or DEFAULT_FOLDER)
    marker = folder / MARKER
    jobs = list(_jobs(config, folder))
    require_writable(marker)  # makes the folder: not before it is known that data.root is right
    if not jobs:
        raise InputError("data.train, data.val, data.test: expected annotations or keyframes")
    _warn_of_sizes(config)
    facts = {"settings": dict(jobs[0].settings.facts()), "frames": config.prepare.frames}
    with alone_in(folder, "prepare"):
        _write_json(facts, marker)  # from now on the folder is known for what it is
        made, failed = _run(jobs, config.prepare.workers or os.cpu_count() or 1)
        for video_id, reason in failed.items():
            _log.warning("warning: %s: not prepared: %s", video_id, reason)
        if failed and config.data.on_error == "fail":
            raise InputError(
                f"{len(failed)} of {len(jobs)} videos cannot be prepared, the first: "
                f"{next(iter(failed.values()))}; mend or remove them, or set data.on_error=skip"
            )
        done = [job.video_id for job in jobs if job.video_id not in failed]
        fingerprint = _fingerprint(config, folder, done)
        counts = {"videos": len(done), "failed": failed, "fingerprint": fingerprint}
        _write_json(facts | counts, marker)
    return Prepared(folder, made, len(done) - made, failed, num_bytes(folder), fingerprint)


def _write_json(facts: Mapping[str, object], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _warn_of_sizes(config: Config) -> None:
    """Say where clips of the copies will show people at another scale than the originals."""
    side = config.prepare.short_side
    largest = (config.augment.short_side or (None, None))[1]
    sides = {"augment.short_side": largest, "evaluation.short_side": config.evaluation.short_side}
    for name, wanted in sides.items():
        if side is not None and (wanted is None or wanted > side):
            _log.warning(
                "warning: %s is %s: of videos that are larger than prepare.short_side=%s the copies"
                " show people smaller than the originals do",
                name,
                "null" if wanted is None else wanted,
                side,
            )


def _fingerprint(config: Config, folder: Path, video_ids: list[str]) -> str:
    data = config.data.model_copy(update={"prepared": folder.absolute()})
    library = build_videos(config.model_copy(update={"data": data}), "train")
    return library.fingerprint(video_ids)


def _jobs(config: Config, folder: Path) -> Iterator[Job]:
    """A copy to make for each video that a split lists, with the keyframes of all splits."""
    settings = CopySettings(
        kind=config.prepare.kind,
        short_side=config.prepare.short_side,
        gop=config.prepare.gop,
        crf=config.prepare.crf,
        jpeg_quality=config.prepare.jpeg_quality,
    )
    sampling, skip = build_sampling(config), config.data.on_error == "skip"
    moments: dict[str, list[np.ndarray]] = {}
    sources: dict[str, tuple[str, Video]] = {}
    places: dict[str, Path | None] = {}
    for split in SPLITS:
        if not (split_section(config, split).annotations or split_section(config, split).keyframes):
            continue
        library = build_originals(config, split)
        data = load_split(config, split, library)
        keyframes = pd.concat([data.keyframes, data.labelled_boxes[KEYFRAME_COLUMNS]])
        for key, rows in keyframes.groupby("video_id", sort=False):
            video_id = str(key)
            if not library.has(video_id):  # otherwise load_split has said so
                _log.warning("warning: %s: no such video", video_id)
                continue
            name, path = library.name_of(video_id), library.path_of(video_id)
            if places.setdefault(name, path) != path:
                raise InputError(
                    f"video {video_id}: {places[name]} and {path} would both be copied to {name};"
                    " give one of them another name"
                )
            start = 0.0 if sampling.timebase.unit == "frames" else library.start_of(video_id)
            moments.setdefault(name, []).append(rows["timestamp"].to_numpy(np.float64) - start)
            sources[name] = (video_id, library.video(video_id))
    for name, (video_id, video) in sources.items():
        above = {parent.as_posix() for parent in Path(name).parents} & set(sources)
        if above:
            raise InputError(
                f"video {video_id}: {name} lies in a folder that has the name of another video,"
                f" {min(above)}; give one of them another name"
            )
        wanted = Wanted(
            np.unique(np.concatenate(moments[name])),
            sampling.timebase,
            sampling.num_frames,
            sampling.sampling_rate,
            skip,
        )
        target = settings.target(folder, name)
        all_frames = config.prepare.frames == "all"
        yield Job(video_id, video, None if all_frames else wanted, target, settings)


def _run(jobs: list[Job], workers: int) -> tuple[int, dict[str, str]]:
    """Do the jobs in processes; how many copies were made, and why others could not be."""
    made, failed, line = 0, dict[str, str](), StatusLine()
    # Spawned: a fork of a process with threads of its own can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=start_process) as pool:
        running: dict[Future, Job] = {pool.submit(job.run): job for job in jobs}
        try:
            for done, future in enumerate(as_completed(running), 1):
                try:
                    made += future.result()
                except InputError as problem:
                    failed[running[future].video_id] = str(problem)
                except BrokenProcessPool as problem:
                    raise InputError(
                        "prepare.workers: a process was ended from outside, perhaps for lack of"
                        " memory; the same command goes on from here, with fewer workers if so"
                    ) from problem
                if line.due() or done == len(jobs):
                    line.show(f"prepare {done}/{len(jobs)} videos")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    line.close()
    return made, failed
