"""Training torchvision's Faster R-CNN on the people of AVA annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import FasterRCNN

from ava_detect.boxes import flip_boxes, scale_boxes
from ava_detect.clips import ClipSource
from ava_detect.models.precision import autocast, choose_precision
from ava_detect.proposals.people import PeopleOfKeyframe
from ava_detect.proposals.proposer import long_side, read_frame
from ava_detect.proposals.torchvision_rcnn import PERSON
from ava_detect.proposals.training import Fitting, fit, require_gradients
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError


class PeopleImages(Dataset):
    """Training images: ``[(index, seed)]`` -> (u8[3,H,W] RGB, boxes f32[N,4] pixels).

    The keyframe's image, mirrored half of the time, with the gain of each colour drawn from
    1 +- ``color``. A sample depends on its index and seed only.
    """

    def __init__(
        self,
        samples: Sequence[PeopleOfKeyframe],
        source: ClipSource,
        timebase: Timebase,
        *,
        flip: float = 0.5,
        color: float = 0.25,
    ) -> None:
        self.samples, self.source, self.timebase = samples, source, timebase
        self.flip, self.color = flip, color

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
        index, seed = item
        rng = np.random.default_rng(seed)
        sample = self.samples[index]
        image = read_frame(self.source, self.timebase, sample.video_id, sample.timestamp)
        boxes = sample.boxes
        if rng.random() < self.flip:
            image = image[:, ::-1]
            boxes = flip_boxes(boxes, 1.0)
        gain = rng.uniform(1 - self.color, 1 + self.color, 3).astype(np.float32)
        image = np.minimum(image * gain, 255).astype(np.uint8)
        height, width = image.shape[:2]
        pixels = scale_boxes(boxes, (width, height))
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(pixels)


def train_faster_rcnn(
    model: FasterRCNN,
    samples: Sequence[PeopleOfKeyframe],
    source: ClipSource,
    timebase: Timebase,
    fitting: Fitting,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    workers: int = 0,
    log: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train ``model`` in place; return the loss of every step.

    The steps, not the clock, define the training; with one seed it repeats itself on one machine.
    ``log(step, loss)`` is called after each step, from 1. Raises InputError without samples, and
    when the loss is no longer finite.
    """
    if not samples:
        raise InputError("train-proposer: expected annotated people, got none")
    require_gradients(precision)
    torch.manual_seed(seed)
    device = torch.device(device)
    dtype = choose_precision(precision, device)
    model.to(device)
    batches = DataLoader(
        PeopleImages(samples, source, timebase),
        batch_sampler=_batches(len(samples), fitting.batch_size, fitting.steps, seed),
        num_workers=workers,
        collate_fn=list,
    )

    def loss_of(batch: list[tuple[Tensor, Tensor]]) -> Tensor:
        images = [image.to(device) / 255 for image, _ in batch]
        targets = [_target(boxes.to(device)) for _, boxes in batch]
        with autocast(dtype, device):
            losses = model(images, targets)
        return sum(loss.float() for loss in losses.values())

    with _short_sides(model, fitting.short_sides):
        return fit(model, batches, loss_of, fitting, log)


@contextmanager
def _short_sides(model: FasterRCNN, sides: tuple[int, ...]) -> Iterator[None]:
    """Resize images to one of some short sides for a while; none: as they are in a test.

    The long side has at most 5/3 of the largest, or more if it has in a test.
    """
    transform = model.transform
    usual = transform.min_size, transform.max_size
    if sides:
        transform.min_size = sides
        transform.max_size = max(transform.max_size, long_side(max(sides)))
    try:
        yield
    finally:
        transform.min_size, transform.max_size = usual


def _batches(num_samples: int, batch_size: int, steps: int, seed: int) -> list:
    """Return for each step its (index, seed) pairs: one shuffled pass after the other."""
    rng = np.random.default_rng(seed)
    wanted = steps * batch_size
    passes = [rng.permutation(num_samples) for _ in range(-(-wanted // num_samples))]
    order = np.concatenate(passes)[:wanted].reshape(steps, batch_size)
    seeds = rng.integers(2**31, size=order.shape)
    return [
        list(zip(*pair, strict=True)) for pair in zip(order.tolist(), seeds.tolist(), strict=True)
    ]


def _target(boxes: Tensor) -> dict[str, Tensor]:
    """Describe people as torchvision wants them."""
    labels = torch.full((len(boxes),), PERSON, dtype=torch.int64, device=boxes.device)
    return {"boxes": boxes, "labels": labels}
