"""`ava-detect demo`: the whole pipeline on the embedded demo world."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ava_detect.assemble import build_device, build_label_map, build_videos, load_split
from ava_detect.clips import ClipSource
from ava_detect.commands.evaluate import evaluate_people
from ava_detect.commands.export import export
from ava_detect.commands.people import boxes_to_score
from ava_detect.commands.propose import propose, train_proposer
from ava_detect.commands.train import train
from ava_detect.config import Config, load_config
from ava_detect.engine.checkpoint import FINAL
from ava_detect.engine.evaluate import class_prior_scores, join_detections
from ava_detect.models.precision import choose_precision
from ava_detect.proposals.detectron import require_detectron2
from ava_detect.synthetic import make_world
from ava_eval import evaluate as frame_map
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError
from ava_eval.summary import summary as summary_text

RECIPES = {"torchvision": "demo/ava", "detectron2": "demo/ava_detectron2"}

_log = logging.getLogger(__name__)


@dataclass
class Stopwatch:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and time it."""
        _log.info("--- %s", name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def run_demo(
    folder: Path,
    *,
    seed: int = 0,
    proposer: str = "torchvision",
    overrides: Sequence[str] = (),
    world: Mapping[str, int] | None = None,
) -> dict:
    """Make the world, learn from it, score, export; print a table, write and return a summary.

    A world of the same seed is used again; everything else is made anew. ``overrides`` change
    settings of the recipe, ``world`` those of ``make_world``.
    """
    places = {"output": folder, "data.root": folder / "world"}
    words = [f"{key}={json.dumps(str(path))}" for key, path in places.items()]
    config = load_config(RECIPES[proposer], [*words, f"seed={seed}", *overrides])
    if proposer == "detectron2":
        require_detectron2()
    _forget_last_run(folder)
    _say_precision(config)
    watch = Stopwatch()
    with watch.stage("world"):
        make_world(config.data.root, seed=seed, log=_log.info, **(world or {}))
        videos = build_videos(config, "train")
        videos.preload(videos.video_ids)
    with watch.stage("train proposer"):
        train_proposer(config, videos)
    with watch.stage("propose"):
        proposals = propose(_with(config, split="val"), videos)
        propose(_with(config, split="test"), videos)
    with watch.stage("train"):
        weights = train(config, videos)
    config = _with(config, weights=weights)
    with watch.stage("evaluate"):
        scored = evaluate_people(config, videos)
        on_truth = evaluate_people(
            _with(config, evaluation=config.evaluation.model_copy(update={"boxes": "groundtruth"})),
            videos,
            name="groundtruth_boxes",
        )
        priors = class_prior_map(config, videos)
    submission = folder / "submission.csv"
    with watch.stage("export"):
        _log.info(export(_with(config, split="test"), submission, videos))
    assert proposals.report is not None  # evaluate has scored the same split, which has labels
    summary = {
        "mAP": {
            "proposals": scored.result.mean,
            "groundtruth_boxes": on_truth.result.mean,
            "class_priors": priors,
        },
        "proposer_AP50": proposals.report["AP50"],
        "seconds": {
            **{name.replace(" ", "_"): round(value, 1) for name, value in watch.seconds.items()},
            "total": round(sum(watch.seconds.values()), 1),
        },
        "files": {
            "groundtruth": "world/val.csv",
            "detections": str(scored.detections.relative_to(folder)),
            "labelmap": "world/labelmap.pbtxt",
            "submission": str(submission.relative_to(folder)),
            "proposals": str(proposals.path.relative_to(folder)),
            "weights": str(weights.relative_to(folder)),
            "preview": str(scored.preview.relative_to(folder)),
            "report": str(scored.report.relative_to(folder)),
        },
        "seed": seed,
        "proposer": proposer,
    }
    with atomic_path(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(_table(summary, summary_text(on_truth.result), folder))
    return summary


def class_prior_map(config: Config, videos: ClipSource) -> float:
    """mAP of giving every scored box the share of training people that do each action."""
    label_map = build_label_map(config)
    priors = class_prior_scores(load_split(config, "train", videos).annotations, label_map)
    data = load_split(config, config.split, videos)
    boxes = boxes_to_score(config, config.split, data)
    scores = np.tile(priors, (len(boxes), 1))
    detections = join_detections(
        boxes,
        boxes.index.to_numpy(),
        scores,
        label_map,
        use_person_score=config.evaluation.multiply_person_score,
    )
    return frame_map(data.annotations, detections, label_map, keyframes=data.keyframes).mean


def _with(config: Config, **changes: object) -> Config:
    return config.model_copy(update=changes)


def _forget_last_run(folder: Path) -> None:
    """Remove what an earlier demo trained; refuse a folder that holds a run of another kind."""
    checkpoints = [*folder.glob("step-*.pt"), *folder.glob(FINAL)]
    if checkpoints and not (folder / "world" / "world.json").is_file():
        raise InputError(
            f"{folder}: holds a run that is no demo ({checkpoints[0].name}); name another folder"
            " with -o DIR"
        )
    for path in (*checkpoints, *folder.glob("proposer_*.pth"), *folder.glob("starts.json")):
        path.unlink()
    shutil.rmtree(folder / "proposer_detectron2", ignore_errors=True)  # half a training


def _say_precision(config: Config) -> None:
    if choose_precision(config.precision, build_device(config)) == torch.float32:
        _log.info(
            "this processor has no fast 16-bit arithmetic: the same steps in float32"
            " take two to three times as long"
        )


def _table(summary: dict, per_class: str, folder: Path) -> str:
    maps, seconds = summary["mAP"], summary["seconds"]
    rows = [
        ("mAP, proposed boxes", f"{maps['proposals']:.4f}"),
        ("mAP, ground-truth boxes", f"{maps['groundtruth_boxes']:.4f}"),
        ("mAP, class priors on the proposed boxes", f"{maps['class_priors']:.4f}"),
        ("proposer AP@50", f"{summary['proposer_AP50']:.4f}"),
        *(
            (f"seconds, {name.replace('_', ' ')}", f"{value:.1f}")
            for name, value in seconds.items()
        ),
    ]
    lines = [f"{name:<42}{value:>10}" for name, value in rows]
    lines += [f"{name:<14}{folder / path}" for name, path in summary["files"].items()]
    return "\n".join(["", "AP with ground-truth boxes", per_class, "", *lines])
