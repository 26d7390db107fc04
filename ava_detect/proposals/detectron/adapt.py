"""What of a config of detectron2 we change, so that it finds people in boxes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ava_detect.proposals.proposer import long_side
from ava_eval.errors import InputError

CANDIDATES = 300  # of an image at test time
MANY = 1000  # boxes of an image, of all classes
RESIZE = "ResizeShortestEdge"
# Kinds of models that give no boxes, or none of their own, and why.
WITHOUT_BOXES = {
    "ProposalNetwork": "it finds regions but no people",
    "SemanticSegmentor": "it labels pixels and finds no boxes",
    "PrecomputedProposals": "it needs regions that another model has found",
}
DENSE = ("RetinaNet", "FCOS")  # have no regions, and as Python configs limits of their own


@dataclass(frozen=True)
class Limits:
    """What of an image is looked at and told.

    Attributes:
        min_score: boxes below are left out.
        candidates: regions that the second stage looks at; None: the config's number, at most 300,
            for a thousand cost more time than the backbone.
        short_side: pixels that test images are resized to, and the long side to 5/3 of that at
            most; None: the config's sizes.
    """

    min_score: float = 0.05
    candidates: int | None = None
    short_side: int | None = None


def adapt_yaml(config: str, settings: Any, limits: Limits) -> None:
    """Make a YAML config one for people in boxes."""
    model, sizes = settings.MODEL, settings.INPUT
    for name in (model.META_ARCHITECTURE, model.PROPOSAL_GENERATOR.NAME):
        _require_boxes(config, name, limits)
    if model.META_ARCHITECTURE == "PanopticFPN":  # which would look for masks
        model.META_ARCHITECTURE = "GeneralizedRCNN"
    model.ROI_HEADS.SCORE_THRESH_TEST = model.RETINANET.SCORE_THRESH_TEST = limits.min_score
    regions = model.RPN
    regions.PRE_NMS_TOPK_TEST, regions.POST_NMS_TOPK_TEST = _regions(
        regions.PRE_NMS_TOPK_TEST, regions.POST_NMS_TOPK_TEST, limits
    )
    model.MASK_ON = model.KEYPOINT_ON = False
    settings.TEST.DETECTIONS_PER_IMAGE = MANY
    if limits.short_side is not None:
        sizes.MIN_SIZE_TEST, sizes.MAX_SIZE_TEST = limits.short_side, long_side(limits.short_side)


def adapt_python(config: str, settings: Any, limits: Limits) -> None:
    """Make a Python config one for people in boxes."""
    from detectron2.modeling import GeneralizedRCNN

    model = settings.model
    kind = _name(model)
    _require_boxes(config, kind, limits)
    if kind == "PanopticFPN":
        model._target_ = GeneralizedRCNN
        for name in [name for name in model if name.startswith(("sem_seg_", "combine_"))]:
            del model[name]
    if kind in DENSE:
        model.test_score_thresh, model.max_detections_per_image = limits.min_score, MANY
    heads, regions = model.get("roi_heads", {}), model.get("proposal_generator")
    for name in list(heads):
        if name.startswith(("mask_", "keypoint_")):
            heads[name] = None
    for predictor in [heads.get("box_predictor"), *heads.get("box_predictors", [])]:
        if predictor is not None:
            predictor.test_score_thresh, predictor.test_topk_per_image = limits.min_score, MANY
    if regions is not None:
        (train_pre, pre), (train_post, post) = regions.pre_nms_topk, regions.post_nms_topk
        pre, post = _regions(pre, post, limits)
        regions.pre_nms_topk, regions.post_nms_topk = (train_pre, pre), (train_post, post)
    if limits.short_side is not None:
        resize = _resize_of(config, settings.dataloader.test, "proposer.short_side")
        resize.short_edge_length, resize.max_size = limits.short_side, long_side(limits.short_side)


def set_training_sizes(
    config: str, settings: Any, short_side: int | None, short_sides: Sequence[int] = ()
) -> None:
    """Resize training images to one of ``short_sides``, drawn for each, else to ``short_side``.

    The long side has at most 5/3 of the largest of these or, if that is more, of ``short_side``
    or what the config says without. With neither of the two the config stays as it is.
    """
    from detectron2.config import CfgNode

    drawn = tuple(short_sides) or ((short_side,) if short_side is not None else ())
    if not drawn:
        return
    most = 0 if short_side is None else long_side(short_side)
    if isinstance(settings, CfgNode):
        sizes = settings.INPUT
        sizes.MAX_SIZE_TRAIN = max(long_side(max(drawn)), most or sizes.MAX_SIZE_TRAIN)
        sizes.MIN_SIZE_TRAIN, sizes.MIN_SIZE_TRAIN_SAMPLING = drawn, "choice"
        return
    which = "proposer.train.short_side" if short_sides else "proposer.short_side"
    resize = _resize_of(config, settings.dataloader.train, which)
    resize.max_size = max(long_side(max(drawn)), most or resize.get("max_size", sys.maxsize))
    resize.short_edge_length, resize.sample_style = list(drawn), "choice"


def _require_boxes(config: str, kind: str, limits: Limits) -> None:
    """Raise InputError for a kind of model that cannot find people, or not as is asked."""
    if kind in WITHOUT_BOXES:
        raise InputError(
            f"proposer.config: {config!r} is no person detector ({kind}: {WITHOUT_BOXES[kind]});"
            " choose a Faster R-CNN, Mask R-CNN or RetinaNet"
        )
    if kind in DENSE and limits.candidates is not None:
        raise InputError(
            f"proposer.candidates: {config!r} has no second stage ({kind}); leave it null"
        )


def _regions(pre: int, post: int, limits: Limits) -> tuple[int, int]:
    """How many regions of a level, and then of an image, stay before and after suppression.

    Before, as many as the config says; more only for more candidates than the config has.
    """
    candidates = limits.candidates or min(post, CANDIDATES)
    return pre if candidates <= post else max(pre, candidates * 5 // 2), candidates


def _resize_of(config: str, loader: Any, setting: str) -> Any:
    """What resizes the images of a Python config; InputError where nothing has a short side."""
    augmentations = loader.mapper.augmentations
    for augmentation in augmentations:
        if _name(augmentation) == RESIZE:
            return augmentation
    names = ", ".join(map(_name, augmentations)) or "nothing"
    raise InputError(
        f"{setting}: {config!r} resizes its images by {names}, which knows no short side; leave it"
        " null"
    )


def _name(call: Any) -> str:
    """The name of the class that a lazy call makes something of."""
    target = call.get("_target_", "")
    return str(getattr(target, "__name__", target)).rpartition(".")[2]
