"""People of many sizes of frames, together and one by one."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect.assemble import build_label_map, build_model
from ava_detect.commands.scoring import score_people
from ava_detect.config import load_config
from ava_detect.inference.detector import Detector
from ava_eval.tables import BOX

SIZES = {"a": (40, 56), "b": (48, 33), "c": (64, 64)}
READERS: set[str] = set()
RECIPE = ["model.depths=[1, 1, 1, 1]", "model.widths=[16, 16, 24, 32]", "data.num_frames=8"]


class Noise:
    """A ClipSource of three short videos of different sizes, 15 frames a second from second 0."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.frames = {
            name: rng.integers(0, 256, (60, *size, 3), dtype=np.uint8)
            for name, size in SIZES.items()
        }

    def has(self, video_id):
        return video_id in self.frames

    def frame_times(self, video_id):
        return np.arange(60) / 15

    def read(self, video_id, frames):
        return self.frames[video_id][frames]

    def walk(self, video_id, frames):
        READERS.add(threading.current_thread().name)
        return iter(self.read(video_id, frames))


def people() -> pd.DataFrame:
    """0, 1, 2 or 40 people on each of twelve keyframes."""
    rng, rows = np.random.default_rng(1), []
    for place, count in enumerate([1, 0, 40, 2, 1, 1, 0, 2, 40, 1, 0, 2]):
        for _ in range(count):
            low = rng.uniform(0, 0.6, 2)
            box = (*low, *(low + rng.uniform(0.1, 0.4, 2)))
            rows.append(("abc"[place // 4], 0.5 + place % 4 * 0.7, *box, 0.9))
    return pd.DataFrame(rows, columns=["video_id", "timestamp", *BOX, "score"])


def score(*settings: str) -> pd.DataFrame:
    config = load_config("demo/ava", [*RECIPE, "precision=float32", *settings])
    torch.manual_seed(0)
    label_map = build_label_map(config)
    model = build_model(config, len(label_map))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)  # or all scores are nearly the same
    detector = Detector(model, label_map, config.precision)
    boxes = people()
    detections, unread = score_people(config, detector, Noise(), boxes, boxes)
    assert not unread
    assert len(detections) == len(boxes) * len(label_map)
    assert detections["score"].std() > 0.1
    return detections


@pytest.mark.parametrize("batch_size", [2, 3, 16])
def test_batches_of_many_people_and_sizes_score_like_single_clips(batch_size):
    alone, together = (score(f"evaluation.batch_size={size}") for size in (1, batch_size))
    columns = ["video_id", "timestamp", *BOX, "action_id"]
    pd.testing.assert_frame_equal(alone[columns], together[columns])
    np.testing.assert_allclose(together["score"], alone["score"], atol=1e-5)


def test_scores_are_averaged_over_scales():
    looks = [score(f"evaluation.short_side={side}")["score"] for side in (36, 48)]
    both = score("evaluation.scales=[36, 48]")["score"]
    assert (looks[0] - looks[1]).abs().max() > 1e-3
    np.testing.assert_allclose(both, (looks[0] + looks[1]) / 2, atol=1e-6)


def test_a_mirrored_clip_of_mirrored_people_scores_like_its_mirror_image(monkeypatch):
    flipped = score("evaluation.flip=true")["score"]
    plain = score()["score"]
    frames, table = Noise.__init__, people

    def mirror(self) -> None:
        frames(self)
        self.frames = {name: video[:, :, ::-1] for name, video in self.frames.items()}

    def mirrored_people() -> pd.DataFrame:
        boxes = table()
        return boxes.assign(x1=1 - boxes["x2"], x2=1 - boxes["x1"])

    monkeypatch.setattr(Noise, "__init__", mirror)
    monkeypatch.setitem(globals(), "people", mirrored_people)
    mirrored = score()["score"]
    assert (plain - mirrored).abs().max() > 1e-3
    np.testing.assert_allclose(flipped, (plain + mirrored) / 2, atol=1e-5)


def test_frames_are_decoded_ahead_of_the_network():
    READERS.clear()
    score()
    assert READERS
    assert all("read-ahead" in name for name in READERS)
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]
