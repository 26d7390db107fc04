"""Lists of Kinetics, and the clips of its videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ava_detect.data.kinetics import (
    VideoSampling,
    mean_of_views,
    training_videos,
    views_in_time,
)
from ava_detect.data.kinetics_files import read_class_names, read_kinetics
from ava_detect.timebase import Timebase
from ava_eval import InputError

CLASSES = pd.DataFrame({"action_id": [1, 2, 3], "name": ["abseiling", "yoga", "zumba, fast"]})
OFFICIAL = """label,youtube_id,time_start,time_end,split
yoga,-0YTp8v_aH8,3,13,train
"zumba, fast",5dfsdfs_dd1,10.0,20,train
"""


def written(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(table: pd.DataFrame) -> list[tuple]:
    return list(table.itertuples(index=False, name=None))


def test_kinetics_own_csv(tmp_path):
    table = read_kinetics(written(tmp_path, OFFICIAL), CLASSES)
    assert rows(table) == [("-0YTp8v_aH8_000003_000013", 2), ("5dfsdfs_dd1_000010_000020", 3)]


@pytest.mark.parametrize("separator", [" ", ",", "\t", "  "])
def test_lists_of_paths_and_labels(tmp_path, separator):
    names = ["yoga/a b.mp4", "./x.mp4", "/data/k400/train/y.mp4"]
    text = "".join(f"{name}{separator}{label}\n" for label, name in enumerate(names))
    path = written(tmp_path, text)
    table = read_kinetics(path, CLASSES, 0, [Path("/data/other"), Path("/data/k400/train")])
    assert rows(table) == [(names[0], 1), ("x.mp4", 2), ("y.mp4", 3)]


def test_labels_may_count_from_one(tmp_path):
    assert rows(read_kinetics(written(tmp_path, "a 1\nb 3\n"), CLASSES, 1)) == [("a", 1), ("b", 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.csv: expected a line for each video"),
        ("a.mp4\n", "list.csv:1: expected path and label, got 'a.mp4'"),
        (
            "a 0\nb 3\n",
            "list.csv:2: column label: expected one of the 3 classes, whose ids are from 0 to 2",
        ),
        ("a 0\n\nb x\n", "list.csv:3: column label: expected a whole number from 0 on, got 'x'"),
        ("a nan\n", "list.csv:1: column label: expected a whole number from 0 on, got 'nan'"),
        ("/etc/passwd 0\n", "list.csv:1: column path: expected a path below /data, got"),
        (OFFICIAL + "yoga,x,1\n", "list.csv:4: expected 5 columns, got 'yoga,x,1'"),
        (
            OFFICIAL.replace("yoga", "joga"),
            "list.csv:2: column label: expected a class, got 'joga'",
        ),
        (OFFICIAL.replace(",3,", ",-3,"), "list.csv:2: column time_start: expected a whole number"),
        (
            OFFICIAL.replace("time_end", "end"),
            "list.csv:1: column time_end: expected a header with",
        ),
    ],
)
def test_what_is_neither_is_named(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read_kinetics(written(tmp_path, text), CLASSES, 0, [Path("/data")])
    assert message in str(error.value)


def test_names_of_classes(tmp_path):
    names = read_class_names(written(tmp_path, "b\n\na c\n", "names.txt"))
    assert rows(names) == [(1, "b"), (2, "a c")]
    names = read_class_names(written(tmp_path, OFFICIAL + "abseiling,z,1,2,train\n"))
    assert rows(names) == [(1, "abseiling"), (2, "yoga"), (3, "zumba, fast")]
    with pytest.raises(InputError, match="expected each class once, got 'b'"):
        read_class_names(written(tmp_path, "b\nb\n", "twice.txt"))


class Film:
    """A source whose one video lasts ``seconds`` at 25 frames a second, from second 7."""

    def __init__(self, seconds: float) -> None:
        self.times = 7 + np.arange(round(25 * seconds)) / 25

    def frame_times(self, video_id):
        return self.times


def clip_of(place: float | None, seconds: float) -> np.ndarray:
    """Seconds after the start, of a clip of 32 frames at steps of 2 of 30 a second (2.13 s)."""
    sampling = VideoSampling(Timebase(30.0), 32, 2, at_random=False)
    table = pd.DataFrame({"video_id": ["v"], "action_id": [1]})
    (keyframe,) = views_in_time(table, 1)
    keyframe = keyframe if place is None else type(keyframe)("v", place, *_rest(keyframe))
    return sampling.frames(keyframe, Film(seconds)) / 25


def _rest(keyframe):
    return keyframe.rows, keyframe.boxes, keyframe.labels


@pytest.mark.parametrize(("place", "start"), [(0.0, 0.0), (1.0, 10 - 64 / 30), (None, 3.933)])
def test_places_go_from_the_first_moment_to_the_last(place, start):
    times = clip_of(place, 10)
    np.testing.assert_allclose(times, start + np.arange(32) / 15, atol=0.0201)


def test_of_a_short_video_the_last_frame_repeats():
    times = clip_of(0.7, 1.0)
    np.testing.assert_allclose(times[:15], np.arange(15) / 15, atol=0.0201)
    assert (times[15:] == 24 / 25).all()


def test_training_clips_lie_anywhere_and_depend_on_the_seed_alone():
    sampling = VideoSampling(Timebase(30.0), 32, 2, at_random=True)
    (keyframe,) = training_videos(pd.DataFrame({"video_id": ["v"], "action_id": [3]}), [1, 3])
    assert keyframe.labels.tolist() == [[0.0, 1.0]]
    draw = [sampling.frames(keyframe, Film(10), np.random.default_rng(seed)) for seed in range(500)]
    starts = np.array([clip[0] for clip in draw]) / 25
    assert starts.min() < 0.2
    assert starts.max() > 10 - 64 / 30 - 0.2
    assert abs(starts.mean() - (10 - 64 / 30) / 2) < 0.3
    again = sampling.frames(keyframe, Film(10), np.random.default_rng(3))
    np.testing.assert_array_equal(again, draw[3])


def test_ten_views_as_pyslowfast_spreads_them():
    views = views_in_time(pd.DataFrame({"video_id": ["a", "b"], "action_id": [1, 2]}), 10)
    assert [view.rows[0] for view in views] == list(range(20))
    assert [view.timestamp for view in views[10:]] == [k / 10 for k in range(10)]


def test_the_mean_is_over_the_views_that_were_read():
    rows = np.array([1, 0, 5])  # of three videos with two views: the second has none
    scores = np.array([[1.0, 0.0], [0.5, 0.5], [0.2, 0.8]], np.float32)
    read, means = mean_of_views(rows, scores, 3, 2)
    assert read.tolist() == [0, 2]
    np.testing.assert_allclose(means, [[0.75, 0.25], [0.2, 0.8]])
