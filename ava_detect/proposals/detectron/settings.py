"""Configs of detectron2, ours among them, and what they say about people and images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ava_detect.models.precision import choose_precision
from ava_detect.proposals.detectron.adapt import Limits, adapt_python, adapt_yaml
from ava_detect.proposals.small_backbone import SmallBackbone
from ava_eval.errors import InputError

INSTALL = (
    "python -m pip install --no-build-isolation "
    "'git+https://github.com/facebookresearch/detectron2.git'"
)
SOURCES = {"pkg_resources": "'setuptools<81'", "yaml": "pyyaml", "PIL": "pillow"}
SMALL = "small"  # our own config, for the demo world
DEFORMABLE = {"DeformConv", "ModulatedDeformConv"}
PEOPLE = "ava_people"  # name of our data set in detectron2's catalogs


def require_detectron2() -> None:
    """Raise InputError with the one command that helps where detectron2 cannot be used."""
    try:
        import detectron2.model_zoo  # noqa: F401
        from detectron2 import _C  # noqa: F401, built for one version of torch
    except ImportError as error:
        raise InputError(
            f"proposer.kind: detectron2 cannot be imported ({_one_line(error)}); run "
            f"{_remedy(error.name or '')}, or set proposer.kind=torchvision"
        ) from error


def _remedy(missing: str) -> str:
    """The command that brings a module."""
    if missing == "detectron2":
        return INSTALL
    if missing.startswith("detectron2"):  # such as _C, built for another torch
        return f"{INSTALL} --force-reinstall --no-deps"
    return f"python -m pip install {SOURCES.get(missing, missing)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def load_settings(config: str, overrides: Sequence[str] = (), limits: Limits | None = None) -> Any:
    """Return detectron2's config: a CfgNode, or an omegaconf DictConfig of a Python file.

    Heads for masks, keypoints and stuff are switched off: boxes are found, and trained, without
    them. Boxes of other classes do not crowd out people. Raises InputError when there is neither
    such a file nor such a name in the model zoo, when the file or an override is not understood,
    and for models that find no boxes.
    """
    require_detectron2()
    from detectron2.config import CfgNode, LazyConfig, get_cfg
    from detectron2.model_zoo import get_config_file

    try:
        if config == SMALL:
            settings = small_settings()
        else:
            path = config if Path(config).is_file() else get_config_file(config)
            if path.endswith(".py"):
                settings = LazyConfig.load(path)
            else:
                settings = get_cfg()
                settings.merge_from_file(path)
        if isinstance(settings, CfgNode):
            adapt_yaml(config, settings, limits or Limits())
            settings.merge_from_list(list(overrides))
        else:
            adapt_python(config, settings, limits or Limits())
            settings = LazyConfig.apply_overrides(settings, list(overrides))
    except InputError:
        raise
    except Exception as error:  # detectron2 raises whatever its config files raise
        raise InputError(
            f"proposer.config: expected a config of detectron2, a name of its model zoo, or "
            f"{SMALL}, got {config!r} ({_one_line(error)})"
        ) from error
    return settings


def small_settings() -> Any:
    """Return the config of a Faster R-CNN for frames of about 160x120, trained from scratch.

    It is the `small` of torchvision_rcnn: one level at stride 8, few proposals and people only.
    """
    from detectron2.config import get_cfg

    settings = get_cfg()
    settings.merge_from_list(
        [
            *("MODEL.WEIGHTS", ""),
            *("MODEL.BACKBONE.NAME", _register_small_backbone()),
            *("MODEL.PIXEL_MEAN", [115.0] * 3),
            *("MODEL.PIXEL_STD", [60.0] * 3),
            *("MODEL.ANCHOR_GENERATOR.SIZES", [[34, 50]]),
            *("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[0.22, 1.6, 3.0]]),
            *("MODEL.RPN.IN_FEATURES", ["stride8"]),
            *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 64),
            *("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 150),
            *("MODEL.RPN.PRE_NMS_TOPK_TEST", 150),
            *("MODEL.RPN.POST_NMS_TOPK_TRAIN", 60),
            *("MODEL.RPN.POST_NMS_TOPK_TEST", 60),
            *("MODEL.ROI_HEADS.NAME", "StandardROIHeads"),
            *("MODEL.ROI_HEADS.IN_FEATURES", ["stride8"]),
            *("MODEL.ROI_HEADS.NUM_CLASSES", 1),
            *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 24),
            *("MODEL.ROI_HEADS.POSITIVE_FRACTION", 0.5),
            *("MODEL.ROI_HEADS.IOU_THRESHOLDS", [0.4, 0.6]),
            *("MODEL.ROI_HEADS.IOU_LABELS", [0, -1, 1]),
            *("MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead"),
            *("MODEL.ROI_BOX_HEAD.NUM_FC", 2),
            *("MODEL.ROI_BOX_HEAD.FC_DIM", 192),
            *("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 5),
            *("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 1),
            *("INPUT.MIN_SIZE_TRAIN", (120,)),
            *("INPUT.MAX_SIZE_TRAIN", 160),
            *("INPUT.MIN_SIZE_TEST", 120),
            *("INPUT.MAX_SIZE_TEST", 160),
            *("DATASETS.TRAIN", (PEOPLE,)),
            *("DATASETS.TEST", (PEOPLE,)),
        ]
    )
    return settings


def _register_small_backbone() -> str:
    """Make our backbone known to detectron2, once; return the name it has in configs."""
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import BACKBONE_REGISTRY, Backbone

    class AvaSmallBackbone(SmallBackbone, Backbone):
        """Our backbone with the shapes that detectron2 asks for."""

        size_divisibility = SmallBackbone.stride_of_top

        def __init__(self, _settings: Any, _input_shape: ShapeSpec) -> None:
            super().__init__()

        def output_shape(self) -> dict[str, ShapeSpec]:
            return {"stride8": ShapeSpec(channels=self.out_channels, stride=8)}

    if AvaSmallBackbone.__name__ not in BACKBONE_REGISTRY:
        BACKBONE_REGISTRY.register(AvaSmallBackbone)
    return AvaSmallBackbone.__name__


def build_untrained(settings: Any, device: torch.device) -> nn.Module:
    """Build the model of a config, with random weights."""
    from detectron2.config import CfgNode, instantiate
    from detectron2.modeling import build_model

    if not isinstance(settings, CfgNode):
        return instantiate(settings.model).to(device)
    settings.MODEL.DEVICE = str(device)
    return build_model(settings)


def choose_precision_of(model: nn.Module, name: str, device: torch.device) -> torch.dtype:
    """``choose_precision``, but float32 for a model with deformable convolutions.

    detectron2's are made for that alone, and some of them not for CPUs: InputError.
    """
    kinds = DEFORMABLE & {type(module).__name__ for module in model.modules()}
    if "ModulatedDeformConv" in kinds and device.type == "cpu":
        raise InputError(
            "proposer.config: detectron2's ModulatedDeformConv does not run on a CPU; set"
            " device=cuda, or choose another config"
        )
    return torch.float32 if kinds else choose_precision(name, device)


def person_class(config: str, settings: Any) -> int:
    """Return the index of the class called person in the config's data set.

    It is 0 where the data set's classes are unknown; InputError where none is called person.
    """
    from detectron2.config import CfgNode
    from detectron2.data import MetadataCatalog

    if isinstance(settings, CfgNode):
        names = [*settings.DATASETS.TEST, *settings.DATASETS.TRAIN][:1]
    else:
        names = [settings.dataloader.test.dataset.names] if "dataloader" in settings else []
    classes = MetadataCatalog.get(names[0]).get("thing_classes", []) if names else []
    if classes and "person" not in classes:
        raise InputError(
            f"proposer.config: {config!r} knows no person among the {len(classes)} classes of"
            f" {names[0]}; choose a config of COCO, or name your own data set in a copy of it"
        )
    return classes.index("person") if classes else 0


def settings_digest(settings: Any) -> str:
    """SHA-256 of a config with all that it is made of, but for where its weights lie."""
    from detectron2.config import CfgNode
    from omegaconf import OmegaConf

    if isinstance(settings, CfgNode):
        copy = settings.clone()
        copy.MODEL.WEIGHTS, copy.OUTPUT_DIR = "", ""
        text = copy.dump()
    else:
        plain = OmegaConf.to_container(settings, resolve=False)
        parts = {name: plain[name] for name in ("model", "dataloader") if name in plain}
        text = json.dumps(parts, sort_keys=True, default=_told)
    return hashlib.sha256(text.encode()).hexdigest()


def _told(value: Any) -> str:
    """A value of a Python config, such as a class or a function, the same in every process."""
    code = getattr(value, "__code__", None)
    if code is not None:  # a lambda's module has a random name
        return f"{value.__qualname__} {code.co_code.hex()} {code.co_names}"
    return getattr(value, "__qualname__", None) or repr(value)


def inference_resize(settings: Any) -> Any:
    """Return what to instantiate for resizing a test image."""
    from detectron2.config import CfgNode, LazyCall
    from detectron2.data.transforms import ResizeShortestEdge

    if isinstance(settings, CfgNode):
        sizes = settings.INPUT
        return LazyCall(ResizeShortestEdge)(
            short_edge_length=sizes.MIN_SIZE_TEST, max_size=sizes.MAX_SIZE_TEST
        )
    return settings.dataloader.test.mapper.augmentations[0]
