from __future__ import annotations

import builtins
import pickle
import re
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch

from ava_detect.proposals.detectron import DetectronProposer, train_detectron
from ava_detect.proposals.detectron.adapt import Limits
from ava_detect.proposals.detectron.settings import (
    build_untrained,
    load_settings,
    require_detectron2,
)
from ava_detect.proposals.detectron.weights import load_weights
from ava_detect.proposals.fast import WinogradForward, run_faster
from ava_detect.proposals.proposer import propose_keyframes
from ava_detect.proposals.report import proposal_report
from ava_detect.proposals.training import Fitting
from ava_eval.errors import InputError

ZOO = "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml"


@pytest.mark.parametrize(
    "use",
    [
        lambda: DetectronProposer(ZOO),
        lambda: train_detectron("small", [], None, None, "weights.pt", Fitting(1)),
        lambda: load_settings("small"),
    ],
    ids=["propose", "train", "settings"],
)
def test_without_detectron2_the_user_is_told_how_to_install_it(monkeypatch, use):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    monkeypatch.delitem(sys.modules, "detectron2.model_zoo", raising=False)
    with pytest.raises(InputError) as caught:
        use()
    message = str(caught.value)
    assert "\n" not in message
    assert (
        "python -m pip install --no-build-isolation "
        "'git+https://github.com/facebookresearch/detectron2.git'" in message
    )


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("pkg_resources", "run python -m pip install 'setuptools<81', or"),
        ("detectron2._C", "detectron2.git' --force-reinstall --no-deps, or"),
        ("fvcore", "run python -m pip install fvcore, or"),
    ],
)
def test_what_detectron2_lacks_is_named(detectron2, monkeypatch, module, remedy):
    def find(name, *args, **kwargs):
        if name == module or (args and module == f"{name}.{(args[2] or [''])[0]}"):
            raise ImportError(f"No module named {module}", name=module)
        return imported(name, *args, **kwargs)

    imported = builtins.__import__
    for name in [*sys.modules]:
        if name.split(".")[0] in ("detectron2", module):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", find)
    with pytest.raises(InputError, match=re.escape(remedy)):
        require_detectron2()


def has_loaded_detectron2() -> bool:
    return "detectron2" in sys.modules


def test_importing_the_adapter_does_not_import_detectron2(forks, tmp_path):
    forks.start(tmp_path / "log", "tests.proposals.test_detectron:has_loaded_detectron2")
    assert forks.wait() == 0, (tmp_path / "log").read_text()


def test_training_finds_the_people(small, world):
    path, losses = small
    assert len(losses) == 80
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    keyframes = world.annotations[["video_id", "timestamp"]].drop_duplicates()
    proposer = DetectronProposer("small", path)
    boxes = propose_keyframes(proposer, world.source, keyframes, world.timebase)
    assert proposal_report(boxes, world.annotations)["AP50"] > 0.7


def test_answers_follow_the_contract(small, world):
    proposer = DetectronProposer("small", small[0], min_score=0.2, max_boxes=1)
    wide = np.zeros((90, 240, 3), np.uint8)
    answers = proposer.propose([world.source.frames["-a"][1], wide])
    assert len(answers) == 2
    for (boxes, scores), (height, width) in zip(answers, [(120, 160), (90, 240)], strict=True):
        assert boxes.dtype == scores.dtype == np.float32
        assert boxes.shape == (len(scores), 4)
        assert len(scores) <= 1
        assert ((scores >= 0.2) & (scores <= 1)).all()
        assert (boxes >= 0).all()
        assert (boxes <= [width, height, width, height]).all()
    assert len(answers[0][0]) == 1


