"""`ava-detect prepare`: copies of a data set's videos that are quick to read."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ava_detect.assemble import build_originals, build_sampling, build_videos, split_section
from ava_detect.clips import Video
from ava_detect.config import Config
from ava_detect.engine.logs import StatusLine
from ava_detect.prepare import CopySettings, Job, Wanted, num_bytes, start_process
from ava_eval import read_keyframes
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

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
    still made before InputError is raised.
    """
    folder = config.data.root / (config.data.prepared or DEFAULT_FOLDER)
    jobs = list(_jobs(config, folder))
    if not jobs:
        raise InputError("data.train, data.val, data.test: expected annotations or keyframes")
    _warn_of_sizes(config)
    made, failed = _run(jobs, config.prepare.workers or os.cpu_count() or 1)
    for video_id, reason in failed.items():
        _log.warning("warning: %s: not prepared: %s", video_id, reason)
    if failed and config.data.on_error == "fail":
        raise InputError(
            f"{len(failed)} of {len(jobs)} videos cannot be prepared, the first: "
            f"{next(iter(failed.values()))}; mend or remove them, or set data.on_error=skip"
        )
    done = [job for job in jobs if job.video_id not in failed]
    result = Prepared(
        folder,
        made=made,
        kept=len(done) - made,
        failed=failed,
        size=num_bytes(folder),
        fingerprint=_fingerprint(config, folder, [job.video_id for job in done]),
    )
    with atomic_path(folder / "prepared.json") as temporary:
        facts = {
            "settings": dict(jobs[0].settings.facts()),
            "frames": config.prepare.frames,
            "videos": len(done),
            "failed": failed,
            "fingerprint": result.fingerprint,
        }
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return result


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
    sampling = build_sampling(config)
    keyframes: dict[str, list[pd.Series]] = {}
    sources: dict[str, tuple[str, Video, float]] = {}
    places: dict[str, Path | None] = {}
    for split in SPLITS:
        table = _keyframes(config, split)
        if table.empty:
            continue
        library = build_originals(config, split)
        for key, rows in table.groupby("video_id", sort=False):
            video_id = str(key)
            if not library.has(video_id) and config.data.on_error == "skip":
                _log.warning("warning: %s: no such video", video_id)
                continue
            name = library.name_of(video_id)
            path = library.path_of(video_id)
            if places.setdefault(name, path) != path:
                raise InputError(
                    f"video {video_id}: {places[name]} and {path} would both be copied to {name};"
                    " give one of them another name"
                )
            keyframes.setdefault(name, []).append(rows["timestamp"])
            video, start = library.video(video_id), library.start_of(video_id)
            sources[name] = (video_id, video, start)
    for name, (video_id, video, start) in sources.items():
        wanted = Wanted(
            pd.concat(keyframes[name]).to_numpy(),
            start,
            sampling.timebase,
            sampling.num_frames,
            sampling.sampling_rate,
        )
        all_frames = config.prepare.frames == "all"
        yield Job(
            video_id, video, None if all_frames else wanted, settings.target(folder, name), settings
        )


def _keyframes(config: Config, split: str) -> pd.DataFrame:
    """The keyframes of all files of a split."""
    section, root = split_section(config, split), config.data.root
    named = [*section.annotations, *section.labelled_boxes]
    named += [section.keyframes] if section.keyframes is not None else []
    none = pd.DataFrame({"video_id": [], "timestamp": []})
    tables = [read_keyframes(root / path) for path in named]
    return pd.concat(tables or [none]).drop_duplicates(ignore_index=True)


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
                if line.due() or done == len(jobs):
                    line.show(f"prepare {done}/{len(jobs)} videos")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    line.close()
    return made, failed
