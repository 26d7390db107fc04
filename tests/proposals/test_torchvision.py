from __future__ import annotations

import copy
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision

from ava_detect.proposals.proposer import propose_keyframes
from ava_detect.proposals.report import proposal_report
from ava_detect.proposals.torchvision_rcnn import (
    TorchvisionProposer,
    build_faster_rcnn,
    load_weights,
    save_weights,
)
from ava_detect.proposals.torchvision_training import PeopleImages, train_faster_rcnn
from ava_detect.proposals.training import Fitting
from ava_eval.errors import InputError


@pytest.fixture(scope="module")
def trained(world):
    """The small detector after a few seconds on rectangles, and its loss curve."""
    torch.manual_seed(0)
    model = build_faster_rcnn("small")
    losses = train_faster_rcnn(
        model,
        world.samples,
        world.source,
        world.timebase,
        Fitting(steps=60, batch_size=4, lr=3e-3),
    )
    return model, losses


def test_training_finds_the_people(world, trained):
    model, losses = trained
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    keyframes = world.annotations[["video_id", "timestamp"]].drop_duplicates()
    boxes = propose_keyframes(TorchvisionProposer(model), world.source, keyframes, world.timebase)
    assert proposal_report(boxes, world.annotations)["AP50"] > 0.7


def test_answers_follow_the_contract(world, trained):
    proposer = TorchvisionProposer(trained[0], min_score=0.2, max_boxes=1)
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


def test_people_are_found_at_their_place_in_larger_images(world, trained):
    image = world.source.frames["-a"][2]
    proposer = TorchvisionProposer(trained[0], precision="float32")
    (small, _), (large, _) = proposer.propose([image, image.repeat(2, 0).repeat(2, 1)])
    assert np.abs(small[0] * 2 - large[0]).max() < 12


def test_a_batch_gives_what_single_images_give(world, trained):
    proposer = TorchvisionProposer(trained[0], precision="float32")
    images = list(world.source.frames["_b"][:3])
    together = proposer.propose(images)
    for image, (boxes, scores) in zip(images, together, strict=True):
        alone_boxes, alone_scores = proposer.propose([image])[0]
        np.testing.assert_allclose(alone_scores, scores, atol=1e-4)
        np.testing.assert_allclose(alone_boxes, boxes, atol=0.05)


def test_training_repeats_itself(world):
    curves = []
    for _ in range(2):
        torch.manual_seed(3)
        model = build_faster_rcnn("small")
        curves.append(
            train_faster_rcnn(
                model,
                world.samples,
                world.source,
                world.timebase,
                Fitting(steps=2, batch_size=2),
                seed=5,
            )
        )
    assert curves[0] == curves[1]


def test_the_log_hears_every_step(world):
    heard = []
    losses = train_faster_rcnn(
        build_faster_rcnn("small"), world.samples, world.source, world.timebase,
        Fitting(steps=2, batch_size=1), log=lambda step, loss: heard.append((step, loss)),
    )  # fmt: skip
    assert heard == list(enumerate(losses, start=1))


@pytest.mark.parametrize(
    ("lr", "take", "message"),
    [(3e-3, 0, "expected annotated people, got none"), (1e30, None, "proposer.train.lr: expected")],
)
def test_training_that_cannot_work_is_refused(world, lr, take, message):
    with pytest.raises(InputError, match=message):
        train_faster_rcnn(
            build_faster_rcnn("small"), world.samples[:take], world.source, world.timebase,
            Fitting(steps=5, batch_size=1, lr=lr),
        )  # fmt: skip


def test_a_training_image_depends_on_its_seed_only(world):
    images = PeopleImages(world.samples, world.source, world.timebase)
    assert all(torch.equal(a, b) for a, b in zip(images[3, 7], images[3, 7], strict=True))
    assert not torch.equal(images[3, 7][0], images[3, 8][0])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_boxes_move_with_the_mirrored_image(world, flip):
    images = PeopleImages(world.samples, world.source, world.timebase, flip=flip, color=0.0)
    image, boxes = images[1, 0]
    assert image.shape == (3, 120, 160)
    assert len(boxes) == 2
    for x1, y1, x2, y2 in boxes.round().int().tolist():
        assert image[0, y1:y2, x1:x2].float().median() == 230
        for outside in (image[0, y1:y2, x1 - 2], image[0, y1:y2, x2 + 1]):
            assert outside.float().median() < 60


