"""``ava-eval score``."""

from __future__ import annotations

import argparse
import sys

from ava_eval.commands.output import write_json
from ava_eval.frame_map import FrameMap, frame_map, get_protocol, get_ties
from ava_eval.inputs import Inputs, read_inputs
from ava_eval.notices import notices
from ava_eval.protocol import Protocol
from ava_eval.summary import summary


def score(arguments: argparse.Namespace) -> int:
    """Print the frame-mAP; the exit code."""
    ties = get_ties(arguments.ties)
    inputs, protocol = load(arguments)
    result = frame_map(inputs.score(protocol, ties), inputs.classes)
    if arguments.json is not None:
        write_json(arguments.json, result.to_json(inputs.files))
    warn(result, inputs, protocol)
    print(summary(result, with_exclusions=arguments.excluded is not None))
    return 0


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


def warn(result: FrameMap, inputs: Inputs, protocol: Protocol, file: int = 0) -> None:
    """Say on standard error what a user may not expect."""
    for notice in notices(result, inputs, protocol, file):
        print(f"warning: {notice}", file=sys.stderr)
