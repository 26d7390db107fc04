"""Data sets that are not AVA: each trains and is scored through the commands as a user types them.

The videos are those of the demo world, whose files are renamed and rewritten in each data set's
form; what is learned does not matter here.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ava_detect.cli import main
from ava_detect.synthetic import make_world
from ava_detect.synthetic.world import FPS
from ava_eval import read_detections, read_label_map
from ava_eval.cli import main as score_main
from tests.small import SMALL_MODEL

QUICK = (
    *SMALL_MODEL,
    *("optim.steps=2", "optim.warmup_steps=1", "optim.batch_size=2", "save_every=2"),
    *("evaluation.boxes=groundtruth", "data.train.excluded=null", "data.val.excluded=null"),
)
Row = list[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(
        folder,
        seed=3,
        train_videos=2,
        val_videos=2,
        test_videos=0,
        train_clips=0,
        val_clips=0,
        seconds=5,
        workers=1,
    )
    return folder


def rewrite(
    world: Path, folder: Path, line: Callable[[Row], str], name: Callable[[str], str] = str
) -> None:
    """Copy a world: each row of its CSVs as ``line`` writes it, each video as ``name`` calls it."""
    for split in ("train", "val"):
        with (world / f"{split}.csv").open(newline="") as file:
            lines = [line(row) for row in csv.reader(file)]
        (folder / f"{split}.csv").write_text("".join(f"{line}\n" for line in lines if line))
    for path in (world / "videos").glob("*.mp4"):
        target = folder / "videos" / f"{name(path.stem)}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def train_and_evaluate(data: Path, run: Path, *words: str, recipe: str = "demo/ava") -> dict:
    """The metrics of a model that saw two steps."""
    command = [recipe, f"data.root={data}", f"output={run}", *QUICK, *words]
    assert main(["train", *command]) == 0
    assert main(["evaluate", *command, f"weights={run / 'final.pt'}"]) == 0
    return json.loads((run / "metrics.json").read_text())


def classes(metrics: dict) -> dict[int, str]:
    return {row["id"]: row["name"] for row in metrics["classes"]}


def check_scores(metrics: dict, run: Path, detected: set[int]) -> None:
    """The mAP is a number, and the file has these classes."""
    assert 0 <= metrics["mAP"] <= 1
    assert set(read_detections(run / "detections.csv")["action_id"]) == detected


def labels(path: Path, names: dict[int, str]) -> None:
    path.write_text("".join(f'item {{\n  name: "{n}"\n  id: {i}\n}}\n' for i, n in names.items()))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Of the data and of the run."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data", tmp_path / "run"


def test_ava_kinetics(world: Path, folders: tuple[Path, Path]) -> None:
    """Seven columns, fractions of seconds of the video that the file was cut from."""
    data, run = folders

    def line(row: Row) -> str:
        time = f"{12 + int(row[1]) - 0.654322:.6f}"
        if row[1] == "0003":  # nobody is labelled
            return f"{row[0]},{time}"
        return ",".join([row[0], time, *row[2:7]])

    rewrite(world, data, line, "{}_000012_000042".format)
    assert ",12.345678," in (data / "train.csv").read_text()
    metrics = train_and_evaluate(data, run)
    known = read_label_map(world / "labelmap.pbtxt")["action_id"]
    assert set(classes(metrics)) == set(known)
    check_scores(metrics, run, set(known))
    rows = [row.split(",") for row in (data / "val.csv").read_text().splitlines()]
    assert {len(row) for row in rows} == {2, 7}
    assert metrics["counts"]["keyframes"] == len({tuple(row[:2]) for row in rows})
    assert sum(row["num_groundtruth"] for row in metrics["classes"]) > 0
    scored = run / "scored.json"
    files = ["-g", data / "val.csv", "-d", run / "detections.csv", "-l", world / "labelmap.pbtxt"]
    assert score_main(["score", *map(str, files), "--json", str(scored)]) == 0
    again = json.loads(scored.read_text())
    assert again["mAP"] == pytest.approx(metrics["mAP"], abs=1e-12)
    assert again["classes"] == metrics["classes"]
    assert again["counts"]["keyframes"] == metrics["counts"]["keyframes"]


def test_multisports(world: Path, folders: tuple[Path, Path]) -> None:
    """A path with its extension, frame numbers, labels from 0, the number of a tube."""
    data, run = folders
    known = read_label_map(world / "labelmap.pbtxt")
    number = {str(action): place for place, action in enumerate(known["action_id"])}

    def line(row: Row) -> str:
        if len(row) == 2:
            return ""
        frame = str(int(row[1]) * FPS + 1)
        video = f"aerobic/v_{row[0]}_c001.mp4"
        return ",".join([video, frame, *row[2:6], str(number[row[6]]), row[7]])

    rewrite(world, data, line, "aerobic/v_{}_c001".format)
    labels(data / "sports.pbtxt", dict(enumerate(known["name"])))
    words = ("data.timebase.unit=frames", "data.first_label=0", "data.label_map=sports.pbtxt")
    metrics = train_and_evaluate(data, run, *words)
    assert classes(metrics) == dict(enumerate(known["name"], 1))
    check_scores(metrics, run, set(range(1, len(known) + 1)))
    rows = (data / "val.csv").read_text().splitlines()
    assert sum(row["num_groundtruth"] for row in metrics["classes"]) == len(rows)
    found = read_detections(run / "detections.csv")
    assert found["video_id"].str.match(r"aerobic/v_.*_c001\.mp4").all()
    assert set(found["timestamp"]) <= {second * FPS + 1.0 for second in range(1, 5)}


def test_own_classes(
    world: Path, folders: tuple[Path, Path], capsys: pytest.CaptureFixture
) -> None:
    """Tabs, quotes, ids that begin with -, keyframes between seconds, two of three classes."""
    data, run = folders
    number = {"11": 3, "12": 3, "10": 7, "14": 7}  # sit and stand, run and walk; anything else: 40

    def line(row: Row) -> str:
        video, time = f'"-{row[0]}"', str(int(row[1]) + 10.5)
        if len(row) == 2:
            return "\t".join([video, time])
        return "\t".join([video, time, *row[2:6], str(number.get(row[6], 40))])

    rewrite(world, data, line, "-{}".format)
    assert (data / "val.csv").read_text().count("\t12.5\t")
    labels(data / "own.pbtxt", {3: "stays", 7: "goes about", 40: "does something"})
    words = ["data.label_map=own.pbtxt", "data.timebase.start=10"]
    chosen = "data.classes=[does something, 3]"
    metrics = train_and_evaluate(data, run, *words, chosen)
    assert classes(metrics) == {3: "stays", 40: "does something"}
    check_scores(metrics, run, {3, 40})
    rows = [line.split("\t") for line in (data / "val.csv").read_text().splitlines()]
    for row in metrics["classes"]:
        assert row["num_groundtruth"] == sum(r[6:7] == [str(row["id"])] for r in rows)
    unlisted = sum(r[6:7] == ["7"] for r in rows)
    assert metrics["counts"]["groundtruth_unlisted"] == unlisted > 0
    found = read_detections(run / "detections.csv")
    assert found["video_id"].str.startswith("-").all()
    people = {tuple(row[:6]) for row in rows if len(row) > 2}
    assert len(found) == 2 * len(people)  # those who only go about too

    command = ["demo/ava", f"data.root={data}", f"output={run}", *QUICK, *words]
    capsys.readouterr()
    assert main(["train", *command, "data.classes=[3, 7]"]) == 2
    assert "was trained on other classes" in capsys.readouterr().err
    assert main(["evaluate", *command, f"weights={run / 'final.pt'}", "data.classes=[3, 7]"]) == 2
    assert "was not trained on 'goes about'" in capsys.readouterr().err
    assert main(["train", *command, "data.classes=[stayz]"]) == 2
    assert "the nearest name is 'stays'" in capsys.readouterr().err


def test_pedestrians(shared_data: Path, tmp_path: Path) -> None:
    """The real video of the recipe that is written for it."""
    words = ["optim.steps=1", "optim.batch_size=1", "optim.warmup_steps=0"]
    words += [
        "augment.short_side=[128, 128]",
        "augment.crop=[112, 144]",
        "evaluation.short_side=96",
    ]
    metrics = train_and_evaluate(
        shared_data / "pedestrians", tmp_path / "run", *words, recipe="demo/pedestrians"
    )
    assert len(metrics["classes"]) == 60
    truth = {row["id"] for row in metrics["classes"] if row["num_groundtruth"]}
    assert truth == {12, 14}
    check_scores(metrics, tmp_path / "run", set(classes(metrics)))