def test_weights_survive_a_file(tmp_path, trained):
    save_weights(trained[0], "small", tmp_path / "w.pt", {"steps": 60})
    fresh = build_faster_rcnn("small")
    assert load_weights(fresh, "small", tmp_path / "w.pt") == {"steps": 60}
    for name, value in trained[0].state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name


def _first_key(state: dict) -> str:
    return next(iter(state))


def _reshape_first(state: dict) -> dict:
    return {**state, _first_key(state): torch.zeros(2, 3)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_reshape_first, r"column {key}: expected shape \({shape}\), got 'shape \(2, 3\)'"),
        (lambda s: {k: s[k] for k in list(s)[1:]}, r"column {key}: .* got 'no such weight'"),
        (lambda s: {**s, "extra": torch.zeros(1)}, r"column extra: expected no such weight"),
    ],
    ids=["shape", "missing", "unknown"],
)
def test_weights_of_another_detector_are_named(tmp_path, change, message):
    model = build_faster_rcnn("small")
    state = model.state_dict()
    path = tmp_path / "w.pt"
    torch.save({"model": change(dict(state)), "variant": "small", "meta": {}}, path)
    key = _first_key(state)
    shape = ", ".join(map(str, state[key].shape))
    with pytest.raises(InputError, match=message.format(key=key.replace(".", r"\."), shape=shape)):
        load_weights(model, "small", path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {}, "variant": "resnet50_fpn_v2"}, "expected weights of small"),
        ([1, 2], "expected a dictionary of weights"),
        ({"model": print}, "expected weights of torchvision's Faster R-CNN"),
    ],
    ids=["variant", "list", "code"],
)
def test_files_with_something_else_are_refused(tmp_path, content, message):
    path = tmp_path / "w.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=rf"w\.pt: {message}"):
        load_weights(build_faster_rcnn("small"), "small", path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt.*FileNotFoundError"):
        load_weights(build_faster_rcnn("small"), "small", tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("variant", "pretrained", "message"),
    [("tiny", False, "proposer.variant: expected one of small"), ("small", True, "no published")],
)
def test_impossible_choices_are_refused(variant, pretrained, message):
    with pytest.raises(InputError, match=message):
        build_faster_rcnn(variant, pretrained)


def test_the_published_weights_need_a_network(monkeypatch):
    def unreachable(*_args, **_options):
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", unreachable)
    with pytest.raises(InputError, match=r"https://.*fasterrcnn_resnet50_fpn_v2.*no network"):
        build_faster_rcnn("resnet50_fpn_v2", pretrained=True)


def test_the_real_detector_reads_torchvision_files(tmp_path):
    """The file that torchvision publishes is a plain state dict of 91 classes."""
    with torch.device("meta"):
        published = torchvision.models.detection.fasterrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None
        )
    state = {  # a broadcast zero keeps the file small
        name: torch.zeros((), dtype=value.dtype).expand(value.shape)
        for name, value in published.state_dict().items()
    }
    torch.save(state, tmp_path / "published.pth")
    model = build_faster_rcnn("resnet50_fpn_v2")
    assert load_weights(model, "resnet50_fpn_v2", tmp_path / "published.pth") == {}
    assert not any(value.any() for value in model.parameters())


class FindsThings(torch.nn.Module):
    """Answers as a detector of COCO's classes does: a dog, a person, a cup, a person."""

    def __init__(self) -> None:
        super().__init__()
        self.roi_heads = torch.nn.Module()

    def forward(self, images):
        boxes = torch.arange(16.0).reshape(4, 4)
        scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
        return [{"boxes": boxes, "labels": torch.tensor([18, 1, 47, 1]), "scores": scores}]


