"""The journal of `propose`: what it gives back, after a kill at any byte too."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from ava_detect.proposals.batches import Batch
from ava_detect.proposals.journal import Journal, differences
from ava_detect.proposals.proposer import Found
from ava_eval.errors import InputError

FACTS = {"detector": "small", "min_score": 0.05, "weights": "ab" * 32, "sizes": (1, 2)}
NOBODY = np.empty((0, 5))
PARTS = [
    Found(
        Batch("a", (902.0, 902.1, 903.5)),
        (np.array([[0.1, 0.123457, 1 / 3, 0.7, 0.98], [0, 0, 1, 1, 0.05]]), NOBODY, "it's \n torn"),
    ),
    Found(Batch("ü", (0.0,)), (np.array([[0.2, 0.2, 0.4, 0.4, 0.5]]),)),
    Found(Batch("a", (905.0,)), (NOBODY,)),
]


def journal(folder: Path, digest: str | None = "d1", **facts: object) -> Journal:
    return Journal(folder / "boxes.csv.part", FACTS | facts, lambda video_id: digest)


def write(journal: Journal, parts: list[Found]) -> Path:
    """The file of a process that found these."""
    before = set(journal.folder.glob("*"))
    with journal.writing() as add:
        for found in parts:
            add(found)
    (path,) = set(journal.folder.glob("*")) - before
    return path


def assert_same(some: list[Found], others: list[Found]) -> None:
    assert [found.batch for found in some] == [found.batch for found in others]
    for one, other in zip(some, others, strict=True):
        assert one.unreadable == other.unreadable
        assert one.people.keys() == other.people.keys()
        for key, rows in one.people.items():
            assert rows.dtype == np.float64
            assert rows.shape == other.people[key].shape
            assert rows.tobytes() == other.people[key].tobytes()


def test_it_gives_back_what_was_written_bit_by_bit(tmp_path: Path) -> None:
    assert journal(tmp_path).recall() == []
    path = write(journal(tmp_path), PARTS)
    assert_same(journal(tmp_path).recall(), PARTS)
    first, second, *_ = path.read_text().splitlines()
    assert json.loads(first) == {"layout": 1, **FACTS, "sizes": [1, 2]}
    assert json.loads(second)["times"] == [902.0, 902.1, 903.5]


def test_all_processes_and_starts_count(tmp_path: Path) -> None:
    for found in PARTS:
        write(journal(tmp_path), [found])
    recalled = sorted(journal(tmp_path).recall(), key=lambda found: found.batch.times, reverse=True)
    assert_same(recalled, [PARTS[2], PARTS[0], PARTS[1]])


def test_each_batch_is_on_disk_before_the_next_begins(tmp_path: Path) -> None:
    with journal(tmp_path).writing() as add:
        for count, found in enumerate(PARTS, 1):
            add(found)
            assert len(journal(tmp_path).recall()) == count


def test_a_kill_at_any_byte_costs_at_most_the_line_that_it_tears(tmp_path: Path, caplog) -> None:
    path = write(journal(tmp_path), PARTS)
    content = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends)
        assert_same(journal(tmp_path).recall(), PARTS[: max(0, whole - 1)])
    assert not caplog.messages


def test_what_follows_a_damaged_line_is_done_again(tmp_path: Path) -> None:
    path = write(journal(tmp_path), PARTS)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * (len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    assert_same(journal(tmp_path).recall(), PARTS[:1])


def test_a_journal_of_other_settings_waits_and_is_told_in_one_line(tmp_path: Path, caplog) -> None:
    for found in PARTS[:2]:
        write(journal(tmp_path), [found])
    changed = journal(tmp_path, min_score=0.1, weights="cd" * 32)
    write(changed, PARTS[2:])
    assert_same(changed.recall(), PARTS[2:])
    (message,) = caplog.messages
    assert "min_score 0.05, now 0.1; weights abababababab..., now cdcdcdcdcdcd..." in message
    assert "\n" not in message
    assert len(journal(tmp_path).recall()) == 2
    changed.remove()
    assert journal(tmp_path).recall() == []


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv.part").write_text("a file")
    with pytest.raises(InputError, match=r"jsonl: cannot be made: ") as caught:
        write(journal(tmp_path), PARTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("digest", ["d2", None])
def test_a_video_that_has_changed_is_done_again(tmp_path: Path, digest: str | None) -> None:
    write(journal(tmp_path, digest), PARTS[:1])
    write(Journal(journal(tmp_path).folder, FACTS, {"ü": "x"}.get), PARTS[1:2])
    current = Journal(journal(tmp_path).folder, FACTS, {"a": "d1", "ü": "x"}.get)
    assert_same(current.recall(), PARTS[1:2])


def test_a_full_disk_is_told_with_the_file(tmp_path: Path, monkeypatch) -> None:
    class Full:
        def __init__(self, *_: object, **__: object) -> None:
            self.room = 1

        def write(self, _: str) -> None:
            self.room -= 1
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None: ...

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", Full)
    with (
        pytest.raises(InputError, match=r"boxes\.csv\.part/\w+\.jsonl: cannot be .*No space left"),
        journal(tmp_path).writing() as add,
    ):
        add(PARTS[0])


def test_it_can_be_removed_twice(tmp_path: Path) -> None:
    write(journal(tmp_path), PARTS)
    journal(tmp_path).remove()
    journal(tmp_path).remove()
    assert not list(tmp_path.iterdir())


def test_differences_are_told_in_words() -> None:
    then, now = {"side": None, "name": "a", "old": 1}, {"side": 800, "name": "a", "new": "x y"}
    assert differences(then, now) == ["side null, now 800", "new null, now x y", "old 1, now null"]
