"""What travels from the loader to the model: samples, and batches of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from ava_detect.data.keyframes import Keyframe
from ava_eval.errors import InputError


@dataclass(frozen=True, eq=False)
class ClipSample:
    """One clip and its N people.

    Attributes:
        frames: u8[T, H, W, 3], RGB.
        boxes: f32[N, 4], x1 y1 x2 y2 in pixels of ``frames``.
        labels: f32[N, C] of 0 and 1, or None where nothing is known.
        rows: i64[N], the identity of each box; see ``Keyframe``.
    """

    frames: Tensor
    boxes: Tensor
    labels: Tensor | None
    rows: Tensor


@dataclass(frozen=True, eq=False)
class Unreadable:
    """A keyframe whose clip could not be read, and why.

    Attributes:
        video_id: the video.
        timestamp: of the keyframe.
        rows: i64[N], the boxes that get no scores.
        reason: the text of the error.
    """

    video_id: str
    timestamp: float
    rows: np.ndarray
    reason: str

    @classmethod
    def of(cls, keyframe: Keyframe, error: InputError) -> Unreadable:
        """The record of an error that reading the clip of a keyframe met."""
        return cls(keyframe.video_id, keyframe.timestamp, keyframe.rows, str(error))


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """B clips of one size and their M people.

    Frames stay bytes until they are on the device that runs the model (a quarter of the traffic);
    mean and deviation belong to the model.

    Attributes:
        frames: u8[B, T, H, W, 3], RGB.
        rois: f32[M, 5], the clip's number in the batch and x1 y1 x2 y2 in pixels of the clip.
        labels: f32[M, C] of 0 and 1, or None.
        rows: i64[M], the identity of each box.
    """

    frames: Tensor
    rois: Tensor
    labels: Tensor | None
    rows: Tensor

    def to(self, device: torch.device | str) -> ClipBatch:
        """The same batch on ``device``; the copy is asynchronous from pinned memory."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> ClipBatch:
        """The same batch in page-locked memory; ``DataLoader(pin_memory=True)`` calls this."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> ClipBatch:
        return ClipBatch(
            frames=function(self.frames),
            rois=function(self.rois),
            labels=None if self.labels is None else function(self.labels),
            rows=function(self.rows),
        )


def collate(samples: Sequence[ClipSample]) -> ClipBatch:
    """Stack samples whose clips have one size; either all of them have labels or none."""
    shapes = {tuple(sample.frames.shape) for sample in samples}
    if len(shapes) != 1:
        raise ValueError(f"clips of one batch must have one size [T, H, W, 3], got {shapes}")
    rois = [
        torch.cat([torch.full((len(sample.boxes), 1), float(number)), sample.boxes], dim=1)
        for number, sample in enumerate(samples)
    ]
    labels = [sample.labels for sample in samples if sample.labels is not None]
    if labels and len(labels) != len(samples):
        raise ValueError(f"{len(labels)} of {len(samples)} clips have labels; expected all or none")
    return ClipBatch(
        frames=_stack([sample.frames for sample in samples]),
        rois=torch.cat(rois),
        labels=torch.cat(labels) if labels else None,
        rows=torch.cat([sample.rows for sample in samples]),
    )


def _stack(clips: Sequence[Tensor]) -> Tensor:
    """Clips of one size, one behind the other; in a worker, in memory that the main process sees.

    As torch's ``default_collate`` does it; NumPy stacks bytes several times as fast as torch.
    """
    arrays = [clip.numpy() for clip in clips]
    if get_worker_info() is None:
        return torch.from_numpy(np.stack(arrays))
    shape = (len(clips), *clips[0].shape)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    batch = torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)
    np.stack(arrays, out=batch.numpy())
    return batch
