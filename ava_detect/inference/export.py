"""A model for other programs: as torch.export or ONNX, and the check that it computes the same.

Exported models take any number of clips and boxes and any frame size from ``MIN_SIDE`` on.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as symbolic_config

from ava_detect.models.fast_input import optical_flow
from ava_detect.models.heads import ClipHead
from ava_detect.models.network import ActionDetector
from ava_eval.errors import InputError

SUFFIXES = (".onnx", ".pt2")
ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
MIN_SIDE = 64  # pixels; so that no stage sees less than its pooling takes
_MAX_SIDE = 8192

Arrays = Sequence[np.ndarray]
Run = Callable[[Arrays], np.ndarray]
"""The inputs of an exported model -> its scores."""


class BoxScorer(nn.Module):
    """What is exported of a detector: frames and boxes in, scores out."""

    def __init__(self, model: ActionDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, rois: Tensor) -> Tensor:
        """frames u8[B,T,H,W,3] RGB, rois f32[M,5] (clip, x1, y1, x2, y2 in pixels) -> f32[M,C]."""
        return self.model.scores(self.model(frames, rois))


class ClipScorer(nn.Module):
    """What is exported of a classifier of clips: it has no use for boxes."""

    def __init__(self, model: ActionDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        """frames u8[B,T,H,W,3] RGB -> f32[B,C]."""
        return self.model.scores(self.model.head(self.model.backbone(self.model.normalise(frames))))


def build_scorer(model: ActionDetector) -> BoxScorer | ClipScorer:
    """The module that is exported, ready for inference in float32 on the CPU."""
    scorer = ClipScorer(model) if isinstance(model.head, ClipHead) else BoxScorer(model)
    return scorer.cpu().float().eval().requires_grad_(False)


def require_exportable(model: ActionDetector, path: Path) -> None:
    """Raise ``InputError`` for a model or a format that cannot be, or packages that are missing."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"-o: expected a name that ends in .onnx or .pt2, got {str(path)!r}")
    if getattr(model.backbone, "fast_input", None) is optical_flow:
        raise InputError(
            "model.fast_input: optical_flow cannot be exported, since OpenCV computes it outside"
            " of the model"
        )
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise InputError(
            f"{path}: ONNX needs the packages {', '.join(missing)}:"
            f" python -m pip install {' '.join(missing)}"
        )


def write_exported(
    scorer: BoxScorer | ClipScorer, num_frames: int, path: Path, metadata: Mapping[str, str]
) -> None:
    """Write a module of ``build_scorer`` for clips of ``num_frames``, in the format of the suffix.

    ``metadata`` become extra files of a ``.pt2``, ``metadata_props`` of an ``.onnx``.
    """
    with _quietly():
        program = _trace(scorer, num_frames)
        if path.suffix == ".pt2":
            torch.export.save(program, path, extra_files=dict(metadata))
        else:
            _write_onnx(program, path, metadata)


@contextmanager
def _quietly() -> Iterator[None]:
    """Exporters tell of each of their steps, and warn of what the comparison will show."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _trace(scorer: BoxScorer | ClipScorer, num_frames: int) -> torch.export.ExportedProgram:
    example = sample_inputs(Batch(2, 72, 88, 3), num_frames, of_boxes=isinstance(scorer, BoxScorer))
    largest = {"height": _MAX_SIDE, "width": _MAX_SIDE}
    smallest = {"height": MIN_SIDE, "width": MIN_SIDE, "clips": 1, "boxes": 0}
    shapes = [
        {
            place: torch.export.Dim(name, min=smallest[name], max=largest.get(name))
            for place, name in named.items()
        }
        for named in _names_of_dims(len(example)).values()
    ]
    try:
        with torch.no_grad(), _any_size():
            return torch.export.export(
                scorer,
                tuple(torch.from_numpy(array) for array in example),
                dynamic_shapes=tuple(shapes),
                strict=False,
            )
    except torch._dynamo.exc.UserError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"model: cannot be exported for frames of any size: {reason}") from error


def _any_size() -> AbstractContextManager:
    """Sizes of 1, as of a batch of one clip, are traced as all others are, not for themselves."""
    return symbolic_config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]


def _names_of_dims(num_inputs: int) -> dict[str, dict[int, str]]:
    """For each input the names of the dimensions that are not fixed."""
    inputs = {"frames": {0: "clips", 2: "height", 3: "width"}, "rois": {0: "boxes"}}
    return dict(list(inputs.items())[:num_inputs])


def _write_onnx(
    program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, str]
) -> None:
    names = _names_of_dims(len(program.graph_signature.user_inputs))
    onnx_program = torch.onnx.export(
        program,
        input_names=list(names),
        output_names=["scores"],
        dynamic_shapes=names,
        dynamo=True,
        verbose=False,
    )
    assert onnx_program is not None
    graph_model = onnx_program.model
    for node in graph_model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces with the paths of this machine
    graph_model.metadata_props.update(metadata)
    onnx_program.save(path, external_data=False)


def open_exported(path: Path) -> tuple[Run, dict[str, str]]:
    """A file of ``write_exported``, loaded by its own runtime: what runs it, and its metadata."""
    return _open_program(path) if path.suffix == ".pt2" else _open_onnx(path)


def _open_program(path: Path) -> tuple[Run, dict[str, str]]:
    import torchvision  # noqa: F401  (its RoIAlign is an operator that programs name)

    metadata = _extra_files(path)
    module = torch.export.load(path, extra_files=metadata).module()

    def run(inputs: Arrays) -> np.ndarray:
        with torch.inference_mode():
            return module(*(torch.from_numpy(array) for array in inputs)).numpy()

    return run, {name: _text(content) for name, content in metadata.items()}


def _extra_files(path: Path) -> dict[str, Any]:
    """The names of a program's extra files; loading fills in what they hold."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/extra/")[2] for name in archive.namelist()]
    return {name: "" for name in names if name}


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content


