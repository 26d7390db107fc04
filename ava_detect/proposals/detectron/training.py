"""Training detectron2's models on the people of AVA annotations."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ava_detect.boxes import scale_boxes
from ava_detect.clips import ClipSource
from ava_detect.models.precision import autocast, choose_precision
from ava_detect.proposals.detectron.proposer import ordered, to_tensor
from ava_detect.proposals.detectron.settings import (
    PEOPLE,
    SMALL,
    build_untrained,
    load_settings,
    person_class,
    require_detectron2,
)
from ava_detect.proposals.detectron.weights import load_weights, weights_of
from ava_detect.proposals.people import PeopleOfKeyframe
from ava_detect.proposals.proposer import read_frame
from ava_detect.proposals.training import fit
from ava_detect.timebase import Timebase
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError


def train_detectron(
    config: str,
    samples: Sequence[PeopleOfKeyframe],
    source: ClipSource,
    timebase: Timebase,
    path: str | os.PathLike[str],
    *,
    steps: int,
    batch_size: int = 8,
    lr: float = 4e-3,
    weight_decay: float = 0.02,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    overrides: Sequence[str] = (),
    log: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a detector on people and write its weights to ``path``; return the loss of each step.

    ``small`` starts from random weights, everything else from ``weights``, the zoo's, or what the
    config file names; classes other than the person stay in the model and are never shown. Images
    are resized as the config says and mirrored half of the time. `DetectronProposer` reads the file
    with the same ``config``; so does detectron2's own checkpointer. ``lr`` is AdamW's and suits
    ``small``; fine-tuning published weights wants about 1e-4.
    """
    require_detectron2()
    from detectron2.data import (
        DatasetCatalog,
        build_detection_train_loader,
        get_detection_dataset_dicts,
    )
    from detectron2.utils.env import seed_all_rng
    from detectron2.utils.events import EventStorage

    if not samples:
        raise InputError("train-proposer: expected annotated people, got none")
    device = torch.device(device)
    dtype = choose_precision(precision, device)
    settings = load_settings(config, overrides)
    seed_all_rng(seed)
    model = build_untrained(settings, device)
    if config != SMALL or weights is not None:
        load_weights(model, weights_of(config, settings, weights), strict=False)
    _register_people(samples, person_class(settings))
    try:
        batches = build_detection_train_loader(
            get_detection_dataset_dicts(PEOPLE),
            mapper=_PeopleMapper(settings, model, source, timebase),
            total_batch_size=batch_size,
            aspect_ratio_grouping=False,
            num_workers=0,
        )

        def loss_of(batch: list[dict]) -> Tensor:
            with autocast(dtype, device):
                losses = model(batch)
            return sum(loss.float() for loss in losses.values())

        with EventStorage():
            losses = fit(
                model, batches, loss_of, steps=steps, lr=lr, weight_decay=weight_decay, log=log
            )
    finally:
        DatasetCatalog.remove(PEOPLE)
    with atomic_path(path) as temporary:
        torch.save({"model": model.state_dict(), "variant": config}, temporary)
    return losses


def _register_people(samples: Sequence[PeopleOfKeyframe], person: int) -> None:
    """Put the people of keyframes into detectron2's catalogs, for the time of a training."""
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.structures import BoxMode

    MetadataCatalog.get(PEOPLE).thing_classes = ["person"]
    records = [
        {
            "file_name": sample.video_id,
            "image_id": index,
            "keyframe": sample,
            "annotations": [
                {"bbox": box.tolist(), "bbox_mode": BoxMode.XYXY_REL, "category_id": person}
                for box in sample.boxes
            ],
        }
        for index, sample in enumerate(samples)
    ]
    DatasetCatalog.register(PEOPLE, lambda: records)


class _PeopleMapper:
    """Turns a record of our data set into what detectron2's models train on."""

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
        self.model, self.source, self.timebase = model, source, timebase

    def __call__(self, record: dict) -> dict:
        from detectron2.data.transforms import AugInput
        from detectron2.structures import Boxes, Instances

        sample = record["keyframe"]
        image = read_frame(self.source, self.timebase, sample.video_id, sample.timestamp)
        height, width = image.shape[:2]
        moved = AugInput(
            np.ascontiguousarray(ordered(image, self.model)),
            boxes=scale_boxes(sample.boxes, (width, height)),
        )
        self.augment(moved)
        instances = Instances(moved.image.shape[:2])
        instances.gt_boxes = Boxes(moved.boxes)
        instances.gt_classes = torch.tensor([box["category_id"] for box in record["annotations"]])
        return {"image": to_tensor(moved.image), "instances": instances}
