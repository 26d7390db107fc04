"""The doctor says nothing of a sound data set, and of a planted fault what and where it is."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from ava_detect.cli import main
from ava_detect.clips import VideoFile
from ava_detect.doctor.rules import RULES
from ava_detect.synthetic import make_world

Rows = list[list[str]]
FREQUENT = 25


def read(path: Path) -> Rows:
    return [line.split(",") for line in path.read_text().splitlines()]


def write(path: Path, rows: Rows) -> None:
    path.unlink(missing_ok=True)  # it may be a hard link to the clean one
    path.write_text("".join(",".join(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world of its frequent classes only, with proposals on its people."""
    folder = tmp_path_factory.mktemp("clean")
    make_world(
        folder,
        seed=3,
        train_videos=6,
        val_videos=2,
        test_videos=1,
        train_clips=0,
        val_clips=0,
        seconds=14,
        workers=2,
    )
    tables = {split: read(folder / f"{split}.csv") for split in ("train", "val")}
    actions = [row[6] for row in tables["train"] if len(row) > 2]
    kept = {action for action in actions if actions.count(action) >= FREQUENT}
    blocks = (folder / "labelmap.pbtxt").read_text().split("item ")[1:]
    chosen = [block for block in blocks if block.split("id: ")[1].split("\n")[0] in kept]
    (folder / "labelmap.pbtxt").write_text("".join(f"item {block}" for block in chosen))
    rng = np.random.default_rng(0)
    for split, rows in tables.items():
        rows = [row for row in rows if len(row) == 2 or row[6] in kept]
        write(folder / f"{split}.csv", rows)
        people = {tuple(row[:6]) for row in rows if len(row) > 2}
        boxes = []
        for person in sorted(people):
            x1, y1, x2, y2 = map(float, person[2:])
            jitter = rng.uniform(-0.02, 0.02, 4) * [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
            corners = np.clip(np.array([x1, y1, x2, y2]) + jitter, 0, 1)
            score = rng.uniform(0.6, 1)
            boxes.append([*person[:2], *(f"{c:.3f}" for c in corners), "", f"{score:.3f}"])
        write(folder / f"proposals_{split}.csv", boxes)
    return folder


@dataclass
class World:
    """A copy of the clean world in which a fault is planted."""

    folder: Path
    settings: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.folder / name

    def rows(self, name: str = "train.csv") -> Rows:
        return read(self.path(name))

    def write(self, rows: Rows, name: str = "train.csv") -> None:
        write(self.path(name), rows)

    def people(self, name: str = "train.csv") -> list[int]:
        """Places of the rows that show a person."""
        return [place for place, row in enumerate(self.rows(name)) if len(row) > 2]

    def set(self, cell: int, value: str, name: str = "train.csv", number: int = 4) -> str:
        """Change one cell of a row with a person; its file:line."""
        rows, place = self.rows(name), self.people(name)[number]
        rows[place][cell] = value
        self.write(rows, name)
        return self.at(name, place)

    def insert(self, row: list[str], name: str = "train.csv", place: int | None = None) -> str:
        rows = self.rows(name)
        place = len(rows) if place is None else place
        self.write([*rows[:place], row, *rows[place:]], name)
        return self.at(name, place)

    def at(self, name: str, place: int) -> str:
        return f"{self.path(name)}:{place + 1}"

    def video(self, number: int = 0) -> Path:
        """A video of the training split, not a link."""
        path = self.path("videos") / f"{sorted({row[0] for row in self.rows()})[number]}.mp4"
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        return path

    def first_row_of(self, video_id: str, name: str = "train.csv") -> str:
        return self.at(name, [row[0] for row in self.rows(name)].index(video_id))

    def map_boxes(self, change: Callable[[list[float]], list[float]], name: str) -> str:
        """Change all boxes; the first row with one."""
        rows = self.rows(name)
        for place in self.people(name):
            rows[place][2:6] = [f"{v:g}" for v in change([float(v) for v in rows[place][2:6]])]
        self.write(rows, name)
        return self.at(name, self.people(name)[0])

    def map_times(self, change: Callable[[int], int], *names: str) -> None:
        for name in names:
            rows = self.rows(name)
            self.write([[row[0], f"{change(int(row[1])):04d}", *row[2:]] for row in rows], name)

    def extract(self) -> Path:
        """Turn a video into a folder of images."""
        video = self.video()
        folder = video.with_suffix("")
        folder.mkdir()
        file = VideoFile(video)
        for number, frame in enumerate(file.walk(np.arange(len(file.times))), 1):
            cv2.imwrite(str(folder / f"{number:06d}.jpg"), frame)
        video.unlink()
        return folder


@pytest.fixture
def world(clean: Path, tmp_path: Path) -> World:
    shutil.copytree(clean, tmp_path / "data", copy_function=os.link)
    return World(tmp_path / "data")


def examine(world: World, *words: str) -> tuple[int, dict]:
    data = [f"data.{split}.proposals=proposals_{split}.csv" for split in ("train", "val")]
    settings = [f"data.root={world.folder}", f"output={world.folder / 'run'}", *data]
    settings += ["data.label_map=labelmap.pbtxt", *world.settings]
    target = world.folder / "out.json"
    code = main(["doctor", "demo/ava", *settings, "--json", str(target), *words])
    return code, json.loads(target.read_text()) if code != 2 else {}


def test_nothing_is_wrong(world: World, capsys: pytest.CaptureFixture) -> None:
    code, report = examine(world)
    assert report["findings"] == []
    assert code == 0
    assert report["ok"] is True
    assert report["counts"] == {"error": 0, "warning": 0, "note": 0}
    train, val, test = report["splits"]
    assert (train["name"], train["videos"], train["people"] > 100) == ("train", 6, True)
    assert train["hours"] == pytest.approx(6 * 14 / 3600)
    assert train["labels"] == sum(len(row) > 2 for row in world.rows())
    assert val["proposals"] == len(world.rows("proposals_val.csv"))
    assert (test["people"], test["proposals"], test["keyframes"] > 0) == (0, None, True)
    counts = [sum(entry["people"].values()) for entry in report["classes"]]
    assert counts == sorted(counts, reverse=True)
    by_id = {entry["id"]: entry["people"]["train"] for entry in report["classes"]}
    actions = [row[6] for row in world.rows() if len(row) > 2]
    assert by_id == {int(action): actions.count(action) for action in set(actions)}
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "nothing wrong"
    assert not any("why:" in line for line in out)


def test_without_videos(world: World) -> None:
    shutil.rmtree(world.path("videos"))
    code, report = examine(world, "--no-videos")
    assert (code, report["findings"]) == (0, [])
    assert [facts["hours"] for facts in report["splits"]] == [None] * 3


# --- faults: each function plants one, and returns the place where it must be told of


def nine_columns(w: World) -> str:
    return w.set(7, "1,2")


def no_number(w: World) -> str:
    return w.set(2, "wide")


def header(w: World) -> str:
    words = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
    return w.insert(words, place=0)


def blank_row(w: World) -> str:
    return w.insert([""], place=3)


def blank_in_id(w: World) -> str:
    rows = w.rows()
    return w.set(0, f"{rows[w.people()[4]][0]} ")


def time_is_nan(w: World) -> str:
    return w.set(1, "nan")


def person_id_is_a_score(w: World) -> str:
    return w.set(7, "0.93")


def missing_file(w: World) -> str:
    w.path("train_excluded.csv").unlink()
    return str(w.path("train_excluded.csv"))


def cut_gzip(w: World) -> str:
    path = w.path("train.csv.gz")
    path.write_bytes(gzip.compress(w.path("train.csv").read_bytes())[:-20])
    w.settings.append("data.train.annotations=[train.csv.gz]")
    return str(path)


def empty_file(w: World) -> str:
    w.write([], "train_excluded.csv")
    return str(w.path("train_excluded.csv"))


def broken_label_map(w: World) -> str:
    w.write([["nothing"]], "labelmap.pbtxt")
    return "data.label_map"


def unknown_class(w: World) -> str:
    w.settings.append("data.classes=[no such thing]")
    return "data.classes"


def box_outside(w: World) -> str:
    return w.set(4, "1.2")


def box_nan(w: World) -> str:
    return w.set(3, "nan")


def box_inverted(w: World) -> str:
    rows, place = w.rows(), w.people()[4]
    rows[place][2], rows[place][4] = rows[place][4], rows[place][2]
    w.write(rows)
    return w.at("train.csv", place)


def box_tiny(w: World) -> str:
    left = float(w.rows()[w.people()[4]][2])
    return w.set(4, f"{left + 0.0005:.4f}")


def pixels(w: World) -> str:
    return w.map_boxes(lambda b: [b[0] * 160, b[1] * 120, b[2] * 160, b[3] * 120], "train.csv")


def sizes(w: World) -> str:
    w.map_boxes(lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]], "train.csv")
    boxes = [[float(v) for v in row[2:6]] if len(row) > 2 else [0, 0, 1, 1] for row in w.rows()]
    return w.at("train.csv", [b[2] <= b[0] or b[3] <= b[1] for b in boxes].index(True))


