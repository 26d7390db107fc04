"""The demo world on disk: videos, AVA's CSV files and the label map."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from ava_detect.synthetic import trimmed
from ava_detect.synthetic.names import video_id
from ava_detect.synthetic.scene import HEIGHT, WIDTH, Person, Scene
from ava_detect.synthetic.script import Action
from ava_detect.synthetic.trimmed import TrimmedPlan, make_trimmed
from ava_detect.synthetic.video import write_video
from ava_eval import InputError, read_label_map
from ava_eval.atomic import atomic_path

VERSION = 2  # raise it whenever the same settings give another world
FPS = 15
SPLITS = ("train", "val", "test")
LEAST_VISIBLE = 0.5  # share of a body; who is hidden more is not annotated
Plan = TypeVar("Plan")
Made = TypeVar("Made")
AVA_LABEL_MAP = Path(__file__).parents[1] / "label_maps" / "ava_80.pbtxt"
CASTS = (2, 3, 2, 4, 1, 3, 2, 3, 4)  # figures in a split's videos, over and over


@dataclass(frozen=True)
class Settings:
    """What a world is a function of."""

    seed: int
    train_videos: int
    val_videos: int
    test_videos: int
    train_clips: int
    val_clips: int
    seconds: int
    fps: int
    version: int = VERSION

    def check(self) -> None:
        """Raise InputError unless there is something to make."""
        least = {"seed": 0, "seconds": 2, "fps": 1}
        for name, value in asdict(self).items():
            if value < least.get(name, 0):
                raise InputError(f"{name}: expected at least {least.get(name, 0)}, got {value}")


@dataclass(frozen=True)
class VideoPlan:
    """One video to make. It depends on seed, split and index, on no other video."""

    settings: Settings
    split: str
    index: int

    def random(self, purpose: int) -> np.random.Generator:
        """A stream of random numbers of this video's own."""
        return np.random.default_rng(
            [self.settings.seed, SPLITS.index(self.split), self.index, purpose]
        )

    @property
    def video_id(self) -> str:
        """Eleven characters as YouTube's."""
        return video_id(self.random(1), self.index)


@dataclass(frozen=True)
class VideoRecord:
    """What the annotators saw in one video."""

    plan: VideoPlan
    people: dict[int, list[Person]]  # by second, of every keyframe
    excluded: list[int]  # seconds


def make_world(
    folder: str | Path,
    *,
    seed: int = 0,
    train_videos: int = 100,
    val_videos: int = 25,
    test_videos: int = 6,
    train_clips: int = 880,
    val_clips: int = 220,
    seconds: int = 30,
    fps: int = FPS,
    workers: int = 2,
    log: Callable[[str], None] | None = None,
) -> None:
    """Write the demo world into ``folder``; do nothing if it is there, made of the same settings.

    The folder gets ``videos/ID.mp4`` (160x120, H.264, from 0 s), ``train.csv`` and ``val.csv``
    (AVA v2.2: 8 columns; 2 where a keyframe shows nobody), ``test_keyframes.csv``,
    ``{train,val,test}_excluded.csv``, ``labelmap.pbtxt``; ``kinetics/ID_START_END.mp4``, clips of
    one action each, with ``kinetics_{train,val}.csv``; and, when all else is complete,
    ``world.json``. Keyframes are the whole seconds from 1 to ``seconds - 1``.

    The annotations are a function of the settings alone, whatever the number of ``workers``
    (processes; 1 works in this one). Raises InputError for settings that make no world.
    """
    settings = Settings(
        seed, train_videos, val_videos, test_videos, train_clips, val_clips, seconds, fps
    )
    settings.check()
    folder = Path(folder)
    plans = [VideoPlan(settings, split, i) for split in SPLITS for i in _indices(settings, split)]
    clips = [
        TrimmedPlan(seed, split, index, fps)
        for split, count in zip(trimmed.SPLITS, (train_clips, val_clips), strict=True)
        for index in range(count)
    ]
    log = log or (lambda line: None)
    if _is_finished(folder, settings, plans, clips):
        log(f"the demo world is in {folder} already")
        return
    _clear(folder)
    records = []
    for record in _make_all(make_video, folder / "videos", plans, workers):
        records.append(record)
        if len(records) % 20 == 0 or len(records) == len(plans):
            log(f"demo world: {len(records)} of {len(plans)} videos")
    _write_tables(folder, records)
    label_map = read_label_map(folder / "labelmap.pbtxt")
    for _ in _make_all(make_trimmed, folder / trimmed.FOLDER, clips, workers):
        pass
    trimmed.write_lists(folder, clips, label_map)
    log(f"demo world: {len(clips)} clips of one action")
    finished = asdict(settings) | {
        "videos": [plan.video_id for plan in plans],
        "clips": [plan.name for plan in clips],
    }
    with atomic_path(folder / "world.json") as temporary:
        temporary.write_text(json.dumps(finished, indent=1) + "\n")


