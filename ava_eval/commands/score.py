"""``ava-eval score``."""

from __future__ import annotations

import argparse
from typing import Any

from ava_eval.commands.arguments import load, require_draws
from ava_eval.commands.output import progress_of_draws, warn, warn_of_few_videos, write_json
from ava_eval.errors import InputError
from ava_eval.frame_map import frame_map, get_ties, null_if_nan
from ava_eval.notices import notices
from ava_eval.statistics import Bootstrap, bootstrap
from ava_eval.summary import summary


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
        with progress_of_draws(len(inputs.classes)) as on_class:
            drawn = bootstrap([scored], arguments.resamples, arguments.seed, on_class)[0]
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
