"""One batch is learned by heart; where the loss, the labels or the head are wrong, it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ava_detect.assemble import training
from ava_detect.commands import tasks
from ava_detect.commands.evaluate import evaluate_people
from ava_detect.commands.train import train
from ava_detect.config import Config, load_config
from ava_detect.engine.checkpoint import load_checkpoint, step_path
from ava_detect.engine.losses import action_loss
from ava_detect.synthetic import make_world

STEPS = 25


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(
        folder,
        seed=1,
        train_videos=1,
        val_videos=0,
        test_videos=0,
        train_clips=0,
        val_clips=0,
        seconds=9,
        workers=1,
    )
    return folder


def overfit(world: Path, output: Path) -> tuple[float, Config]:
    """mAP on the one batch that was trained on, as it is: nothing is cropped or changed."""
    config = load_config(
        "demo/ava",
        [
            *(f"data.root={world}", f"output={output}", "split=train", "seed=1"),
            *(f"optim.steps={STEPS}", "optim.warmup_steps=5", "optim.batch_size=8", "save_every=1"),
            *("keep_every=1", "tensorboard=false", "log_every=10"),
            *("augment.flip=0", "augment.color=0", "augment.box_jitter=0"),
            *("augment.short_side=[60,60]", "augment.crop=[60,80]", "evaluation.short_side=60"),
            *("evaluation.boxes=groundtruth", "optim.batch_norm=precise"),
            "optim.precise_batches=1",
        ],
    )
    weights = train(config)
    return evaluate_people(config.model_copy(update={"weights": weights})).result.mean, config


@pytest.mark.slow
def test_one_batch_is_learned_and_every_weight_takes_part(world: Path, tmp_path: Path) -> None:
    mean, config = overfit(world, tmp_path)
    assert mean == 1.0
    first, last = (load_checkpoint(step_path(config.output, s)).model for s in (1, STEPS))
    still = [key for key, value in last.items() if value.equal(first[key])]
    assert still == []


def wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "action_loss", lambda *a, **k: -action_loss(*a, **k))


def shuffled_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tasks.training_keyframes

    def wrong(people, ids):
        keyframes = right(people, ids)
        labels = np.concatenate([keyframe.labels for keyframe in keyframes])
        np.random.default_rng(0).shuffle(labels)
        parts = np.split(labels, np.cumsum([len(k.rows) for k in keyframes])[:-1])
        for keyframe, part in zip(keyframes, parts, strict=True):
            keyframe.labels[:] = part
        return keyframes

    monkeypatch.setattr(tasks, "training_keyframes", wrong)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [wrong_sign, shuffled_labels])
def test_a_fault_is_seen(world: Path, tmp_path: Path, fault, monkeypatch) -> None:
    fault(monkeypatch)
    assert overfit(world, tmp_path)[0] < 0.9
