"""Training by detectron2: what it learns from, begins with, and leaves in its folder."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect.proposals.detectron import DetectronProposer, Trial, train_detectron
from ava_detect.proposals.detectron.catalog import TrainingMapper
from ava_detect.proposals.detectron.checkpoints import keep_newest, prepare_folder
from ava_detect.proposals.detectron.settings import build_untrained, load_settings
from ava_detect.proposals.detectron.weights import load_weights
from ava_detect.proposals.people import people_digest
from ava_detect.proposals.proposer import propose_keyframes
from ava_detect.proposals.report import proposal_report
from ava_detect.proposals.training import Fitting
from ava_eval.errors import InputError

LSJ = "new_baselines/mask_rcnn_R_50_FPN_100ep_LSJ.py"


def test_training_can_be_repeated_and_continued(small, world, tmp_path):
    curves = [
        train_detectron(
            "small", world.samples, world.source, world.timebase, tmp_path / f"{run}.pt",
            Fitting(steps=2, batch_size=2), weights=weights,
        )
        for run, weights in enumerate([None, None, small[0]])
    ]  # fmt: skip
    assert curves[0] == curves[1]
    assert curves[2][0] < curves[0][0]


def test_a_training_that_was_cut_short_goes_on(detectron2, world, tmp_path, caplog):
    steps: list[int] = []

    def stop(step: int, _loss: float) -> None:
        steps.append(step)
        if len(steps) == 5:
            raise InterruptedError

    ask = ("small", world.samples, world.source, world.timebase, tmp_path / "w.pth")
    options = {"fitting": Fitting(steps=8, batch_size=1), "save_every": 3, "log": stop}
    with pytest.raises(InterruptedError):
        train_detectron(*ask, **options)
    assert not (tmp_path / "w.pth").exists()
    with caplog.at_level("INFO", "ava_detect"):
        assert len(train_detectron(*ask, **options)) == 5
    assert steps == [1, 2, 3, 4, 5, 4, 5, 6, 7, 8]
    assert "goes on after step 3" in caplog.text
    assert (tmp_path / "w.pth").is_file()
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [
        "metrics.json", "settings.json",
    ]  # fmt: skip


def test_detectron2_evaluates_while_it_trains(small, world, tmp_path):
    trial = Trial(world.samples[:6], world.source, every=2)
    train_detectron(
        "small", world.samples, world.source, world.timebase, tmp_path / "w.pth",
        Fitting(steps=3, batch_size=1, lr=1e-6), weights=small[0], trial=trial,
    )  # fmt: skip
    lines = (tmp_path / "w" / "metrics.json").read_text().splitlines()
    found = [line["bbox/AP50"] for line in map(json.loads, lines) if "bbox/AP50" in line]
    keyframes = pd.DataFrame(
        [(sample.video_id, sample.timestamp) for sample in trial.samples],
        columns=["video_id", "timestamp"],
    )
    boxes = propose_keyframes(
        DetectronProposer("small", tmp_path / "w.pth", max_boxes=10),
        world.source, keyframes, world.timebase,
    )  # fmt: skip
    report = proposal_report(boxes, world.annotations, keyframes)
    assert found[-1] / 100 == pytest.approx(report["AP50"], abs=0.02)
    assert report["AP50"] > 0.7


def test_a_rate_too_high_is_told_in_one_line(detectron2, world, tmp_path, caplog):
    with pytest.raises(InputError, match=r"proposer\.train\.lr: expected"):
        train_detectron(
            "small", world.samples, world.source, world.timebase, tmp_path / "w.pth",
            Fitting(steps=9, batch_size=1, lr=1e30, warmup_steps=0),
        )  # fmt: skip
    assert "Traceback" not in caplog.text
    assert not (tmp_path / "w.pth").exists()


def test_training_needs_people(detectron2, world, tmp_path):
    with pytest.raises(InputError, match="expected annotated people, got none"):
        train_detectron(
            "small", [], world.source, world.timebase, tmp_path / "w.pt", Fitting(1)
        )  # fmt: skip
    assert not (tmp_path / "w.pt").exists()


@pytest.fixture
def cut_short(detectron2, world, tmp_path):
    """Train, but stop after so many steps; returns the steps that were done."""

    def cut_short(after: int, fitting: Fitting, samples=world.samples, **options) -> list[int]:
        steps: list[int] = []

        def stop(step: int, _loss: float) -> None:
            steps.append(step)
            if len(steps) == after:
                raise InterruptedError

        with suppress(InterruptedError):
            train_detectron(
                "small", samples, world.source, world.timebase, tmp_path / "w.pth", fitting,
                log=stop, save_every=1, **options,
            )  # fmt: skip
        return steps

    return cut_short


def test_the_checkpoints_of_another_training_are_not_taken_away(cut_short, world, tmp_path):
    fitting = Fitting(steps=3, batch_size=1)
    assert cut_short(2, fitting) == [1, 2]
    kept = {path: path.read_bytes() for path in (tmp_path / "w").iterdir()}
    moved = [replace(world.samples[0], boxes=world.samples[0].boxes * 0.9), *world.samples[1:]]
    torch.save({"model": load_small().state_dict()}, tmp_path / "start.pth")
    for told, more in [
        ("lr 0.004, now 0.001", {"fitting": replace(fitting, lr=1e-3)}),
        ("people ", {"fitting": fitting, "samples": moved}),
        ("weights null, now ", {"fitting": fitting, "weights": tmp_path / "start.pth"}),
        ("resolved ", {"fitting": fitting, "short_side": 130}),
    ]:
        with pytest.raises(InputError, match=re.escape(told)) as caught:
            cut_short(9, **more)
        assert "remove the folder, or set another output" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in (tmp_path / "w").iterdir()} == kept
    assert cut_short(9, fitting) == [2, 3]


def load_small() -> torch.nn.Module:
    return build_untrained(load_settings("small"), torch.device("cpu"))


def test_what_a_finished_training_left_gives_way_but_nothing_else(tmp_path):
    for name in ("settings.json", "metrics.json", "notes.txt", "mine.pth"):
        (tmp_path / name).write_text("old")
    prepare_folder(tmp_path, {"seed": 1})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"seed": 1}
    assert not (tmp_path / "metrics.json").exists()
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "mine.pth").read_text() == "old"


def test_checkpoints_of_nobody_knows_what_are_not_taken_away(tmp_path):
    (tmp_path / "model_0000004.pth").touch()
    with pytest.raises(InputError, match=r"settings\.json does not tell which"):
        prepare_folder(tmp_path, {"seed": 1})
    assert (tmp_path / "model_0000004.pth").exists()


def test_old_checkpoints_go_when_a_training_goes_on(cut_short, tmp_path):
    fitting = Fitting(steps=6, batch_size=1)
    for _ in range(3):
        cut_short(3, fitting)
        assert len(list((tmp_path / "w").glob("model_*.pth"))) <= 2


def test_the_newest_checkpoints_up_to_the_last_whole_one_stay(tmp_path):
    names = [f"model_000000{number}.pth" for number in range(4)]
    for name in names:
        (tmp_path / name).touch()
    kept = keep_newest(tmp_path, str(tmp_path / names[2]), 2)
    assert kept == [str(tmp_path / name) for name in names[1:3]]
    assert sorted(map(str, tmp_path.glob("*.pth"))) == kept


def test_small_gradients_do_not_vanish_unnoticed(detectron2, world, tmp_path):
    with pytest.raises(InputError, match="precision: float16 needs gradients to be scaled"):
        train_detectron(
            "small", world.samples, world.source, world.timebase, tmp_path / "w.pth", Fitting(1),
            precision="float16",
        )  # fmt: skip


def test_training_starts_from_no_other_models_weights(detectron2, tmp_path, caplog):
    model, path = load_small(), tmp_path / "w.pth"
    state = model.state_dict()
    num_weights = sum(not key.endswith("num_batches_tracked") for key in state)
    head = {key: value for key, value in state.items() if not key.startswith("backbone.")}
    for other in (head, {"fc.weight": torch.zeros(2)}):
        torch.save({"model": other}, path)
        with pytest.raises(InputError, match=r"w\.pth: .* none that fit its backbone"):
            load_weights(model, str(path), strict=False)
    torch.save({"model": {key: state[key] for key in state.keys() - head.keys()}}, path)
    caplog.clear()
    with caplog.at_level("INFO"):
        assert load_weights(model, str(path), strict=False) == path
    (message,) = [r.getMessage() for r in caplog.records if r.name.startswith("ava_detect")]
    assert f"fit {len(head)} of the model's {num_weights} (" in message
    assert next(iter(head)) in message
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def records(samples, person: int = 0) -> list[dict]:
    return [
        {"keyframe": sample, "annotations": [{"category_id": person} for _ in sample.boxes]}
        for sample in samples
    ]


def test_boxes_of_a_crop_lie_in_it(detectron2, world):
    """The zoo's configs of large-scale jitter resize by 0.1 to 2 and cut out 1024 pixels."""
    mapper = TrainingMapper(load_settings(LSJ), torch.nn.Module(), world.source, world.timebase)
    np.random.seed(3)
    counts = []
    for record in records(world.samples[:16]):
        made = mapper(record)
        boxes, (height, width) = made["instances"].gt_boxes.tensor, made["image"].shape[1:]
        counts.append(len(boxes) - len(record["annotations"]))
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height] * 2)).all()
        assert (boxes[:, 2:] - boxes[:, :2] > 0).all()
        assert len(made["instances"].gt_classes) == len(boxes)
    assert min(counts) < 0  # somebody was cut off