def test_a_config_file_is_read_and_overridden(detectron2, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("VERSION: 2\nMODEL:\n  WEIGHTS: ''\n  ROI_HEADS:\n    NUM_CLASSES: 3\n")
    settings = load_settings(str(path), ["INPUT.MIN_SIZE_TEST", "320"], Limits(0.3))
    assert settings.MODEL.ROI_HEADS.NUM_CLASSES == 3
    assert settings.MODEL.ROI_HEADS.SCORE_THRESH_TEST == 0.3
    assert settings.MODEL.RPN.POST_NMS_TOPK_TEST == 300
    assert settings.INPUT.MIN_SIZE_TEST == 320
    with pytest.raises(InputError, match=r"mine\.yaml' names no weights"):
        DetectronProposer(str(path))


@pytest.mark.parametrize(
    ("config", "overrides"),
    [("COCO-Detection/none.yaml", []), ("none.yaml", []), ("small", ["MODEL.NO_SUCH", "1"])],
)
def test_an_unknown_config_is_named(detectron2, config, overrides):
    with pytest.raises(InputError, match=re.escape(f"got {config!r}")):
        load_settings(config, overrides)


def test_a_config_without_published_weights_is_named(detectron2):
    with pytest.raises(InputError, match="publishes no weights for 'quick_schedules/"):
        DetectronProposer(
            "quick_schedules/mask_rcnn_R_50_FPN_inference_acc_test.yaml",
            overrides=["MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"],
        )


@pytest.fixture
def zoo_files(detectron2, tmp_path):
    """Random weights of a light model of the zoo, in its two kinds of files."""
    from detectron2.modeling import build_model

    overrides = ["MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"]
    settings = load_settings(ZOO, overrides)
    settings.MODEL.DEVICE = "cpu"
    state = build_model(settings).state_dict()
    torch.save({"model": state}, tmp_path / "zoo.pth")
    arrays = OrderedDict((name, value.numpy()) for name, value in state.items())
    with (tmp_path / "zoo.pkl").open("wb") as file:
        pickle.dump({"model": arrays, "__author__": "the zoo"}, file)
    return tmp_path, overrides


@pytest.mark.parametrize("name", ["zoo.pth", "zoo.pkl"])
def test_models_of_the_zoo_run_with_their_own_files(zoo_files, name):
    folder, overrides = zoo_files
    proposer = DetectronProposer(
        ZOO, folder / name, min_score=0.0, max_boxes=5,
        overrides=[*overrides, "INPUT.MIN_SIZE_TEST", "64"],
    )  # fmt: skip
    boxes, scores = proposer.propose([np.full((48, 64, 3), 90, np.uint8)])[0]
    assert boxes.shape == (len(scores), 4)
    model = build_untrained(load_settings(ZOO, overrides), torch.device("cpu"))
    load_weights(model, str(folder / name), strict=True)
    wanted = torch.load(folder / "zoo.pth", weights_only=True)["model"]
    for key, value in model.state_dict().items():
        assert torch.equal(value, wanted[key]), key


def test_a_model_made_faster_sees_the_same(zoo_files):
    folder, overrides = zoo_files
    plain, fast = (
        build_untrained(load_settings(ZOO, overrides), torch.device("cpu")).eval() for _ in range(2)
    )
    for model in (plain, fast):
        load_weights(model, str(folder / "zoo.pth"), strict=True)
        for module in model.modules():  # as a training leaves them, and as random ones are not
            if isinstance(module, detectron2_norm()):
                generator = torch.Generator().manual_seed(len(module.weight))
                for name, low, high in [
                    ("weight", 0.5, 2),
                    ("bias", -1, 1),
                    ("running_mean", -1, 1),
                    ("running_var", 0.5, 2),
                ]:
                    getattr(module, name).uniform_(low, high, generator=generator)
    run_faster(fast, torch.float32, torch.device("cpu"))
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, got = plain.backbone(images), fast.backbone(images)
    assert not any(isinstance(module, detectron2_norm()) for module in fast.modules())
    for name, value in expected.items():
        assert value.std() > 0.01
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-5 * value.std().item())
    assert any(
        isinstance(vars(module).get("forward"), WinogradForward) for module in fast.modules()
    )


