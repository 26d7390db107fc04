"""From a config to classes, a split's tables and the people to train on."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from ava_detect.assemble import (
    build_eval_label_map,
    build_full_label_map,
    build_label_map,
    load_split,
)
from ava_detect.commands.people import training_people
from ava_detect.config import Config, load_config
from ava_detect.data.keyframes import training_keyframes
from ava_eval.errors import InputError

NAMES = {3: "serve", 7: "jump", 40: "stand still"}


class AllVideos:
    """Knows every video but one."""

    def has(self, video_id: str) -> bool:
        return video_id != "missing"


@pytest.fixture
def load(tmp_path: Path):
    """A config whose data lie in a folder with a label map and what else a test writes."""

    def build(*words: str, **files: str) -> Config:
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_text(text)
        _write_labels(tmp_path / "labels.pbtxt", NAMES)
        fixed = [f"data.root={tmp_path}", "data.label_map=labels.pbtxt"]
        fixed += ["data.train.excluded=null", "data.train.annotations=[train.csv]"]
        return load_config("demo/ava", [*fixed, *words])

    return build


def _write_labels(path: Path, names: dict[int, str]) -> None:
    path.write_text("".join(f'item {{ name: "{n}" id: {i} }}\n' for i, n in names.items()))


def ids(label_map) -> list[int]:
    return label_map["action_id"].tolist()


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("null", [3, 7, 40]),
        ("[7]", [7]),
        ("[stand still, 3]", [3, 40]),
        ("[40, jump, 7, jump]", [7, 40]),
    ],
)
def test_classes_choose_by_id_or_name_in_the_order_of_the_map(load, classes, expected) -> None:
    config = load(f"data.classes={classes}")
    assert ids(build_label_map(config)) == expected
    assert ids(build_eval_label_map(config)) == expected
    assert list(build_label_map(config).index) == list(range(len(expected)))
    assert ids(build_full_label_map(config)) == [3, 7, 40]
    assert len(build_label_map(config)) == len(expected)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("[jmp]", r"data.classes: .* labels.pbtxt, got 'jmp'; the nearest name is 'jump'"),
        ("[jump, Stand]", r"got 'Stand'; the nearest name is 'stand still'"),
        ("[41]", r"got 41; the nearest id is '40'"),
        ("['7']", r"got '7'; the nearest name is"),
        ("[]", r"data.classes: expected at least one class"),
    ],
)
def test_unknown_classes(load, classes, message) -> None:
    with pytest.raises(InputError, match=message):
        build_label_map(load(f"data.classes={classes}"))


def test_what_is_scored_is_within_the_classes(load) -> None:
    words = ("data.label_map=ava_80", "data.eval_label_map=ava_60")
    assert len(build_eval_label_map(load(*words))) == 60
    chosen = load(*words, "data.classes=[1, 2, 80]")  # 2 is not evaluated
    assert ids(build_label_map(chosen)) == [1, 2, 80]
    assert ids(build_eval_label_map(chosen)) == [1, 80]
    with pytest.raises(InputError, match=r"data.classes: none .* the 60 of data.eval_label_map"):
        build_eval_label_map(load(*words, "data.classes=[2]"))


def test_ids_from_0(load, tmp_path: Path) -> None:
    """In the files and in `data.classes` they count from 0; within, and of AVA's maps, from 1."""
    _write_labels(tmp_path / "zero.pbtxt", {0: "serve", 2: "jump"})
    words = ("data.label_map=zero.pbtxt", "data.first_label=0")
    assert ids(build_label_map(load(*words))) == [1, 3]
    assert ids(build_label_map(load(*words, "data.classes=[2]"))) == [3]
    with pytest.raises(InputError, match=r"got 3; the nearest id is"):
        build_label_map(load(*words, "data.classes=[3]"))
    with pytest.raises(InputError, match=r"zero.pbtxt:1: .*data.first_label=0"):
        build_label_map(load("data.label_map=zero.pbtxt"))
    shipped = load("data.label_map=ava_80", "data.first_label=0")
    assert ids(build_label_map(shipped)) == list(range(1, 81))
    rows = "v,0001,0.1,0.1,0.5,0.5,0,4\nv,0001,0.1,0.1,0.5,0.5,2,4\n"
    config = load(*words, train=rows)
    assert load_split(config, "train", AllVideos()).annotations["action_id"].tolist() == [1, 3]
    (tmp_path / "train.csv").write_text(rows.replace(",2,", ",1,"))
    with pytest.raises(InputError, match=r"train.csv:2: .* one of the 2 ids .*, got 1;"):
        load_split(config, "train", AllVideos())


