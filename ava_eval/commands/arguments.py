"""What the arguments of several commands mean."""

from __future__ import annotations

import argparse

from ava_eval.commands.output import require_new_file
from ava_eval.errors import InputError
from ava_eval.evaluation_inputs import Inputs, read_inputs
from ava_eval.frame_map import get_protocol
from ava_eval.protocol import Protocol
from ava_eval.text import count

_MOST_RESAMPLES = 100_000


def load(arguments: argparse.Namespace, files: int = 1) -> tuple[Inputs, Protocol]:
    """The inputs and the rules that the arguments name, with as many ``files`` of detections."""
    require_files(arguments, files, "'ava-eval compare' compares two")
    require_new_file(arguments.json, input_paths(arguments))
    return load_files(arguments, arguments.detections, digests=arguments.json is not None)


def input_paths(arguments: argparse.Namespace) -> list[str | None]:
    """The files that are read, none of which a result may replace."""
    others = (arguments.groundtruth, arguments.labelmap, arguments.excluded)
    return [*arguments.detections, *others]


def require_files(arguments: argparse.Namespace, files: int, remedy_for_more: str) -> None:
    """Raise ``InputError`` for another number of files of detections."""
    got = len(arguments.detections)
    if got != files:
        hint = remedy_for_more if files == 1 else "give -d A.csv -d B.csv"
        raise InputError(f"-d: expected {count(files, 'file')}, got {got}; {hint}")


def load_files(
    arguments: argparse.Namespace, detections: list[str], *, digests: bool
) -> tuple[Inputs, Protocol]:
    """The inputs with these ``detections``, and the rules."""
    protocol = get_protocol(arguments.protocol)
    inputs = read_inputs(
        arguments.groundtruth,
        detections,
        arguments.labelmap,
        arguments.excluded,
        digests=digests,
        progress=True,
    )
    return inputs, protocol


def require_draws(arguments: argparse.Namespace) -> None:
    """Raise ``InputError`` for draws that cannot be made."""
    if not 1 <= arguments.resamples <= _MOST_RESAMPLES:
        got = arguments.resamples
        raise InputError(f"--resamples: expected 1 to {_MOST_RESAMPLES}, got {got}")
    if arguments.seed < 0:
        raise InputError(f"--seed: expected a number from 0 on, got {arguments.seed}")
