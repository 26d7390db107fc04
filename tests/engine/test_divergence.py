"""A step without a finite loss leaves its clips and people behind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect.engine.divergence import write_divergence
from ava_detect.engine.losses import action_loss
from ava_detect.engine.train import TrainingDiverged


def test_the_clip_that_did_it_is_named(toy_run, toy_batch, tmp_path):
    def poisoned(step):
        batch = toy_batch(step)
        if step == 6:
            batch.rois[2, 3] = float("nan")  # the first person of the second clip
        return batch

    run = toy_run(batch=poisoned, deterministic=True)
    with pytest.raises(TrainingDiverged) as diverged:
        run.go()
    rows = range(24, 28)
    people = pd.DataFrame(
        {
            "video_id": ["a", "a", "b", "b"],
            "timestamp": [902.0, 902.0, 5.5, 5.5],
            **dict.fromkeys(("x1", "y1", "x2", "y2"), 0.5),
        },
        index=rows,
    )
    text = write_divergence(
        tmp_path, diverged.value, people, run.model, action_loss, torch.float32, torch.device("cpu")
    )
    assert text.endswith("and .csv (not finite by itself: b at 5.5)")
    with np.load(tmp_path / "diverged-step-00000007.npz") as saved:
        assert saved["frames"].shape == (2, 3, 8, 8, 3)
        np.testing.assert_array_equal(saved["rois"], poisoned(6).rois)
        assert saved["rows"].tolist() == list(rows)
    table = pd.read_csv(tmp_path / "diverged-step-00000007.csv")
    assert table["row"].tolist() == list(rows)
    assert table["alone_not_finite"].tolist() == [False, False, True, True]