def unknown_label(w: World) -> str:
    return w.set(6, "2")


def negative_label(w: World) -> str:
    return w.set(6, "-1")


def labels_from_0(w: World) -> str:
    """Ids of all files but the label map count from 0."""
    ids = sorted({int(row[6]) for row in w.rows() if len(row) > 2})
    for name in ("train.csv", "val.csv"):
        rows = w.rows(name)
        for place in w.people(name):
            rows[place][6] = str(ids.index(int(rows[place][6])))
        w.write(rows, name)
    items = [f'item {{\n  name: "c{i}"\n  id: {i + 1}\n}}' for i in range(len(ids))]
    w.write([[item] for item in items], "labelmap.pbtxt")
    labels = [row[6] if len(row) > 2 else "" for row in w.rows()]
    return w.at("train.csv", labels.index("0"))


def second_pose(w: World) -> str:
    rows = w.rows()
    row = next(row for row in rows if len(row) > 2 and row[6] == "12")
    return w.insert([*row[:6], "8", row[7]])


def class_only_in_val(w: World) -> str:
    rows = w.rows()
    for place in w.people():
        rows[place][6] = rows[place][6].replace("80", "12")
    w.write([list(row) for row in dict.fromkeys(map(tuple, rows))])
    return "data.label_map"


def another_class(w: World) -> str:
    old = w.path("labelmap.pbtxt").read_text()
    w.write([[f'{old}item {{\n  name: "swim"\n  id: 13\n}}']], "labelmap.pbtxt")
    return "data.label_map"


