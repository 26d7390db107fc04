"""The demo world on disk: an AVA data set that is a function of its seed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

import ava_detect
from ava_detect.clips import VideoLibrary
from ava_detect.data.kinetics_files import read_kinetics
from ava_detect.synthetic import make_world
from ava_detect.synthetic.script import Action
from ava_detect.synthetic.trimmed import CLASSES
from ava_eval import InputError, read_annotations, read_keyframes, read_label_map

SMALL = {
    "seed": 3,
    "train_videos": 2,
    "val_videos": 1,
    "test_videos": 1,
    "seconds": 5,
    "train_clips": 11,
    "val_clips": 3,
}
TABLES = (
    "train.csv",
    "val.csv",
    "test_keyframes.csv",
    "labelmap.pbtxt",
    "train_excluded.csv",
    "val_excluded.csv",
    "test_excluded.csv",
    "kinetics_train.csv",
    "kinetics_val.csv",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(folder, **SMALL, workers=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_holds_what_it_promises(world: Path) -> None:
    expected = {"videos", "kinetics", "world.json", *TABLES}
    assert {path.name for path in world.iterdir()} == expected
    ids = [path.stem for path in (world / "videos").iterdir()]
    assert len(ids) == 4
    assert all(len(video_id) == 11 for video_id in ids)
    assert {video_id[0] for video_id in ids} >= {"-", "_"}


def test_same_seed_same_bytes_whatever_the_workers(world: Path, tmp_path: Path) -> None:
    make_world(tmp_path, **SMALL, workers=2)
    assert contents(tmp_path) == contents(world)


def test_another_seed_is_another_world(world: Path, tmp_path: Path) -> None:
    make_world(tmp_path, **{**SMALL, "seed": 4}, workers=1)
    assert (tmp_path / "train.csv").read_bytes() != (world / "train.csv").read_bytes()
    assert set(contents(tmp_path)) & set(contents(world)) == {*TABLES, "world.json"}


def test_a_finished_world_is_kept_and_another_one_replaced(tmp_path: Path) -> None:
    lines: list[str] = []
    tiny = {
        "train_videos": 1,
        "val_videos": 0,
        "test_videos": 0,
        "train_clips": 0,
        "val_clips": 0,
        "workers": 1,
        "log": lines.append,
    }
    make_world(tmp_path, seed=1, seconds=2, **tiny)
    (video,) = (tmp_path / "videos").iterdir()
    before = video.stat().st_mtime_ns
    make_world(tmp_path, seed=1, seconds=2, **tiny)
    assert video.stat().st_mtime_ns == before
    assert "already" in lines[-1]
    (tmp_path / "videos" / "mine.mp4").touch()
    make_world(tmp_path, seed=2, seconds=2, **tiny)
    left = {path.name for path in (tmp_path / "videos").iterdir()}
    assert video.name not in left
    assert left == {
        "mine.mp4",
        json.loads((tmp_path / "world.json").read_text())["videos"][0] + ".mp4",
    }
    (tmp_path / "world.json").write_text("[")
    with pytest.raises(InputError, match=r"world\.json: expected a demo world's settings"):
        make_world(tmp_path, seed=2, seconds=2, **tiny)


@pytest.mark.parametrize(
    ("setting", "value"), [("seed", -1), ("seconds", 1), ("fps", 0), ("train_videos", -1)]
)
def test_impossible_settings_are_named(setting: str, value: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{setting}: expected at least"):
        make_world(tmp_path, **{**SMALL, setting: value})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("split", ["train", "val"])
def test_annotations_are_what_the_readers_expect(world: Path, split: str) -> None:
    path = world / f"{split}.csv"
    table = read_annotations(path)
    labels = read_label_map(world / "labelmap.pbtxt")
    corners = table[["x1", "y1", "x2", "y2"]].to_numpy()
    assert ((corners >= 0) & (corners <= 1)).all()
    assert (corners[:, :2] < corners[:, 2:]).all()
    assert set(table.action_id) <= set(labels.action_id) == {int(a) for a in Action}
    assert set(table.timestamp) <= {1.0, 2.0, 3.0, 4.0}
    assert not table.duplicated(["video_id", "timestamp", "person_id", "action_id"]).any()
    keyframes = read_keyframes(path)
    assert len(keyframes) > len(table[["video_id", "timestamp"]].drop_duplicates())  # empty ones
    excluded = read_keyframes(world / f"{split}_excluded.csv")
    assert set(excluded.video_id) <= set(keyframes.video_id)
    assert keyframes.merge(excluded).empty
    row = r"[\w-]{11},000[1-4](,[01]\.\d{3}){4},\d+,\d"
    key = r"[\w-]{11},000[1-4]"
    assert all(re.fullmatch(f"{row}|{key}", line) for line in path.read_text().splitlines())


def test_clips_of_one_action_are_listed_as_kinetics_lists_them(world: Path) -> None:
    labels = read_label_map(world / "labelmap.pbtxt")
    tables = [read_kinetics(world / f"kinetics_{s}.csv", labels) for s in ("train", "val")]
    assert [len(table) for table in tables] == [11, 3]
    assert sorted(tables[0].action_id) == sorted(int(action) for action in CLASSES)
    library = VideoLibrary(world / "kinetics")
    listed = pd.concat(tables).video_id
    assert sorted(path.stem for path in (world / "kinetics").iterdir()) == sorted(listed)
    assert all(len(library.frame_times(video_id)) == 30 for video_id in listed)


def test_names_are_avas_own(world: Path) -> None:
    labels = read_label_map(world / "labelmap.pbtxt").set_index("action_id")["name"]
    assert labels[Action.FALL_DOWN] == "fall down"
    assert labels[Action.WAVE] == "hand wave"
    assert labels[Action.TALK_TO].startswith("talk to")


def test_the_shipped_label_map_is_the_worlds(world: Path) -> None:
    shipped = Path(ava_detect.__file__).parent / "label_maps" / "demo.pbtxt"
    assert shipped.read_bytes() == (world / "labelmap.pbtxt").read_bytes()


def test_test_split_has_keyframes_alone(world: Path) -> None:
    keyframes = read_keyframes(world / "test_keyframes.csv")
    assert list(keyframes.timestamp) == [1.0, 2.0, 3.0, 4.0]
    assert len(read_keyframes(world / "test_excluded.csv")) >= 1
    assert not (world / "test.csv").exists()


def test_videos_are_h264_and_hold_every_keyframe(world: Path) -> None:
    wanted = pd.concat(
        [read_keyframes(world / name) for name in ("train.csv", "val.csv", "test_keyframes.csv")]
    )
    for path in (world / "videos").iterdir():
        with av.open(str(path)) as container:
            (stream,) = container.streams
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == 15
            frames = list(container.decode(stream))
        assert [(f.width, f.height) for f in frames] == [(160, 120)] * 75
        times = np.array([float(frame.pts * stream.time_base) for frame in frames])
        np.testing.assert_allclose(times, np.arange(75) / 15, atol=1e-6)
        own = wanted[wanted.video_id == path.stem]
        assert len(own)
        for timestamp in own.timestamp:
            assert frames[round(timestamp * 15)].key_frame
