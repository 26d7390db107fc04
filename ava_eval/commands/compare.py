"""``ava-eval compare``."""

from __future__ import annotations

import argparse

import numpy as np

from ava_eval.commands.arguments import load, require_draws
from ava_eval.commands.output import progress_of_draws, warn, warn_of_few_videos, write_json
from ava_eval.comparison import Comparison
from ava_eval.comparison import compare as compare_scored
from ava_eval.notices import notices
from ava_eval.text import count, number


def compare(arguments: argparse.Namespace) -> int:
    """Print what changed from one file to the other; the exit code."""
    require_draws(arguments)
    inputs, protocol = load(arguments, files=2)
    a, b = (inputs.score(protocol, file=file) for file in range(2))
    with progress_of_draws(2 * len(inputs.classes)) as on_class:
        comparison = compare_scored(
            a, b, inputs.classes, arguments.resamples, arguments.seed, on_class
        )
    if arguments.json is not None:
        write_json(arguments.json, comparison.to_json() | {"inputs": inputs.files})
    results = (comparison.a, comparison.b)
    warn(line for i, one in enumerate(results) for line in notices(one, inputs, protocol, i))
    warn_of_few_videos(comparison.num_videos)
    print(_text(comparison, arguments.detections))
    return 0


def _text(comparison: Comparison, paths: list[str]) -> str:
    a, b, classes = comparison.a, comparison.b, comparison.a.classes
    intervals, moved, deltas = (
        comparison.class_intervals,
        comparison.moved,
        comparison.class_deltas,
    )
    width = max([len("class"), *(len(name) for name in classes.names)])
    lines = [f"A {paths[0]}", f"B {paths[1]}", ""]
    lines.append(f"{'id':>4}  {'class':<{width}}  {'A':>7}  {'B':>7}  {'B - A':>7}  95% interval")
    order = np.argsort(-np.nan_to_num(np.abs(deltas)), kind="stable")
    lines += [
        f"{classes.ids[i]:>4}  {classes.names[i]:<{width}}  {number(a.ap[i]):>7}  "
        f"{number(b.ap[i]):>7}  {_signed(deltas[i]):>7}  {_interval(intervals[i])}"
        + ("  moved" if moved[i] else "")
        for i in order
    ]
    (low_a, low_b), draws = (
        (comparison.resamples_a.intervals()[0], comparison.resamples_b.intervals()[0]),
        len(comparison.resamples_a.mean),
    )
    better, equal = comparison.shares
    lines += [
        "",
        f"mAP A  {number(a.mean)}  {_interval(low_a, signed=False)}",
        f"mAP B  {number(b.mean)}  {_interval(low_b, signed=False)}",
        f"B - A  {_signed(comparison.delta)}  {_interval(comparison.delta_interval)}, B better in "
        + ("-" if better != better else f"{better:.1%}, equal in {equal:.1%}")
        + f" of {draws} resamples of {count(comparison.num_videos, 'video')}",
        f"{int(moved.sum())} of {int((~np.isnan(deltas)).sum())} classes moved: their interval "
        "leaves out zero (1 in 20 does by chance)",
        f"protocol {a.protocol}, equal scores {a.ties}",
    ]
    return "\n".join(lines)


def _signed(value: float) -> str:
    """Four decimals; a digit of what is not zero but would look so, as +3e-05."""
    if 0 < abs(value) < 0.00005:
        return f"{value:+.0e}"
    return "-" if value != value else f"{value:+.4f}"


def _interval(bounds: np.ndarray | list[float], signed: bool = True) -> str:
    show = _signed if signed else number
    return f"[{show(bounds[0])}, {show(bounds[1])}]"