def rare_class(w: World) -> str:
    another_class(w)
    w.insert([*w.rows()[w.people()[-1]][:6], "13", w.rows()[w.people()[-1]][7]])
    return "data.label_map"


def row_twice(w: World) -> str:
    return w.insert(w.rows()[w.people()[4]])


def pair(w: World) -> tuple[list[str], list[str]]:
    """Rows of two people of one keyframe."""
    rows = [row for row in w.rows() if len(row) > 2]
    return next((a, b) for a in rows for b in rows if a[:2] == b[:2] and a[7] < b[7])


def person_twice(w: World) -> str:
    one, other = pair(w)
    rows = w.rows()
    places = [
        place for place, row in enumerate(rows) if row[:2] == other[:2] and other[7] in row[7:]
    ]
    for place in places:
        rows[place][7] = one[7]
    w.write(rows)
    return w.at("train.csv", places[0])


def box_shared(w: World) -> str:
    row = w.rows()[w.people()[4]]
    return w.insert([*row[:7], "999"])


def person_without_label(w: World) -> str:
    row = w.rows()[w.people()[4]]
    return w.insert([*row[:2], "0.1", "0.1", "0.9", "0.9", "2", "999"])


def late_row(w: World) -> str:
    return w.set(1, "0099")


def start_900(w: World) -> str:
    w.map_times(lambda t: t + 900, "train.csv", "proposals_train.csv", "train_excluded.csv")
    return w.at("train.csv", 0)


def frame_numbers(w: World) -> str:
    files = ("train.csv", "proposals_train.csv", "train_excluded.csv")
    w.map_times(lambda t: 15 * t + 1, *files)
    return w.at("train.csv", 0)


def whole_films(w: World) -> str:
    """Keyframes early in videos that are said to begin later than they do."""
    for name in ("train.csv", "val.csv", "proposals_train.csv", "proposals_val.csv"):
        w.write([row for row in w.rows(name) if int(row[1]) in (6, 7)], name)
    w.settings += ["data.timebase.start=6", "data.test.keyframes=null"]
    return str(w.path("train.csv"))


def missing_video(w: World) -> str:
    video = w.video()
    video.unlink()
    return w.first_row_of(video.stem)


def other_case(w: World) -> str:
    video = w.video(1)
    video.rename(video.with_stem(video.stem.swapcase()))
    return w.first_row_of(video.stem)


def other_suffix(w: World) -> str:
    video = w.video().stem
    rows = w.rows()
    w.write([[f"{row[0]}.avi" if row[0] == video else row[0], *row[1:]] for row in rows])
    return w.first_row_of(f"{video}.avi")


def two_videos(w: World) -> str:
    video = w.video()
    for folder in ("videos/one", "videos/other"):
        w.path(folder).mkdir()
        shutil.copy(video, w.path(folder))
    video.unlink()
    return w.first_row_of(video.stem)


def no_video(w: World) -> str:
    video = w.video()
    video.write_bytes(b"this is no video" * 100)
    return str(video)


def cut_video(w: World) -> str:
    video = w.video()
    video.write_bytes(video.read_bytes()[:-3000])
    return str(video)


def damaged_image(w: World) -> str:
    folder = w.extract()
    for path in sorted(folder.iterdir())[90:]:
        path.write_bytes(b"no image")
    return str(folder)


def lost_images(w: World) -> str:
    folder = w.extract()
    for path in sorted(folder.iterdir())[10:14]:
        path.unlink()
    return str(folder)


def image_of_another_size(w: World) -> str:
    folder = w.extract()
    cv2.imwrite(str(sorted(folder.iterdir())[-1]), np.zeros((60, 80, 3), np.uint8))
    return str(folder)


def long_clips(w: World) -> str:
    w.settings += ["data.num_frames=32", "data.sampling_rate=8"]
    return str(w.path("videos"))


def other_rate(w: World) -> str:
    w.settings.append("data.timebase.fps=30")
    return str(w.path("videos"))


