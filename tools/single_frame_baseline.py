"""What can be told from one frame? SlowFast beside a model that sees only the keyframe.

Trains a Slow-only model whose clip is copies of the keyframe (same head, same steps, same people)
on the demo world, scores both models on the ground-truth boxes of the validation videos, and
prints the AP of four actions that differ in motion only: fall down, get up, walk, run.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from ava_detect.assemble import build_videos
from ava_detect.commands.evaluate import evaluate_people
from ava_detect.commands.train import train
from ava_detect.config import Config, load_config

MOTIONS = {5: "fall down", 6: "get up", 10: "run/jog", 14: "walk"}
ONE_FRAME = ("model.pathways=slow", "model.alpha=1", "data.num_frames=4", "data.sampling_rate=0")


def main() -> None:
    """Train what is missing, score both models, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"), help="folder of the demo")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not (arguments.demo / "summary.json").is_file():
        parser.error(f"{arguments.demo} holds no finished demo; run `make demo` first")
    seed = json.loads((arguments.demo / "summary.json").read_text())["seed"]
    settings = [f"data.root={arguments.demo / 'world'}", f"seed={seed}"]
    settings += ["evaluation.boxes=groundtruth"]
    clips = load_config("demo/ava", [*settings, f"output={arguments.demo}"])
    frames = load_config(
        "demo/ava", [*settings, f"output={arguments.demo / 'one_frame'}", *ONE_FRAME]
    )
    aps = [motion_aps(config) for config in (clips, frames)]

    print(f"{'AP, ground-truth boxes':<24}{'SlowFast':>10}{'one frame':>11}{'difference':>12}")
    for action_id, name in MOTIONS.items():
        print_row(name, *(ap[action_id] for ap in aps))
    print_row("mean", *(sum(ap.values()) / len(ap) for ap in aps))


def motion_aps(config: Config) -> dict[int, float]:
    """AP of each motion, of a model that is trained first if it is not there."""
    videos = build_videos(config, "train")
    videos.preload(videos.video_ids)
    weights = train(config, videos)
    name = "groundtruth_boxes"
    result = evaluate_people(
        config.model_copy(update={"weights": weights}), videos, name=name
    ).result
    table = result.per_class.set_index("action_id")["ap"]
    return {action_id: float(table[action_id]) for action_id in MOTIONS}


def print_row(name: str, clip: float, frame: float) -> None:
    """One line of the table."""
    print(f"{name:<24}{clip:>10.3f}{frame:>11.3f}{clip - frame:>12.3f}")


if __name__ == "__main__":
    main()
