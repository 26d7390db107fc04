"""Weights of other toolboxes: what is refused, what starts a training, what is written back."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ava_detect.assemble import build_label_map, build_model
from ava_detect.cli import main
from ava_detect.config import Config, dump_config, load_config
from ava_detect.engine.checkpoint import save_checkpoint
from ava_detect.models.weights import pyslowfast, read_weights
from ava_detect.models.weights.layers import all_layers
from ava_detect.pretrained import load_detector, load_model, start_model
from ava_eval.errors import InputError
from tools.foreign_files import caffe2_blobs

NARROW = ["model.widths=[8,16,32,64]", "model.beta_inv=4"]
THEIRS = {layer.name: name for layer in all_layers() for name in pyslowfast.names(layer)}


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our names -> PySlowFast's."""
    return {
        f"{THEIRS[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in state.items()
    }


@pytest.fixture
def narrow() -> Callable[..., tuple[Config, dict[str, torch.Tensor]]]:
    """A recipe made thin, and the weights of a model of it."""

    def build(*words: str, recipe: str = "ava/slowfast_r50_8x8"):
        torch.manual_seed(0)
        config = load_config(recipe, [*NARROW, *words])
        classes = 400 if config.data.kind == "kinetics" else len(build_label_map(config))
        return config, build_model(config, classes).state_dict()

    return build


@pytest.fixture
def pyth(narrow, tmp_path: Path) -> Path:
    """A PySlowFast checkpoint of a thin detector."""
    path = tmp_path / "model.pyth"
    torch.save({"model_state": renamed(narrow()[1])}, path)
    return path


class Bomb:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "legacy", "in a blob"])
def test_a_hostile_file_runs_nothing(kind: str, tmp_path: Path) -> None:
    proof, path = tmp_path / "ran", tmp_path / "weights"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"blobs": Bomb(proof)}, protocol=2))
    elif kind == "in a blob":
        array = np.array([Bomb(proof)], dtype=object)
        path.write_bytes(pickle.dumps({"blobs": {"conv1_w": array}}, protocol=2))
    else:
        content = {"model_state": {}, "cfg": Bomb(proof)}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(InputError, match=r"nothing in it was run|an array of .O8.") as refused:
        load_detector(path)
    assert "\n" not in str(refused.value)
    assert not proof.exists()


def test_a_history_of_mmengine_does_not_matter(narrow, tmp_path: Path, monkeypatch) -> None:
    """Its training checkpoints hold objects of its logger."""
    module = types.ModuleType("mmengine.history")
    module.History = type("History", (), {"__module__": "mmengine.history"})
    monkeypatch.setitem(sys.modules, "mmengine", types.ModuleType("mmengine"))
    monkeypatch.setitem(sys.modules, "mmengine.history", module)
    path = tmp_path / "epoch_1.pth"
    made = module.History()
    made.log = np.arange(3)
    torch.save({"model_state": renamed(narrow()[1]), "message_hub": {"loss": made}}, path)
    monkeypatch.undo()  # as where it is not installed
    assert read_weights(path).family == "PySlowFast"


class Address:
    """An array over bytes that are taken for addresses of objects."""

    def __reduce__(self):
        return np.ndarray, ((1,), "O", b"AAAAAAAA")


def test_an_array_is_made_of_numbers_only(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": Address()}}, protocol=2))
    with pytest.raises(InputError, match=r"expected a tensor of 5 dimensions"):
        load_detector(path)
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.array(["a"])}}, protocol=2))
    with pytest.raises(InputError, match="an array of 'U1'"):
        load_detector(path)