@pytest.mark.parametrize(("max_boxes", "scores"), [(50, [0.8, 0.6]), (1, [0.8])])
def test_only_people_are_proposed(max_boxes, scores):
    proposer = TorchvisionProposer(FindsThings(), max_boxes=max_boxes)
    boxes, found = proposer.propose([np.zeros((8, 8, 3), np.uint8)])[0]
    np.testing.assert_allclose(found, scores, rtol=1e-6)
    assert boxes[0].tolist() == [4, 5, 6, 7]


def crowd(num: int = 60) -> np.ndarray:
    """A wide frame with so many people, in rows."""
    frame = np.random.default_rng(1).integers(0, 60, (480, 1600, 3), dtype=np.uint8)
    for number in range(num):
        row, column = divmod(number, num // 6)
        frame[10 + 78 * row :, 20 + 155 * column :][:58, :28] = [230, 200, 90]
    return frame


def test_sixty_people_are_found(world, trained):
    model = build_faster_rcnn("small", short_side=480, candidates=300)
    model.transform.max_size = 1600
    model.load_state_dict(trained[0].state_dict())
    scores = TorchvisionProposer(model, max_boxes=100).propose([crowd()])[0][1]
    assert 40 <= (scores > 0.5).sum() <= 80
    assert len(TorchvisionProposer(model, max_boxes=20).propose([crowd()])[0][0]) == 20


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_find_the_same_people(world, trained, precision):
    image = world.source.frames["-a"][1]
    (exact, _), (rounded, scores) = (
        TorchvisionProposer(copy.deepcopy(trained[0]), min_score=0.5, precision=name).propose(
            [image]
        )[0]
        for name in ("float32", precision)
    )
    assert scores.dtype == rounded.dtype == np.float32
    assert rounded.shape == exact.shape
    np.testing.assert_allclose(rounded, exact, atol=2)


@pytest.mark.parametrize(
    ("variant", "candidates", "pre", "post"),
    [
        ("small", None, 150, 60),
        ("small", 300, 750, 300),
        ("resnet50_fpn_v2", None, 1000, 300),
        ("resnet50_fpn_v2", 600, 1500, 600),
    ],
)
def test_enough_regions_stay_for_the_candidates(variant, candidates, pre, post):
    with torch.device("meta"):
        regions = build_faster_rcnn(variant, candidates=candidates).rpn
    assert (regions.pre_nms_top_n(), regions.post_nms_top_n()) == (pre, post)


def test_training_images_may_be_larger_than_those_of_a_test(world):
    model, seen = build_faster_rcnn("small"), []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[2:]))
    train_faster_rcnn(
        model, world.samples, world.source, world.timebase,
        Fitting(steps=1, batch_size=1, short_sides=(192,)),
    )  # fmt: skip
    assert seen == [(192, 256)]  # not 120x160
    assert (model.transform.min_size, model.transform.max_size) == ((120,), 160)


def test_small_gradients_do_not_vanish_unnoticed(world):
    with pytest.raises(InputError, match="precision: float16 needs gradients to be scaled"):
        train_faster_rcnn(
            build_faster_rcnn("small"), world.samples, world.source, world.timebase, Fitting(1),
            precision="float16",
        )  # fmt: skip


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(2).integers(0, 60, (120, 160, 3), dtype=np.uint8),
        np.full((120, 160, 3), 128, np.uint8),
        np.full((1, 1, 3), 30, np.uint8),
    ],
    ids=["nobody", "grey", "one pixel"],
)
def test_frames_without_people_are_told_from_those_with_people(world, trained, image):
    proposer = TorchvisionProposer(trained[0])
    boxes, scores = proposer.propose([image])[0]
    assert boxes.shape == (len(scores), 4)
    assert np.isfinite(boxes).all()
    people = proposer.propose([world.source.frames["-a"][1]])[0][1]
    assert scores.max(initial=0) < people[0]
