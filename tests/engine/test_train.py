"""The loop: exact resumption, signals, divergence, what it reports."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ava_detect.engine import distributed
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.checkpoint import latest, step_path
from ava_detect.engine.train import Interrupted, TrainingDiverged, step_seed
from ava_eval.errors import InputError


class KilledError(Exception):
    """Stands for the end of the process."""


def die_at(step, batch):
    def next_batch(number):
        if number == step:
            raise KilledError
        return batch(number)

    return next_batch


def assert_bit_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer_name": "sgd"},
        {"optimizer_name": "adamw", "ema": 0.9},
        {"optimizer_name": "sgd", "dtype": torch.bfloat16, "clip_grad": None},
    ],
    ids=["sgd", "adamw-ema", "sgd-bfloat16"],
)
@pytest.mark.parametrize("killed_at", [5, 8], ids=["after-saving", "between"])
def test_a_killed_run_goes_on_bit_for_bit(settings, killed_at, toy_run, toy_batch):
    straight = toy_run("straight", **settings).go()
    run = toy_run("killed", **settings)
    with pytest.raises(KilledError):
        replace(run, batch=die_at(killed_at, toy_batch)).go()
    (run.folder / ".step-00000010-x1.pt").write_bytes(b"what a writer left that was killed")
    torch.rand(3)  # another process has other random numbers
    assert latest(run.folder).step == 5
    assert_bit_equal(run.go(), straight)
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "metrics.jsonl",
        "step-00000005.pt",
        "step-00000010.pt",
    ]


def test_a_damaged_checkpoint_costs_steps_but_not_exactness(toy_run, toy_batch):
    straight = toy_run("straight", save_every=3).go()
    run = toy_run("killed", save_every=3)
    with pytest.raises(KilledError):
        replace(run, batch=die_at(8, toy_batch)).go()
    newest = step_path(run.folder, 6)
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert_bit_equal(run.go(), straight)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_saves_the_step_and_leaves(number, code, toy_run, toy_batch):
    def signalled(step):
        if step == 2:
            os.kill(os.getpid(), number)
        return toy_batch(step)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    straight = toy_run("straight").go()
    run = toy_run("stopped")
    with pytest.raises(Interrupted) as stopped:
        replace(run, batch=signalled).go()
    assert stopped.value.code == code
    assert f"{number.name}: stopped after step 3, which is saved" in run.stderr.getvalue()
    assert latest(run.folder).step == 3
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert_bit_equal(run.go(), straight)


def test_a_second_signal_acts_at_once(toy_run, toy_batch):
    def impatient(step):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return toy_batch(step)

    run = toy_run(batch=impatient)
    # A shell starts background jobs with SIGINT ignored; here it is to act as on a terminal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.go()
    finally:
        signal.signal(signal.SIGINT, before)
    assert latest(run.folder) is None


def test_a_loss_that_is_not_finite_stops_before_the_update(toy_run, toy_batch):
    def poisoned(step):
        batch = toy_batch(step)
        if step == 6:
            batch.rois[:, 3] = float("nan")
        return batch

    run = toy_run(batch=poisoned)
    with pytest.raises(TrainingDiverged) as diverged:
        run.go()
    text = str(diverged.value)
    assert "\n" not in text
    assert "at step 7: loss nan" in text
    (part,) = diverged.value.parts
    assert part.rows.tolist() == [24, 25, 26, 27]
    kept = latest(run.folder)
    assert kept.step == 5
    assert all(value.isfinite().all() for value in kept.model.values())
    assert all(parameter.isfinite().all() for parameter in run.model.parameters())


def test_a_gradient_that_is_not_finite_stops_too(toy_run):
    def vertical(logits, labels):
        """0, whose slope is 0 * infinity."""
        return (logits * 0).abs().sqrt().sum()

    with pytest.raises(TrainingDiverged, match=r"at step 1: loss 0\.0, gradient norm nan"):
        toy_run(loss=vertical).go()


def test_half_precision_without_scaling_is_refused(toy_run):
    with pytest.raises(InputError, match=r"precision: .* float32 or bfloat16, got torch\.float16"):
        toy_run(dtype=torch.float16).go()


def test_too_few_batches_are_an_error(toy_run):
    run = toy_run()
    run._batches = lambda first_step: iter([])
    with pytest.raises(ValueError, match="ended after 0 of 10 steps"):
        run.go()


def test_the_steps_are_those_of_a_plain_loop(toy_run, toy_batch, toy_model):
    """Ten steps of the loop against the same ten written down plainly."""
    torch.manual_seed(0)
    model = type(toy_model)()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 1e-2}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    average = WeightAverage(model, 0.9)
    for step in range(10):
        after_warmup = 0.05 * (math.cos(math.pi * max(step, 3) / 10) + 1)
        lr = after_warmup if step >= 3 else 0.01 + (after_warmup - 0.01) * step / 3
        for group in optimizer.param_groups:
            group["lr"] = lr
        batch = toy_batch(step)
        torch.manual_seed(step_seed(0, step))
        logits = model(batch.frames, batch.rois)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(logits, batch.labels).backward()
        optimizer.step()
        average.update(model, step + 1)
    trained = toy_run(clip_grad=None, ema=0.9).go()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(trained[key], value, msg=key)
        torch.testing.assert_close(trained[f"average.{key}"], average.state[key], msg=key)


def test_the_gradient_is_clipped(toy_run):
    """One step of SGD moves the weights by lr * (1 + momentum) * the clipped norm at most."""
    run = toy_run(num_steps=1, clip_grad=1e-3)
    start = toy_run("start", num_steps=1, lr=0.0).go()
    moved = run.go()
    names = ["hidden.bias", "norm.weight", "norm.bias", "classifier.bias"]  # not decayed
    distance = math.sqrt(sum((moved[n] - start[n]).square().sum().item() for n in names))
    assert 0 < distance <= 0.01 * 1.9 * 1e-3 * 1.001  # the first rate is 0.1 of the base rate


def test_a_batch_without_people_changes_nothing_but_decay(toy_run, toy_batch):
    def nobody(step):
        batch = toy_batch(step)
        return replace(batch, rois=batch.rois[:0], labels=batch.labels[:0], rows=batch.rows[:0])

    run = toy_run(num_steps=1, batch=nobody)
    weights = run.go()
    start = toy_run("start", num_steps=1, lr=0.0, batch=nobody).go()
    assert torch.equal(weights["classifier.bias"], start["classifier.bias"])


def test_random_numbers_of_a_step_are_its_own(monkeypatch):
    seeds = {step_seed(seed, step) for seed in range(3) for step in range(100)}
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    seeds |= {step_seed(seed, step) for seed in range(3) for step in range(100)}
    assert len(seeds) == 600


def test_parts_of_a_batch_make_the_step_of_the_whole(toy_run):
    """Three people of four in one part count three times as much as one in the other."""
    whole = toy_run("whole", deterministic=True).go()
    halves = toy_run("halves", deterministic=True, parts=2).go()
    thirds = toy_run("thirds", deterministic=True, parts=3).go()
    for key, value in whole.items():
        torch.testing.assert_close(halves[key], value, msg=key)
        torch.testing.assert_close(thirds[key], value, msg=key)
    losses = [
        [json.loads(line)["loss"] for line in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (toy_run("whole").folder, toy_run("thirds").folder)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_evaluations_are_logged_saved_before_and_change_nothing(toy_run):
    seen = []

    def evaluate(model, step):
        assert latest(run.folder).step == step
        seen.append(step)
        return {"mAP": step / 100}

    run = toy_run("with", evaluate=evaluate)
    weights = run.go()
    assert seen == [4, 8, 10]
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line for line in lines if "val_mAP" in line]
    assert evaluated == [{"step": s, "val_mAP": s / 100} for s in seen]
    assert len(lines) == 13
    assert "evaluated after step 8/10  mAP 0.0800" in run.stderr.getvalue()
    for key, value in toy_run("without").go().items():
        assert torch.equal(weights[key], value), key


def test_an_evaluation_that_a_run_died_in_is_made_up_for(toy_run):
    steps = []

    def dies_at_first(model, step):
        steps.append(step)
        if steps == [4, 8]:
            raise KilledError
        return {"mAP": 0.5}

    run = toy_run(evaluate=dies_at_first)
    with pytest.raises(KilledError):
        run.go()
    run.go()
    run.go()  # finished: nothing to make up for
    assert steps == [4, 8, 8, 10]


def test_a_signal_in_an_evaluation_stops_after_it(toy_run):
    def evaluate(model, step):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"mAP": 0.5}

    run = toy_run(evaluate=evaluate)
    with pytest.raises(Interrupted):
        run.go()
    assert latest(run.folder).step == 4
    assert "SIGTERM: stopped after step 4" in run.stderr.getvalue()


def test_metrics_tell_each_step_once_even_after_a_kill(toy_run, toy_batch):
    run = toy_run()
    with pytest.raises(KilledError):
        replace(run, batch=die_at(8, toy_batch)).go()
    path = run.folder / "metrics.jsonl"
    assert path.read_text().count("\n") == 8
    with path.open("a") as file:
        file.write('{"step": 9, "lo')  # a line that was cut
    run.go()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert set(lines[0]) == {
        "step",
        "loss",
        "lr",
        "clips_per_s",
        "people_per_s",
        "skipped_clips",
        "step_s",
        "data_s",
        "data_time_share",
        "memory_gb",
        "eta_s",
    }
    straight = toy_run("straight")
    straight.go()
    expected = [json.loads(x) for x in (straight.folder / "metrics.jsonl").read_text().splitlines()]
    for key in ("loss", "lr"):
        assert [line[key] for line in lines] == [line[key] for line in expected]
