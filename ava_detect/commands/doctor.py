"""`ava-detect doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from ava_detect.assemble import (
    LABEL_MAPS,
    build_eval_label_map,
    build_full_label_map,
    build_label_map,
    build_originals,
    build_timebase,
    build_videos,
    split_section,
)
from ava_detect.clips import VideoLibrary
from ava_detect.commands.people import proposals_path
from ava_detect.config import Config
from ava_detect.doctor.checkup import check_up
from ava_detect.doctor.findings import SHOWN, Finding, first_few
from ava_detect.doctor.inputs import Meaning, SplitFiles
from ava_detect.doctor.report import Report
from ava_detect.engine.logs import StatusLine
from ava_eval import read_label_map
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.classes import GROUPS
from ava_eval.errors import InputError
from ava_eval.label_maps import COUNTED_FROM_0

SPLITS = ("train", "val", "test")


def doctor(config: Config, json_path: Path | None = None, *, videos: bool = True) -> Report:
    """Check the data set of a recipe; the report is written as JSON too, if asked for.

    ``videos=False`` opens no video.
    """
    if config.data.kind != "ava":
        raise InputError(
            f"data.kind: expected a recipe of people in boxes (ava), got {config.data.kind}"
        )
    if json_path is not None:
        require_writable(json_path)
    report = _no_data(config) or _check(config, videos)
    if json_path is not None:
        with atomic_path(json_path) as temporary:
            text = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
            temporary.write_text(f"{text}\n", encoding="utf-8")
    return report


def _no_data(config: Config) -> Report | None:
    """The one finding where data.root is no folder: all others would follow from it."""
    root = config.data.root
    if root.is_dir() or not any(_is_given(config, split) for split in SPLITS):
        return None
    remedy = (
        "set data.root=DIR to the folder of the data set; `ava-detect download annotations boxes"
        " videos -o DIR` fetches AVA"
    )
    what = f"{root}: no such folder"
    return Report([Finding("folder-missing", "data.root", what, remedy=remedy)], [])


def _check(config: Config, videos: bool) -> Report:
    findings: list[Finding] = []
    meaning = _meaning(config, findings)
    splits = [_files(config, split, videos) for split in SPLITS if _is_given(config, split)]
    prepared = config.data.prepared
    if videos and prepared is not None and not _is_prepared(config):
        folder = str(config.data.root / prepared)
        findings.append(Finding("not-prepared", folder, "data.prepared names it; it is not there"))
    if not splits:
        raise InputError("data: expected the files of a split, e.g. data.train.annotations")
    line = StatusLine()

    def progress(split: str, done: int, total: int) -> None:
        if line.due():
            line.show(f"doctor: {split}: {done}/{total} videos")

    report = check_up(splits, meaning, progress)
    line.close()
    return Report([*findings, *report.findings], report.splits, report.classes)


def _is_given(config: Config, split: str) -> bool:
    section = split_section(config, split)
    return bool(section.annotations) or section.keyframes is not None


def _meaning(config: Config, findings: list[Finding]) -> Meaning:
    data = config.data
    known = _label_map("data.label_map", partial(build_full_label_map, config), findings)
    classes = None
    if known is not None:
        classes = _label_map("data.classes", partial(build_label_map, config), findings)
    if classes is not None:
        scored = _label_map("data.eval_label_map", partial(build_eval_label_map, config), findings)
        if scored is not None:
            findings += _check_scored(config, scored, classes)
    return Meaning(
        timebase=build_timebase(config),
        start=data.timebase.start,
        clip=(data.num_frames, data.sampling_rate),
        first_label=data.first_label,
        known=known,
        classes=classes,
        poses=GROUPS["person_movement"] if known is not None and _is_of_ava(known) else (),
        shipped=data.label_map in LABEL_MAPS,
        skips=data.on_error == "skip",
    )


def _label_map(
    setting: str, build: Callable[[], pd.DataFrame], findings: list[Finding]
) -> pd.DataFrame | None:
    try:
        return build()
    except (InputError, OSError) as problem:
        code = "label-map-unreadable" if setting == "data.label_map" else "setting-wrong"
        remedy = ""
        if COUNTED_FROM_0 in str(problem):
            remedy = (
                "set data.first_label=0 where the CSVs' labels count from 0 as well; else let the"
                " label map count from 1, as they do"
            )
        findings.append(Finding(code, setting, str(problem), remedy=remedy))
        return None


def _check_scored(config: Config, scored: pd.DataFrame, classes: pd.DataFrame) -> list[Finding]:
    """Classes that are scored and that the model does not have."""
    unknown = scored[~scored["action_id"].isin(classes["action_id"])]
    if unknown.empty:
        return []
    name = config.data.eval_label_map or config.data.label_map
    first = 1 if name in LABEL_MAPS else config.data.first_label
    ids = unknown["action_id"] - 1 + first
    words = [f"{number} {word}" for number, word in zip(ids, unknown["name"], strict=True)]
    what = (
        f"{len(words)} of the {len(scored)} classes that are scored ({name}) are none of the"
        f" model's: {first_few(words, len(words))}"
    )
    remedy = "name a label map of data.label_map's classes; null scores all of them"
    setting, items = "data.eval_label_map", tuple(words[:SHOWN])
    return [Finding("setting-wrong", setting, what, len(words), items=items, remedy=remedy)]


def _is_of_ava(label_map: pd.DataFrame) -> bool:
    """Whether each class is one of AVA's, with its id and name."""
    ava = read_label_map(LABEL_MAPS["ava_80"])
    pairs = set(zip(ava["action_id"], ava["name"], strict=True))
    return pairs.issuperset(zip(label_map["action_id"], label_map["name"], strict=True))


def _files(config: Config, split: str, videos: bool) -> SplitFiles:
    section, root = split_section(config, split), config.data.root
    proposals, prepared = proposals_path(config, split), config.data.prepared
    is_prepared = prepared is not None and _is_prepared(config)
    folders = [prepared] if prepared is not None and is_prepared else section.videos
    is_listed = section.frame_list is not None and not is_prepared
    return SplitFiles(
        name=split,
        annotations=tuple(root / path for path in section.annotations),
        labelled_boxes=tuple(root / path for path in section.labelled_boxes),
        keyframes=None if section.keyframes is None else root / section.keyframes,
        excluded=None if section.excluded is None else root / section.excluded,
        proposals=proposals if section.proposals or proposals.is_file() else None,
        folder=", ".join(str(root / folder) for folder in folders),
        frame_list=root / section.frame_list if section.frame_list and is_listed else None,
        frames=root / section.videos[0] if section.videos else root,
        prepared=is_prepared,
        videos=partial(_open, config, split) if videos else None,
    )


def _is_prepared(config: Config) -> bool:
    """Whether the folder of prepared copies is there."""
    prepared = config.data.prepared
    return prepared is not None and (config.data.root / prepared).is_dir()


def _open(config: Config, split: str) -> VideoLibrary:
    """The videos that a run would read; the originals before they are prepared.

    Without a cache: a few frames are looked at, one by one.
    """
    config = config.model_copy(update={"data": config.data.model_copy(update={"cache_gb": 0})})
    return (build_videos if _is_prepared(config) else build_originals)(config, split)
