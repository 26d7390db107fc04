"""Data of a config: timebase, videos, and the tables of a split."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ava_detect.assemble.labels import build_full_label_map, build_label_map
from ava_detect.clips import ClipSource, Video, VideoLibrary
from ava_detect.clips.frame_list import read_frame_list
from ava_detect.config import Config
from ava_detect.config.data import SplitSection
from ava_detect.data.ava import KeyframeSampling
from ava_detect.data.kinetics import VideoSampling
from ava_detect.data.kinetics_files import read_kinetics
from ava_detect.data.select import without_keyframes
from ava_detect.timebase import Timebase
from ava_eval import read_annotations, read_keyframes
from ava_eval.errors import InputError
from ava_eval.files import read_excluded, read_labelled_boxes
from ava_eval.tables import ANNOTATION_COLUMNS, check_labels

_log = logging.getLogger(__name__)

MOST_THREADS = 4
"""More than these gain a decoder little."""


@dataclass(frozen=True)
class Split:
    """What is known of one split.

    annotations: Annotations, without excluded keyframes; empty for an unlabelled split.
    keyframes: Keyframes to propose on and to score, without excluded ones.
    labelled_boxes: detected people to train on besides, likewise: as ``read_labelled_boxes`` gives.
    """

    annotations: pd.DataFrame
    keyframes: pd.DataFrame
    labelled_boxes: pd.DataFrame


def build_timebase(config: Config) -> Timebase:
    """How timestamps meet the videos."""
    settings = config.data.timebase
    return Timebase(settings.fps, settings.unit, settings.first_frame, settings.shift)


def build_sampling(config: Config) -> KeyframeSampling:
    """Which frames make the clip of a keyframe."""
    data = config.data
    return KeyframeSampling(build_timebase(config), data.num_frames, data.sampling_rate)


def build_video_sampling(config: Config, at_random: bool) -> VideoSampling:
    """Which frames make a clip of a video that is one action from end to end."""
    data = config.data
    if data.timebase.unit == "frames":
        raise InputError("data.timebase.unit: clips of whole videos are counted in seconds")
    return VideoSampling(build_timebase(config), data.num_frames, data.sampling_rate, at_random)


def build_videos(config: Config, split: str) -> VideoLibrary:
    """The videos of a split: what `prepare` made of them, if that is asked for."""
    data = config.data
    if data.prepared is not None:
        folder = data.root / data.prepared
        if not folder.is_dir():
            raise InputError(
                f"data.prepared: {folder}: no such folder; run `ava-detect prepare` first"
            )
        return _library(config, (folder,), prepared=True)
    return build_originals(config, split)


def build_originals(config: Config, split: str) -> VideoLibrary:
    """The videos of a split as they were given."""
    section, root = split_section(config, split), config.data.root
    folders = tuple(root / folder for folder in section.videos)
    if section.frame_list is None:
        for folder in folders:
            if not folder.is_dir():
                raise _missing(f"data.{split}.videos", folder, root, "folder")
        return _library(config, folders)
    listed = read_frame_list(root / section.frame_list, folders[0], config.data.timebase.fps)
    return _library(config, (), listed)


def decoder_threads(workers: int) -> int:
    """Threads of a video decoder: workers fill the cores by themselves."""
    return 1 if workers else min(MOST_THREADS, os.cpu_count() or 1)


def _library(
    config: Config,
    folders: tuple[Path, ...],
    listed: Mapping[str, Video] | None = None,
    prepared: bool = False,
) -> VideoLibrary:
    return VideoLibrary(
        *folders,
        start=config.data.timebase.start,
        frames_fps=config.data.timebase.fps,
        cache_bytes=int(config.data.cache_gb * 2**30),
        threads=decoder_threads(config.data.workers),
        listed=listed,
        prepared=prepared,
    )


def split_section(config: Config, split: str) -> SplitSection:
    """The settings of a split."""
    return getattr(config.data, split)


def _missing(setting: str, path: Path, root: Path, kind: str) -> InputError:
    """The error for a file or folder of a split that is not there."""
    if not root.is_dir():
        return InputError(
            f"data.root: {root}: no such folder; set data.root=DIR to the folder of the data set"
        )
    return InputError(
        f"{setting}: {path}: no such {kind}; set data.root=DIR to the folder of the data set (now"
        f" {root}), or name another {kind}; `ava-detect doctor` lists all that is missing"
    )


def load_split(config: Config, split: str, videos: ClipSource | None) -> Split:
    """Read a split's files, check labels and videos, and take excluded keyframes out.

    Raises InputError when the split names no file, when a label is not in the label map, and
    (unless ``data.on_error`` is skip) when a video is missing; without ``videos`` none is looked
    for. A label that the label map knows and
    ``data.classes`` leaves out is kept in the tables.
    """
    if config.data.kind != "ava":
        raise InputError(
            f"data.kind: expected a recipe of people in boxes (ava), got {config.data.kind};"
            " this command is not for whole clips"
        )
    section, root = split_section(config, split), config.data.root
    if not section.annotations and section.keyframes is None:
        raise InputError(f"data.{split}: expected annotations or keyframes, got neither")
    label_map, first_label = build_full_label_map(config), config.data.first_label
    tables = []
    for path in [*section.annotations, *([section.keyframes] if section.keyframes else [])]:
        if not (root / path).exists():
            raise _missing(f"data.{split}", root / path, root, "file")
        tables.append(read_keyframes(root / path))
        _require_videos(config, split, path, tables[-1], videos)
    keyframes = pd.concat(tables).drop_duplicates(ignore_index=True)
    annotations = [pd.DataFrame(columns=ANNOTATION_COLUMNS)]
    for path in section.annotations:
        table = read_annotations(root / path, first_label=first_label)
        check_labels(table, label_map, root / path, first_label)
        annotations.append(table)
    labelled_boxes = [pd.DataFrame(columns=[*ANNOTATION_COLUMNS, "score"])]
    for path in section.labelled_boxes:
        table = read_labelled_boxes(root / path, first_label)
        check_labels(table, label_map, root / path, first_label)
        _require_videos(config, split, path, table, videos)
        labelled_boxes.append(table)
    excluded = keyframes[:0] if section.excluded is None else read_excluded(root / section.excluded)
    return Split(
        without_keyframes(_joined(annotations), excluded),
        without_keyframes(keyframes, excluded),
        without_keyframes(_joined(labelled_boxes), excluded),
    )


def _require_videos(
    config: Config, split: str, path: Path, table: pd.DataFrame, videos: ClipSource | None
) -> None:
    """InputError for the first video of a file that is missing, unless these are skipped."""
    if videos is None or config.data.on_error != "fail":
        return
    root = config.data.root
    for video_id in table["video_id"].unique():
        if not videos.has(video_id):
            folders = split_section(config, split).videos
            raise InputError(
                f"{root / path}: column video_id: {video_id!r}: no such video in"
                f" {' or '.join(str(root / folder) for folder in folders)}; add the"
                " file, remove the video's rows, or set data.on_error=skip"
            )


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables one behind the other; empty ones, whose columns have no types, do not count."""
    return pd.concat([table for table in tables if len(table)] or tables)


