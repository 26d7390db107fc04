"""A score matrix is worth what the table with a row for each of its cells is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ava_eval import BoxScores, InputError, evaluate
from ava_eval.protocol import PROTOCOLS
from ava_eval.tables import BOX


def people(rng: np.random.Generator, number: int) -> pd.DataFrame:
    low = rng.integers(0, 3, (number, 2)) / 8
    boxes = pd.DataFrame(np.hstack([low, low + 0.5]), columns=BOX)
    boxes.insert(0, "video_id", rng.choice(["a", "b"], number))
    boxes.insert(1, "timestamp", rng.integers(902, 905, number).astype(float))
    return boxes


@pytest.mark.parametrize("ties", ["fp-first", "official"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equals_the_long_table(label_map, protocol: str, ties: str) -> None:
    rng = np.random.default_rng(7)
    ids = np.array([80, 2, 15, 1])
    truth = people(rng, 20).assign(action_id=rng.choice(ids, 20), person_id=-1)
    boxes = people(rng, 200)
    scores = (rng.integers(0, 9, (200, 4)) / 8).astype(np.float32)
    rows = np.repeat(np.arange(200), 4)
    long = boxes.iloc[rows].reset_index(drop=True)
    long = long.assign(action_id=np.tile(ids, 200), score=scores.ravel().astype(float))
    options = {"protocol": protocol, "ties": ties}
    wide = evaluate(truth, BoxScores(boxes, scores, ids), label_map, **options)
    table = evaluate(truth, long, label_map, **options)
    assert wide.to_json() == table.to_json()
    assert 0 < wide.mean < 1


@pytest.mark.parametrize(
    ("scores", "ids", "message"),
    [
        (np.zeros((3, 2)), [1, 2], r"scores: expected an array of \(2, 2\), got \(3, 2\)"),
        (np.zeros((2, 2)), [1, 1], "action_ids: expected each id once"),
        (np.array([[0, 1], [np.nan, 0]]), [1, 2], "scores: row 1: column 0: expected a number"),
    ],
)
def test_bad_input(label_map, annotations, scores, ids, message) -> None:
    boxes = people(np.random.default_rng(0), 2)
    with pytest.raises(InputError, match=message):
        evaluate(annotations([]), BoxScores(boxes, scores, np.array(ids)), label_map)