ANNOTATED = (
    "v,0001,0.1,0.1,0.5,0.5,3,0\nv,0001,0.1,0.1,0.5,0.5,7,0\n"
    "v,0002,0.1,0.1,0.5,0.5,40,0\nv,0003,0.1,0.1,0.5,0.5,3,0\n"
)
DETECTED = (
    "v,0001,0.1,0.1,0.5,0.51,3,0.95\nv,0001,0.1,0.1,0.5,0.51,7,0.95\n"
    "v,0002,0.6,0.6,0.9,0.9,-1,0.8\nv,0002,0.6,0.6,0.9,0.8,40,0.79\n"
    "v,0003,0.6,0.6,0.9,0.9,3,0.99\n"
)
LABELLED = "data.train.labelled_boxes=[boxes.csv]"


def test_a_person_of_other_classes_stays_as_a_negative(load) -> None:
    config = load("data.classes=[3, 7]", train=ANNOTATED)
    data = load_split(config, "train", AllVideos())
    keyframes = training_keyframes(training_people(config, data), ids(build_label_map(config)))
    assert [keyframe.labels.tolist() for keyframe in keyframes] == [[[1, 1]], [[0, 0]], [[1, 0]]]
    config = load("data.classes=[3, 7]", train=ANNOTATED + "v,0003,0.1,0.1,0.5,0.5,4,0\n")
    with pytest.raises(InputError, match=r"train.csv:5: .* one of the 3 ids of the label map"):
        load_split(config, "train", AllVideos())


@pytest.mark.parametrize("negatives", [False, True])
@pytest.mark.parametrize("proposals", [False, True])
def test_boxes_that_came_with_labels_are_trained_on(
    load, tmp_path: Path, negatives: bool, proposals: bool
) -> None:
    (tmp_path / "excluded.csv").write_text("v,0003\n")
    words = [f"train_boxes.negatives={negatives}", f"train_boxes.proposals={proposals}", LABELLED]
    words += ["data.train.excluded=excluded.csv", "data.train.proposals=proposed.csv"]
    proposed = "v,0001,0.1,0.1,0.5,0.49,,0.9\n"
    config = load(*words, train=ANNOTATED, boxes=DETECTED, proposed=proposed)
    people = training_people(config, load_split(config, "train", AllVideos()))
    got = people[["timestamp", "y2", "action_id", "person_id"]].to_numpy().tolist()
    expected = [[1, 0.5, 3, 0], [1, 0.5, 7, 0], [2, 0.5, 40, 0]]
    if proposals:
        expected += [[1, 0.49, 3, -1], [1, 0.49, 7, -1]]
    expected += [[1, 0.51, 3, -1], [1, 0.51, 7, -1]]
    if negatives:
        expected += [[2, 0.9, -1, -1]]
    assert got == expected
    assert people["action_id"].dtype == people["person_id"].dtype == "int64"


def test_boxes_that_came_with_labels_beside_keyframes_alone(load) -> None:
    words = ("data.train.annotations=[]", "data.train.keyframes=keyframes.csv", LABELLED)
    config = load(*words, keyframes="v,0001\n", boxes=DETECTED)
    data = load_split(config, "train", AllVideos())
    assert training_people(config, data)["action_id"].tolist() == [3, 7, 3]
    assert len(data.keyframes) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,0001,0.1,0.1,0.5,0.5,4,0.9\n", r"boxes.csv:6: .* one of the 3 ids of the label map"),
        ("v,0001,0.1,0.1,0.5,0.5,0,0.9\n", r"boxes.csv:6: .*, got 0; .*data.first_label=0"),
        ("v,0001,0.1,0.1,0.5,1.5,3,0.9\n", r"boxes.csv:6: column x1,y1,x2,y2"),
        ("missing,0001,0.1,0.1,0.5,0.5,3,0.9\n", r"boxes.csv: column video_id: 'missing': no such"),
    ],
)
def test_boxes_that_came_with_labels_are_checked(load, row, message) -> None:
    config = load(LABELLED, train=ANNOTATED, boxes=DETECTED + row)
    with pytest.raises(InputError, match=message):
        load_split(config, "train", AllVideos())


def test_a_pickle_takes_the_place_of_a_list_of_proposals(
    load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = {"v,0001": np.array([[0.1, 0.1, 0.5, 0.5, 0.9]]), "v,0009": np.array([[0, 0, 1, 1.0]])}
    (tmp_path / "boxes.pkl").write_bytes(pickle.dumps(boxes))
    words = ("data.train.proposals=boxes.pkl", "train_boxes.proposals=true")
    config = load(*words, train=ANNOTATED)
    with caplog.at_level(logging.WARNING):
        people = training_people(config, load_split(config, "train", AllVideos()))
    assert people["action_id"].tolist() == [3, 7, 40, 3, 3, 7]
    assert "1 boxes of" in caplog.text