def load_kinetics(config: Config, split: str, videos: ClipSource) -> tuple[pd.DataFrame, list[str]]:
    """The videos of a split and the class of each (``read_kinetics``), and those that are missing.

    Raises InputError when the split names no file and, unless ``data.on_error`` is skip, when a
    video is missing; such are left out and warned of, and an error when nothing is left.
    """
    section, root = split_section(config, split), config.data.root
    if not section.annotations:
        raise InputError(f"data.{split}.annotations: expected a list of videos, got none")
    known, tables = build_full_label_map(config), []
    for path in section.annotations:
        folders = [root / folder for folder in section.videos]
        table = read_kinetics(root / path, known, config.data.first_label, folders)
        _require_videos(config, split, path, table, videos)
        tables.append(table)
    listed = pd.concat(tables, ignore_index=True)
    present = listed["video_id"].map(videos.has).to_numpy(bool)
    wanted = listed["action_id"].isin(build_label_map(config)["action_id"])
    kept = listed[present & wanted].drop_duplicates(ignore_index=True)
    if not wanted.all():
        told = f"{(~wanted).sum()} of {len(listed)} videos have classes outside of data.classes"
        if kept.empty:
            raise InputError(f"data.{split}.annotations: {told}: nothing is left")
        _log.warning("warning: data.%s: %s: left out", split, told)
    missing = listed["video_id"][~present].tolist()
    if missing:
        where = " or ".join(str(root / folder) for folder in section.videos)
        told = f"{len(missing)} of {len(listed)} videos ({', '.join(missing[:3])}, ...)"
        if kept.empty:
            raise InputError(f"data.{split}.videos: {told} are not in {where}: nothing is left")
        _log.warning("warning: data.%s: %s are not in %s: left out", split, told, where)
    return kept.sort_values("video_id", ignore_index=True), missing
