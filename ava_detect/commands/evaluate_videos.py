"""`ava-detect evaluate` of a classifier: the class of each whole video."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ava_detect.assemble import build_label_map, build_videos, load_kinetics
from ava_detect.commands.facts import inputs, skipped_facts
from ava_detect.commands.scoring import open_classifier, score_videos
from ava_detect.config import Config
from ava_detect.data.batch import Unreadable
from ava_detect.data.loaders import count_by_video, unread_text
from ava_detect.engine import distributed
from ava_detect.engine.accuracy import is_in_top
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError


@dataclass(frozen=True)
class Classification:
    """What `evaluate` found and wrote.

    Attributes:
        videos: ``video_id action_id predicted_id score``, the score being that of the prediction,
            and bool ``top1 top5``; of the videos that could be read.
        label_map: the classes.
        views: of each video.
        missing, unread: what is not in it.
    """

    videos: pd.DataFrame
    label_map: pd.DataFrame
    views: tuple[int, int]
    missing: list[str]
    unread: list[Unreadable]
    predictions: Path
    metrics: Path

    @property
    def figures(self) -> dict[str, float]:
        """Shares of the videos."""
        return {name: float(self.videos[name].mean()) for name in ("top1", "top5")}

    def classes(self) -> list[dict[str, Any]]:
        """The share of each class; null where no video has it."""
        found = self.videos.groupby("action_id")["top1"].agg(["mean", "size"])
        known = found["mean"].to_dict(), found["size"].to_dict()
        return [
            {"id": i, "name": n, "top1": known[0].get(i), "num_videos": int(known[1].get(i, 0))}
            for i, n in self.label_map[["action_id", "name"]].itertuples(index=False)
        ]

    def text(self) -> str:
        """What a person reads: top-1 per class, top-1 and top-5, and the files."""
        rows = [(c["name"], c["top1"], c["num_videos"]) for c in self.classes() if c["num_videos"]]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{name:<{width}}  {share:6.4f}  {count:6d}" for name, share, count in rows]
        clips, crops = self.views
        shares = "  ".join(f"{name} {share:.4f}" for name, share in self.figures.items())
        lines += ["", f"{shares}  ({len(self.videos)} videos, {clips} x {crops} views each)", ""]
        lines += [f"predictions {self.predictions}", f"metrics     {self.metrics}"]
        if self.missing:
            lines.append(f"{len(self.missing)} listed videos are missing and do not count")
        if self.unread:
            told = unread_text(count_by_video(self.unread), "videos without any do not count")
            lines.append(told)
        return "\n".join(lines)


def evaluate_videos(config: Config) -> Classification:
    """Score a labelled split; write `predictions.csv` and `metrics.json`."""
    require_writable(config.output / "metrics.json")
    classifier = open_classifier(config)
    label_map = build_label_map(config)
    videos = build_videos(config, config.split)
    listed, missing = load_kinetics(config, config.split, videos)
    read, scores, unread = score_videos(config, classifier, videos, listed)
    if not len(read):
        raise InputError(f"none of the {len(listed)} videos could be read; {unread[0].reason}")
    table = listed.iloc[read].reset_index(drop=True)
    columns = pd.Index(label_map["action_id"]).get_indexer(table["action_id"])
    best = scores.argmax(axis=1)
    done = Classification(
        table.assign(
            predicted_id=label_map["action_id"].to_numpy()[best],
            score=scores[np.arange(len(best)), best],
            top1=is_in_top(scores, columns, 1),
            top5=is_in_top(scores, columns, 5),
        ),
        label_map,
        (config.evaluation.clips, config.evaluation.crops),
        missing,
        unread,
        predictions=config.output / "predictions.csv",
        metrics=config.output / "metrics.json",
    )
    if distributed.is_main():
        _write(config, done)
    return done


def _write(config: Config, done: Classification) -> None:
    with atomic_path(done.predictions) as temporary:
        done.videos.drop(columns=["top1", "top5"]).to_csv(temporary, index=False)
    facts = {
        **done.figures,
        "videos": len(done.videos),
        "clips": done.views[0],
        "crops": done.views[1],
        "classes": done.classes(),
        "split": config.split,
        "missing": done.missing,
        "skipped": skipped_facts(done.unread),
        "inputs": inputs(config),
    }
    with atomic_path(done.metrics) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
