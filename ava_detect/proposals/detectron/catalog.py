"""People of keyframes as a data set of detectron2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ava_detect.boxes import scale_boxes
from ava_detect.clips import ClipSource
from ava_detect.proposals.detectron.proposer import image_input, is_rgb, ordered, to_tensor
from ava_detect.proposals.people import PeopleOfKeyframe
from ava_detect.proposals.proposer import read_frame
from ava_detect.timebase import Timebase


@dataclass(frozen=True)
class Trial:
    """An evaluation on some keyframes, every so many steps of a training and at its end."""

    samples: Sequence[PeopleOfKeyframe]
    source: ClipSource
    every: int


@contextmanager
def registered(
    name: str,
    samples: Sequence[PeopleOfKeyframe],
    person: int,
    sizes: dict[str, tuple[int, int]] | None = None,
) -> Iterator[list[dict]]:
    """Put people into detectron2's catalogs for a while; gives the records.

    Their class is called person and numbered ``person``. ``sizes`` are the height and width of each
    video's frames, by which boxes become pixels, as detectron2's evaluation needs them.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.structures import BoxMode

    records = []
    for index, sample in enumerate(samples):
        record: dict[str, Any] = {
            "file_name": sample.video_id,
            "image_id": index,
            "keyframe": sample,
        }
        boxes, mode = sample.boxes, BoxMode.XYXY_REL
        if sizes is not None:
            height, width = record["height"], record["width"] = sizes[sample.video_id]
            boxes, mode = scale_boxes(boxes, (width, height)), BoxMode.XYXY_ABS
        record["annotations"] = [
            {"bbox": box.tolist(), "bbox_mode": mode, "category_id": person} for box in boxes
        ]
        records.append(record)
    DatasetCatalog.register(name, lambda: records)
    others = [f"class {number}" for number in range(person)]
    MetadataCatalog.get(name).thing_classes = [*others, "person"]
    try:
        yield records
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def frame_sizes(
    samples: Sequence[PeopleOfKeyframe], source: ClipSource, timebase: Timebase
) -> dict[str, tuple[int, int]]:
    """Height and width of each video's frames."""
    sizes: dict[str, tuple[int, int]] = {}
    for sample in samples:
        if sample.video_id not in sizes:
            frame = read_frame(source, timebase, sample.video_id, sample.timestamp)
            sizes[sample.video_id] = frame.shape[:2]
    return sizes


class TrainingMapper:
    """Turns a record into what detectron2's models train on.

    Images are resized, cropped and mirrored as the config says; brightness and contrast vary by a
    quarter. People of whom a crop shows nothing are left out; it may show nobody.
    """

    def __init__(
        self, settings: Any, model: nn.Module, source: ClipSource, timebase: Timebase
    ) -> None:
        from detectron2.config import CfgNode, instantiate
        from detectron2.data import transforms
        from detectron2.data.detection_utils import build_augmentation

        if isinstance(settings, CfgNode):
            augmentations = build_augmentation(settings, is_train=True)
        else:
            augmentations = instantiate(settings.dataloader.train.mapper.augmentations)
        color = [transforms.RandomBrightness(0.75, 1.25), transforms.RandomContrast(0.75, 1.25)]
        self.augment = transforms.AugmentationList([*augmentations, *color])
        self.rgb, self.source, self.timebase = is_rgb(model), source, timebase

    def __call__(self, record: dict) -> dict:
        from detectron2.data.detection_utils import filter_empty_instances
        from detectron2.data.transforms import AugInput
        from detectron2.structures import Boxes, Instances

        sample = record["keyframe"]
        image = read_frame(self.source, self.timebase, sample.video_id, sample.timestamp)
        height, width = image.shape[:2]
        moved = AugInput(
            np.ascontiguousarray(ordered(image, self.rgb)),
            boxes=scale_boxes(sample.boxes, (width, height)),
        )
        self.augment(moved)
        instances = Instances(moved.image.shape[:2])
        instances.gt_boxes = Boxes(moved.boxes)
        instances.gt_boxes.clip(instances.image_size)  # a crop leaves boxes outside, too
        instances.gt_classes = torch.tensor([box["category_id"] for box in record["annotations"]])
        return {"image": to_tensor(moved.image), "instances": filter_empty_instances(instances)}


class TestMapper:
    """Turns a record into what detectron2's models and evaluators take in a test."""

    def __init__(
        self, resize: Any, model: nn.Module, source: ClipSource, timebase: Timebase
    ) -> None:
        self.resize, self.rgb, self.source, self.timebase = resize, is_rgb(model), source, timebase

    def __call__(self, record: dict) -> dict:
        sample = record["keyframe"]
        image = read_frame(self.source, self.timebase, sample.video_id, sample.timestamp)
        return {"image_id": record["image_id"], **image_input(image, self.resize, self.rgb)}