@pytest.mark.parametrize("value", [None, "abc", 3.0, np.zeros(3, "f4"), np.zeros((1, 3), "f4")])
def test_a_value_that_is_no_such_tensor(value, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": value}}, protocol=2))
    with pytest.raises(InputError, match="conv1_w: expected a tensor"):
        load_detector(path)


def test_a_flipped_bit_is_noticed(pyth: Path) -> None:
    whole = bytearray(pyth.read_bytes())
    whole[len(whole) // 2] ^= 1
    pyth.write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        load_detector(pyth)


@pytest.mark.parametrize("part", [0, 3, 100, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["torch", "legacy", "pickle"])
def test_a_truncated_file(narrow, kind: str, part: float, tmp_path: Path) -> None:
    state = narrow()[1]
    path = tmp_path / "cut"
    if kind == "pickle":
        whole = pickle.dumps({"blobs": caffe2_blobs(state)}, protocol=2)
    else:
        buffer = io.BytesIO()
        torch.save(
            {"model_state": renamed(state)},
            buffer,
            _use_new_zipfile_serialization=kind == "torch",
        )
        whole = buffer.getvalue()
    path.write_bytes(whole[: int(part * len(whole)) if 0 < part < 1 else int(part)])
    with pytest.raises(InputError, match=f"{path}: ") as refused:
        load_detector(path)
    assert "\n" not in str(refused.value)


def test_a_file_of_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "x3d.pyth"
    torch.save({"model_state": {f"blocks.{i}.pos": torch.zeros(2) for i in range(9)}}, path)
    with pytest.raises(
        InputError, match=r"not a SlowFast network of PySlowFast, .* blocks\.0\.pos"
    ):
        load_detector(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "not weights")
    with pytest.raises(InputError, match="not a file of weights"):
        load_detector(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="expected a dictionary of weights, got list"):
        load_detector(path)
    with pytest.raises(InputError, match="no such"):
        load_detector(tmp_path / "none.pyth")


def test_a_renamed_missing_or_misshapen_tensor_is_named(narrow, tmp_path: Path) -> None:
    path, state = tmp_path / "model.pyth", renamed(narrow()[1])
    weight = state.pop("s4.pathway0_res1.branch2.b.weight")
    torch.save({"model_state": state}, path)
    with pytest.raises(InputError, match=r"backbone.slow.stages.2.1.b.conv.weight: .* no such"):
        load_detector(path)
    torch.save({"model_state": state | {"s4.pathway0_res1.branch2.bee.weight": weight}}, path)
    with pytest.raises(InputError, match=r"s4\.pathway0_res1\.branch2\.bee\.weight: PySlow"):
        load_detector(path)
    torch.save({"model_state": state | {"s4.pathway0_res1.branch2.b.weight": weight[:3]}}, path)
    with pytest.raises(InputError, match=r"stages.2.1.b.conv.weight: the model has \(32, 32, 1"):
        load_detector(path)


@pytest.mark.parametrize(
    "cfg", ["RESNET: [", "- 1", "RESNET: {TRANS_FUNC: x3d}", "a: 1"], ids=lambda text: text[:6]
)
def test_a_config_that_makes_no_sense(cfg: str, narrow, tmp_path: Path) -> None:
    path = tmp_path / "model.pyth"
    torch.save({"model_state": renamed(narrow()[1]), "cfg": cfg}, path)
    with pytest.raises(InputError, match=f"{path}: cfg: "):
        load_detector(path)


def test_kinetics_starts_a_detector_and_other_classes_keep_the_backbone(
    narrow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kinetics.pyth"
    _, kinetics = narrow(recipe="kinetics/slowfast_r50_8x8")
    torch.save({"model_state": renamed(kinetics)}, path)
    with pytest.raises(InputError, match=r"classifies whole clips \(400 classes\) and scores"):
        load_detector(path)
    for label_map in ("ava_80", "ava_60"):
        config, _ = narrow(f"weights={path}", f"data.label_map={label_map}")
        classes = build_label_map(config)
        model = build_model(config, len(classes))
        before = model.head.classifier.weight.clone()
        report = start_model(model, config, classes)
        assert report.new == ["head.classifier.weight", "head.classifier.bias"]
        assert not report.refused
        assert len(report.matched) == len(kinetics) - 2
        assert torch.equal(model.head.classifier.weight, before)
        for key, value in model.backbone.state_dict().items():
            assert torch.equal(value, kinetics[f"backbone.{key}"])


def test_a_partial_match_is_an_error_unless_asked_for(narrow, pyth: Path) -> None:
    words = (f"weights={pyth}", "model.nonlocal_blocks=[[],[],[1],[]]")
    config, _ = narrow(*words)
    classes = build_label_map(config)
    with pytest.raises(InputError, match=r"13 new: .*1_nonlocal.*partial_weights=true"):
        start_model(build_model(config, 80), config, classes)
    config, _ = narrow(*words, "partial_weights=true")
    report = start_model(build_model(config, 80), config, classes)
    assert all("nonlocal" in name for name in report.new)
    config, _ = narrow(f"weights={pyth}", "model.fusion_kernel=5", "partial_weights=true")
    report = start_model(build_model(config, 80), config, classes)
    assert report.refused["backbone.laterals.0.conv.weight"].startswith("the model has (4, 2, 5")


def test_convert_never_writes_over_what_it_reads(pyth: Path, capsys: pytest.CaptureFixture) -> None:
    before = pyth.read_bytes()
    assert main(["convert", str(pyth), str(pyth)]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert pyth.read_bytes() == before
    assert main(["convert", str(pyth.parent), "x.pt"]) == 2
    assert "expected a file of weights, got a folder" in capsys.readouterr().err


def test_convert_writes_ours_and_pyslowfasts_layout(
    pyth: Path, tmp_path: Path, capsys: pytest.CaptureFixture, narrow
) -> None:
    ours, back = tmp_path / "ours.pt", tmp_path / "back.pyth"
    assert main(["convert", str(pyth), str(ours)]) == 0
    assert "family       PySlowFast" in capsys.readouterr().out
    assert main(["convert", str(ours), str(back), "--to", "pyslowfast"]) == 0
    first, last = (torch.load(path, weights_only=True) for path in (pyth, back))
    assert first["model_state"].keys() == last["model_state"].keys()
    for key, value in first["model_state"].items():
        assert torch.equal(value, last["model_state"][key])
    one, other = load_model(ours), load_model(back)
    assert one.config.model == other.config.model
    odd, _ = narrow("model.context=true")
    label_map = build_label_map(odd)
    save_checkpoint(
        ours,
        model=build_model(odd, len(label_map)),
        step=0,
        config=dump_config(odd),
        meta={"label_map": label_map.to_dict("list")},
    )
    assert main(["convert", str(ours), str(back), "--to", "pyslowfast"]) == 2
    assert "model.context: PySlowFast has only False" in capsys.readouterr().err


def test_what_the_file_leaves_open_is_assumed_aloud_or_given(
    pyth: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_model(pyth)
    assert loaded.assumed == {"model.alpha": 4, "data": "32 frames at steps of 2"}
    assert "does not tell model.alpha; 4 is assumed" in caplog.text
    assert loaded.config.data.label_map == "ava_80"
    given = load_config("ava/slowfast_r50_4x16", NARROW)
    loaded = load_model(pyth, given)
    assert loaded.config.model.alpha == 8
    assert loaded.config.model.fusion_kernel == 7  # the tensors decide
    assert "model.fusion_kernel is 5 here" in caplog.text