def _open_onnx(path: Path) -> tuple[Run, dict[str, str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(inputs: Arrays) -> np.ndarray:
        return session.run(["scores"], dict(zip(names, inputs, strict=True)))[0]

    return run, dict(session.get_modelmeta().custom_metadata_map)


@dataclass(frozen=True)
class Batch:
    """The size of a batch: so many clips, of so many pixels, with so many boxes in all."""

    clips: int
    height: int
    width: int
    boxes: int


def sample_inputs(batch: Batch, num_frames: int, of_boxes: bool, seed: int = 0) -> list[np.ndarray]:
    """Noise and random boxes: frames u8[B,T,H,W,3] and, ``of_boxes``, rois f32[M,5].

    The first boxes are odd ones: the whole frame, one beyond each corner, one cut by an edge, one
    thinner than a pixel, one without an area, one inside out, one that misses the frame.
    """
    random = np.random.default_rng(seed)
    height, width = batch.height, batch.width
    shape = (batch.clips, num_frames, height, width, 3)
    frames = random.integers(0, 256, shape, dtype=np.uint8)
    if not of_boxes:
        return [frames]
    odd = [
        (0, 0, width, height),
        (-9, -9, 0.3 * width, 0.4 * height),
        (0.6 * width, 0.5 * height, width + 20, height + 9.5),
        (0.7 * width, 0.2 * height, width, 0.9 * height),
        (10, 10, 10.3, 30),
        (20, 20, 20, 20),
        (40, 40, 10, 12),
        (width + 50, 10, width + 90, 60),
    ]
    corners = np.sort(random.uniform(0, 1, (batch.boxes, 2, 2)), axis=1) * (width, height)
    boxes = corners.reshape(-1, 4)
    boxes[: len(odd)] = np.array(odd)[: batch.boxes]
    clip = random.integers(0, batch.clips, batch.boxes)
    return [frames, np.column_stack([clip, boxes]).astype(np.float32)]


def largest_difference(
    scorer: BoxScorer | ClipScorer, run: Run, num_frames: int, batches: Sequence[Batch]
) -> float:
    """Between the scores of the module and those of ``run``; NaN where either has one.

    Raises ``InputError`` where ``run`` answers in another shape.
    """
    worst = [0.0]
    for seed, batch in enumerate(batches):
        of_boxes = isinstance(scorer, BoxScorer)
        inputs = sample_inputs(batch, num_frames, of_boxes, seed)
        with torch.inference_mode():
            expected = scorer(*(torch.from_numpy(array) for array in inputs)).numpy()
        try:
            got = run(inputs)
        except Exception as error:  # of whichever runtime
            reason = str(error).partition("\n")[0]
            raise InputError(f"the exported model fails on {batch}: {reason}") from error
        if got.shape != expected.shape or got.dtype != expected.dtype:
            raise InputError(
                f"the exported model answers {got.dtype} {list(got.shape)} to {batch}; expected"
                f" {expected.dtype} {list(expected.shape)}"
            )
        worst.append(float(np.abs(got - expected).max(initial=0.0)))
    return float(np.max(worst))
