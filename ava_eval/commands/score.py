"""``ava-eval score``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from ava_eval.commands.output import require_new_file, write_json
from ava_eval.errors import InputError
from ava_eval.frame_map import frame_map, get_protocol, get_ties, null_if_nan
from ava_eval.inputs import Inputs, read_inputs
from ava_eval.notices import notices
from ava_eval.protocol import Protocol
from ava_eval.statistics import Bootstrap, bootstrap
from ava_eval.summary import summary
from ava_eval.text import count

_MOST_RESAMPLES = 100_000


def score(arguments: argparse.Namespace) -> int:
    """Print the frame-mAP; the exit code."""
    ties = get_ties(arguments.ties)
    if arguments.resamples is not None:
        require_draws(arguments)
        if ties == "official":
            raise InputError("--resamples: expected --ties fp-first, which the intervals are of")
    inputs, protocol = load(arguments)
    scored = inputs.score(protocol, ties)
    result = frame_map(scored, inputs.classes)
    drawn = None
    if arguments.resamples is not None:
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


def require_draws(arguments: argparse.Namespace) -> None:
    """Raise ``InputError`` for draws that cannot be made."""
    if not 1 <= arguments.resamples <= _MOST_RESAMPLES:
        got = arguments.resamples
        raise InputError(f"--resamples: expected 1 to {_MOST_RESAMPLES}, got {got}")
    if arguments.seed < 0:
        raise InputError(f"--seed: expected a number from 0 on, got {arguments.seed}")


def warn_of_few_videos(number: int) -> None:
    """A bootstrap over videos needs several."""
    if number < 2:
        warn(["there are fewer than two videos: the intervals say nothing"])


def load(arguments: argparse.Namespace, files: int = 1) -> tuple[Inputs, Protocol]:
    """The inputs and the rules that the arguments name, with as many ``files`` of detections."""
    protocol, detections = get_protocol(arguments.protocol), arguments.detections
    if len(detections) != files:
        hint = "; 'ava-eval compare' compares two" if files == 1 else "; give -d A.csv -d B.csv"
        raise InputError(f"-d: expected {count(files, 'file')}, got {len(detections)}{hint}")
    others = (arguments.groundtruth, arguments.labelmap, arguments.excluded)
    require_new_file(arguments.json, [*detections, *others])
    inputs = read_inputs(
        arguments.groundtruth,
        detections,
        arguments.labelmap,
        arguments.excluded,
        digests=arguments.json is not None,
    )
    return inputs, protocol


def warn(notices: Iterable[str]) -> None:
    """Say on standard error what a user may not expect, each thing once."""
    for notice in dict.fromkeys(notices):
        print(f"warning: {notice}", file=sys.stderr)
