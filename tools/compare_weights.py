"""Scores and gradients of our models beside the toolboxes that their weights come from, live.

    python tools/compare_weights.py --pyslowfast DIR --pytorchvideo DIR --mmaction2 DIR \
        --detectron2 DIR [--only TEXT] [--record FILE]

Every peer's model is built by its own code (see ``peers.py``), filled with reproducible weights,
saved as the peer saves it and read by ours; both score the same clip and boxes. PySlowFast's models
are also read as Caffe2 files, written back and loaded by PySlowFast, and trained one step.
``--record`` writes names, shapes and scores for the tests.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import logging
import pickle
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkouts import COMMITS
from foreign_files import caffe2_blobs
from peers import Peer, fill, peers
from reproducible import example_clip
from torch import nn
from torch.nn import functional as F

from ava_detect.commands.convert import convert
from ava_detect.models.weights.layers import foreign_names
from ava_detect.models.weights.pyslowfast import names
from ava_detect.pretrained import Pretrained, load_model

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for code in COMMITS:
        parser.add_argument(f"--{code}", type=Path, metavar="DIR")
    parser.add_argument("--only", default="", metavar="TEXT", help="models whose name has TEXT")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the peers' answers")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    recorded = {}
    try:
        for name, build in peers(**{code: getattr(arguments, code) for code in COMMITS}):
            if arguments.only in name:
                peer = build()
                fill(peer.model, SEED)
                for what, figure in compare(peer):
                    print(f"{name:<42} {what:<44} {figure:.1e}", flush=True)
                recorded[name] = record(peer)
    except (ImportError, ValueError) as error:
        parser.exit(1, f"compare_weights.py: {error}\n")
    if arguments.record:
        text = json.dumps(recorded, separators=(",", ":"))
        arguments.record.write_bytes(gzip.compress(text.encode(), mtime=0))


def compare(peer: Peer) -> Iterator[tuple[str, float]]:
    """What was compared, and the largest difference."""
    clip, boxes = example_clip(peer.num_frames)
    theirs = peer.predict(clip, boxes)
    with tempfile.TemporaryDirectory() as folder:
        file, ours_file, back = (
            Path(folder) / name for name in ("peer.pth", "ours.pt", "back.pyth")
        )
        peer.save(file)
        ours = load_model(file)
        yield "scores", largest(scores_of(ours, clip, boxes) - theirs)
        convert(file, ours_file)
        yield "scores, converted", largest(scores_of(load_model(ours_file), clip, boxes) - theirs)
        if not peer.name.startswith("pyslowfast"):
            return
        convert(ours_file, back, layout="pyslowfast")
        fill(peer.model, SEED + 1)
        peer.code.checkpoint.load_checkpoint(str(back), peer.model, data_parallel=False)
        yield "scores of PySlowFast, written back", largest(peer.predict(clip, boxes) - theirs)
        caffe2 = Path(folder) / "c2.pkl"
        blobs = caffe2_blobs(ours.model.state_dict())
        caffe2.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
        fill(peer.model, SEED + 1)
        peer.code.checkpoint.load_checkpoint(
            str(caffe2), peer.model, data_parallel=False, convert_from_caffe2=True
        )
        yield (
            "scores of PySlowFast, from our Caffe2 names",
            largest(peer.predict(clip, boxes) - theirs),
        )
        read = load_model(caffe2, ours.config)
        tensors = zip(
            read.model.state_dict().values(), ours.model.state_dict().values(), strict=True
        )
        yield "tensors, from Caffe2", max(largest((a - b).numpy()) for a, b in tensors)
    if ours.config.data.kind == "ava":
        yield from compare_training(peer, ours, clip, boxes)


def scores_of(loaded: Pretrained, clip: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Our scores f32[N,C] in float32, of a detector or of a classifier (f32[1,C])."""
    rois = F.pad(torch.from_numpy(boxes), (1, 0))
    with torch.inference_mode():
        logits = loaded.model.eval()(torch.from_numpy(clip)[None], rois)
    kinetics = loaded.config.data.kind == "kinetics"
    return (logits.softmax(1) if kinetics else logits.sigmoid()).numpy()


