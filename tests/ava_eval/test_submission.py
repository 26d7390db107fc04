"""The challenge file: never invalid, and worth the same mAP as the table it is made from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ava_eval import InputError, evaluate, read_detections
from ava_eval.keyframes import KeyframeNumbers, keyframe_columns
from ava_eval.submission import write_submission
from ava_eval.validation import check_submission

BOX = (0.1, 0.1, 0.5, 0.5)


@pytest.fixture
def crowded(detections) -> pd.DataFrame:
    """Two keyframes of 120 rows with many equal scores, and every action around."""
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(240):
        x, y = rng.integers(0, 8, 2) / 32
        box = (x, y, x + 0.5, y + 0.5)
        row = ("v", 902.0 + rng.integers(0, 2), *box, rng.choice([1, 2, 15, 80]))
        rows.append((*row, rng.integers(0, 9) / 8))
    return detections(rows)


def test_same_map_in_fifty_rows(tmp_path, crowded, annotations, label_map) -> None:
    crowded = crowded.drop_duplicates([*crowded.columns[:7]])
    truth = annotations([(*row[:7], -1) for row in crowded[::15].itertuples(index=False)])
    summary = write_submission(crowded, tmp_path / "s.csv", label_map)
    written = read_detections(tmp_path / "s.csv")
    assert written.groupby(["video_id", "timestamp"]).size().tolist() == [50, 50]
    assert set(written["action_id"]) == {1, 15, 80}
    assert summary["rows"] == 100
    assert summary["keyframes"] == 2
    assert sum(summary.values()) - summary["keyframes"] == len(crowded)
    before, after = (evaluate(truth, table, label_map) for table in (crowded, written))
    assert 0 < before.mean < 1
    assert after.bounds == before.bounds
    assert after.counts["dropped_by_capacity"] == 0


def test_only_the_wanted_keyframes(tmp_path, crowded, label_map) -> None:
    one = pd.DataFrame({"video_id": ["v"], "timestamp": [902.0]})
    for wish, left in (({"keyframes": one}, 902.0), ({"excluded": one}, 903.0)):
        summary = write_submission(crowded, tmp_path / "s.csv", label_map, **wish)
        assert set(read_detections(tmp_path / "s.csv")["timestamp"]) == {left}
        assert summary["unknown_keyframe" if "keyframes" in wish else "excluded"] > 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((" v", 902.0, *BOX, 1, 0.5), "row 1: column video_id: expected the id .*, got ' v'"),
        (("", 902.0, *BOX, 1, 0.5), "row 1: column video_id: expected the id .*, got ''"),
        (("v", 902.0, 0.1, 0.1, 1.5, 0.5, 1, 0.5), "row 1: column x1,y1,x2,y2: .* within"),
        (("v", 902.0, 0.1, 0.1, 0.1, 0.5, 1, 0.5), "row 1: column x1,y1,x2,y2: .* within"),
        (("v", 902.0, *BOX, 1, np.inf), "row 1: column score: expected a finite number"),
        (("v", 902.0, *BOX, 1, np.nan), "row 1: column score: expected a finite number"),
        (("v", np.nan, *BOX, 1, 0.5), "row 1: column timestamp: expected a finite time"),
    ],
)
def test_never_invalid(tmp_path, detections, label_map, row, message) -> None:
    with pytest.raises(InputError, match=message):
        write_submission(
            detections([("v", 902.0, *BOX, 1, 0.5), row]), tmp_path / "s.csv", label_map
        )
    assert not list(tmp_path.iterdir())


def test_never_empty(tmp_path, detections, label_map) -> None:
    with pytest.raises(InputError, match=r"s.csv: no detection is left"):
        write_submission(detections([("v", 902.0, *BOX, 2, 0.5)]), tmp_path / "s.csv", label_map)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["v", "-a", "a,b", 'a"b', "é"])
def test_what_is_written_is_valid(tmp_path, detections, label_map, name: str, seed: int) -> None:
    """Whatever sound boxes come in: repeated, crowded, of other actions and keyframes."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(700):
        x, y = rng.integers(0, 8, 2) / 32
        box = (x, y, x + 0.5, y + rng.choice([0.25, 0.5]))
        row = (name, rng.choice([900, 900 + 1 / 3, 901]), *box, rng.choice([1, 2, 80]))
        rows.append((*row, rng.normal()))
    table = detections(rows)
    keyframes = table[["video_id", "timestamp"]][:300]
    excluded = table[["video_id", "timestamp"]][10:11]
    path = tmp_path / "s.csv"
    counts = write_submission(table, path, label_map, keyframes, excluded)
    numbers, ids = KeyframeNumbers(), np.sort(label_map["action_id"].to_numpy())
    keys = [numbers.keys(*keyframe_columns(part)) for part in (keyframes, excluded)]
    result = check_submission(path, numbers, ids, *keys)
    assert result.violations == []
    assert result.counts["rows"] == counts["rows"]
    assert result.counts["tied_rows"] == 0
    assert counts["repeated"] > 0
    assert counts["dropped_by_capacity"] > 0
