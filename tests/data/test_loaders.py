"""A sample is a pure function of what is asked; each keyframe is evaluated exactly once."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

import numpy as np
import pytest
import torch

from ava_detect.data.ava import KeyframeSampling
from ava_detect.data.batch import ClipSample, collate
from ava_detect.data.dataset import ClipDataset
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.loaders import ClipLoader, TrainBatches
from ava_detect.data.transforms import EvalTransform, TrainTransform
from ava_detect.data.walk import WalkedClips
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError

SAMPLING = KeyframeSampling(Timebase(fps=30.0), num_frames=4, sampling_rate=3)


class Counting:
    """Videos of ten seconds; a pixel tells its frame's number, and the size its video.

    ``broken``: (video, frame) pairs that cannot be read.
    """

    def __init__(self, broken: Collection[tuple[str, int]] = ()) -> None:
        self.broken = set(broken)

    def has(self, video_id: str) -> bool:
        return video_id.isdigit()

    def frame_times(self, video_id: str) -> np.ndarray:
        return 100 + np.arange(300) / 30

    def walk(self, video_id: str, frames: np.ndarray) -> Iterator[np.ndarray]:
        size = 20 + 2 * int(video_id)
        for number in frames:
            if (video_id, int(number)) in self.broken:
                raise InputError(f"{video_id}: frame {number} is damaged")
            yield np.full((size, size + 4, 3), min(number, 255), np.uint8)

    def read(self, video_id: str, frames: np.ndarray) -> np.ndarray:
        return np.stack([frame for number in frames for frame in self.walk(video_id, [number])])


def keyframe(video: int, second: int, first_row: int, people: int = 2) -> Keyframe:
    boxes = np.tile(np.array([0.1, 0.2, 0.6, 0.9], np.float32), (people, 1))
    rows = np.arange(first_row, first_row + people)
    return Keyframe(str(video), 100.0 + second, rows, boxes, np.eye(people, 3, dtype=np.float32))


KEYFRAMES = [
    keyframe(video, second, 2 * (7 * video + second)) for video in range(3) for second in range(7)
]


def clips(transform, keyframes: list[Keyframe] = KEYFRAMES, source=None) -> ClipDataset:
    return ClipDataset(keyframes, source or Counting(), SAMPLING, transform)


TRAIN = TrainTransform(None, (16, 16), color=0.2, box_jitter=0.1)


def contents(batch) -> list[bytes | None]:
    values = dataclasses.asdict(batch).values()
    return [None if value is None else value.numpy().tobytes() for value in values]


def test_a_sample_is_the_clip_around_its_keyframe() -> None:
    sample = clips(EvalTransform(None))[9, 0]  # video 1, second 2
    assert sample.frames.shape == (4, 22, 26, 3)
    assert sample.frames.dtype == torch.uint8
    assert sample.frames[:, 0, 0, 0].tolist() == [54, 57, 60, 63]
    torch.testing.assert_close(sample.boxes[0], torch.tensor([2.6, 4.4, 15.6, 19.8]))
    assert sample.rows.tolist() == [18, 19]
    assert sample.labels.tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("second", [-1, 11, 900])
def test_a_keyframe_outside_of_its_video_is_an_error(second: int) -> None:
    with pytest.raises(InputError, match=r"video 0: .* outside .* shows 100 to 110 s"):
        clips(EvalTransform(None), [keyframe(0, second, 0)])[0, 0]


def test_workers_and_order_change_no_sample() -> None:
    dataset = clips(TRAIN)
    plan = TrainBatches(len(dataset), 4, seed=5, first_step=0, num_steps=6)
    alone = [contents(batch) for batch in ClipLoader(dataset, plan)]
    assert [contents(batch) for batch in ClipLoader(dataset, plan, workers=2)] == alone
    backwards = [contents(collate([dataset[item] for item in items])) for items in [*plan][::-1]]
    assert backwards[::-1] == alone


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_items_of_a_step_depend_on_seed_and_step_only(world_size: int) -> None:
    settings = {"num_samples": 10, "batch_size": 8, "seed": 3}
    whole = list(TrainBatches(**settings, first_step=0, num_steps=10))
    ranks = [
        list(TrainBatches(**settings, first_step=4, num_steps=6, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    for step, batch in enumerate(whole[4:]):
        parts = [part for rank in ranks for part in rank[step]]
        assert sorted(parts) == sorted(batch)
        assert {len(rank[step]) for rank in ranks} == {8 // world_size}
    other = TrainBatches(num_samples=10, batch_size=8, seed=4, first_step=0, num_steps=10)
    assert list(other) != whole


def test_every_epoch_holds_each_sample_once_and_no_seed_twice() -> None:
    batches = TrainBatches(num_samples=10, batch_size=4, seed=0, first_step=0, num_steps=25)
    items = [item for batch in batches for item in batch]
    epochs = np.array([index for index, _ in items]).reshape(10, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 10
    assert len({seed for _, seed in items}) == 100


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match="3 ranks"):
        TrainBatches(10, 8, seed=0, first_step=0, num_steps=1, world_size=3)
    with pytest.raises(ValueError, match="num_samples"):
        TrainBatches(0, 8, seed=0, first_step=0, num_steps=1)


def walked(batch_size: int = 4, rank: int = 0, world_size: int = 1, source=None) -> WalkedClips:
    source = source or Counting()
    return WalkedClips(KEYFRAMES, source, SAMPLING, EvalTransform(18), batch_size, rank, world_size)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("world_size", [1, 2, 5, 30])
def test_each_keyframe_is_evaluated_once_by_one_rank(batch_size: int, world_size: int) -> None:
    ranks = [ClipLoader(walked(batch_size, rank, world_size)) for rank in range(world_size)]
    batches = [batch for loader in ranks for batch in loader]
    assert sum(map(len, ranks)) == len(batches)
    assert all(len(batch.frames) <= batch_size for batch in batches)
    rows = torch.cat([batch.rows for batch in batches])
    assert rows.tolist() == list(range(2 * len(KEYFRAMES)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_walk_gives_the_clips_that_reading_at_random_gives(workers: int) -> None:
    dataset = clips(EvalTransform(18))
    seen = []
    for batch in ClipLoader(walked(4), workers=workers):
        numbers = [row // 2 for row in batch.rows.tolist()[::2]]
        assert contents(batch) == contents(collate([dataset[number, 0] for number in numbers]))
        seen += numbers
    assert sorted(seen) == list(range(len(KEYFRAMES)))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_skipped_and_counted(workers: int, caplog) -> None:
    """Frame 57 is in the clip of second 2 alone: 54, 57, 60, 63."""
    source = Counting({("1", 57), ("2", 999)} | {("0", number) for number in range(300)})
    loader = ClipLoader(walked(4, source=source), workers=workers, skip=True)
    rows = torch.cat([batch.rows for batch in loader]).tolist()
    lost = [*range(14), 18, 19]
    assert sorted(rows) == [row for row in range(42) if row not in lost]
    assert sorted(loader.unreadable_rows.tolist()) == lost
    assert len(caplog.messages) == 2  # one for each video
    with pytest.raises(InputError, match=r"frame \d+ is damaged"):
        list(ClipLoader(walked(4, source=source), workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_in_training_others_take_the_place_of_what_cannot_be_read(workers: int) -> None:
    broken = Counting({("0", number) for number in range(300)})
    plan = TrainBatches(len(KEYFRAMES), 4, seed=5, first_step=0, num_steps=6)
    loader = ClipLoader(clips(TRAIN, source=broken), plan, workers, skip=True)
    batches = list(loader)
    assert all(len(batch.frames) == 4 for batch in batches)
    assert list(loader.skipped) == ["0"]
    assert loader.skipped.total() > 1
    again = ClipLoader(clips(TRAIN, source=broken), plan, skip=True)
    assert [contents(batch) for batch in again] == [contents(batch) for batch in batches]
    with pytest.raises(InputError, match="is damaged"):
        list(ClipLoader(clips(TRAIN, source=broken), plan, workers))
    nothing = Counting({(str(video), number) for video in range(3) for number in range(300)})
    with pytest.raises(InputError, match=r"none of 400 clips tried could be read; the last: "):
        list(ClipLoader(clips(TRAIN, source=nothing), plan, workers, skip=True))


def sample(people: int, labelled: bool = False, size: int = 8) -> ClipSample:
    return ClipSample(
        frames=torch.zeros(2, size, size, 3, dtype=torch.uint8),
        boxes=torch.ones(people, 4),
        labels=torch.zeros(people, 3) if labelled else None,
        rows=torch.arange(people),
    )


def test_collate_numbers_the_clips_and_takes_those_without_people() -> None:
    batch = collate([sample(2), sample(0), sample(1)])
    assert batch.frames.shape == (3, 2, 8, 8, 3)
    assert batch.rois[:, 0].tolist() == [0, 0, 2]
    assert batch.rows.tolist() == [0, 1, 0]
    assert batch.labels is None
    empty = collate([sample(0, labelled=True)])
    assert empty.rois.shape == (0, 5)
    assert empty.labels.shape == (0, 3)
    assert contents(batch.to("cpu")) == contents(batch)
    with pytest.raises(ValueError, match="one size"):
        collate([sample(1), sample(1, size=6)])
