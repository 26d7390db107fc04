"""Configs of detectron2's model zoo, made ones for people in boxes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ava_detect.proposals.detectron import DetectronProposer
from ava_detect.proposals.detectron.adapt import Limits, set_training_sizes
from ava_detect.proposals.detectron.settings import (
    build_untrained,
    choose_precision_of,
    load_settings,
    person_class,
    settings_digest,
)
from ava_detect.proposals.files import file_digest
from ava_eval.errors import InputError

ZOO = "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml"
LSJ = "new_baselines/mask_rcnn_R_50_FPN_100ep_LSJ.py"
PYTHON = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py"
META = torch.device("meta")

pytestmark = pytest.mark.usefixtures("detectron2")


def training_resize(config: str, short_side: int | None, short_sides=()):
    """What resizes the training images of a config."""
    from detectron2.config import CfgNode, instantiate
    from detectron2.data.detection_utils import build_augmentation

    settings = load_settings(config, limits=Limits(short_side=short_side))
    set_training_sizes(config, settings, short_side, short_sides)
    if isinstance(settings, CfgNode):
        return build_augmentation(settings, is_train=True)[0]
    return instantiate(settings.dataloader.train.mapper.augmentations)[0]


@pytest.mark.parametrize("config", [ZOO, PYTHON, "ranged.yaml"])
@pytest.mark.parametrize(
    ("short_side", "short_sides", "wanted"),
    [
        (None, (90, 120), {(90, 180), (120, 240)}),
        (60, (), {(50, 100)}),  # as in a test
        (60, (30, 90), {(30, 60), (75, 150)}),  # 90 * 5/3
        (None, (1000,), {(833, 1666)}),  # more than the config's 1333
    ],
)
def test_training_images_have_one_of_the_sizes_asked_for(
    tmp_path, monkeypatch, config, short_side, short_sides, wanted
):
    monkeypatch.chdir(tmp_path)
    Path("ranged.yaml").write_text(
        "INPUT:\n  MIN_SIZE_TRAIN: [400, 500]\n  MIN_SIZE_TRAIN_SAMPLING: range\n"
        "MODEL:\n  WEIGHTS: ''\n"
    )
    resize = training_resize(config, short_side, short_sides)
    image = np.zeros((40, 80, 3), np.uint8)
    got = {resize.get_transform(image).apply_image(image).shape[:2] for _ in range(30)}
    assert got == wanted


def test_images_that_have_no_short_side_are_not_given_one():
    for short_side, short_sides, setting in [
        (None, (512, 800), "proposer.train.short_side"),
        (512, (), "proposer.short_side"),
    ]:
        with pytest.raises(InputError, match=rf"^{setting}: .* by ResizeScale, FixedSizeCrop"):
            training_resize(LSJ, short_side, short_sides)
    settings = load_settings(LSJ, limits=Limits(short_side=300))  # a test has one
    assert settings.dataloader.test.mapper.augmentations[0].short_edge_length == 300


@pytest.mark.parametrize(
    ("config", "person"),
    [
        ("small", 0),
        (ZOO, 0),
        ("COCO-Keypoints/keypoint_rcnn_X_101_32x8d_FPN_3x.yaml", 0),
        ("PascalVOC-Detection/faster_rcnn_R_50_C4.yaml", 14),
        ("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml", 0),
        (LSJ, 0),
    ],
)
def test_people_are_known_by_their_name(config, person):
    assert person_class(config, load_settings(config)) == person


def test_a_model_without_people_is_refused():
    config = "LVISv0.5-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml"
    with pytest.raises(InputError, match=r"LVIS.* knows no person among the 1230 classes of lvis"):
        DetectronProposer(config)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ("COCO-Detection/rpn_R_50_FPN_1x.yaml", "ProposalNetwork"),
        ("COCO-Detection/fast_rcnn_R_50_FPN_1x.yaml", "PrecomputedProposals"),
        ("Misc/semantic_R_50_FPN_1x.yaml", "SemanticSegmentor"),
    ],
)
def test_models_that_find_nobody_by_themselves_are_refused(config, kind):
    with pytest.raises(InputError, match=rf"^proposer\.config: .* no person detector \({kind}: "):
        DetectronProposer(config)


@pytest.mark.parametrize(
    "config", [f"COCO-Detection/retinanet_R_50_FPN_1x.{kind}" for kind in ("yaml", "py")]
)
def test_candidates_of_a_model_without_regions_are_refused(config):
    with pytest.raises(InputError, match=r"^proposer\.candidates: .* no second stage"):
        load_settings(config, limits=Limits(candidates=50))
    load_settings(config)


@pytest.mark.parametrize(
    ("config", "candidates", "pre", "post"),
    [
        ("small", None, 150, 60),
        ("small", 300, 750, 300),
        (ZOO, None, 1000, 300),
        (ZOO, 600, 1000, 600),
        (ZOO, 2000, 5000, 2000),
        (PYTHON, None, 1000, 300),
        (PYTHON, 600, 1000, 600),
        (PYTHON, 2000, 5000, 2000),
    ],
)
def test_enough_regions_stay_for_the_candidates(config, candidates, pre, post):
    settings = load_settings(config, limits=Limits(candidates=candidates))
    with META:
        regions = build_untrained(settings, META).proposal_generator
    assert (regions.pre_nms_topk[False], regions.post_nms_topk[False]) == (pre, post)


@pytest.mark.parametrize(
    "config",
    [
        "COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml",
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
        "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml",
        "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.py",
        LSJ,
    ],
)
def test_only_boxes_are_asked_of_a_model(config):
    with META:
        model = build_untrained(load_settings(config), META)
    assert (model.roi_heads.mask_on, model.roi_heads.keypoint_on) == (False, False)
    assert type(model).__name__ == "GeneralizedRCNN"


LIGHT = ["MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"]
LIGHT += ["INPUT.MIN_SIZE_TEST", "64"]


def test_a_panoptic_model_gives_boxes(tmp_path):
    from detectron2.config import get_cfg
    from detectron2.model_zoo import get_config_file
    from detectron2.modeling import build_model

    torch.manual_seed(0)
    config = "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml"
    whole = get_cfg()
    whole.merge_from_file(get_config_file(config))
    whole.merge_from_list([*LIGHT, "MODEL.DEVICE", "cpu"])
    torch.save({"model": build_model(whole).state_dict()}, tmp_path / "w.pth")
    proposer = DetectronProposer(config, tmp_path / "w.pth", min_score=0, overrides=LIGHT)
    boxes, scores = proposer.propose([np.full((48, 64, 3), 90, np.uint8)])[0]
    assert len(boxes) == len(scores) > 0


def test_deformable_convolutions_compute_in_float32(tmp_path):
    deformable = ["MODEL.RESNETS.DEFORM_ON_PER_STAGE", "[False,True,True,True]"]
    overrides = ["INPUT.MIN_SIZE_TEST", "64", *deformable]
    model = build_untrained(load_settings(ZOO, overrides), torch.device("cpu"))
    torch.save({"model": model.state_dict()}, tmp_path / "w.pth")
    for precision in ("bfloat16", "float16"):
        proposer = DetectronProposer(
            ZOO, tmp_path / "w.pth", min_score=0, precision=precision, overrides=overrides
        )
        assert proposer.dtype == torch.float32
        boxes, scores = proposer.propose([np.full((48, 64, 3), 90, np.uint8)])[0]
        assert boxes.shape == (len(scores), 4)
    plain = torch.nn.Conv2d(1, 1, 1)
    assert choose_precision_of(plain, "bfloat16", torch.device("cpu")) == torch.bfloat16


def test_modulated_convolutions_are_refused_on_a_cpu():
    config = "Misc/mask_rcnn_R_50_FPN_3x_dconv_c3-c5.yaml"
    overrides = ["MODEL.RESNETS.DEFORM_MODULATED", "True"]
    with META:
        model = build_untrained(load_settings(config, overrides), META)
    with pytest.raises(InputError, match="does not run on a CPU"):
        choose_precision_of(model, "auto", torch.device("cpu"))
    assert choose_precision_of(model, "bfloat16", torch.device("cuda")) == torch.float32


def test_a_detector_tells_its_config_and_the_file_of_its_weights(tmp_path):
    config = tmp_path / "mine.yaml"
    seen = []
    for number in range(2):
        torch.manual_seed(number)
        model = build_untrained(load_settings("small"), torch.device("cpu"))
        path = tmp_path / f"{number}.pth"
        torch.save({"model": model.state_dict()}, path)
        text = load_settings("small").dump()
        config.write_text(text.replace("WEIGHTS: ''", f"WEIGHTS: {path}"))
        seen.append(DetectronProposer(str(config)).facts)
        assert seen[-1]["weights"] == file_digest(path)
        assert "weights_url" not in seen[-1]
    assert seen[0] | {"weights": 0} == seen[1] | {"weights": 0}
    text = config.read_text()
    config.write_text(text.replace("NMS_THRESH_TEST: 0.5", "NMS_THRESH_TEST: 0.6"))
    assert config.read_text() != text
    assert DetectronProposer(str(config)).facts["config"] != seen[1]["config"]


def test_published_weights_are_told_by_their_address(monkeypatch):
    monkeypatch.setattr(
        "ava_detect.proposals.detectron.proposer.load_weights", lambda *_, **__: Path("x.pkl")
    )
    facts = DetectronProposer(ZOO, overrides=LIGHT).facts
    assert facts["weights"] == "published"
    assert facts["weights_url"].startswith("https://")
    assert facts["weights_url"].endswith("/137257794/model_final_b275ba.pkl")


@pytest.mark.parametrize("config", [ZOO, LSJ, "COCO-Detection/fcos_R_50_FPN_1x.py"])
def test_a_configs_digest_is_the_same_in_every_process(config):
    first, again, other = (
        settings_digest(load_settings(config, limits=limits))
        for limits in (None, None, Limits(min_score=0.3))
    )
    assert first == again
    assert first != other
    assert re.fullmatch("[0-9a-f]{64}", first)
