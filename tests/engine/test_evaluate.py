"""From batches to detections: each box exactly once, untouched."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect.engine.collect import Collector
from ava_detect.engine.evaluate import class_prior_scores, join_detections, score_boxes
from ava_detect.engine.logs import StatusLine
from ava_eval.errors import InputError

LABEL_MAP = pd.DataFrame({"action_id": [80, 3, 12], "name": ["watch", "crouch", "stand"]})
BOXES = pd.DataFrame(
    {
        "video_id": ["-a", "-a", "b", "b"],
        "timestamp": [902.0, 902.0, 3.5, 4.5],
        "x1": [0.1, 1 / 3, 0.2, 0.0],
        "y1": [0.1, 0.2, 0.3, 0.4],
        "x2": [0.5, 0.6, 0.7, 0.8],
        "y2": [0.9, 0.9, 1.0, 1.0],
        "score": [0.9, 0.8, 0.7, 0.6],
    }
)


def test_collector_puts_rows_in_order():
    collector = Collector(np.array([7, 2, 5]), 2)
    collector.add(np.array([5, 7]), np.array([[5, 50], [7, 70]], np.float32))
    collector.add(np.array([], np.int64), np.empty((0, 2), np.float32))
    collector.add(np.array([2]), np.array([[2, 20]], np.float32))
    rows, scores = collector.finish()
    assert rows.tolist() == [7, 2, 5]
    assert scores.dtype == np.float32
    assert scores.tolist() == [[7, 70], [2, 20], [5, 50]]


def test_collector_of_nothing():
    assert Collector(np.array([]), 3).finish()[1].shape == (0, 3)


def test_rows_that_could_not_be_read_are_left_out():
    collector = Collector(np.array([7, 2, 5]), 1)
    collector.add(np.array([5, 7]), np.array([[5], [7]], np.float32))
    rows, scores = collector.finish(np.array([2]))
    assert rows.tolist() == [7, 5]
    assert scores.tolist() == [[7], [5]]
    with pytest.raises(RuntimeError, match=r"were not asked for \(rows 7\)"):
        collector.finish(np.array([2, 7]))


@pytest.mark.parametrize(
    ("arriving", "expected"),
    [
        ([0, 1], r"1 boxes are missing \(rows 2\)"),
        ([], r"3 boxes are missing \(rows 0, 1, 2\)"),
        ([0, 1, 1, 2], r"1 boxes came more than once \(rows 1\)"),
        ([0, 1, 2, 9], r"1 boxes were not asked for \(rows 9\)"),
    ],
)
def test_collector_counts_each_row_exactly_once(arriving, expected):
    collector = Collector(np.arange(3), 1)
    collector.add(np.array(arriving, np.int64), np.zeros((len(arriving), 1), np.float32))
    with pytest.raises(RuntimeError, match=expected):
        collector.finish()


def test_collector_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), got \(2, 2\)"):
        Collector(np.arange(3), 3).add(np.arange(2), np.zeros((2, 2), np.float32))


def test_scores_are_sigmoids_in_the_order_asked_for(toy_model, toy_batch):
    batches = [toy_batch(0), toy_batch(1)]
    rows = np.array([6, 0, 3, 5, 1, 2, 7, 4])
    before = torch.get_rng_state()
    toy_model.train()
    found, scores = score_boxes(toy_model, batches, rows, 3)
    assert found.tolist() == rows.tolist()
    assert toy_model.training
    assert torch.equal(torch.get_rng_state(), before)
    toy_model.eval()
    with torch.no_grad():
        expected = torch.cat([toy_model(b.frames, b.rois).sigmoid() for b in batches])
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, expected.numpy()[rows])


def test_a_loader_that_draws_does_not_change_a_training_run(toy_model, toy_batch):
    class Drawing(list):
        def __iter__(self):
            torch.rand(1)
            return super().__iter__()

    before = torch.get_rng_state()
    score_boxes(toy_model, Drawing([toy_batch(0)]), np.arange(4), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_sigmoid_is_taken_in_float32(toy_batch):
    """Two logits whose sigmoids are one number in bfloat16 stay two scores."""

    def model(frames, rois):
        return torch.tensor([[6.0, 6.03125]] * len(rois), dtype=torch.bfloat16)

    module = torch.nn.Module()
    module.forward = model
    _, scores = score_boxes(module, [toy_batch(0)], np.arange(4), 2, dtype=torch.bfloat16)
    assert (scores[:, 0] < scores[:, 1]).all()


def test_a_lost_box_is_noticed(toy_model, toy_batch):
    batch = toy_batch(0)
    twice = replace(batch, rows=torch.tensor([0, 1, 2, 2]))
    with pytest.raises(RuntimeError, match=r"are missing \(rows 3\)"):
        score_boxes(toy_model, [twice], np.arange(4), 3)


def test_progress_is_shown(toy_model, toy_batch, capsys):
    score_boxes(toy_model, [toy_batch(0)], np.arange(4), 3, log=StatusLine())
    shown = capsys.readouterr().err
    pace, stages = shown.splitlines()
    assert re.fullmatch(r"evaluate 1/1 batches  \S+ s \(data \S+\) a batch  0:00 left", pace)
    assert re.fullmatch(
        r"evaluate: 2 clips, \S+ s a clip: reading \S+, network \S+, gathering \S+", stages
    )


def test_detections_are_the_boxes_with_every_class():
    rows = np.array([1, 3])
    scores = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32)
    found = join_detections(BOXES, rows, scores, LABEL_MAP)
    assert found.columns.tolist() == [
        *["video_id", "timestamp", "x1", "y1", "x2", "y2"],
        *["action_id", "score"],
    ]
    assert found["action_id"].tolist() == [80, 3, 12, 80, 3, 12]
    assert found["score"].tolist() == [float(score) for score in scores.ravel()]
    assert found["score"].dtype == np.float64
    assert found["action_id"].dtype == np.int64
    assert found.index.tolist() == list(range(6))
    for start, row in ((0, 1), (3, 3)):
        for column in ("video_id", "timestamp", "x1", "y1", "x2", "y2"):
            assert (found[column][start : start + 3] == BOXES[column][row]).all()


def test_row_numbers_survive_a_threshold():
    confident = BOXES[BOXES["score"] < 0.85]  # rows 1, 2, 3
    found = join_detections(confident, np.array([2]), np.ones((1, 3), np.float32), LABEL_MAP)
    assert (found["timestamp"] == 3.5).all()


def test_only_the_classes_asked_for():
    scores = np.array([[0.1, 0.2, 0.3]], np.float32)
    found = join_detections(BOXES, np.array([0]), scores, LABEL_MAP, action_ids=[12, 80, 999])
    assert found["action_id"].tolist() == [80, 12]
    assert found["score"].tolist() == [float(scores[0, 0]), float(scores[0, 2])]


def test_scores_times_person_scores():
    scores = np.full((4, 3), 0.3, np.float32)
    found = join_detections(BOXES, np.arange(4), scores, LABEL_MAP, use_person_score=True)
    expected = np.repeat(BOXES["score"].to_numpy(), 3) * float(np.float32(0.3))
    np.testing.assert_array_equal(found["score"], expected)


def test_no_boxes_no_detections():
    found = join_detections(BOXES, np.array([], np.int64), np.empty((0, 3), np.float32), LABEL_MAP)
    assert len(found) == 0
    assert found["timestamp"].dtype == np.float64


def test_scores_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"expected scores \(4, 3\), got \(4, 2\)"):
        join_detections(BOXES, np.arange(4), np.zeros((4, 2), np.float32), LABEL_MAP)


def annotations(rows):
    columns = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"action_id": np.int64, "person_id": np.int64})


def test_class_priors_are_shares_of_people():
    box, other = (0.1, 0.1, 0.5, 0.9), (0.2, 0.1, 0.5, 0.9)
    table = annotations(
        [
            ("a", 1.0, *box, 12, 0),
            ("a", 1.0, *box, 80, 0),
            ("a", 1.0, *box, 80, 0),  # the same row twice is still one
            ("a", 2.0, *box, 12, 0),
            ("a", 2.0, *other, -1, 1),  # a person without any action
            ("b", 1.0, *box, 11, 0),  # an action that is not scored
        ]
    )
    priors = class_prior_scores(table, LABEL_MAP)
    assert priors.dtype == np.float32
    assert priors.tolist() == [0.25, 0.0, 0.5]


def test_priors_of_nobody_are_refused():
    with pytest.raises(InputError, match="at least one person"):
        class_prior_scores(annotations([]), LABEL_MAP)
