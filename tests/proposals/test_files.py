from __future__ import annotations

import json

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
