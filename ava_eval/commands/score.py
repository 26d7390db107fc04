"""``ava-eval score``."""

from __future__ import annotations

import argparse
import sys

from ava_eval.commands.output import write_json
from ava_eval.frame_map import frame_map, get_protocol, get_ties
from ava_eval.inputs import read_inputs
from ava_eval.notices import notices
from ava_eval.summary import summary


def score(arguments: argparse.Namespace) -> int:
    """Print the frame-mAP; the exit code."""
    protocol, ties = get_protocol(arguments.protocol), get_ties(arguments.ties)
    inputs = read_inputs(
        arguments.groundtruth,
        [arguments.detections],
        arguments.labelmap,
        arguments.excluded,
        digests=arguments.json is not None,
    )
    result = frame_map(inputs.score(protocol, ties), inputs.classes)
    if arguments.json is not None:
        write_json(arguments.json, result.to_json(inputs.files))
    for notice in notices(result, inputs, protocol):
        print(f"warning: {notice}", file=sys.stderr)
    print(summary(result, with_exclusions=arguments.excluded is not None))
    return 0
