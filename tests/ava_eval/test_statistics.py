"""The bootstrap against the same draws made by copying videos, and what a comparison says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ava_eval import evaluate, statistics
from ava_eval.commands.compare import _interval
from ava_eval.comparison import compare
from ava_eval.frame_map import score_tables
from ava_eval.protocol import PROTOCOLS
from ava_eval.statistics import bootstrap, interval
from ava_eval.tables import BOX

IDS = [1, 14, 80]
LABELS = pd.DataFrame({"action_id": IDS, "name": [f"c{i}" for i in IDS]})


def people(rng: np.random.Generator, number: int, videos: int) -> pd.DataFrame:
    low = rng.integers(0, 3, (number, 2)) / 8
    rows = pd.DataFrame(np.hstack([low, low + 0.5]), columns=BOX)
    rows.insert(0, "video_id", [f"v{i}" for i in rng.integers(0, videos, number)])
    rows.insert(1, "timestamp", rng.integers(0, 4, number).astype(float))
    return rows.assign(action_id=rng.choice(IDS, number))


def world(videos: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    truth = people(rng, 12 * videos, videos).assign(person_id=-1)
    found = people(rng, 40 * videos, videos)
    return truth, found.assign(score=rng.integers(0, 20, len(found)) / 20)


def copies(table: pd.DataFrame, weight: list[int]) -> pd.DataFrame:
    """Each video as often as it was drawn, under new names."""
    parts = [table[:0]]
    for video, times in enumerate(weight):
        mine = table[table["video_id"] == f"v{video}"]
        parts += [mine.assign(video_id=f"v{video}-{copy}") for copy in range(times)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("many_videos", [False, True])
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_draw_is_worth_its_copies(
    protocol: str, few: bool, many_videos: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "_DENSE", 0 if many_videos else np.inf)
    monkeypatch.setattr(statistics, "_CELLS", 50)
    truth, found = world(5)
    if few:  # some actions are detected in some videos only
        found = found[::15].reset_index(drop=True)
    excluded = pd.DataFrame({"video_id": ["v0", "v3"], "timestamp": [1.0, 2.0]})
    scored, _ = score_tables(truth, found, LABELS, protocol=protocol, excluded=excluded)
    draws = [[1, 1, 1, 1, 1], [2, 0, 0, 1, 2], [0, 5, 0, 0, 0], [0, 1, 3, 1, 0]]
    names = scored.numbers.describe(scored.videos << 32)[0]
    weight = np.array(draws, dtype=np.float32).T[[int(name[1:]) for name in names]]
    resampled = statistics._resample(scored, scored.videos, weight)
    for row, draw in enumerate(draws):
        expected = evaluate(
            copies(truth, draw),
            copies(found, draw),
            LABELS,
            protocol=protocol,
            excluded=copies(excluded.assign(x=0), draw),
        )
        np.testing.assert_allclose(resampled.ap[row], expected.ap, atol=1e-6)
        assert resampled.mean[row] == pytest.approx(expected.mean, abs=1e-6, nan_ok=True)


def test_draws_are_of_whole_videos_and_repeat() -> None:
    truth, found = world(30)
    scored, _ = score_tables(truth, found, LABELS)
    (first,), (again,), (other,) = (bootstrap([scored], 200, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert (first.mean != other.mean).any()
    low, high = first.intervals()[0]
    mean = evaluate(truth, found, LABELS).mean
    assert low < mean < high
    assert 0.5 * (high - low) / 1.96 == pytest.approx(first.mean.std(), rel=0.2)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """The mAP of 1,500 videos is taken for true; samples of 40 of them should cover it."""
    truth, found = world(1500, seed=3)
    true_value = evaluate(truth, found, LABELS).mean
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        some = {f"v{i}" for i in rng.choice(1500, 40, replace=False)}
        part = [table[table["video_id"].isin(some)] for table in (truth, found)]
        scored, _ = score_tables(*part, LABELS)
        low, high = bootstrap([scored], 200)[0].intervals()[0]
        covered += low <= true_value <= high
    assert 50 <= covered <= 60


def test_one_video_has_no_spread() -> None:
    truth, found = world(1)
    scored, _ = score_tables(truth, found, LABELS)
    low, high = bootstrap([scored], 20)[0].intervals()[0]
    assert low == high == pytest.approx(evaluate(truth, found, LABELS).mean, abs=1e-6)


def test_interval_of_undefined_values() -> None:
    assert np.isnan(interval(np.array([np.nan, np.nan]))).all()
    np.testing.assert_array_equal(interval(np.array([1.0, np.nan, 1.0])), [1, 1])


def scored_twice(truth: pd.DataFrame, a: pd.DataFrame, b: pd.DataFrame):
    """Two files under one numbering of keyframes."""
    from ava_eval.box_sources import found_set, truth_set
    from ava_eval.classes import Classes
    from ava_eval.keyframes import KeyframeNumbers
    from ava_eval.scoring import score

    numbers, classes = KeyframeNumbers(), Classes.of_table(LABELS)
    none = np.zeros(0, dtype=np.int64)
    truth_boxes = truth_set(truth, numbers, classes.ids)
    sides = [
        score(
            truth_boxes,
            found_set(found, numbers, classes.ids),
            numbers,
            classes.ids,
            PROTOCOLS["2019"],
            keyframes=none,
            excluded=none,
        )
        for found in (a, b)
    ]
    return (*sides, classes)


def test_a_file_against_itself() -> None:
    truth, found = world(20)
    result = compare(*scored_twice(truth, found, found), resamples=100)
    assert result.delta == 0
    np.testing.assert_array_equal(result.delta_interval, [0, 0])
    assert result.shares == (0, 1)
    assert not result.moved.any()


def test_the_class_that_moved_is_named() -> None:
    truth, found = world(40)
    worse = found.copy()
    mine = (worse["action_id"] == 14).to_numpy()
    rng = np.random.default_rng(0)
    worse.loc[mine, "score"] = rng.random(int(mine.sum()))
    good = pd.concat([found[~mine], truth[truth["action_id"] == 14].assign(score=2.0)])
    result = compare(*scored_twice(truth, worse, good), resamples=200)
    assert result.moved.tolist() == [False, True, False]
    low, high = result.delta_interval
    assert 0 < low < result.delta < high
    assert result.shares == (1, 0)
    answer = result.to_json()
    assert answer["videos"] == 40
    assert [row["moved"] for row in answer["classes"]] == [False, True, False]


def test_videos_that_only_one_file_has_are_drawn_too() -> None:
    truth, found = world(10)
    truth, few = (table[table["video_id"] != "v9"] for table in (truth, found))
    result = compare(*scored_twice(truth, few, found), resamples=50)
    assert result.num_videos == 10
    assert result.delta < 0


def test_a_bound_that_is_not_zero_does_not_look_so() -> None:
    assert _interval([0.00003, 0.0138]) == "[+3e-05, +0.0138]"
    assert _interval([-0.0138, 0.0]) == "[-0.0138, +0.0000]"
    assert _interval([float("nan"), 0.00005]) == "[-, +0.0001]"
