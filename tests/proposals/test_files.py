from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest

from ava_detect.proposals.files import read_proposals, write_proposals
from ava_eval.errors import InputError

BOXES = pd.DataFrame(
    [("-v", 902.0, 0.1, 0.2, 0.3, 0.4, 0.987654), ("w", 903.5, 0.0, 0.0, 1.0, 1.0, 0.05)],
    columns=["video_id", "timestamp", "x1", "y1", "x2", "y2", "score"],
)


def test_what_is_written_is_read_again_with_its_origin(tmp_path):
    path = tmp_path / "boxes.csv"
    write_proposals(BOXES, path, {"detector": "small", "min_score": 0.05})
    assert path.read_text().splitlines()[0].startswith("-v,0902,0.1")
    assert ",,0.98765" in path.read_text()
    boxes, origin = read_proposals(path)
    pd.testing.assert_frame_equal(boxes, BOXES)
    assert origin["detector"] == "small"
    assert origin["rows"] == 2


def test_published_files_have_no_origin(tmp_path):
    path = tmp_path / "ava_val_predicted_boxes.csv"
    path.write_text("1j20qq1JyX4,0902,0.036,0.098,0.550,0.979,,0.995518\n")
    boxes, origin = read_proposals(path)
    assert boxes["score"].tolist() == [0.995518]
    assert origin == {}


@pytest.mark.parametrize(
    ("text", "message"), [("{", "expected JSON"), ("[]", "expected a JSON object")]
)
def test_a_broken_origin_is_named(tmp_path, text, message):
    path = tmp_path / "boxes.csv"
    write_proposals(BOXES, path)
    (tmp_path / "boxes.csv.json").write_text(text)
    with pytest.raises(InputError, match=rf"boxes\.csv\.json: {message}"):
        read_proposals(path)


def test_boxes_that_changed_since_are_noticed(tmp_path):
    path = tmp_path / "boxes.csv"
    write_proposals(BOXES, path)
    path.write_text(path.read_text().replace("0.98765", "0.88765"))
    with pytest.raises(InputError, match="has changed since"):
        read_proposals(path)


def test_the_origin_is_plain_json(tmp_path):
    write_proposals(BOXES, tmp_path / "boxes.csv", {"weights": None})
    assert json.loads((tmp_path / "boxes.csv.json").read_text())["weights"] is None


MMACTION = {
    "-v,0902": np.array([[0.1, 0.2, 0.3, 0.4, 0.9], [0.0, 0.0, 1.0, 1.0, 0.05]]),
    "sport/v_x_c001.mp4,0377": np.array([[0.5, 0.5, 0.75, 0.75]]),
    "a,b,12.345678": np.zeros((0, 5)),
    "w,903": np.zeros(0),
}


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_pickle_of_mmaction2(tmp_path, kind, protocol):
    path = tmp_path / "ava_dense_proposals_val.FAIR.recall_93.9.pkl"
    content = {key: array.astype(kind) for key, array in MMACTION.items()}
    path.write_bytes(pickle.dumps(content, protocol))
    boxes, origin = read_proposals(path)
    assert origin == {}
    assert boxes.dtypes.to_dict() == BOXES.dtypes.to_dict()
    assert boxes["video_id"].tolist() == ["-v", "-v", "sport/v_x_c001.mp4"]
    assert boxes["timestamp"].tolist() == [902.0, 902.0, 377.0]
    expected = np.concatenate([MMACTION["-v,0902"], [[0.5, 0.5, 0.75, 0.75, 1.0]]])
    np.testing.assert_array_equal(boxes.iloc[:, 2:], expected.astype(kind).astype("f8"))


def test_a_pickle_of_no_boxes_and_of_plain_lists(tmp_path):
    path = tmp_path / "boxes.pkl"
    path.write_bytes(pickle.dumps({}))
    assert read_proposals(path)[0].dtypes.to_dict() == BOXES.dtypes.to_dict()
    path.write_bytes(pickle.dumps({"v,1": [[0, 0, 1, 1, 0.5]], "w,1": []}))
    assert read_proposals(path)[0].to_numpy().tolist() == [["v", 1.0, 0.0, 0.0, 1.0, 1.0, 0.5]]


def test_corners_outside_by_rounding_are_clipped_and_counted(tmp_path, caplog):
    path = tmp_path / "boxes.pkl"
    rows = [[-0.0005, 0.1, 0.5, 1.001], [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 1.0004, 0.5]]
    path.write_bytes(pickle.dumps({"v,1": np.array(rows)}))
    boxes = read_proposals(path)[0]
    assert boxes["x1"].tolist() == [0.0, 0.1, 0.1]
    assert boxes["x2"].tolist() == [0.5, 0.5, 1.0]
    assert boxes["y2"].tolist() == [1.0, 0.5, 0.5]
    assert f"2 boxes of {path} reach up to 0.001 beyond the frame" in caplog.text


WHOLE = [0.0, 0.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "expected a dictionary 'video_id,0902' -> boxes, got 'list'"),
        ({"v": np.zeros((1, 5))}, "key 'v': expected a video's id, a comma and a time"),
        ({"v,now": np.zeros((1, 5))}, "key 'v,now': expected a video's id"),
        ({"v,inf": np.zeros((1, 5))}, "key 'v,inf': expected a video's id"),
        ({",0902": np.zeros((1, 5))}, "key ',0902': expected a video's id"),
        ({902: np.zeros((1, 5))}, "key 902: expected a video's id"),
        ({("v", 902): np.zeros((1, 5))}, r"key \('v', 902\): expected a video's id"),
        ({"v" * 999: np.zeros((1, 5))}, r"key 'v+\.\.\.: expected a video's id"),
        ({"v,1": np.zeros((2, 3))}, r"key 'v,1': expected N rows .* got .*shape \(2, 3\)"),
        ({"v,1": np.zeros(5)}, r"key 'v,1': expected N rows .* got .*shape \(5,\)"),
        ({"v,1": None}, "key 'v,1': expected N rows"),
        ({"v,1": "text"}, "key 'v,1': expected N rows .* got 'str'"),
        ({"v,1": [[1, 2], [3]]}, "key 'v,1': expected N rows .* got 'list'"),
        ({"v,1": [np.zeros((1, 5))] * 2}, "key 'v,1': expected N rows"),
        ({"v,1": [WHOLE], "w,1": [WHOLE, [10, 20, 90, 80, 0.5]]}, "key 'w,1': .*fractions of"),
        ({"v,1": [[0, 0, 1.0011, 1, 0.5]]}, r"key 'v,1': expected a box .*1\.0011"),
        ({"v,1": [[0.5, 0, 0.5, 1, 0.5]]}, "key 'v,1': expected a box within"),
        ({"v,1": [[np.nan, 0, 0.5, 1, 0.5]]}, "key 'v,1': expected a box within"),
        ({"v,1": [[0, 0, 1, 1, np.nan]]}, "key 'v,1': expected a finite number, got nan"),
        ({"v,1": np.array(["text"])}, "cut short, .* not a file of person boxes"),
    ],
)
def test_what_is_no_pickle_of_boxes(tmp_path, content, message):
    path = tmp_path / "boxes.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=rf"boxes\.pkl: {message}") as wrong:
        read_proposals(path)
    assert "\n" not in str(wrong.value)


class Bomb:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


def test_a_hostile_pickle_runs_nothing(tmp_path):
    path, proof = tmp_path / "boxes.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"v,1": Bomb(proof)}))
    with pytest.raises(
        InputError, match=r"boxes\.pkl: names .*mkdir, which person boxes do not need; .* run$"
    ):
        read_proposals(path)
    assert not proof.exists()
