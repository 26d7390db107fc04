"""A small world in which the documentation's commands run: AVA's files, and whatever pages name."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from ava_detect.cli import main
from ava_detect.download.catalogue import ENTRIES, VIDEO_LISTS
from ava_detect.proposals.torchvision_rcnn import build_faster_rcnn, save_weights
from ava_detect.synthetic import make_world
from ava_eval import read_annotations
from tests.docs.reading import ROOT

DETECTOR = "people.pth"
RECIPE = "ava/slowfast_r50_8x8"
BOXES = tuple(
    f"data.{split}.proposals=boxes/ava_{split}_predicted_boxes.csv"
    for split in ("train", "val", "test")
)
# R50's depth: PySlowFast knows no shallower one, and one page writes weights for it.
TINY_MODEL = ("model.widths=[8,16,32,64]",)
QUICK = (
    *("optim.steps=2", "optim.unit=steps", "optim.warmup_steps=1", "optim.milestones=[]"),
    *("optim.batch_size=2", "save_every=2", "tensorboard=false"),
    *("data.num_frames=8", "data.workers=0", "prepare.workers=1"),
    *("augment.short_side=[64,72]", "augment.crop=[64,64]", "train_boxes.min_score=0.1"),
    *("evaluation.short_side=64", "evaluation.min_score=0", "evaluation.clips=1"),
    *("evaluation.crops=1", "proposer.train.steps=1", "proposer.train.batch_size=1"),
)
SMALL_DETECTOR = (
    *("proposer.kind=torchvision", "proposer.variant=small", f"proposer.weights={DETECTOR}"),
    *("proposer.short_side=64", "proposer.min_score=0.01", "proposer.max_boxes=3"),
)
FILMS = ("film", "other")


def make_template(folder: Path, mirror: Path) -> None:
    """Write what pages start from into ``folder``, and a server's files into ``mirror``."""
    source, own = (mirror.parent / name for name in ("source", "own"))
    small = {"seed": 3, "workers": 1, "seconds": 5, "train_clips": 0, "val_clips": 0}
    counts = {"train_videos": 2, "val_videos": 2, "test_videos": 1}
    make_world(source, **small | counts | {"train_clips": 4, "val_clips": 2})
    # A film of the page on somebody's own data has 20 seconds.
    counts = {"train_videos": 1, "val_videos": 1, "test_videos": 0}
    make_world(own, **small | counts | {"seconds": 20})
    save_weights(build_faster_rcnn("small"), "small", folder / DETECTOR)
    shutil.copytree(ROOT / "ava_detect" / "label_maps", folder / "ava_detect" / "label_maps")
    make_ava(source, folder / "ava")
    make_kinetics(source, folder / "k400")
    make_own(own, folder / "mine")
    make_mirror(folder / "ava", mirror)
    shutil.copy(next((source / "videos").iterdir()), folder / "film.mp4")


def make_ava(source: Path, ava: Path) -> None:
    """A folder with AVA's own names."""
    annotations = ava / "annotations"
    annotations.mkdir(parents=True)
    for split in ("train", "val", "test"):
        excluded = f"ava_{split}_excluded_timestamps_v2.2.csv"
        shutil.copy(source / f"{split}_excluded.csv", annotations / excluded)
        table = "test_keyframes.csv" if split == "test" else f"{split}.csv"
        shutil.copy(source / table, annotations / f"ava_{split}_v2.2.csv")
    classes = ROOT / "ava_detect" / "label_maps" / "ava_60.pbtxt"
    shutil.copy(classes, annotations / "ava_action_list_v2.2_for_activitynet_2019.pbtxt")
    shutil.copytree(source / "videos", ava / "videos")
    (ava / "boxes").mkdir()
    for split in ("train", "val", "test"):
        rows = (annotations / f"ava_{split}_v2.2.csv").read_text().split()
        cells = [row.split(",") for row in rows]
        if split == "test":
            lines = {f"{video},{time},0.2,0.2,0.6,0.9,,0.9" for video, time in cells}
        else:
            lines = {f"{','.join(row[:6])},,0.99" for row in cells if len(row) > 2}
        path = ava / "boxes" / f"ava_{split}_predicted_boxes.csv"
        path.write_text("".join(f"{line}\n" for line in sorted(lines)))


def make_kinetics(source: Path, folder: Path) -> None:
    """Kinetics' CSVs, and the clips of both splits in each of its folders."""
    for split in ("train", "val"):
        shutil.copytree(source / "kinetics", folder / split)
        shutil.copy(source / f"kinetics_{split}.csv", folder)
    # A clip of each class is in the training list, as it is in Kinetics.
    known = (folder / "kinetics_train.csv").read_text().splitlines()
    (folder / "kinetics_val.csv").write_text("".join(f"{line}\n" for line in known))


