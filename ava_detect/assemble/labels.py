"""The classes of a config: those of the model, those that are scored."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import pandas as pd

from ava_detect.config import Config
from ava_detect.data.kinetics_files import read_class_names
from ava_eval import read_label_map
from ava_eval.errors import InputError

LABEL_MAPS = {path.stem: path for path in Path(__file__).parents[1].glob("label_maps/*.pbtxt")}
NUMBERED = "numbered classes"


def build_label_map(config: Config) -> pd.DataFrame:
    """The model's classes: column c of its scores is action_id[c]."""
    known = build_full_label_map(config)
    if config.data.classes is None:
        return known
    chosen = [_find_class(config, known, entry, "classes") for entry in config.data.classes]
    kept = known[np.logical_or.reduce(chosen)] if chosen else known[:0]
    if kept.empty:
        raise InputError("data.classes: expected at least one class, got none")
    return kept.reset_index(drop=True)


def exclusive_columns(config: Config, label_map: pd.DataFrame) -> list[int]:
    """Columns of the model's scores of which a person has exactly one."""
    found = [_find_class(config, label_map, e, "exclusive") for e in config.data.exclusive]
    columns = sorted({int(np.flatnonzero(mark)[0]) for mark in found})
    if len(columns) == 1:
        raise InputError("data.exclusive: expected several classes to choose among, got one")
    return columns


def build_full_label_map(config: Config) -> pd.DataFrame:
    """The classes that files may name, whether or not the model has them."""
    if _name(config) == NUMBERED:
        return numbered_classes(config.data.num_classes)
    return _label_map(config, _name(config))


def build_eval_label_map(config: Config) -> pd.DataFrame:
    """The classes that are scored and exported; with ``data.classes``, those of them."""
    name = config.data.eval_label_map or _name(config)
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


def numbered_classes(count: int) -> pd.DataFrame:
    """A label map of classes without names."""
    ids = range(1, count + 1)
    return pd.DataFrame({"action_id": list(ids), "name": [f"class {i}" for i in ids]})


def _name(config: Config) -> str:
    return config.data.label_map or (NUMBERED if config.data.kind == "kinetics" else "ava_80")


def _label_map(config: Config, name: str) -> pd.DataFrame:
    path = LABEL_MAPS.get(name, config.data.root / name)
    if not path.exists():
        setting = "label_map" if name == config.data.label_map else "eval_label_map"
        raise InputError(
            f"data.{setting}: {path}: no such file; expected one below data.root, or"
            f" {' or '.join(sorted(LABEL_MAPS))}, which are built in"
        )
    if path.suffix in (".txt", ".csv"):
        return read_class_names(path)
    return read_label_map(path, _first_label(config, name))


def _first_label(config: Config, name: str) -> int:
    """The smallest id of a label map; those that ship count from 1, whatever the other files do."""
    return 1 if name in LABEL_MAPS else config.data.first_label


def _find_class(
    config: Config, label_map: pd.DataFrame, entry: int | str, setting: str
) -> np.ndarray:
    """Mark the class of an entry of ``data.SETTING``: a name, or an id as the file has it."""
    name = _name(config)
    if isinstance(entry, str):
        words = label_map["name"].tolist()
    else:
        words = (label_map["action_id"] - 1 + _first_label(config, name)).astype(str).tolist()
    found = np.array([word == str(entry) for word in words])
    if not found.any():
        near = difflib.get_close_matches(str(entry), words, 1, cutoff=0.0)[0]
        what = "name" if isinstance(entry, str) else "id"
        raise InputError(
            f"data.{setting}: expected ids or names of the label map {name}, got {entry!r};"
            f" the nearest {what} is {near!r}"
            + ("; data.classes=null takes all of them" if setting == "classes" else "")
        )
    return found