def _indices(settings: Settings, split: str) -> range:
    return range(getattr(settings, f"{split}_videos"))


def _is_finished(
    folder: Path, settings: Settings, plans: list[VideoPlan], clips: list[TrimmedPlan]
) -> bool:
    old = _old_world(folder)
    if any(old.get(name) != value for name, value in asdict(settings).items()):
        return False
    files = [folder / "videos" / f"{plan.video_id}.mp4" for plan in plans]
    files += [folder / trimmed.FOLDER / f"{plan.name}.mp4" for plan in clips]
    return all(path.is_file() for path in files)


def _clear(folder: Path) -> None:
    """Remove the mark of a finished world of other settings, then its videos."""
    old = _old_world(folder)
    (folder / "world.json").unlink(missing_ok=True)
    for place, key in (("videos", "videos"), (trimmed.FOLDER, "clips")):
        made = set(old.get(key, ()))
        for path in (folder / place).glob("*.mp4"):
            if path.stem in made:
                path.unlink()


def _old_world(folder: Path) -> dict:
    """The settings and videos of the world that is in the folder, or nothing."""
    path = folder / "world.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        remedy = "remove the file, or choose another folder"
        raise InputError.at(path, None, None, "a demo world's settings", remedy=remedy) from error


def _make_all(
    make: Callable[[Path, Plan], Made], folder: Path, plans: list[Plan], workers: int
) -> Iterator[Made]:
    """What ``make`` returns, in the order of the plans."""
    folders = [folder] * len(plans)
    if workers <= 1:
        yield from map(make, folders, plans)
        return
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield from pool.map(make, folders, plans, chunksize=4)


def make_video(folder: Path, plan: VideoPlan) -> VideoRecord:
    """Write one video into ``folder`` and annotate its keyframes."""
    settings = plan.settings
    rng = plan.random(2)
    scene = Scene.draw(
        rng,
        settings.seconds,
        settings.fps,
        cast=CASTS[plan.index % len(CASTS)],
        has_empty_shot=plan.index % 8 == 0,
    )
    images = (scene.render(frame) for frame in range(settings.seconds * settings.fps))
    with atomic_path(folder / f"{plan.video_id}.mp4") as temporary:
        write_video(temporary, images, (WIDTH, HEIGHT), settings.fps)
    people = {second: scene.people(second) for second in range(1, settings.seconds)}
    excluded = {s for s, seen in people.items() if any(p.visible < LEAST_VISIBLE for p in seen)}
    if plan.index % 4 == 0:  # and some where the annotators simply disagreed
        excluded.add(int(rng.integers(1, settings.seconds)))
    return VideoRecord(plan, people, sorted(excluded))


def _write_tables(folder: Path, records: list[VideoRecord]) -> None:
    for split in SPLITS:
        own = [record for record in records if record.plan.split == split]
        excluded = [_key(r, second) for r in own for second in r.excluded]
        _write_lines(folder / f"{split}_excluded.csv", excluded)
        if split == "test":
            keyframes = [_key(r, second) for r in own for second in r.people]
            _write_lines(folder / "test_keyframes.csv", keyframes)
        else:
            _write_lines(folder / f"{split}.csv", [row for r in own for row in _rows(r)])
    names = read_label_map(AVA_LABEL_MAP).set_index("action_id")["name"]
    items = [f'item {{\n  name: "{names[a]}"\n  id: {a.value}\n}}' for a in Action]
    _write_lines(folder / "labelmap.pbtxt", items)


def _rows(record: VideoRecord) -> Iterator[str]:
    """AVA rows of one video: one a person and action, or the key alone where nobody is seen.

    Excluded keyframes have none, as in AVA's own files.
    """
    for second, people in record.people.items():
        if second in record.excluded:
            continue
        key = _key(record, second)
        if not people:
            yield key
        for person in people:
            box = np.divide(person.box, (WIDTH, HEIGHT, WIDTH, HEIGHT))
            corners = ",".join(f"{corner:.3f}" for corner in box)
            for label in person.labels:
                yield f"{key},{corners},{label.value},{person.person_id}"


def _key(record: VideoRecord, second: int) -> str:
    return f"{record.plan.video_id},{second:04d}"


def _write_lines(path: Path, lines: list[str]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines))