def test_boxes_are_cut_out_as_detectron2_does():
    pytest.importorskip("detectron2")
    from detectron2.modeling.poolers import ROIPooler
    from detectron2.structures import Boxes

    pooler = ROIPooler((7, 7), [1 / 4, 1 / 8], 0, "ROIAlignV2", canonical_box_size=40)
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(2, 8, 24 >> i, 32 >> i, generator=generator) for i in range(2)]
    corners = torch.rand(2, 40, 2, generator=generator) * 60
    boxes = [
        Boxes(torch.cat([some, some + torch.rand(40, 2, generator=generator) * 90], dim=1))
        for some in corners
    ]
    wanted = pooler(features, boxes)
    run_faster(pooler, torch.float32, torch.device("cpu"))
    assert all("forward" in vars(level) for level in pooler.level_poolers)
    torch.testing.assert_close(pooler(features, boxes), wanted, rtol=1e-4, atol=1e-4)


def detectron2_norm() -> type:
    from detectron2.layers import FrozenBatchNorm2d

    return FrozenBatchNorm2d


def test_the_model_sees_bgr(zoo_files):
    folder, overrides = zoo_files
    proposer = DetectronProposer(ZOO, folder / "zoo.pth", overrides=overrides)
    seen = []
    proposer.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]["image"]))
    proposer.propose([np.full((40, 50, 3), [10, 20, 30], np.uint8)])
    assert seen[0].shape[1:] == (800, 1000)
    assert seen[0][:, 0, 0].tolist() == [30, 20, 10]


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def test_files_cannot_run_code(detectron2, tmp_path, capsys):
    torch.save({"model": Bomb()}, tmp_path / "bomb.pth")
    with (tmp_path / "bomb.pkl").open("wb") as file:
        pickle.dump({"model": Bomb(), "__author__": "x"}, file)
    for name in ("bomb.pth", "bomb.pkl"):
        with pytest.raises(InputError, match=f"{name}: expected weights for detectron2"):
            load_weights(torch.nn.Linear(1, 1), str(tmp_path / name), strict=True)
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(1, 3), "bias": torch.zeros(1)}, r"column weight: expected shape"),
        ({"weight": torch.zeros(1, 2)}, "column bias: expected this weight"),
    ],
)
def test_weights_of_another_model_are_named(detectron2, tmp_path, state, message):
    torch.save({"model": state}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=rf"w\.pth: {message}"):
        load_weights(torch.nn.Linear(2, 1), str(tmp_path / "w.pth"), strict=True)


def test_weights_that_are_not_there_are_named(detectron2, tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: expected weights for detectron2"):
        load_weights(torch.nn.Linear(1, 1), str(tmp_path / "none.pth"), strict=True)


def crowd() -> np.ndarray:
    """A wide frame with sixty people, in rows."""
    frame = np.random.default_rng(1).integers(0, 60, (480, 800, 3), dtype=np.uint8)
    for number in range(60):
        row, column = divmod(number, 10)
        frame[10 + 78 * row :, 10 + 78 * column :][:58, :28] = [230, 200, 90]
    return frame


def test_sixty_people_are_found(small):
    proposer = DetectronProposer("small", small[0], max_boxes=100, short_side=480, candidates=300)
    scores = proposer.propose([crowd()])[0][1]
    assert 40 <= (scores > 0.5).sum() <= 80


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_find_the_same_people(small, world, precision):
    image = world.source.frames["-a"][1]
    (exact, _), (rounded, scores) = (
        DetectronProposer("small", small[0], min_score=0.5, precision=name).propose([image])[0]
        for name in ("float32", precision)
    )
    assert scores.dtype == rounded.dtype == np.float32
    assert rounded.shape == exact.shape
    np.testing.assert_allclose(rounded, exact, atol=2)


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(2).integers(0, 60, (120, 160, 3), dtype=np.uint8),
        np.full((120, 160, 3), 128, np.uint8),
        np.full((1, 1, 3), 30, np.uint8),
    ],
    ids=["nobody", "grey", "one pixel"],
)
def test_frames_without_people_are_told_from_those_with_people(world, small, image):
    proposer = DetectronProposer("small", small[0])
    boxes, scores = proposer.propose([image])[0]
    assert boxes.shape == (len(scores), 4)
    assert np.isfinite(boxes).all()
    people = proposer.propose([world.source.frames["-a"][1]])[0][1]
    assert scores.max(initial=0) < people[0]
