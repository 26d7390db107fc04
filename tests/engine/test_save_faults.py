"""Saving and reading while processes are killed, disks are full and bytes go bad."""

from __future__ import annotations

import logging
import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ava_detect.engine.checkpoint import (
    Checkpoint,
    latest,
    load_checkpoint,
    save_step,
    step_path,
)
from ava_detect.engine.optim import build_optimizer
from ava_eval.errors import InputError
from tests.forks import Forks

KILLS = 100
SAVE = "tests.engine.saving_job:save_without_end"


def finished(output: Path) -> list[int]:
    """The steps that a saving job has reported."""
    return [int(line) for line in output.read_text().split("\n")[:-1] if line]


def wait_for(output: Path, lines: int) -> None:
    deadline = time.monotonic() + 60
    while not output.exists() or output.read_text().count("\n") < lines:
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.001)


def assert_full_of_its_step(checkpoint: Checkpoint) -> None:
    momenta = checkpoint.optimizer["state"]["state"].values()
    values = [*checkpoint.model.values(), *checkpoint.average.values()]
    values += [state["momentum_buffer"] for state in momenta]
    assert len(values) == 2 * 11 + 8
    for value in values:
        assert bool((value == checkpoint.step).all())


def is_whole(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except InputError:
        return False
    return True


def test_a_kill_at_any_moment_of_a_save(forks: Forks, tmp_path: Path, caplog, capsys) -> None:
    """A hundred writers die, one after the other, in one run: nothing half-written is believed."""
    rng = random.Random(0)
    run = tmp_path / "run"
    half_written = unreported = 0
    seen: set[tuple[str, int]] = set()
    with caplog.at_level(logging.WARNING):
        output = tmp_path / "measured"
        job = forks.start(output, SAVE, run, 1)
        wait_for(output, 1)
        start = time.monotonic()
        wait_for(output, 6)
        pace = (time.monotonic() - start) / 5
        os.kill(job, signal.SIGKILL)
        forks.wait()
        newest = latest(run).step
        leftovers: set[Path] = set()
        for number in range(KILLS):
            output = tmp_path / str(number)
            job = forks.start(output, SAVE, run, newest + 1)
            wait_for(output, 1)
            time.sleep(rng.uniform(0, 2 * pace))
            os.kill(job, signal.SIGKILL)
            assert forks.wait() == -signal.SIGKILL, output.read_text()

            reported = finished(output)
            last = max([newest, *reported])
            assert reported == list(range(newest + 1, last + 1))
            newest = latest(run).step
            assert last <= newest <= last + 1  # renamed, and killed before it could say so
            unreported += newest > last
            files = sorted(run.glob("step-*.pt"))
            assert 2 <= len(files) <= 3  # killed before the oldest was removed
            for path in files:
                if (path.name, path.stat().st_mtime_ns) not in seen:
                    checkpoint = load_checkpoint(path)
                    assert path == step_path(run, checkpoint.step)
                    assert_full_of_its_step(checkpoint)
                    seen.add((path.name, path.stat().st_mtime_ns))

            others = set(run.iterdir()) - set(files)
            if reported:
                assert not others & leftovers
            left = others - leftovers
            assert len(left) <= 1
            half_written += any(path.stat().st_size and not is_whole(path) for path in left)
            leftovers = others
    assert not caplog.records  # of damaged files
    with capsys.disabled():
        print(f"{half_written} half-written, {unreported} unreported; a save: {pace:.3f} s", end="")
    assert half_written >= KILLS / 10


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: a write ends in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_toy(folder: Path, model: torch.nn.Module, step: int) -> Path:
    optimizer = build_optimizer(model, lr=0.1)
    save_step(folder, step=step, model=model, optimizer=optimizer, config="", meta={})
    return step_path(folder, step)


def test_a_disk_that_fills_up_at_any_byte(tmp_path: Path, toy_model, capfd) -> None:
    path = save_toy(tmp_path, toy_model, 1)
    before = path.read_bytes()
    rng = random.Random(1)
    near_the_end = [len(before) - left for left in (1, 2, 70, 71, 72, 73, 74, 100)]
    for size in [0, 1, *near_the_end, *(rng.randrange(len(before)) for _ in range(200))]:
        with largest_file(size), pytest.raises(InputError) as failed:
            save_toy(tmp_path, toy_model, 2)
        text = str(failed.value)
        assert text.startswith(f"{tmp_path / 'step-00000002.pt'}: ")
        assert text.endswith(" be written: File too large")
        assert "\n" not in text, text
        assert len(text) < 300, text
        assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before
    assert latest(tmp_path).step == 1
    assert capfd.readouterr() == ("", "")
    with largest_file(len(before)):  # just enough
        save_toy(tmp_path, toy_model, 2)
    assert latest(tmp_path).step == 2


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip_a_bit(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def zero_a_block(data: bytes, rng: random.Random) -> bytes:
    """What a lost page looks like after a power failure."""
    while True:
        start = rng.randrange(len(data))
        lost = data[start : start + rng.randrange(10, 4097)]
        if any(lost):
            return data[:start] + b"\0" * len(lost) + data[start + len(lost) :]


def append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 200))


@pytest.mark.parametrize("damage", [cut, flip_a_bit, zero_a_block, append])
def test_any_damage_is_noticed_and_the_one_before_taken(
    damage, tmp_path: Path, toy_model, caplog
) -> None:
    before, newest = (save_toy(tmp_path, toy_model, step) for step in (1, 2))
    whole = newest.read_bytes()
    rng = random.Random(2)
    for _ in range(200):
        newest.write_bytes(damage(whole, rng))
        with pytest.raises(InputError) as refused:
            load_checkpoint(newest)
        text = str(refused.value)
        assert text.startswith(f"{newest}: ")
        assert "SHA-256" in text
        assert "\n" not in text
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert latest(tmp_path).path == before
        assert caplog.messages == [f"{text}; going on from step-00000001.pt"]
    newest.write_bytes(whole)
    assert latest(tmp_path).step == 2
    newest.write_bytes(damage(whole, rng))
    before.write_bytes(damage(before.read_bytes(), rng))
    with pytest.raises(InputError, match="step-00000001"):  # not silently from the start
        latest(tmp_path)


@pytest.mark.parametrize("damage", [cut, flip_a_bit, zero_a_block, append])
def test_a_run_goes_on_exactly_after_damage(damage, toy_run) -> None:
    straight = toy_run("straight", save_every=2, optimizer_name="adamw", ema=0.9).go()
    rng = random.Random(3)
    run = toy_run("damaged", save_every=2, optimizer_name="adamw", ema=0.9)
    for _ in range(5):
        run.go()
        newest = max(run.folder.glob("step-*.pt"))
        newest.write_bytes(damage(newest.read_bytes(), rng))
        again = run.go()  # two steps, from step 8
        assert again.keys() == straight.keys()
        for key, value in straight.items():
            assert torch.equal(again[key], value), key