def make_own(source: Path, folder: Path) -> None:
    """Somebody's films ``FILMS`` with a CSV for each, of the actions 12 and 14."""
    (folder / "videos").mkdir(parents=True)
    for split, name in zip(("train", "val"), FILMS, strict=True):
        annotations = read_annotations(source / f"{split}.csv")
        video_id = annotations["video_id"].iloc[0]
        rows = (source / f"{split}.csv").read_text().split()
        mine = [row.split(",") for row in rows if row.startswith(f"{video_id},")]
        kept = {  # who walks or runs, walks; anybody else stands
            f"{','.join([name, *cells[1:6], '14' if cells[6] in ('10', '14') else '12'])}\n": None
            for cells in mine
            if len(cells) > 2
        }
        (folder / f"{split}.csv").write_text("".join(kept))
        shutil.copy(source / "videos" / f"{video_id}.mp4", folder / "videos" / f"{name}.mp4")


def make_mirror(ava: Path, mirror: Path) -> None:
    """The published files, below the paths of their addresses."""
    places = {entry.path: mirror / urlsplit(entry.url).path.lstrip("/") for entry in ENTRIES}
    for path in places.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    annotations = ava / "annotations"
    with zipfile.ZipFile(places["archives/ava_v2.2.zip"], "w") as archive:
        for path in sorted(annotations.glob("*")):
            if path.name != "ava_test_v2.2.csv":
                archive.write(path, path.name)
    with tarfile.open(places["archives/ava_kinetics_v1_0.tar.gz"], "w:gz") as archive:
        archive.add(annotations / "ava_test_v2.2.csv", "ava_kinetics_v1_0/ava_test_v2.2.csv")
    with tarfile.open(places["archives/ava_annotations.tar"], "w") as archive:
        archive.add(annotations / "ava_val_v2.2.csv", "person_box/ava_val.csv")
    for path in (ava / "boxes").glob("*.csv"):
        shutil.copy(path, places[f"boxes/{path.name}"])
    tests = {row.split(",")[0] for row in (annotations / "ava_test_v2.2.csv").read_text().split()}
    for known, of_test in zip(VIDEO_LISTS, (False, True), strict=True):
        films = [p for p in (ava / "videos").iterdir() if (p.stem in tests) == of_test]
        places[known.entry.path].write_text("".join(f"{path.name}\n" for path in films))
        folder = mirror / urlsplit(known.folder).path.lstrip("/")
        folder.mkdir(parents=True)
        for path in films:
            shutil.copy(path, folder)


def make_run(world: Path, mirror: Path) -> None:
    """Trained weights, detections and foreign checkpoints, by the names that pages use."""
    words = ("data.root=ava", "output=runs/first", *QUICK, *TINY_MODEL, *BOXES)
    assert main(["train", RECIPE, *words]) == 0
    trained = "runs/first/final.pt"
    assert main(["evaluate", RECIPE, *words, f"weights={trained}"]) == 0
    for name in ("A", "B", "single", "merged", "detections", "other"):
        shutil.copy(world / "runs" / "first" / "detections.csv", world / f"{name}.csv")
    shutil.copy(world / "ava" / "annotations" / "ava_val_v2.2.csv", world)
    shutil.copy(world / "ava_val_v2.2.csv", world / "val.csv")
    shutil.copy(
        world / "ava" / "boxes" / "ava_val_predicted_boxes.csv", world / "ava/published.csv"
    )
    for name in ("ava_60.pbtxt", "labelmap.pbtxt"):
        shutil.copy(world / "ava_detect" / "label_maps" / "ava_60.pbtxt", world / name)
    shutil.copy(world / "ava_detect" / "label_maps" / "ava_80.pbtxt", world / "my.pbtxt")
    shutil.copytree(world / "ava" / "videos", world / "videos")
    (world / "ava_included_timestamps_v2.2.txt").write_text("0902\n0903\n")
    (world / "ava_test_v2.2.txt").write_text("1j20qq1JyX4\n")
    foreign = "SLOWFAST_8x8_R50_DETECTION.pyth"
    assert main(["convert", trained, foreign, "--to", "pyslowfast"]) == 0
    for name in ("kinetics.pyth", "custom.pyth", "detector.pyth"):
        shutil.copy(world / foreign, world / name)
    (entry,) = [entry for entry in ENTRIES if entry.path == f"weights/{foreign}"]
    shutil.copy(world / foreign, mirror / urlsplit(entry.url).path.lstrip("/"))