def unnamed_video(w: World) -> str:
    shutil.copy(w.video(), w.path("videos/another.mp4"))
    return str(w.path("videos"))


def no_folder(w: World) -> str:
    w.settings.append("data.train.videos=nowhere")
    return str(w.path("nowhere"))


def not_prepared(w: World) -> str:
    w.settings.append("data.prepared=prepared")
    return str(w.path("prepared"))


def same_keyframe(w: World) -> str:
    return w.insert(w.rows()[w.people()[0]], "val.csv")


def same_video(w: World) -> str:
    """A keyframe of a training video moves to val."""
    rows = w.rows()
    times = sorted({row[1] for row in rows if row[0] == rows[0][0]})
    row = [rows[0][0], times[len(times) // 2]]
    w.write([other for other in rows if other[:2] != row[:2]])
    return w.insert(row[:2], "val.csv")


def same_video_apart(w: World) -> str:
    row = w.rows()[0]
    times = sorted({other[1] for other in w.rows() if other[0] == row[0]})
    w.write([other for other in w.rows() if other[:2] != [row[0], times[-1]]])
    return w.insert([row[0], times[-1]], "val.csv")


def val_is_test(w: World) -> str:
    return w.insert(w.rows("val.csv")[0][:2], "test_keyframes.csv")


def strange_exclusion(w: World) -> str:
    return w.insert(["nobody", "0003"], "train_excluded.csv")


def annotated_exclusion(w: World) -> str:
    row = w.rows()[w.people()[0]]
    w.insert(row[:2], "train_excluded.csv")
    return w.at("train.csv", w.people()[0])


def keyframe_without_box(w: World) -> str:
    rows = w.rows("proposals_val.csv")
    w.write([row for row in rows if row[:2] != rows[0][:2]], "proposals_val.csv")
    return str(w.path("proposals_val.csv"))


def box_on_no_keyframe(w: World) -> str:
    row = w.rows("proposals_val.csv")[0]
    return w.insert([row[0], "0000", *row[2:]], "proposals_val.csv")


def all_excluded(w: World) -> str:
    times = sorted({(row[0], row[1]) for row in w.rows("val.csv")})
    w.write([list(row) for row in times], "val_excluded.csv")
    return str(w.path("val_excluded.csv"))


def percent(w: World) -> str:
    return w.set(7, "93", "proposals_val.csv")


def score_nan(w: World) -> str:
    return w.set(7, "nan", "proposals_val.csv")


def box_without_score(w: World) -> str:
    rows = w.rows("proposals_val.csv")
    rows[4].pop()
    w.write(rows, "proposals_val.csv")
    return w.at("proposals_val.csv", 4)


def proposal_outside(w: World) -> str:
    return w.set(4, "1.3", "proposals_val.csv")


def mirrored_proposals(w: World) -> str:
    w.map_boxes(lambda b: [b[0] / 2, b[1] / 2, b[2] / 2, b[3] / 2], "proposals_val.csv")
    return str(w.path("proposals_val.csv"))


def changed_proposals(w: World) -> str:
    w.path("proposals_val.csv.json").write_text('{"sha256": "0"}')
    return str(w.path("proposals_val.csv"))


def deep_provenance(w: World) -> str:
    w.path("proposals_val.csv.json").write_text("[" * 200000)
    return str(w.path("proposals_val.csv"))


def labelled_boxes(w: World) -> str:
    """One with the label -1 (no action) is sound, -2 is not."""
    rows = [[*row[:6], "-1", row[7]] for row in w.rows("proposals_train.csv")[:9]]
    rows[3][6] = "-2"
    w.write(rows, "labelled.csv")
    w.settings.append("data.train.labelled_boxes=[labelled.csv]")
    return w.at("labelled.csv", 3)


def labelled_in_val(w: World) -> str:
    """Training on the labelled boxes of a keyframe that is scored."""
    row = w.rows("proposals_val.csv")[0]
    w.write([[*row[:6], "-1", row[7]]], "labelled.csv")
    w.settings.append("data.train.labelled_boxes=[labelled.csv]")
    return w.at("val.csv", [other[:2] for other in w.rows("val.csv")].index(row[:2]))


def semicolons(w: World) -> str:
    w.write([[";".join(row)] for row in w.rows()])
    return w.at("train.csv", 0)


def folder_for_a_file(w: World) -> str:
    w.settings.append("data.train.annotations=[videos]")
    return str(w.path("videos"))


def no_scored_map(w: World) -> str:
    w.settings.append("data.eval_label_map=nowhere.pbtxt")
    return "data.eval_label_map"


def scored_beyond_the_model(w: World) -> str:
    w.settings.append("data.eval_label_map=ava_60")
    return "data.eval_label_map"


def label_map_from_0(w: World) -> str:
    labels_from_0(w)
    text = w.path("labelmap.pbtxt").read_text()
    w.write([[text.replace("id: 1\n", "id: 0\n")]], "labelmap.pbtxt")
    return "data.label_map"


def first_label_for_the_csvs_only(w: World) -> str:
    w.settings.append("data.first_label=0")
    return labels_from_0(w)


def first_label_for_the_map_only(w: World) -> str:
    """Labels from 1 on, a label map from 0."""
    items = [f'item {{\n  name: "c{i}"\n  id: {i}\n}}' for i in range(80)]
    w.write([[item] for item in items], "labelmap.pbtxt")
    w.settings.append("data.first_label=0")
    return w.at("train.csv", next(i for i in w.people() if w.rows()[i][6] == "80"))


def first_label_of_ava(w: World) -> str:
    w.settings += ["data.first_label=0", "data.label_map=ava_80"]
    return w.at("train.csv", next(i for i in w.people() if w.rows()[i][6] == "80"))


def start_elsewhere(w: World) -> str:
    """No start but 0 and 900 is ever advised: it would be that of all videos."""
    w.map_times(lambda t: t + 100, "train.csv", "proposals_train.csv", "train_excluded.csv")
    return w.at("train.csv", 0)


def a_few_frame_numbers(w: World) -> str:
    """One video's keyframes are frames; the others' are seconds."""
    rows, video_id = w.rows(), w.rows()[0][0]
    w.write([[r[0], str(15 * int(r[1]) + 1), *r[2:]] if r[0] == video_id else r for r in rows])
    return w.at("train.csv", 0)


def images_at_another_rate(w: World) -> str:
    folder = w.extract()
    for place, path in enumerate(sorted(folder.iterdir())):
        if place % 3:
            path.unlink()
    for number, path in enumerate(sorted(folder.iterdir()), 1):
        path.rename(folder / f"{number:06d}.png")
    times = [int(row[1]) if row[0] == folder.name else 0 for row in w.rows()]
    return w.at("train.csv", next(place for place, time in enumerate(times) if time > 4))


def frame_list(w: World) -> Path:
    """All videos as lists of images below ``frames``; the list."""
    lines = ["original_vido_id video_id frame_id path labels"]
    for number, path in enumerate(sorted(w.path("videos").iterdir())):
        folder = w.path("frames") / path.stem
        folder.mkdir(parents=True)
        file = VideoFile(path)
        for frame, pixels in enumerate(file.walk(np.arange(len(file.times)))):
            cv2.imwrite(str(folder / f"{frame:06d}.jpg"), pixels)
            lines.append(f'{path.stem} {number} {frame} {path.stem}/{frame:06d}.jpg ""')
    w.path("list.csv").write_text("\n".join(lines) + "\n")
    for split in ("train", "val", "test"):
        w.settings += [f"data.{split}.frame_list=list.csv", f"data.{split}.videos=[frames]"]
    return w.path("list.csv")


def lost_list(w: World) -> str:
    frame_list(w).unlink()
    return "data.train.frame_list"


def lost_image_of_a_list(w: World) -> str:
    frame_list(w)
    (w.path("frames") / w.rows()[0][0] / "000010.jpg").unlink()
    return "data.train.frame_list"


def list_of_another_folder(w: World) -> str:
    frame_list(w)
    w.path("frames").rename(w.path("images"))
    return "data.train.frame_list"


def percents(w: World) -> str:
    return w.map_boxes(lambda b: [100 * v for v in b], "train.csv")


# What is planted, the code it has, and the codes that come with it; "..." in a remedy.
FAULTS: list[tuple[Callable[[World], str], str, set[str], str]] = [
    (nine_columns, "row-columns", set(), ""),
    (no_number, "cell-number", set(), ""),
    (header, "header-line", set(), "delete the line"),
    (blank_row, "blank-row", set(), ""),
    (blank_in_id, "id-blanks", {"video-missing", "proposals-lacking"}, ""),
    (time_is_nan, "time-not-finite", set(), ""),
    (person_id_is_a_score, "person-id", set(), ""),
    (missing_file, "file-missing", set(), ""),
    (cut_gzip, "file-unreadable", {"proposals-lacking"}, ""),
    (empty_file, "file-empty", set(), ""),
    (broken_label_map, "label-map-unreadable", set(), "ava_80"),
    (unknown_class, "setting-wrong", set(), ""),
    (box_outside, "box-range", {"person-twice"}, "clip"),
    (box_nan, "box-nan", {"person-twice"}, ""),
    (box_inverted, "box-empty", {"person-twice"}, "x1 < x2"),
    (box_tiny, "box-tiny", {"person-twice"}, ""),
    (pixels, "box-pixels", {"proposals-astray"}, "divide"),
    (sizes, "box-empty", {"proposals-astray"}, "width and height"),
    (unknown_label, "label-unknown", {"person-unlabelled"}, "data.label_map"),
    (negative_label, "label-negative", {"person-unlabelled"}, ""),
    (labels_from_0, "label-zero", {"person-unlabelled", "class-unseen"}, "add 1 to the CSV's"),
    (second_pose, "pose-twice", set(), ""),
    (class_only_in_val, "class-unseen", set(), ""),
    (another_class, "class-empty", set(), ""),
    (rare_class, "class-rare", set(), ""),
    (row_twice, "row-twice", set(), ""),
    (person_twice, "person-twice", set(), ""),
    (box_shared, "box-shared", set(), ""),
    (person_without_label, "person-unlabelled", {"label-unknown"}, ""),
    (late_row, "time-outside", {"proposals-lacking"}, ""),
    (start_900, "time-outside", set(), "data.timebase.start=900"),
    (frame_numbers, "time-outside", set(), "data.timebase.unit=frames"),
    (whole_films, "time-shifted", {"class-unseen"}, "data.timebase.start=0"),
    (missing_video, "video-missing", set(), ""),
    (other_case, "video-missing", set(), ""),
    (other_suffix, "video-missing", {"proposals-lacking"}, ""),
    (two_videos, "video-twice", set(), "longer ids"),
    (no_video, "video-broken", set(), ""),
    (cut_video, "video-broken", set(), ""),
    (damaged_image, "video-undecodable", set(), ""),
    (lost_images, "frame-gaps", set(), ""),
    (image_of_another_size, "frame-size", set(), ""),
    (long_clips, "video-short", set(), "data.num_frames"),
    (other_rate, "video-rate", set(), ""),
    (unnamed_video, "video-unnamed", set(), ""),
    (no_folder, "folder-missing", set(), ""),
    (not_prepared, "not-prepared", set(), "ava-detect prepare"),
    (same_keyframe, "split-keyframe", {"split-video", "proposals-lacking"}, ""),
    (same_video, "split-video", set(), ""),
    (same_video_apart, "split-video-apart", set(), ""),
    (val_is_test, "split-same-keyframe", set(), ""),
    (strange_exclusion, "excluded-unlisted", set(), ""),
    (annotated_exclusion, "excluded-annotated", set(), ""),
    (keyframe_without_box, "proposals-lacking", set(), "ava-detect propose"),
    (box_on_no_keyframe, "proposals-unlisted", set(), ""),
    (percent, "score-range", set(), "divide"),
    (score_nan, "score-not-finite", set(), ""),
    (box_without_score, "proposal-columns", set(), ""),
    (proposal_outside, "box-range", set(), ""),
    (mirrored_proposals, "proposals-astray", set(), "pixels or fractions"),
    (changed_proposals, "proposals-changed", set(), ""),
    (labelled_boxes, "label-negative", {"person-unlabelled"}, ""),
    (labelled_in_val, "split-keyframe", {"split-video"}, ""),
    (all_excluded, "nothing-left", set(), "data.SPLIT.excluded"),
    (deep_provenance, "proposals-changed", set(), ""),
    (semicolons, "row-columns", set(), "separated by ';': write commas or tabs"),
    (folder_for_a_file, "file-missing", set(), "name a file in it"),
    (no_scored_map, "setting-wrong", set(), ""),
    (scored_beyond_the_model, "setting-wrong", set(), "data.label_map's classes"),
    (label_map_from_0, "label-map-unreadable", set(), "set data.first_label=0 where"),
    (
        first_label_for_the_csvs_only,
        "label-unknown",
        {"person-unlabelled"},
        "add 1 to the CSV's labels",
    ),
    (
        first_label_for_the_map_only,
        "label-unknown",
        {"person-unlabelled"},
        "subtract 1 from the CSV's labels",
    ),
    (first_label_of_ava, "label-unknown", {"person-unlabelled"}, "set data.first_label=1"),
    (start_elsewhere, "time-outside", set(), "correct the timestamp"),
    (a_few_frame_numbers, "time-outside", {"proposals-lacking"}, "data.timebase.unit=frames"),
    (images_at_another_rate, "time-outside", set(), "another rate than data.timebase.fps=15?"),
    (lost_list, "file-missing", set(), ""),
    (lost_image_of_a_list, "frame-missing", set(), ""),
    (list_of_another_folder, "frame-missing", set(), "the first folder of data.train.videos, "),
    (percents, "box-pixels", {"proposals-astray"}, "divide by 100 if these are percent"),
]


@pytest.mark.parametrize(
    ("plant", "code", "companions", "remedy"), FAULTS, ids=[case[0].__name__ for case in FAULTS]
)
def test_a_planted_fault(
    world: World,
    capsys: pytest.CaptureFixture,
    plant: Callable[[World], str],
    code: str,
    companions: set[str],
    remedy: str,
) -> None:
    place = plant(world)
    exit_code, report = examine(world)
    found = [finding for finding in report["findings"] if finding["code"] == code]
    assert place in [finding["place"] for finding in found], report["findings"]
    assert any(remedy in finding["remedy"] for finding in found)
    serious = {f["code"] for f in report["findings"] if f["severity"] != "note"}
    assert serious <= {code, *companions}, report["findings"]
    assert exit_code == int(any(f["severity"] == "error" for f in report["findings"]))
    told = capsys.readouterr().out
    assert f"  {place}: {found[0]['severity']}: {code}: " in told


def test_every_rule_is_planted() -> None:
    assert {code for _, code, _, _ in FAULTS} | {"row-unreadable", "prepared-lacking"} == set(RULES)


def test_without_a_data_set_there_is_one_finding(
    world: World, capsys: pytest.CaptureFixture
) -> None:
    shutil.rmtree(world.folder)
    assert main(["doctor", "demo/ava", f"data.root={world.folder}"]) == 1
    told = capsys.readouterr().out
    start = f"data.root\n  data.root: error: folder-missing: {world.folder}: no such folder\n"
    assert told.startswith(start)
    assert "`ava-detect download " in told
    assert told.endswith("nothing else was checked\n\n1 error, 0 warnings, 0 notes\n")


def test_an_empty_folder_has_no_videos(world: World) -> None:
    shutil.rmtree(world.path("videos"))
    world.path("videos").mkdir()
    code, report = examine(world)
    assert code == 1
    assert [facts["videos"] for facts in report["splits"]] == [0, 0, 0]
    assert report["splits"][0]["keyframes"] > 0


def test_tabs_and_a_byte_order_mark_are_sound(world: World) -> None:
    for path in world.folder.glob("*.csv"):
        text = "\ufeff" + path.read_text().replace(",", "\t")
        path.unlink()
        path.write_text(text)
    code, report = examine(world)
    assert (code, report["findings"]) == (0, [])
    assert report["splits"][0]["people"] > 100


def test_a_list_of_frames_is_sound(world: World) -> None:
    frame_list(world)
    code, report = examine(world)
    assert (code, report["findings"]) == (0, [])


def test_prepared_copies(world: World) -> None:
    world.settings += ["data.prepared=prepared", "data.num_frames=4"]
    _, report = examine(world)
    assert [found["code"] for found in report["findings"]] == ["not-prepared"]  # once
    world.path("prepared").mkdir()
    code, report = examine(world)
    missing = [found for found in report["findings"] if found["code"] == "video-missing"]
    assert code == 1
    assert {found["remedy"] for found in missing} == {"run `ava-detect prepare` again"}
    row = world.rows()[world.people()[0]]
    world.insert(row[:2], "train_excluded.csv")
    settings = [f"data.root={world.folder}", "data.label_map=labelmap.pbtxt", "prepare.workers=2"]
    assert main(["prepare", "demo/ava", *settings, *world.settings]) == 0
    code, report = examine(world)
    assert code == 0
    assert {found["code"] for found in report["findings"]} <= {
        *("excluded-annotated", "proposals-unlisted", "video-rate")
    }
    world.settings.append("data.sampling_rate=2")
    code, report = examine(world)
    lacking = [found for found in report["findings"] if found["code"] == "prepared-lacking"]
    assert code == 1
    assert len(lacking) == 9
    assert lacking[0]["place"].startswith(str(world.path("prepared")))
    assert "here frame " in lacking[0]["what"]
    assert lacking[0]["remedy"] == "run `ava-detect prepare` again"


def test_what_cannot_be_read_may_be_left_out(world: World) -> None:
    world.settings.append("data.on_error=skip")
    missing_video(world)
    world.video(1).write_bytes(b"this is no video" * 100)
    code, report = examine(world)
    assert code == 0
    severities = {found["code"]: found["severity"] for found in report["findings"]}
    assert severities == {"video-missing": "warning", "video-broken": "warning"}
    assert report["counts"] == {"error": 0, "warning": 2, "note": 0}


def test_videos_are_unnamed_only_where_all_tables_and_folders_are_known(world: World) -> None:
    unnamed_video(world)
    world.path("more").mkdir()
    world.settings.append("data.train.videos=[more, videos]")

    def unnamed() -> list[list[str]]:
        findings = examine(world)[1]["findings"]
        return [found["items"] for found in findings if found["code"] == "video-unnamed"]

    assert unnamed() == [["another"]]
    world.settings.append("data.val.videos=[nowhere]")
    assert unnamed() == []
    world.settings.pop()
    world.path("val.csv").unlink()
    assert unnamed() == []


def test_a_shared_video_is_told_of_the_file_that_names_it(world: World) -> None:
    place = same_video_apart(world)
    line = place.rpartition(":")[2]
    world.path("val.csv").rename(world.path("second.csv"))
    world.write(world.rows("second.csv")[:3], "val.csv")
    world.settings.append("data.val.annotations=[val.csv, second.csv]")
    found = [f for f in examine(world)[1]["findings"] if f["code"] == "split-video-apart"]
    assert [f["place"] for f in found] == [f"{world.path('second.csv')}:{line}"]


def test_nothing_that_a_terminal_acts_on_is_printed(
    world: World, capsys: pytest.CaptureFixture
) -> None:
    world.set(0, "bad\x1b[31m\u2028id")
    another_class(world)
    text = world.path("labelmap.pbtxt").read_text()
    world.write([[text.replace("swim", "swim\x07")]], "labelmap.pbtxt")
    _, report = examine(world)
    out = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    (missing,) = [found for found in report["findings"] if found["code"] == "video-missing"]
    assert missing["items"] == ["bad\\x1b[31m\\u2028id"]


def test_notes_come_last_and_those_without_a_remedy_in_one_line(
    world: World, capsys: pytest.CaptureFixture
) -> None:
    other_rate(world)
    row_twice(world)
    _, report = examine(world)
    out = capsys.readouterr().out
    assert [found["severity"] for found in report["findings"]] == ["warning", *["note"] * 3]
    assert out.index("warning: row-twice") < out.index("\nnotes\n") < out.index("note: video-rate")
    assert out.count("why:") == 1
    assert "varying" not in report["findings"][1]["what"]


def test_a_nearest_name_is_told(world: World) -> None:
    other_case(world)
    _, report = examine(world)
    (found,) = [finding for finding in report["findings"] if finding["code"] == "video-missing"]
    (unnamed,) = [finding for finding in report["findings"] if finding["code"] == "video-unnamed"]
    assert f"did you mean {unnamed['items'][0]!r}?" in found["what"]


def test_ids_that_count_from_0_are_sound_where_the_setting_says_so(world: World) -> None:
    labels_from_0(world)
    ids = {int(row[6]) for row in world.rows() if len(row) > 2}
    items = [f'item {{\n  name: "c{i}"\n  id: {i}\n}}' for i in ids]
    world.write([[item] for item in items], "labelmap.pbtxt")
    world.settings.append("data.first_label=0")
    code, report = examine(world)
    assert (code, report["findings"]) == (0, [])
    assert {entry["id"] for entry in report["classes"]} == ids  # as data.classes takes them
    world.settings.append(f"data.classes={sorted(ids)}")
    assert examine(world)[0] == 0
    world.write([*([item] for item in items), ['item { name: "swim" id: 70 }']], "labelmap.pbtxt")
    (found,) = examine(World(world.folder, world.settings[:-1]))[1]["findings"]
    assert found["items"] == ["70 swim"]


def test_a_pickle_of_mmaction2(world: World) -> None:
    boxes: dict[str, list[list[float]]] = {}
    for row in world.rows("proposals_val.csv"):
        corners_and_score = [float(cell) for cell in [*row[2:6], row[7]]]
        boxes.setdefault(",".join(row[:2]), []).append(corners_and_score)
    arrays = {key: np.array(rows) for key, rows in boxes.items()}
    world.path("boxes.pkl").write_bytes(pickle.dumps(arrays))
    world.settings.append("data.val.proposals=boxes.pkl")
    code, report = examine(world)
    assert (code, report["findings"]) == (0, [])
    assert report["splits"][1]["proposals"] == len(world.rows("proposals_val.csv"))
    world.path("boxes.pkl").write_bytes(b"no pickle")
    code, report = examine(world)
    assert (code, [found["code"] for found in report["findings"]]) == (1, ["file-unreadable"])
    assert "boxes.pkl" not in report["findings"][0]["what"]  # it is named beside it


def test_many_rows_of_a_kind_are_one_finding(world: World, capsys: pytest.CaptureFixture) -> None:
    rows = world.rows()
    places = world.people()[10:60]
    for place in places:
        rows[place][5] = "1.01"
    world.write(rows)
    code, report = examine(world)
    assert code == 1
    (found,) = report["findings"]
    assert found["count"] == len(places)
    assert found["lines"] == [place + 1 for place in places[:5]]
    out = capsys.readouterr().out
    assert f"(50 times, also on lines {places[1] + 1}, " in out
    assert out.splitlines()[-1] == "1 error, 0 warnings, 0 notes"


def test_the_worst_comes_first(world: World) -> None:
    row_twice(world)
    world.set(2, "wide", number=9)
    unnamed_video(world)
    _, report = examine(world)
    severities = [finding["severity"] for finding in report["findings"]]
    assert severities == ["error", "warning", "note", "note"]
    assert report["counts"] == {"error": 1, "warning": 1, "note": 2}
    assert report["ok"] is False
    keys = {
        "code",
        "severity",
        "place",
        "where",
        "lines",
        "items",
        "count",
        "what",
        "why",
        "remedy",
    }
    assert all(set(finding) == keys for finding in report["findings"])


def test_a_config_that_cannot_be_read(world: World, capsys: pytest.CaptureFixture) -> None:
    world.settings.append("data.rot=1")
    assert examine(world)[0] == 2
    assert capsys.readouterr().err.startswith("error: data.rot")
