"""Trained weights of any family, ours or foreign, as models: to score with, convert, train on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ava_detect.assemble import (
    build_label_map,
    build_model,
    exclusive_columns,
    numbered_classes,
)
from ava_detect.config import Config, load_config, parse_config
from ava_detect.engine.checkpoint import is_checkpoint, load_checkpoint, load_weights
from ava_detect.inference.detector import Detector
from ava_detect.models.network import ActionDetector
from ava_detect.models.weights import LoadReport, Weights, read_weights, start_from
from ava_eval.errors import InputError

_log = logging.getLogger(__name__)

LABEL_MAPS = {80: "ava_80", 60: "ava_60"}  # that ship, by their number of classes
RES5 = ("res5_stride", "res5_dilation")  # detectors keep the resolution that classifiers halve
OF_HEAD = (
    *("roi_aligned", "roi_resolution", "roi_over_time", "roi_over_space"),
    *("dropout", "hidden", "context", "prior_probability"),
)


@dataclass(frozen=True)
class Pretrained:
    """A trained model, the config that it computes by, and its classes in order."""

    config: Config
    model: ActionDetector
    label_map: pd.DataFrame
    family: str
    assumed: dict[str, Any]  # settings that the file does not tell


def load_detector(
    checkpoint: str | Path,
    config: Config | str | Path | None = None,
    device: str = "cpu",
    precision: str = "auto",
) -> Detector:
    """A trained detector, from a checkpoint of `train` or of any foreign family.

    The family is found out from the file: ours, PySlowFast, Caffe2, PyTorchVideo or mmaction2. The
    model is built as our checkpoint's own config says, or as ``config`` (a Config, a path or a
    recipe's name) where it is given; the classes are those it was trained on. Of a foreign file the
    tensors and the family decide the architecture, ``config`` what they leave open. No data file
    is read; settings that change what the weights compute are warned of. Raises InputError when
    the file is damaged, names code to run, does not fit, or scores no boxes.
    """
    loaded = load_model(checkpoint, config)
    if loaded.config.data.kind != "ava":
        raise InputError(
            f"{checkpoint}: classifies whole clips ({len(loaded.label_map)} classes) and scores no"
            " boxes; start the training of a detector from it with weights=FILE"
        )
    return Detector(loaded.model, loaded.label_map, precision, device)


def load_model(checkpoint: str | Path, config: Config | str | Path | None = None) -> Pretrained:
    """Any trained model, classifiers of clips included; otherwise as ``load_detector``."""
    if config is not None and not isinstance(config, Config):
        config = load_config(config)
    if is_checkpoint(checkpoint):
        return _load_ours(checkpoint, config)
    weights = read_weights(checkpoint)
    assumed = {}
    if config is None:
        config = _config_of(weights, None)
        assumed = {f"model.{key}": value for key, value in weights.assumed.items()}
        if weights.num_frames is None:
            data = config.data
            assumed["data"] = f"{data.num_frames} frames at steps of {data.sampling_rate}"
        for key, value in assumed.items():
            _log.warning(
                "warning: %s does not tell %s; %s is assumed, as usual in %s; a recipe (--config of"
                " convert, config= of load_detector) decides otherwise",
                checkpoint,
                key,
                value,
                weights.family,
            )
    else:
        config = _config_of(weights, config)
    label_map = _label_map_of(weights, config)
    model = build_model(config, len(label_map), exclusive_columns(config, label_map))
    load_weights(model, weights.state, checkpoint)
    return Pretrained(config, model, label_map, weights.family, assumed)


def start_model(model: ActionDetector, config: Config, label_map: pd.DataFrame) -> LoadReport:
    """Take ``config.weights`` over into a model that is to be trained; say what became of them.

    Classes of the same names and order keep the head, others start with a new one.
    """
    path = config.weights
    assert path is not None
    if is_checkpoint(path):
        saved = load_checkpoint(path)
        trained = parse_config(saved.config, str(path))
        state = saved.weights
        before = trained.model.model_dump()
        same = trained.data.kind == config.data.kind
        with_head = same and saved.meta["label_map"] == label_map.to_dict("list")
    else:
        weights = read_weights(path)
        state, before = weights.state, weights.model
        with_head = weights.kind == config.data.kind and weights.num_classes == len(label_map)
    if not with_head:
        before = {key: value for key, value in before.items() if key not in (*OF_HEAD, *RES5)}
    _warn_of_other_model(config, before, path)
    return start_from(model, state, path, with_head=with_head, partial=config.partial_weights)


def _load_ours(checkpoint: str | Path, config: Config | None) -> Pretrained:
    saved = load_checkpoint(checkpoint)
    trained = parse_config(saved.config, str(checkpoint))
    config = config or trained
    label_map = pd.DataFrame(saved.meta["label_map"])
    # What the logits were trained for is part of the model, whatever the config says.
    model = build_model(config, len(label_map), exclusive_columns(trained, label_map))
    load_weights(model, saved.weights, checkpoint)
    _warn_of_other_model(config, trained.model.model_dump(), checkpoint)
    _warn_of_other_frames(config, trained, checkpoint)
    return Pretrained(config, model, label_map, "ours", {})


def _config_of(weights: Weights, config: Config | None) -> Config:
    """The config that foreign weights compute by."""
    kind, classes = weights.kind, weights.num_classes
    if classes is None:
        raise InputError(
            f"{weights.path}: has no classifier, so it scores nothing; start a training from it"
            " with weights=FILE"
        )
    if config is None:
        data: dict[str, Any] = {"kind": kind}
        if kind == "kinetics":
            data["num_classes"] = classes
        elif classes in LABEL_MAPS:
            data["label_map"] = LABEL_MAPS[classes]
        else:
            raise InputError(
                f"{weights.path}: has {classes} classes, neither AVA's 80 nor its 60; name them in"
                " a config, as with --config ava/slowfast_r50_8x8 data.label_map=FILE.pbtxt"
            )
        slow_only = weights.model["pathways"] == "slow"
        data["num_frames"] = weights.num_frames or (4 if slow_only else 32)
        data["sampling_rate"] = weights.sampling_rate or (16 if slow_only else 2)
        return _validated({"model": weights.assumed | weights.model, "data": data}, weights.path)
    if config.data.kind != kind:
        raise InputError(
            f"data.kind: {weights.path} is a model of kind {kind}, got {config.data.kind}"
        )
    _warn_of_other_model(config, weights.model, weights.path, used="the file's is used")
    settings = config.model_dump()
    settings["model"] |= weights.model
    return _validated(settings, weights.path)


def _validated(settings: dict[str, Any], path: Path) -> Config:
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}, got {first['input']!r}") from None


def _label_map_of(weights: Weights, config: Config) -> pd.DataFrame:
    if weights.kind == "kinetics":
        return numbered_classes(weights.num_classes or 0)
    label_map = build_label_map(config)
    if len(label_map) != weights.num_classes:
        raise InputError(
            f"data.label_map: {weights.path} has {weights.num_classes} classes, the label map"
            f" {config.data.label_map} has {len(label_map)}"
        )
    return label_map


def _warn_of_other_model(
    config: Config, trained: dict[str, Any], path: str | Path, used: str = ""
) -> None:
    """Say which settings of the model differ from those that the weights were trained with."""
    now = config.model.model_dump()
    for key, value in trained.items():
        if key not in now or now[key] == value:
            continue
        _log.warning(
            "warning: model.%s is %s here, but %s was trained with %s%s",
            key,
            now[key],
            path,
            value,
            f"; {used}" if used else "",
        )


def _warn_of_other_frames(config: Config, trained: Config, path: str | Path) -> None:
    """Say where clips are sampled otherwise than the weights were trained with."""
    for key, now, then in (
        ("data.num_frames", config.data.num_frames, trained.data.num_frames),
        ("data.sampling_rate", config.data.sampling_rate, trained.data.sampling_rate),
        ("data.timebase.fps", config.data.timebase.fps, trained.data.timebase.fps),
    ):
        if now != then:
            _log.warning("warning: %s is %s here, but %s was trained with %s", key, now, path, then)
