"""``ava-eval score``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from ava_eval.commands.output import write_json
from ava_eval.errors import InputError
from ava_eval.frame_map import frame_map, get_protocol, get_ties, null_if_nan
from ava_eval.inputs import Inputs, read_inputs
from ava_eval.notices import notices
from ava_eval.protocol import Protocol
from ava_eval.statistics import Bootstrap, bootstrap
from ava_eval.summary import summary


def score(arguments: argparse.Namespace) -> int:
    """Print the frame-mAP; the exit code."""
    ties = get_ties(arguments.ties)
    inputs, protocol = load(arguments)
    scored = inputs.score(protocol, ties)
    result = frame_map(scored, inputs.classes)
    drawn = None
    if arguments.resamples is not None:
        require_resamples(arguments.resamples)
        drawn = bootstrap([scored], arguments.resamples, arguments.seed)[0]
        warn_of_few_videos(len(scored.videos))
    if arguments.json is not None:
        answer = result.to_json(inputs.files)
        write_json(arguments.json, answer if drawn is None else _with_intervals(answer, drawn))
    warn(notices(result, inputs, protocol))
    print(summary(result, with_exclusions=arguments.excluded is not None, drawn=drawn))
    return 0


def _with_intervals(answer: dict[str, Any], drawn: Bootstrap) -> dict[str, Any]:
    """The answer with the interval of the mAP and of each AP."""
    of_mean, of_classes = drawn.intervals()
    place = {number: row for row, number in enumerate(sorted(c["id"] for c in answer["classes"]))}
    for row in answer["classes"]:
        row["ap_interval"] = [null_if_nan(bound) for bound in of_classes[place[row["id"]]]]
    interval = {"mAP_interval": [null_if_nan(bound) for bound in of_mean]}
    return answer | interval | {"resamples": len(drawn.mean)}


def require_resamples(number: int) -> None:
    """Raise ``InputError`` for a number that cannot be drawn."""
    if number < 1:
        raise InputError(f"--resamples: expected a number from 1 on, got {number}")


def warn_of_few_videos(number: int) -> None:
    """A bootstrap over videos needs several."""
    if number < 2:
        warn(["there are fewer than two videos: the intervals say nothing"])


def load(arguments: argparse.Namespace) -> tuple[Inputs, Protocol]:
    """The files and the rules that the arguments of a scoring command name."""
    protocol = get_protocol(arguments.protocol)
    detections = arguments.detections
    inputs = read_inputs(
        arguments.groundtruth,
        [detections] if isinstance(detections, str) else detections,
        arguments.labelmap,
        arguments.excluded,
        digests=arguments.json is not None,
    )
    return inputs, protocol


def warn(notices: Iterable[str]) -> None:
    """Say on standard error what a user may not expect, each thing once."""
    for notice in dict.fromkeys(notices):
        print(f"warning: {notice}", file=sys.stderr)