class CutsOff:
    """An augmentation that leaves nobody in the picture."""

    def __new__(cls):
        from detectron2.data.transforms import Augmentation, CropTransform

        class Corner(Augmentation):
            def get_transform(self, image):
                return CropTransform(0, 0, 4, 4, image.shape[1], image.shape[0])

        return Corner()


@pytest.mark.parametrize("config", ["small", "COCO-Detection/retinanet_R_50_FPN_1x.yaml"])
def test_an_image_without_people_teaches_too(detectron2, world, config):
    light = ["MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"]
    settings = load_settings(config, [] if config == "small" else light)
    settings.INPUT.MIN_SIZE_TRAIN = (64,)
    model = build_untrained(settings, torch.device("cpu"))
    mapper = TrainingMapper(settings, model, world.source, world.timebase)
    mapper.augment.augs.append(CutsOff())
    from detectron2.utils.events import EventStorage

    with EventStorage():
        made = [mapper(record) for record in records(world.samples[:2])]
        assert [len(one["instances"]) for one in made] == [0, 0]
        losses = model.train()(made)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


def test_a_digest_tells_people_apart(world):
    samples = world.samples[:3]
    others = [
        samples[::-1],
        samples[:2],
        [replace(samples[0], timestamp=1.0), *samples[1:]],
        [replace(samples[0], boxes=samples[0].boxes + np.float32(1e-6)), *samples[1:]],
    ]
    assert people_digest(samples) == people_digest(list(samples))
    assert people_digest(samples) not in map(people_digest, others)
