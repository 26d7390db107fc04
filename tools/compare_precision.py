"""The mAP of one checkpoint by the plain model and by the prepared ones, on the same boxes.

    python tools/compare_precision.py CONFIG weights=FILE [key=value ...] [--videos N]

The plain model is what trains: eager, float32, nothing folded. Beside it the model that `evaluate`
uses, in each of ``--precisions``; a type that the processor does slowly still gives its scores. The
table has the mAP of each, its difference from the plain one, the largest difference of a score, and
the seconds. Boxes are the recipe's (`evaluation.boxes`), of the first N videos if said.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from ava_detect.assemble import build_device, build_eval_label_map, build_videos, load_split
from ava_detect.commands.people import boxes_to_score
from ava_detect.commands.scoring import open_detector, score_people
from ava_detect.config import load_config
from ava_detect.inference.detector import Detector
from ava_detect.models.network import ActionDetector
from ava_detect.pretrained import load_model
from ava_eval import evaluate


@dataclass
class Plain:
    """What scoring asks of a ``Detector``, with the model as it is."""

    model: ActionDetector
    label_map: pd.DataFrame
    device: torch.device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--videos", type=int, metavar="N", help="the first N of the split only")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = load_config(arguments.config, arguments.overrides)
    videos = build_videos(config, config.split)
    data = load_split(config, config.split, videos)
    some = data.annotations["video_id"].unique()[: arguments.videos]
    boxes = boxes_to_score(config, config.split, data)
    boxes, truth, keyframes = (
        table[table["video_id"].isin(some)] for table in (boxes, data.annotations, data.keyframes)
    )
    if config.weights is None:
        raise SystemExit("expected weights=FILE, the checkpoint to compare with")
    loaded, device = load_model(config.weights, config), build_device(config)
    plain = Plain(loaded.model.to(device), loaded.label_map, device)
    models: dict[str, Any] = {"plain float32": plain}
    for precision in arguments.precisions:
        changed = config.model_copy(update={"precision": precision})
        models[f"prepared {precision}"] = open_detector(changed)
    print(f"{len(some)} videos, {len(boxes)} boxes")
    first: tuple[float, np.ndarray] | None = None
    for name, model in models.items():
        start = time.perf_counter()
        found, unread = score_people(config, cast(Detector, model), videos, boxes, keyframes)
        seconds = time.perf_counter() - start
        if unread:
            raise SystemExit(f"{len(unread)} clips could not be read")
        mean = evaluate(truth, found, build_eval_label_map(config), keyframes=keyframes).mean
        scores = found["score"].to_numpy()
        first = first or (mean, scores)
        largest = float(np.abs(scores - first[1]).max())
        print(
            f"{name:<20} mAP {mean:.6f}  difference {mean - first[0]:+.6f}"
            f"  of a score {largest:.1e}  {seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
