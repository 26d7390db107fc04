"""What a step that gave no finite loss had looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from ava_detect.data.batch import ClipBatch
from ava_detect.engine import distributed
from ava_detect.engine.train import Loss, TrainingDiverged
from ava_detect.models.precision import autocast
from ava_eval.atomic import atomic_path


def write_divergence(
    folder: Path,
    diverged: TrainingDiverged,
    people: pd.DataFrame,
    model: nn.Module,
    loss: Loss,
    dtype: torch.dtype,
    device: torch.device,
) -> str:
    """Write the clips and people of this process's share of the step; say in words where.

    ``diverged-step-N.npz`` has ``frames`` u8[B,T,H,W,3], ``rois`` f32[M,5], ``labels`` f32[M,C] and
    ``rows`` i64[M] of its clips; the CSV of the same name has the ``people`` (indexed by row) and,
    for each clip, whether it gives no finite loss or gradient by itself. Other processes than the
    main one add their rank to the names.
    """
    parts = diverged.parts
    rank = f"-rank{distributed.rank()}" if distributed.rank() else ""
    path = folder / f"diverged-step-{diverged.step + 1:08d}{rank}.npz"
    clips = [clip for part in parts for clip in _clips(part)]
    bad = [not _is_finite(clip, model, loss, dtype, device) for clip in clips]
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            frames=np.concatenate([clip.frames.numpy() for clip in clips]),
            rois=np.concatenate([_numbered(clip, n) for n, clip in enumerate(clips)]),
            labels=np.concatenate([np.asarray(clip.labels) for clip in clips]),
            rows=np.concatenate([clip.rows.numpy() for clip in clips]),
        )
    tables = [
        people.loc[clip.rows.tolist()].assign(row=clip.rows.tolist(), clip=n, alone_not_finite=b)
        for n, (clip, b) in enumerate(zip(clips, bad, strict=True))
    ]
    table = pd.concat(tables, ignore_index=True)
    with atomic_path(path.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False)
    guilty = table[table["alone_not_finite"]]
    where = [f"{v} at {t:g}" for v, t in guilty[["video_id", "timestamp"]].drop_duplicates().values]
    found = f"not finite by itself: {', '.join(where[:3])}" if where else "none of them by itself"
    return f"its clips and people are in {path} and .csv ({found})"


def _clips(batch: ClipBatch) -> list[ClipBatch]:
    """Each clip of a batch as a batch."""
    clips = []
    for number in range(len(batch.frames)):
        own = batch.rois[:, 0] == number
        rois = batch.rois[own].clone()
        rois[:, 0] = 0
        clips.append(
            replace(
                batch,
                frames=batch.frames[number : number + 1],
                rois=rois,
                labels=None if batch.labels is None else batch.labels[own],
                rows=batch.rows[own],
            )
        )
    return clips


def _numbered(clip: ClipBatch, number: int) -> np.ndarray:
    rois = clip.rois.numpy().copy()
    rois[:, 0] = number
    return rois


def _is_finite(
    clip: ClipBatch, model: nn.Module, loss: Loss, dtype: torch.dtype, device: torch.device
) -> bool:
    """Whether a clip's own loss and gradient are finite."""
    model.zero_grad(set_to_none=True)
    clip = clip.to(device)
    assert clip.labels is not None
    with autocast(dtype, device):
        logits = model(clip.frames, clip.rois)
    total = loss(logits, clip.labels)
    total.backward()
    return _all_finite([total, *(p.grad for p in model.parameters() if p.grad is not None)])


def _all_finite(tensors: Sequence[torch.Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
