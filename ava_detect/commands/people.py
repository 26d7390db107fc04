"""Which people a command trains on or scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ava_detect.assemble import Split, split_section
from ava_detect.commands.provenance import outdated
from ava_detect.config import Config
from ava_detect.data.select import only_keyframes
from ava_detect.proposals.files import read_proposals
from ava_detect.proposals.labels import NO_ACTION, inherit_labels
from ava_eval.errors import InputError
from ava_eval.tables import ANNOTATION_COLUMNS, BOX

_log = logging.getLogger(__name__)


def proposals_path(config: Config, split: str) -> Path:
    """The person boxes of a split: the file that is named, else what `propose` writes."""
    named = split_section(config, split).proposals
    return config.output / f"proposals_{split}.csv" if named is None else config.data.root / named


def load_proposals(config: Config, split: str, keyframes: pd.DataFrame) -> pd.DataFrame:
    """PersonBoxes of the keyframes; InputError says how to make the file where it is missing.

    A warning tells where it is not what `propose` would write now; a file that is named is trusted.
    """
    path = proposals_path(config, split)
    if not path.is_file():
        raise InputError(
            f"data.{split}.proposals: {path}: no such file of person boxes; run `ava-detect"
            f" propose` with split={split} and data.{split}.proposals=null, or name another file"
        )
    boxes, facts = read_proposals(path)
    warn_if_outdated(config, split, facts, keyframes)
    kept = only_keyframes(boxes, keyframes)
    if len(kept) < len(boxes):
        _log.warning(
            "warning: %d boxes of %s are on keyframes that data.%s does not list (or excludes) and"
            " are left out; list keyframes where nobody is annotated in data.%s.keyframes",
            len(boxes) - len(kept),
            path,
            split,
            split,
        )
    return kept


def warn_if_outdated(
    config: Config, split: str, facts: Mapping[str, Any], keyframes: pd.DataFrame
) -> None:
    """Warn where `propose` would now write other boxes than those it wrote with some ``facts``.

    A file that is named is trusted.
    """
    if split_section(config, split).proposals is not None:
        return
    changes = outdated(config, facts, keyframes)
    if changes:
        _log.warning(
            "warning: %s is not what `ava-detect propose` would write now: %s; run it again with"
            " split=%s",
            proposals_path(config, split),
            "; ".join(changes),
            split,
        )


def groundtruth_boxes(annotations: pd.DataFrame) -> pd.DataFrame:
    """PersonBoxes of the annotated people, each with the score 1."""
    people = annotations[["video_id", "timestamp", *BOX]].drop_duplicates(ignore_index=True)
    return people.assign(score=1.0)


def boxes_to_score(config: Config, split: str, data: Split) -> pd.DataFrame:
    """PersonBoxes that are scored: proposals above the threshold, or the annotated people."""
    if config.evaluation.boxes == "groundtruth":
        if data.annotations.empty:
            raise InputError(
                f"evaluation.boxes: groundtruth needs data.{split}.annotations, which names none"
            )
        return groundtruth_boxes(data.annotations)
    boxes = load_proposals(config, split, data.keyframes)
    return boxes[boxes["score"] >= config.evaluation.min_score].reset_index(drop=True)


def training_people(config: Config, data: Split) -> pd.DataFrame:
    """Annotations to train on: the annotated people, and detected ones on top.

    Those are proposals that inherit labels, if asked for, and boxes that came with labels.
    """
    settings = config.train_boxes
    people = [data.annotations]
    if settings.proposals:
        boxes = load_proposals(config, "train", data.keyframes)
        boxes = boxes[boxes["score"] >= settings.min_score].reset_index(drop=True)
        inherited = inherit_labels(data.annotations, boxes, settings.min_iou, settings.negatives)
        people.append(inherited)
    labelled = data.labelled_boxes
    wanted = labelled["score"] >= settings.min_score
    if not settings.negatives:
        wanted &= labelled["action_id"] != NO_ACTION
    people.append(labelled.loc[wanted, ANNOTATION_COLUMNS])
    people = [table for table in people if len(table)] or people[:1]
    return pd.concat(people, ignore_index=True)
