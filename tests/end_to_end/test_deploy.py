"""`ava-detect deploy`: a checkpoint becomes a file for other programs, or nothing at all."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ava_detect.assemble import build_label_map, build_model
from ava_detect.cli import main
from ava_detect.commands import deploy as command
from ava_detect.config import dump_config, load_config
from ava_detect.engine.checkpoint import save_checkpoint
from ava_detect.inference.export import open_exported
from ava_detect.pretrained import load_detector

TINY = [
    *("model.pathways=slow", "model.stem=conv7", "model.widths=[8,8,8,8]", "data.num_frames=4"),
    "device=cpu",
]


def random_weights(path: Path, recipe: str, settings: list[str]) -> Path:
    """A checkpoint of a model that nobody has trained."""
    config = load_config(recipe, settings)
    label_map = build_label_map(config)
    torch.manual_seed(0)
    model = build_model(config, len(label_map))
    for layer in model.head.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight)
    meta = {"label_map": label_map.to_dict("list")}
    save_checkpoint(path, model=model, step=0, config=dump_config(config), meta=meta)
    return path


def check_deployed(path: Path, weights: Path, frames: int) -> None:
    """The file gives the detector's scores and says what they mean."""
    random = np.random.default_rng(0)
    clip = random.integers(0, 256, (frames, 90, 110, 3), dtype=np.uint8)
    boxes = np.array([[3, 4, 60, 80], [20, 2.5, 110, 90]], dtype=np.float32)
    detector = load_detector(weights, precision="float32")
    run, metadata = open_exported(path)
    scores = run([clip[None], np.pad(boxes, ((0, 0), (1, 0)))])
    np.testing.assert_allclose(scores, detector.predict(clip, boxes), atol=1e-4)
    names = [entry["name"] for entry in json.loads(metadata["classes"])]
    assert names == detector.label_map["name"].tolist()
    assert json.loads(metadata["sampling"])["num_frames"] == frames
    assert len(json.loads(metadata["weights"])["sha256"]) == 64
    assert "sampling_rate" in metadata["config"]


def test_a_tiny_detector(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    weights, out = random_weights(tmp_path / "a.pt", "demo/ava", TINY), tmp_path / "model.pt2"
    assert main(["deploy", "demo/ava", f"weights={weights}", "-o", str(out), *TINY]) == 0
    text = capsys.readouterr().out
    assert "rois float32 [boxes,5]" in text
    assert "largest difference to our model in float32" in text
    check_deployed(out, weights, frames=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_the_demo_detector(name: str, tmp_path: Path) -> None:
    weights, out = random_weights(tmp_path / "a.pt", "demo/ava", []), tmp_path / name
    assert main(["deploy", "demo/ava", f"weights={weights}", "-o", str(out)]) == 0
    check_deployed(out, weights, frames=16)


@pytest.mark.slow
def test_the_demo_classifier(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    weights, out = random_weights(tmp_path / "a.pt", "demo/kinetics", []), tmp_path / "model.onnx"
    assert main(["deploy", "demo/kinetics", f"weights={weights}", "-o", str(out)]) == 0
    assert "rois" not in capsys.readouterr().out


def test_a_model_that_differs_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    weights, out = random_weights(tmp_path / "a.pt", "demo/ava", TINY), tmp_path / "model.pt2"

    def write(scorer, num_frames, path, metadata) -> None:
        path.write_text("a model")

    def run(inputs: list[np.ndarray]) -> np.ndarray:
        return np.zeros((len(inputs[1]), 13), np.float32)

    monkeypatch.setattr(command, "write_exported", write)
    monkeypatch.setattr(command, "open_exported", lambda path: (run, {}))
    assert main(["deploy", "demo/ava", f"weights={weights}", "-o", str(out), *TINY]) == 2
    errors = [e for e in capsys.readouterr().err.splitlines() if e.startswith("error: ")]
    assert len(errors) == 1
    assert "not written: the exported model's scores differ from ours by" in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    ("out", "settings", "message"),
    [
        ("model.pt", [], "-o: expected a name that ends in .onnx or .pt2"),
        ("model.pt2", ["model.fast_input=optical_flow"], "model.fast_input: optical_flow cannot"),
        ("model.onnx", [], "python -m pip install onnx onnxruntime onnxscript"),
    ],
)
def test_what_cannot_be_is_one_line(
    out: str,
    settings: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    tiny = [*TINY[1:], *settings] if settings else TINY
    weights = random_weights(tmp_path / "a.pt", "demo/ava", tiny)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = ["deploy", "demo/ava", f"weights={weights}", "-o", str(tmp_path / out), *tiny]
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / out).exists()


def test_weights_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["deploy", "demo/ava", "-o", str(tmp_path / "model.onnx")]) == 2
    assert "expected weights=FILE" in capsys.readouterr().err
