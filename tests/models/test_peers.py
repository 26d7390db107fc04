"""Files of other toolboxes, rebuilt from names and shapes, against their recorded scores.

`tools/compare_weights.py --record` wrote the scores: the peers' own code on the same weights.
"""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ava_detect import load_detector
from ava_detect.models.weights.layers import foreign_names
from ava_detect.models.weights.pyslowfast import names
from ava_detect.pretrained import Pretrained, load_model
from tools.foreign_files import caffe2_blobs
from tools.reproducible import example_clip, reproducible_tensor

RECORDED = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "golden" / "peers.json.gz").read_bytes())
)
FAMILIES = {"pyslowfast": "PySlowFast", "pytorchvideo": "PyTorchVideo", "mmaction2": "mmaction2"}


def checkpoint_of(peer: str) -> dict[str, Any]:
    """What the peer's file holds."""
    recorded = RECORDED[peer]
    state = {name: reproducible_tensor(name, tuple(s), 0) for name, s in recorded["tensors"]}
    if peer.startswith("mmaction2"):
        return {"meta": {"epoch": 1}, "state_dict": state}
    return {"model_state": state} | ({"cfg": recorded["cfg"]} if recorded["cfg"] else {})


def scores_of(loaded: Pretrained, peer: str) -> np.ndarray:
    clip, boxes = example_clip(RECORDED[peer]["num_frames"])
    rois = F.pad(torch.from_numpy(boxes), (1, 0))
    with torch.inference_mode():
        logits = loaded.model.eval()(torch.from_numpy(clip)[None], rois)
    return (
        logits.softmax(1) if loaded.config.data.kind == "kinetics" else logits.sigmoid()
    ).numpy()


@pytest.mark.parametrize("peer", list(RECORDED))
def test_scores_are_the_peers(peer: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(checkpoint_of(peer), file)
    loaded = load_model(file)
    assert loaded.family == FAMILIES[peer.split("/")[0]]
    assert loaded.config.data.num_frames == RECORDED[peer]["num_frames"] or "cfg" not in peer
    np.testing.assert_allclose(scores_of(loaded, peer), RECORDED[peer]["scores"], atol=2e-6)


@pytest.mark.parametrize(
    "peer",
    ["pyslowfast/SLOW_8x8_R50_SHORT", "mmaction2/slowfast_r50_8x8"],
    ids=["slow", "mmaction2"],
)
def test_the_python_face_takes_more_frames_than_were_trained_on(peer: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(checkpoint_of(peer), file)
    detector = load_detector(file, precision="float32")
    clip, boxes = example_clip(RECORDED[peer]["num_frames"])
    np.testing.assert_allclose(detector.predict(clip, boxes), RECORDED[peer]["scores"], atol=2e-6)
    longer = detector.predict(np.concatenate([clip, clip[::-1]]), boxes)
    assert longer.shape == (3, 80)
    assert ((longer > 0) & (longer < 1)).all()


def test_a_caffe2_file_scores_as_its_pyslowfast_twin(tmp_path: Path) -> None:
    """Names checked live against PySlowFast's own converter by tools/compare_weights.py."""
    peer = "pyslowfast/c2/SLOWFAST_32x2_R101_50_50"
    layers = foreign_names(names)
    state = {}
    for name, tensor in checkpoint_of(peer)["model_state"].items():
        layer, _, leaf = name.rpartition(".")
        state[f"{layers[layer].name}.{leaf}"] = tensor
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps({"blobs": caffe2_blobs(state)}, protocol=2))
    loaded = load_model(file)
    assert loaded.family == "Caffe2"
    assert not loaded.config.model.roi_aligned
    np.testing.assert_allclose(scores_of(loaded, peer), RECORDED[peer]["scores"], atol=2e-6)