def compare_training(
    peer: Peer, ours: Pretrained, clip: np.ndarray, boxes: np.ndarray
) -> Iterator[tuple[str, float]]:
    """Loss and gradients of one batch of two clips, batch norms in training mode, no dropout.

    In float64, so that what differs is the computation and not its rounding, and in float32, where
    the gradients of such a small batch are themselves uncertain: PySlowFast's own float32 against
    its own float64 is printed beside. Differences are relative; of a gradient, the norm of the
    difference over the norm, the worst of all tensors.
    """
    clips = torch.from_numpy(np.stack([clip, clip[::-1, ::-1]]))
    corners = torch.from_numpy(boxes)
    rois = torch.cat([F.pad(corners, (1, 0)), F.pad(corners, (1, 0), value=1.0)])
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (len(rois), 80), generator=generator).float()
    theirs, mine = {}, {}
    for dtype in (torch.float64, torch.float32):
        theirs[dtype] = their_step(peer, clips, rois.to(dtype), labels.to(dtype))
        mine[dtype] = our_step(ours, clips, rois.to(dtype), labels.to(dtype))
    for dtype, name in ((torch.float64, "float64"), (torch.float32, "float32")):
        yield f"loss of a training step, {name}", relative(mine[dtype][0], theirs[dtype][0])
        yield f"gradients, {name}", worst(mine[dtype][1], theirs[dtype][1])
        yield f"running statistics after it, {name}", worst(mine[dtype][2], theirs[dtype][2])
    own = worst(theirs[torch.float32][1], theirs[torch.float64][1])
    yield "(gradients of PySlowFast, float32 to float64)", own


Step = tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]


def their_step(peer: Peer, clips: torch.Tensor, rois: torch.Tensor, labels: torch.Tensor) -> Step:
    """Loss, gradients and running statistics of PySlowFast, under our names."""
    peer.model.to(rois.dtype)
    fill(peer.model, SEED)
    peer.model.train().zero_grad()
    without_dropout(peer.model)
    code = peer.code
    values = code.utils.tensor_normalize(
        clips.to(rois.dtype) / 255, code.cfg.DATA.MEAN, code.cfg.DATA.STD
    )
    packed = [code.utils.pack_pathway_output(code.cfg, each.permute(3, 0, 1, 2)) for each in values]
    inputs = [torch.stack(pathway).to(rois.dtype) for pathway in zip(*packed, strict=True)]
    loss = F.binary_cross_entropy(peer.model(inputs, rois), labels)
    loss.backward()
    layers = foreign_names(names)

    def renamed(name: str) -> str:
        layer, _, leaf = name.rpartition(".")
        return f"{layers[layer].name}.{leaf}"

    return (
        loss.detach(),
        {
            renamed(name): p.grad.clone()
            for name, p in peer.model.named_parameters()
            if p.grad is not None
        },
        {renamed(name): b.clone() for name, b in peer.model.named_buffers() if "running" in name},
    )


def our_step(
    ours: Pretrained, clips: torch.Tensor, rois: torch.Tensor, labels: torch.Tensor
) -> Step:
    """Loss, gradients and running statistics of our model, which stays as it was."""
    model = copy.deepcopy(ours.model).to(rois.dtype).train()
    without_dropout(model)
    loss = F.binary_cross_entropy_with_logits(model(clips, rois), labels)
    loss.backward()
    return (
        loss.detach(),
        {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
        {name: b for name, b in model.named_buffers() if "running" in name},
    )


def without_dropout(model: nn.Module) -> None:
    """Its draws would differ."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """Norm of the difference over the norm of the second."""
    return ((one.double() - other.double()).norm() / other.double().norm()).item()


def worst(ones: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of tensors of the same names.

    A tensor counts as no smaller than a millionth of all: the gradient of a bias in front of a
    batch norm is zero, and what is computed for it is rounding.
    """
    assert ones.keys() == others.keys()
    floor = 1e-6 * sum(other.double().square().sum() for other in others.values()) ** 0.5
    return max(
        ((ones[name].double() - other.double()).norm() / max(other.double().norm(), floor)).item()
        for name, other in others.items()
    )


def largest(difference: np.ndarray) -> float:
    """Largest absolute value."""
    return float(np.abs(difference).max())


def record(peer: Peer) -> dict[str, Any]:
    """What a test needs to rebuild the peer's file, and the peer's scores."""
    fill(peer.model, SEED)
    clip, boxes = example_clip(peer.num_frames)
    cfg = peer.code.cfg.dump() if peer.name.startswith("pyslowfast") else None
    state = peer.model.state_dict()
    return {
        "num_frames": peer.num_frames,
        "cfg": cfg,
        "tensors": [[name, list(value.shape)] for name, value in state.items()],
        "scores": [[float(f"{x:.9g}") for x in row] for row in peer.predict(clip, boxes)],
    }


if __name__ == "__main__":
    main()
