"""Faster R-CNN of torchvision as a proposer: a small one for the demo world, and a real one."""

from __future__ import annotations

import os
from typing import Literal, get_args
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    FasterRCNN,
    FasterRCNN_ResNet50_FPN_V2_Weights,
    fasterrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from ava_detect.models.precision import autocast, choose_precision
from ava_detect.proposals.fast import run_faster
from ava_detect.proposals.proposer import long_side
from ava_detect.proposals.small_backbone import SmallBackbone
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

Variant = Literal["small", "resnet50_fpn_v2"]
PERSON = 1  # the label of COCO's people, and of ours
NUM_COCO_CLASSES = 91
WEIGHTS_URL = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
MANY = 1000  # boxes of an image, of all classes


def build_faster_rcnn(
    variant: Variant = "small",
    pretrained: bool = False,
    short_side: int | None = None,
    candidates: int | None = None,
) -> FasterRCNN:
    """Build a detector with background 0 and person 1, in evaluation mode.

    Images are resized so that their short side has ``short_side`` pixels (default: 120 for
    ``small``, 800 for the other), or less where the long one would exceed 5/3 of that.

    In a test the second stage looks at ``candidates`` regions of an image (default: 60 for
    ``small``, 300 for the other, which are plenty but for crowds).

    ``small`` has no published weights and two classes; ``resnet50_fpn_v2`` has COCO's 91, of which
    only the person is used, so that published weights fit. ``pretrained`` downloads torchvision's
    weights (COCO v1, box AP 46.7) and raises InputError when that fails.
    """
    if variant not in get_args(Variant):
        raise InputError(
            f"proposer.variant: expected one of {', '.join(get_args(Variant))}, got {variant!r}"
        )
    if variant == "small" and pretrained:
        raise InputError(
            "proposer.weights: the small detector has no published weights; "
            "train it with `train-proposer`, or use variant=resnet50_fpn_v2"
        )
    if variant == "small":
        model = _build_small(candidates or 60)
    else:
        model = _build_resnet50(pretrained, candidates or 300)
    if short_side is not None:
        model.transform.min_size, model.transform.max_size = (short_side,), long_side(short_side)
    _heads_answer_in_float32(model)
    return model.eval()


def _build_small(candidates: int) -> FasterRCNN:
    """Faster R-CNN for frames of about 160x120; other sizes are resized to that."""
    backbone = SmallBackbone()
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((34, 50),), ((0.22, 1.6, 3.0),)),
        box_roi_pool=MultiScaleRoIAlign(["stride8"], output_size=5, sampling_ratio=1),
        box_head=TwoMLPHead(backbone.out_channels * 5 * 5, 192),
        box_predictor=FastRCNNPredictor(192, PERSON + 1),
        min_size=120,
        max_size=160,
        image_mean=[0.45] * 3,
        image_std=[0.235] * 3,
        rpn_pre_nms_top_n_train=150,
        rpn_pre_nms_top_n_test=candidates * 5 // 2,
        rpn_post_nms_top_n_train=60,
        rpn_post_nms_top_n_test=candidates,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=24,
        box_positive_fraction=0.5,
        box_fg_iou_thresh=0.6,  # proposals between the two would teach neither
        box_bg_iou_thresh=0.4,
        box_detections_per_img=10,
    )


def _build_resnet50(pretrained: bool, candidates: int) -> FasterRCNN:
    """torchvision's ResNet-50 FPN v2."""
    weights = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1 if pretrained else None
    try:
        return fasterrcnn_resnet50_fpn_v2(
            weights=weights,
            weights_backbone=None,
            num_classes=NUM_COCO_CLASSES,
            rpn_pre_nms_top_n_test=max(1000, candidates * 5 // 2),
            rpn_post_nms_top_n_test=candidates,
        )
    except (URLError, OSError, RuntimeError) as error:
        if weights is None:
            raise
        raise InputError(
            f"proposer.weights: torchvision's weights could not be downloaded from {weights.url} "
            f"({error}); put that file anywhere and set proposer.weights to it"
        ) from error


def _heads_answer_in_float32(model: FasterRCNN) -> None:
    """Make boxes and scores float32 under autocast: 8 bits of mantissa are too few for pixels."""

    def upcast(_module: nn.Module, _inputs: tuple, outputs: tuple) -> tuple:
        return tuple(
            [level.float() for level in output] if isinstance(output, list) else output.float()
            for output in outputs
        )

    model.rpn.head.register_forward_hook(upcast)
    model.roi_heads.box_predictor.register_forward_hook(upcast)


def save_weights(
    model: FasterRCNN, variant: Variant, path: str | os.PathLike[str], meta: dict | None = None
) -> None:
    """Write ``{"model": state dict, "variant": ..., "meta": plain values}``."""
    with atomic_path(path) as temporary:
        torch.save(
            {"model": model.state_dict(), "variant": variant, "meta": dict(meta or {})}, temporary
        )


def load_weights(model: FasterRCNN, variant: Variant, path: str | os.PathLike[str]) -> dict:
    """Fill ``model`` from a file of `save_weights`, or a plain state dict; return its ``meta``.

    Raises InputError that names the file, and the variant or the first key and shapes that differ.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a file that is not its own
        raise InputError.at(
            path, None, None, "weights of torchvision's Faster R-CNN", type(error).__name__
        ) from error
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError.at(path, None, None, "a dictionary of weights", type(content).__name__)
    if content.get("variant", variant) != variant:
        raise InputError.at(
            path, None, None, f"weights of {variant}", content["variant"],
            remedy="set proposer.variant to what the file holds",
        )  # fmt: skip
    _check_fit(model.state_dict(), state, path)
    model.load_state_dict(state)
    return content.get("meta", {}) if state is not content else {}


def _check_fit(own: dict, given: dict, path: str | os.PathLike[str]) -> None:
    """Raise InputError at the first key that is missing, unknown or of another shape."""
    for key in [*own, *given]:
        wanted, got = (_shape(state.get(key)) for state in (own, given))
        if wanted != got:
            raise InputError.at(
                path, None, key, wanted, got, remedy="the file belongs to another detector"
            )


def _shape(value: object) -> str:
    """Describe a value of a state dict."""
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else "no such weight"


class TorchvisionProposer:
    """People that a torchvision detector finds."""

    def __init__(
        self,
        model: FasterRCNN,
        *,
        name: str = "torchvision",
        facts: dict[str, str] | None = None,
        device: str | torch.device = "cpu",
        precision: str = "auto",
        min_score: float = 0.05,
        max_boxes: int = 50,
    ) -> None:
        self.name, self.facts = name, dict(facts or {})
        self.device = torch.device(device)
        self.dtype = choose_precision(precision, self.device)
        self.max_boxes = max_boxes
        self.model = model.to(self.device).eval()
        run_faster(self.model, self.dtype, self.device)
        self.model.roi_heads.score_thresh = min_score
        self.model.roi_heads.detections_per_img = MANY

    @torch.inference_mode()
    def propose(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return boxes f32[N,4] (xyxy, pixels) and scores f32[N] of each u8[H,W,3] RGB image."""
        tensors = [
            torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1) / 255
            for image in images
        ]
        with autocast(self.dtype, self.device):
            found = self.model(tensors)
        return [self._people(answer) for answer in found]

    def _people(self, answer: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Keep the people of an answer, which comes best first."""
        people = torch.nonzero(answer["labels"] == PERSON)[: self.max_boxes, 0]
        boxes, scores = answer["boxes"][people], answer["scores"][people]
        return boxes.float().cpu().numpy(), scores.float().cpu().numpy()
