"""`ava-detect deploy`: a trained model for other programs, checked before it appears."""

from __future__ import annotations

import json
import logging
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ava_detect.assemble import build_label_map
from ava_detect.config import Config, dump_config
from ava_detect.inference.export import (
    MIN_SIDE,
    Batch,
    BoxScorer,
    build_scorer,
    largest_difference,
    open_exported,
    require_exportable,
    write_exported,
)
from ava_detect.pretrained import Pretrained, load_model
from ava_detect.proposals.files import file_digest
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError

TOLERANCE = 1e-4  # between scores, which are in [0, 1]
_log = logging.getLogger(__name__)


def deploy(config: Config, path: Path) -> str:
    """Write the model of `weights=FILE` to ``path`` (.onnx or .pt2); what it is, in some lines.

    The file is run by its own runtime on batches of many sizes and appears only when its scores are
    those of the model in float32, to ``TOLERANCE``.
    """
    if config.weights is None:
        raise InputError("weights: expected weights=FILE, the checkpoint to deploy; got none")
    require_writable(path)
    if path.exists() and config.weights.exists() and path.samefile(config.weights):
        raise InputError(f"{path}: would be written over; name another file")
    loaded = load_model(config.weights, config)
    require_exportable(loaded.model, path)
    scorer, num_frames = build_scorer(loaded.model), loaded.config.data.num_frames
    batches = _batches(loaded.config)
    metadata = _metadata(loaded, config, config.weights)
    with atomic_path(path) as temporary:
        start = time.perf_counter()
        write_exported(scorer, num_frames, temporary, metadata)
        _log.info("exported in %.0f s; now it is run and compared", time.perf_counter() - start)
        run, _ = open_exported(temporary)
        worst = largest_difference(scorer, run, num_frames, batches)
        if not worst <= TOLERANCE:  # nor NaN
            raise InputError(
                f"{path}: not written: the exported model's scores differ from ours by {worst:.1e};"
                f" expected at most {TOLERANCE:.0e}"
            )
    return _text(path, loaded, scorer, batches, worst)


def _batches(config: Config) -> list[Batch]:
    """Odd and even sizes, nobody and a crowd, one clip and several; the last is that of use."""
    short = max(config.evaluation.short_side or 112, MIN_SIDE)
    long = short if config.data.kind == "kinetics" else round(short * 4 / 3)
    return [
        Batch(clips=1, height=64, width=80, boxes=1),
        Batch(clips=2, height=97, width=75, boxes=5),
        Batch(clips=1, height=66, width=129, boxes=0),
        Batch(clips=3, height=65, width=64, boxes=40),
        Batch(clips=1, height=short, width=long, boxes=5),
    ]


def _metadata(loaded: Pretrained, config: Config, weights: Path) -> dict[str, str]:
    """What whoever runs the model needs to know, as texts."""
    label_map = loaded.label_map
    if loaded.config.data.kind == "kinetics" and loaded.family != "ours":  # it has no names
        named = build_label_map(config)
        label_map = named if len(named) == len(label_map) else label_map
    classes = [
        {"id": int(action_id), "name": name}
        for action_id, name in zip(label_map["action_id"], label_map["name"], strict=True)
    ]
    data, evaluation = loaded.config.data, loaded.config.evaluation
    sampling = {
        "num_frames": data.num_frames,
        "sampling_rate": data.sampling_rate,
        "fps": data.timebase.fps,
        "short_side": evaluation.short_side,
    }
    source = {"file": weights.name, "sha256": file_digest(weights), "family": loaded.family}
    return {
        "classes": json.dumps(classes),
        "exclusive_columns": json.dumps(loaded.model.exclusive),
        "sampling": json.dumps(sampling),
        "weights": json.dumps(source),
        "config": dump_config(loaded.config),
        "versions": json.dumps({"ava_detect": _version(), "torch": torch.__version__}),
    }


def _version() -> str | None:
    try:
        return version("ava-detect")
    except PackageNotFoundError:  # run from a folder
        return None


def _text(
    path: Path, loaded: Pretrained, scorer: object, batches: list[Batch], worst: float
) -> str:
    frames, classes = loaded.config.data.num_frames, len(loaded.label_map)
    of_boxes = isinstance(scorer, BoxScorer)
    sizes = ", ".join(f"{b.clips}x{b.height}x{b.width}" for b in batches)
    crowd = f" with {', '.join(str(b.boxes) for b in batches)} boxes" if of_boxes else ""
    return "\n".join(
        [
            f"input    frames uint8 [clips,{frames},height,width,3] RGB, from {MIN_SIDE} pixels on",
            *(["input    rois float32 [boxes,5]: clip, x1, y1, x2, y2 in pixels"] * of_boxes),
            f"output   scores float32 [{'boxes' if of_boxes else 'clips'},{classes}] in [0, 1]",
            f"checked  clips of {sizes} pixels{crowd}",
            f"largest difference to our model in float32: {worst:.1e} (at most {TOLERANCE:.0e})",
            f"written  {path}, {path.stat().st_size / 1e6:.1f} MB",
        ]
    )
