"""What a job says, on a terminal and elsewhere."""

import io
import json
import time

import pytest

from ava_detect.engine import logs
from ava_detect.engine.logs import ProgressLog, StatusLine, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told: clock(seconds)."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def advance(seconds):
        now[0] += seconds

    return advance


def run(log, clock, steps, seconds):
    with log:
        for done in steps:
            with log.waiting():
                clock(seconds / 4)
            clock(seconds * 3 / 4)
            log.step(done, loss=1 / done, lr=0.1, clips=8, people=20)


def test_the_figures_of_an_interval(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "peak_memory_gb", lambda device: 1.5)
    path = tmp_path / "run" / "metrics.jsonl"
    stream = io.StringIO()
    log = ProgressLog(6, metrics_path=path, every_steps=4, every_seconds=99, stream=stream)
    run(log, clock, range(1, 7), seconds=2.0)
    first, last = map(json.loads, path.read_text().splitlines())
    assert first == {
        "step": 4,
        "loss": pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4),
        "lr": 0.1,
        "clips_per_s": 4.0,
        "people_per_s": 10.0,
        "skipped_clips": 0,
        "step_s": 2.0,
        "data_s": 0.5,
        "data_time_share": 0.25,
        "memory_gb": 1.5,
        "eta_s": 4.0,
    }
    assert (last["step"], last["loss"]) == (6, pytest.approx((1 / 5 + 1 / 6) / 2))
    speed = "lr 1.00e-01  4.0 clips/s  10.0 people/s  2.000 s (data 0.500) a step  1.5 GB"
    assert stream.getvalue().splitlines() == [
        f"train 4/6  loss 0.5208  {speed}  0:04 left",
        f"train 6/6  loss 0.1833  {speed}  0:00 left",
    ]


def test_the_loss_is_that_of_all_people_and_unknown_of_nobody(clock, tmp_path):
    path = tmp_path / "metrics.jsonl"
    stream = io.StringIO()
    with ProgressLog(4, metrics_path=path, every_steps=2, stream=stream) as log:
        for done, (loss, people) in enumerate([(1.0, 3), (5.0, 1), (0.0, 0), (0.0, 0)], 1):
            clock(1.0)
            log.step(done, loss=loss, lr=0.1, clips=2, people=people)
    figures = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["loss"] for line in figures] == [2.0, None]
    assert "train 4/4  loss of nobody  lr" in stream.getvalue()


def test_slow_steps_are_told_after_some_seconds(clock):
    stream = io.StringIO()
    run(ProgressLog(5, every_seconds=10, stream=stream), clock, range(1, 5), seconds=6.0)
    told = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert told == ["2/5", "4/5"]


def test_time_left_counts_from_where_the_run_was_resumed(clock, tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = ProgressLog(100, first_step=90, metrics_path=path, every_steps=5, stream=io.StringIO())
    run(log, clock, range(91, 96), seconds=1.0)
    assert json.loads(path.read_text())["eta_s"] == 5.0


def test_a_terminal_has_one_line_that_changes(clock):
    stream = Terminal()
    log = ProgressLog(30, stream=stream)
    run(log, clock, range(1, 31), seconds=0.15)
    log.note("done")
    text = stream.getvalue()
    assert text.count("\n") == 2
    assert text.endswith("\ndone\n")
    assert text.count("\r") == 15  # at most five times a second
    assert all(len(line) < 90 for line in text.split("\r\x1b[2K"))


def test_metrics_after_the_resumed_step_go(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\nnot JSON\n{"step": 2')
    ProgressLog(9, first_step=2, metrics_path=path)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_track_yields_everything_and_ends_its_line(clock):
    class Slow(list):
        def __iter__(self):
            for batch in super().__iter__():
                clock(2.0)
                yield batch

    def seconds_each(batches):
        for batch in track(batches, "evaluate", line):
            clock(4.0)
            yield batch

    line = StatusLine(stream := io.StringIO())
    assert list(seconds_each(Slow("abcde"))) == list("abcde")
    assert stream.getvalue().splitlines() == [
        "evaluate 2/5 batches  6.000 s (data 2.000) a batch  0:18 left",
        "evaluate 4/5 batches  6.000 s (data 2.000) a batch  0:06 left",
        "evaluate 5/5 batches  6.000 s (data 2.000) a batch  0:00 left",
    ]
    line = StatusLine(stream := Terminal())
    assert list(seconds_each(iter(Slow("ab")))) == ["a", "b"]  # no length: no time left
    assert (
        stream.getvalue()
        == "".join(
            f"\r\x1b[2Kevaluate {done} batches  6.000 s (data 2.000) a batch" for done in (1, 2)
        )
        + "\n"
    )
    assert list(track("ab", "evaluate", None)) == ["a", "b"]
