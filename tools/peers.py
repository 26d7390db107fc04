"""The detectors of peer toolboxes, built from checkouts of their code.

The folders are git checkouts (or bare repositories) of facebookresearch/SlowFast,
facebookresearch/pytorchvideo, open-mmlab/mmaction2 and facebookresearch/detectron2. The peers' own
packages are needed beside torch: ``fvcore iopath yacs simplejson`` for PySlowFast, ``fvcore`` for
pytorchvideo, ``mmengine mmcv-lite`` for mmaction2.

Their code is not changed: it is extracted at a fixed commit and imported from there. Packages whose
``__init__`` imports what is missing here are entered past it, and what their files only name at
import is stood in for (each place says why).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import tempfile
import types
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from checkouts import enter, extract, import_module, stand_in
from reproducible import reproducible_tensor
from torch import nn

_PYSLOWFAST = {
    "SLOWFAST_32x2_R50_SHORT": "AVA/SLOWFAST_32x2_R50_SHORT",
    "SLOW_8x8_R50_SHORT": "AVA/SLOW_8x8_R50_SHORT",
    "c2/SLOWFAST_32x2_R101_50_50": "AVA/c2/SLOWFAST_32x2_R101_50_50",
    "c2/SLOWFAST_64x2_R101_50_50": "AVA/c2/SLOWFAST_64x2_R101_50_50",
    "Kinetics/SLOWFAST_8x8_R50": "Kinetics/SLOWFAST_8x8_R50",
    "Kinetics/SLOWFAST_4x16_R50": "Kinetics/SLOWFAST_4x16_R50",
    "Kinetics/SLOW_8x8_R50": "Kinetics/SLOW_8x8_R50",
}
# By name in its hub: the frames of a clip and, for each pathway, of how many it takes one.
_PYTORCHVIDEO: dict[str, tuple[int, tuple[int, ...]]] = {
    "slowfast_r50_detection": (32, (4, 1)),
    "slow_r50_detection": (4, (1,)),
    "slowfast_r50": (32, (4, 1)),
    "slowfast_r101": (32, (4, 1)),
    "slow_r50": (8, (1,)),
}
_MMACTION2 = {
    "slowfast_r50_8x8": "slowfast_kinetics400-pretrained-r50_8xb6-8x8x1-cosine-10e_ava22-rgb",
    "slowfast_r50_4x16": "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
}


@dataclass(frozen=True)
class Peer(ABC):
    """One model of a peer with the input and the output that its own tools give it."""

    name: str  # e.g. "pyslowfast/SLOWFAST_32x2_R50_SHORT"
    num_frames: int  # T that its config samples
    model: nn.Module
    code: Any  # the modules of the peer and its settings

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write a checkpoint as the peer lays it out."""

    def predict(self, clip: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Scores f32[N,C] of boxes f32[N,4] (xyxy in pixels) in a clip u8[T,H,W,3] of RGB frames.

        A classifier ignores the boxes and returns f32[1,C].
        """
        frames = torch.from_numpy(np.ascontiguousarray(clip))
        rois = torch.from_numpy(np.asarray(boxes, np.float32).reshape(-1, 4))
        rois = torch.cat([torch.zeros(len(rois), 1), rois], dim=1)
        self.model.eval()
        with torch.inference_mode():
            scores = self._scores(frames, rois)
        return scores.float().numpy()

    @abstractmethod
    def _scores(self, frames: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        """Scores of frames u8[T,H,W,3] and rois f32[N,5], whose first column is 0."""


Builder = Callable[[], Peer]


class _PySlowFast(Peer):
    def save(self, path: Path) -> None:
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        with tempfile.TemporaryDirectory(dir=path.parent) as job:
            written = self.code.checkpoint.save_checkpoint(
                job, self.model, optimizer, epoch=0, cfg=self.code.cfg
            )
            Path(written).replace(path)

    def _scores(self, frames: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        data = self.code.cfg.DATA
        values = self.code.utils.tensor_normalize(frames, data.MEAN, data.STD)
        pathways = self.code.utils.pack_pathway_output(self.code.cfg, values.permute(3, 0, 1, 2))
        inputs = [pathway[None] for pathway in pathways]
        return self.model(inputs, rois) if self.code.cfg.DETECTION.ENABLE else self.model(inputs)


class _PyTorchVideo(Peer):
    def save(self, path: Path) -> None:
        torch.save({"model_state": self.model.state_dict()}, path)

    def _scores(self, frames: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        # Its transforms are given these numbers in its tutorials.
        values = (frames.permute(3, 0, 1, 2) / 255 - 0.45) / 0.225
        pathways = self.code.functional.uniform_temporal_subsample_repeated(
            values, self.code.ratios
        )
        inputs = [pathway[None] for pathway in pathways]
        given = inputs if len(inputs) > 1 else inputs[0]
        if self.name.endswith("_detection"):
            return self.model(given, rois)
        return self.model(given).softmax(dim=1)  # its Kinetics models give logits


class _MMAction2(Peer):
    def save(self, path: Path) -> None:
        meta = {"epoch": 1, "iter": 1, "cfg": self.code.config.pretty_text}
        torch.save({"meta": meta, "state_dict": self.model.state_dict()}, path)

    def _scores(self, frames: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        model: Any = self.model
        data = {"inputs": [frames.permute(3, 0, 1, 2)], "data_samples": None}
        features = model.backbone(model.data_preprocessor(data)["inputs"])
        head = model.roi_head.bbox_head
        pooled, _ = model.roi_head.bbox_roi_extractor(features, rois)
        found = head.predict_by_feat(
            (rois.clone(),), (head(pooled),), [{"img_shape": tuple(frames.shape[1:3])}]
        )
        return found[0].scores[:, 1:]  # column 0 is the background, which bbox2result leaves out


def peers(
    pyslowfast: Path | None = None,
    pytorchvideo: Path | None = None,
    mmaction2: Path | None = None,
    detectron2: Path | None = None,
) -> list[tuple[str, Builder]]:
    """Names and builders of the models whose checkouts are given.

    PySlowFast takes layers of pytorchvideo, from its checkout or as an installed package.
    """
    found: list[tuple[str, Builder]] = []
    if pyslowfast:
        for name, config in _PYSLOWFAST.items():
            build = functools.partial(
                _build_pyslowfast, name, config, pyslowfast, pytorchvideo, detectron2
            )
            found.append((f"pyslowfast/{name}", build))
    if pytorchvideo:
        for name in _PYTORCHVIDEO:
            found.append(
                (f"pytorchvideo/{name}", functools.partial(_build_pytorchvideo, name, pytorchvideo))
            )
    if mmaction2:
        for name in _MMACTION2:
            found.append(
                (f"mmaction2/{name}", functools.partial(_build_mmaction2, name, mmaction2))
            )
    return found


def fill(model: nn.Module, seed: int) -> None:
    """Give every entry of the state dict the values of ``reproducible_tensor``."""
    model.load_state_dict(
        {
            name: reproducible_tensor(name, tuple(value.shape), seed)
            for name, value in model.state_dict().items()
        }
    )


def _build_pyslowfast(
    name: str, config: str, checkout: Path, pytorchvideo: Path | None, detectron2: Path | None
) -> Peer:
    code = _load_pyslowfast(checkout, pytorchvideo, detectron2)
    cfg = code.defaults.get_cfg()
    cfg.merge_from_file(str(code.folder / f"configs/{config}.yaml"))
    cfg.NUM_GPUS = 0
    built = cfg.clone()
    # Its pooling of any size: what its fixed kernel does where the clip has the training size.
    built.MULTIGRID.SHORT_CYCLE = not cfg.DETECTION.ENABLE
    model = code.build.build_model(built)
    values = {**vars(code), "cfg": cfg}
    return _PySlowFast(
        f"pyslowfast/{name}", cfg.DATA.NUM_FRAMES, model, types.SimpleNamespace(**values)
    )


def _build_pytorchvideo(name: str, checkout: Path) -> Peer:
    code = _load_pytorchvideo(checkout)
    num_frames, ratios = _PYTORCHVIDEO[name]
    hub = code.slowfast if name.startswith("slowfast") else code.resnet
    arguments: dict[str, Any] = {}
    if not name.endswith("_detection"):
        # As in PySlowFast: of any size. Its SlowFast pools once for each pathway.
        arguments["head_pool"] = nn.AdaptiveAvgPool3d
        if len(ratios) > 1:
            arguments["head_output_size"] = (1, 1)
    model = getattr(hub, name)(pretrained=False, **arguments)
    values = {**vars(code), "ratios": ratios}
    return _PyTorchVideo(f"pytorchvideo/{name}", num_frames, model, types.SimpleNamespace(**values))


def _build_mmaction2(name: str, checkout: Path) -> Peer:
    code = _load_mmaction2(checkout)
    path = code.folder / f"configs/detection/slowfast/{_MMACTION2[name]}.py"
    config = code.config_class.fromfile(str(path))
    settings = config.to_dict()["model"]
    head = settings["roi_head"]
    classes = {
        "mmaction.ResNet3dSlowFast": code.backbone.ResNet3dSlowFast,
        "mmaction.ActionDataPreprocessor": code.preprocessor.ActionDataPreprocessor,
        "SingleRoIExtractor3D": code.extractor.SingleRoIExtractor3D,
        "BBoxHeadAVA": code.bbox_head.BBoxHeadAVA,
    }

    def made(values: dict[str, Any]) -> nn.Module:
        return classes[values["type"]](**{key: values[key] for key in values if key != "type"})

    model = nn.Module()
    model.data_preprocessor = made(settings["data_preprocessor"])
    model.backbone = made(settings["backbone"])
    model.roi_head = nn.Module()
    model.roi_head.bbox_roi_extractor = made(head["bbox_roi_extractor"])
    model.roi_head.bbox_head = made(head["bbox_head"])
    sampling = next(
        step for step in config.val_pipeline if step["type"] == "SampleAVAFrames"
    )  # mmaction2 tests on the frames that it trains on
    values = {**vars(code), "config": config}
    return _MMAction2(
        f"mmaction2/{name}", sampling["clip_len"], model, types.SimpleNamespace(**values)
    )


@functools.cache
def _load_pyslowfast(
    checkout: Path, pytorchvideo: Path | None, detectron2: Path | None
) -> types.SimpleNamespace:
    kept, folder = extract("pyslowfast", checkout, ["slowfast", "configs"])
    if pytorchvideo:
        _load_pytorchvideo(pytorchvideo)
    _load_roi_align(detectron2)
    enter("slowfast", folder)
    enter("slowfast.models", folder)  # imports its MAE and contrastive models, matplotlib, psutil
    enter("slowfast.datasets", folder)  # imports every data set, which need Meta's own modules
    enter("slowfast.utils", folder)
    import_module(
        "slowfast.models.video_model_builder", "PySlowFast"
    )  # registers SlowFast and ResNet
    return types.SimpleNamespace(
        kept=kept,
        folder=folder,
        defaults=import_module("slowfast.config.defaults", "PySlowFast"),
        build=import_module("slowfast.models.build", "PySlowFast"),
        checkpoint=import_module("slowfast.utils.checkpoint", "PySlowFast"),
        utils=import_module("slowfast.datasets.utils", "PySlowFast"),
    )


def _load_roi_align(checkout: Path | None) -> None:
    """Make ``from detectron2.layers import ROIAlign`` work, without its compiled extension."""
    layers: Any = stand_in("detectron2.layers")
    if checkout is None:
        layers.ROIAlign = torchvision.ops.RoIAlign  # what detectron2's ROIAlign calls
        return
    path = "detectron2/layers/roi_align.py"
    kept, folder = extract("detectron2", checkout, [path])
    with kept:
        spec = importlib.util.spec_from_file_location("detectron2.layers.roi_align", folder / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    layers.ROIAlign = module.ROIAlign


@functools.cache
def _load_pytorchvideo(checkout: Path) -> types.SimpleNamespace:
    kept, folder = extract("pytorchvideo", checkout, ["pytorchvideo"])
    enter("pytorchvideo", folder)
    enter("pytorchvideo.models", folder)
    enter("pytorchvideo.models.hub", folder)  # imports the models for phones
    enter("pytorchvideo.transforms", folder)  # imports what torchvision no longer has
    return types.SimpleNamespace(
        kept=kept,
        folder=folder,
        resnet=import_module("pytorchvideo.models.hub.resnet", "pytorchvideo"),
        slowfast=import_module("pytorchvideo.models.hub.slowfast", "pytorchvideo"),
        functional=import_module("pytorchvideo.transforms.functional", "pytorchvideo"),
    )


@functools.cache
def _load_mmaction2(checkout: Path) -> types.SimpleNamespace:
    kept, folder = extract("mmaction2", checkout, ["mmaction", "configs"])
    config_class = import_module("mmengine.config", "mmaction2").Config
    enter("mmaction", folder)  # refuses versions of mmcv that came later
    for name in ("models", "models.backbones", "models.data_preprocessors", "models.roi_heads"):
        enter(f"mmaction.{name}", folder)  # import all models of their kind
    for name in ("roi_extractors", "bbox_heads"):
        enter(f"mmaction.models.roi_heads.{name}", folder)
    # Names for type hints, and the target assigner of training.
    stand_in("mmaction.utils", InstanceList=list, SampleList=list)
    stand_in("mmaction.structures.bbox", bbox_target=None)
    stand_in("mmdet.models.task_modules.samplers", SamplingResult=object)
    # The compiled operators of the full mmcv, whose RoIAlign is torchvision's.
    stand_in("mmcv.ops", RoIAlign=_RoIAlign, RoIPool=None)
    base = "mmaction.models"
    return types.SimpleNamespace(
        kept=kept,
        folder=folder,
        config_class=config_class,
        backbone=import_module(f"{base}.backbones.resnet3d_slowfast", "mmaction2"),
        preprocessor=import_module(f"{base}.data_preprocessors.data_preprocessor", "mmaction2"),
        extractor=import_module(f"{base}.roi_heads.roi_extractors.single_straight3d", "mmaction2"),
        bbox_head=import_module(f"{base}.roi_heads.bbox_heads.bbox_head", "mmaction2"),
    )


class _RoIAlign(torchvision.ops.RoIAlign):
    """``mmcv.ops.RoIAlign`` that averages, as all its detection configs of SlowFast do."""

    def __init__(
        self,
        output_size: int,
        spatial_scale: float,
        sampling_ratio: int,
        pool_mode: str,
        aligned: bool,
    ) -> None:
        assert pool_mode == "avg"
        super().__init__((output_size, output_size), spatial_scale, sampling_ratio, aligned)
