"""Batches are a function of the keyframes alone, and their images of the batch alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ava_detect.clips.ahead import read_ahead
from ava_detect.proposals.batches import Batch, make_batches, read_batches, share
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError

TIMEBASE = Timebase(fps=10.0)


def table(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["video_id", "timestamp"])


def test_batches_are_of_one_video_each_and_in_the_order_of_time() -> None:
    rows = [("b", 3), ("a", 5), ("b", 1), ("a", 4.5), ("b", 2), ("a", 6), ("a", 7)]
    assert make_batches(table(*rows), 2) == [
        Batch("b", (1.0, 2.0)),
        Batch("b", (3.0,)),
        Batch("a", (4.5, 5.0)),
        Batch("a", (6.0, 7.0)),
    ]
    assert make_batches(table(), 2) == []


@given(st.lists(st.integers(1, 8), max_size=40), st.integers(1, 9))
def test_shares_are_neighbours_and_even(sizes: list[int], parts: int) -> None:
    batches = [Batch("v", tuple(map(float, range(size)))) for size in sizes]
    shares = [share(batches, part, parts) for part in range(parts)]
    assert [batch for some in shares for batch in some] == batches
    for some in shares:
        length = sum(len(batch.times) for batch in some)
        assert abs(length - sum(sizes) / parts) <= 8


class Groups:
    """A ClipSource of frames that show their numbers, ten a second, 50 to a key frame.

    A damaged frame stops whoever decodes on over it; a walk begins at a key frame, and decoding
    goes on over one that is near, as that of files does.
    """

    def __init__(self, *damaged: int, missing: tuple[str, ...] = ()) -> None:
        self.damaged = damaged
        self.missing = missing
        self.walks: list[tuple[str, int]] = []

    def frame_times(self, video_id: str) -> np.ndarray:
        if video_id in self.missing:
            raise InputError(f"{video_id} is missing")
        return np.arange(400) / 10

    def walk(self, video_id: str, frames: np.ndarray) -> Iterator[np.ndarray]:
        self.walks.append((video_id, len(frames)))
        place = frames[0] // 50 * 50
        for number in frames.tolist():
            if number - place > 60:
                place = number // 50 * 50
            for damage in self.damaged:
                if place <= damage <= number:
                    raise InputError(f"{video_id}: frame {damage} is damaged")
            place = number
            yield np.full((2, 2, 3), number % 256, np.uint8)


def told(source: Groups, batches: list[Batch]) -> list[tuple[Batch, list[object]]]:
    """The batches with the numbers that their images show, or what is wrong with these."""
    return [
        (batch, [str(i) if isinstance(i, InputError) else int(i[0, 0, 0]) for i in images])
        for batch, images in read_batches(source, TIMEBASE, batches)
    ]


def test_a_video_is_walked_once() -> None:
    source = Groups()
    times = [0.0, 1.0, 1.01, 2.0, 21.0]
    batches = make_batches(table(*(("a", t) for t in times), ("b", 3.0)), 2)
    assert [shown for _, shown in told(source, batches)] == [[0, 10], [10, 20], [210], [30]]
    assert source.walks == [("a", 4), ("b", 1)]


def test_what_cannot_be_read_costs_no_other_keyframe() -> None:
    source = Groups(112, missing=("b",))
    times = [9.0, 10.0, 11.0, 11.5, 12.0, 15.0, 55.0]
    batches = make_batches(table(*(("a", t) for t in times), ("b", 1.0)), 3)
    damage = "a: frame 112 is damaged"
    shown = [shown for _, shown in told(source, batches)]
    assert shown[:2] == [[90, 100, 110], [damage, damage, 150]]
    assert "lies outside of the file" in str(shown[2][0])
    assert shown[3] == ["b is missing"]


@given(
    st.sets(st.integers(0, 399), max_size=5),
    st.sets(st.integers(0, 420), max_size=30),
    st.integers(1, 5),
    st.data(),
)
def test_images_do_not_depend_on_where_a_run_begins(
    damaged: set[int], numbers: set[int], batch_size: int, data: st.DataObject
) -> None:
    batches = make_batches(table(*(("a", number / 10) for number in numbers)), batch_size)
    whole = told(Groups(*damaged), batches)
    assert whole == [pair for batch in batches for pair in told(Groups(*damaged), [batch])]
    left = [batch for batch in batches if data.draw(st.booleans())]
    assert told(Groups(*damaged), left) == [pair for pair in whole if pair[0] in left]


def test_reading_ahead_stays_in_bounds() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in count():
            made.append(number)
            yield number

    reading = read_ahead(make(), 2)
    for number in range(10):
        assert next(reading) == number
        assert len(made) <= number + 3
    reading.close()
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]
    size = len(made)
    assert size <= 12
    assert list(read_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(read_ahead(iter(()))) == []
    assert len(made) == size


def test_it_reads_while_the_caller_works() -> None:
    second = threading.Event()

    def make() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    reading = read_ahead(make())
    assert next(reading) == 1
    assert second.wait(10)
    assert list(reading) == [2]


def test_an_error_comes_in_its_turn_and_ends_the_thread() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise InputError("damaged")

    reading = read_ahead(make())
    assert next(reading) == 1
    with pytest.raises(InputError, match="damaged"):
        next(reading)
    assert list(reading) == []
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]
