"""From a Config to the objects that the commands share."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ava_detect.clips import ClipSource, Video, VideoLibrary
from ava_detect.clips.frame_list import read_frame_list
from ava_detect.config import Config
from ava_detect.config.data import SplitSection
from ava_detect.config.schema import ModelSection
from ava_detect.data.ava import Sampling
from ava_detect.data.select import without_keyframes
from ava_detect.models.heads import ClipHead, RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.slowfast import SlowFast
from ava_detect.timebase import Timebase
from ava_eval import read_annotations, read_keyframes, read_label_map
from ava_eval.errors import InputError
from ava_eval.files import read_excluded, read_labelled_boxes
from ava_eval.tables import ANNOTATION_COLUMNS, check_labels

LABEL_MAPS = {path.stem: path for path in Path(__file__).parent.glob("label_maps/*.pbtxt")}
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


def build_device(config: Config) -> torch.device:
    """The device that runs the models."""
    if config.device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")
    try:
        return torch.empty(0, device=config.device).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device: cannot use {config.device!r}; {str(error).split(chr(10))[0]}"
        ) from None


def build_label_map(config: Config) -> pd.DataFrame:
    """The model's classes: column c of its scores is action_id[c]."""
    known = build_full_label_map(config)
    if config.data.classes is None:
        return known
    chosen = [_find_class(config, known, entry) for entry in config.data.classes]
    kept = known[np.logical_or.reduce(chosen)] if chosen else known[:0]
    if kept.empty:
        raise InputError("data.classes: expected at least one class, got none")
    return kept.reset_index(drop=True)


def build_full_label_map(config: Config) -> pd.DataFrame:
    """The classes that the files of people may name, whether or not the model has them."""
    return _label_map(config, config.data.label_map)


def build_eval_label_map(config: Config) -> pd.DataFrame:
    """The classes that are scored and exported; with ``data.classes``, those of them."""
    name = config.data.eval_label_map or config.data.label_map
    scored = _label_map(config, name)
    if config.data.classes is None:
        return scored
    kept = scored[scored["action_id"].isin(build_label_map(config)["action_id"])]
    if kept.empty:
        raise InputError(
            f"data.classes: none of these classes is among the {len(scored)} of"
            f" data.eval_label_map ({name}), so nothing would be scored; add one that is"
        )
    return kept.reset_index(drop=True)


def _label_map(config: Config, name: str) -> pd.DataFrame:
    path = LABEL_MAPS.get(name, config.data.root / name)
    return read_label_map(path, _first_label(config, name))


def _first_label(config: Config, name: str) -> int:
    """The smallest id of a label map; those that ship count from 1, whatever the other files do."""
    return 1 if name in LABEL_MAPS else config.data.first_label


def _find_class(config: Config, label_map: pd.DataFrame, entry: int | str) -> np.ndarray:
    """Mark the class of an entry of ``data.classes``: a name, or an id as the file has it."""
    name = config.data.label_map
    if isinstance(entry, str):
        words = label_map["name"].tolist()
    else:
        words = (label_map["action_id"] - 1 + _first_label(config, name)).astype(str).tolist()
    found = np.array([word == str(entry) for word in words])
    if not found.any():
        near = difflib.get_close_matches(str(entry), words, 1, cutoff=0.0)[0]
        what = "name" if isinstance(entry, str) else "id"
        raise InputError(
            f"data.classes: expected ids or names of the label map {name}, got {entry!r};"
            f" the nearest {what} is {near!r}"
        )
    return found


def build_timebase(config: Config) -> Timebase:
    """How timestamps meet the videos."""
    settings = config.data.timebase
    return Timebase(settings.fps, settings.unit, settings.first_frame, settings.shift)


def build_sampling(config: Config) -> Sampling:
    """Which frames make the clip of a keyframe."""
    return Sampling(build_timebase(config), config.data.num_frames, config.data.sampling_rate)


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


def load_split(config: Config, split: str, videos: ClipSource) -> Split:
    """Read a split's files, check labels and videos, and take excluded keyframes out.

    Raises InputError when the split names no file, when a label is not in the label map, and
    (unless ``data.on_error`` is skip) when a video is missing. A label that the label map knows and
    ``data.classes`` leaves out is kept in the tables.
    """
    if config.data.kind != "ava":
        raise InputError(
            f"data.kind: expected a recipe of people in boxes (ava), got {config.data.kind};"
            " clips are not trained on in this version"
        )
    section, root = split_section(config, split), config.data.root
    if not section.annotations and section.keyframes is None:
        raise InputError(f"data.{split}: expected annotations or keyframes, got neither")
    label_map, first_label = build_full_label_map(config), config.data.first_label
    tables = []
    for path in [*section.annotations, *([section.keyframes] if section.keyframes else [])]:
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
    config: Config, split: str, path: Path, table: pd.DataFrame, videos: ClipSource
) -> None:
    """InputError for the first video of a file that is missing, unless these are skipped."""
    root = config.data.root
    for video_id in table["video_id"].unique():
        if config.data.on_error == "fail" and not videos.has(video_id):
            folders = split_section(config, split).videos
            raise InputError(
                f"{root / path}: column video_id: {video_id!r}: no such video in"
                f" {' or '.join(str(root / folder) for folder in folders)}; add the"
                " file, remove the video's rows, or set data.on_error=skip"
            )


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables one behind the other; empty ones, whose columns have no types, do not count."""
    return pd.concat([table for table in tables if len(table)] or tables)


def build_backbone(model: ModelSection) -> SlowFast:
    """The SlowFast backbone of the settings."""
    names = inspect.signature(SlowFast).parameters
    try:
        return SlowFast(**{name: getattr(model, name) for name in names})
    except ValueError as error:
        raise InputError(f"model.{error}") from None


def count_classes(config: Config) -> int:
    """How many classes the model of a recipe has."""
    return (
        config.data.num_classes if config.data.kind == "kinetics" else len(build_label_map(config))
    )


def build_model(config: Config, num_classes: int) -> ActionDetector:
    """An untrained model; channels-last, which today's convolutions run fastest on."""
    model = config.model
    backbone = build_backbone(model)
    head: RoIHead | ClipHead
    if config.data.kind == "kinetics":
        head = ClipHead(backbone.out_channels, num_classes, model.dropout)
    else:
        head = RoIHead(
            backbone.out_channels,
            num_classes,
            backbone.strides,
            resolution=model.roi_resolution,
            dropout=model.dropout,
            aligned=model.roi_aligned,
            prior=model.prior_probability,
            over_time=model.roi_over_time,
            over_space=model.roi_over_space,
            context=model.context,
            hidden=model.hidden,
        )
    return ActionDetector(backbone, head, model.mean, model.std).to(
        memory_format=torch.channels_last_3d
    )
