"""The ``ava-eval`` command. Results go to standard output, warnings to standard error."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ava_eval.errors import InputError
from ava_eval.parser import CommandParser

if TYPE_CHECKING:
    from ava_eval.frame_map import FrameMap


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ava-eval``; returns the exit code: 0, or 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="ava-eval", description="Scores spatio-temporal action detections (AVA)."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="AVA's frame-mAP at an overlap of 0.5, as the official script computes it",
        description="AVA's frame-mAP at an overlap of 0.5, as the official script of the "
        "ActivityNet challenge computes it. CSV files may be .gz.",
    )
    add = score.add_argument
    add("-g", "--groundtruth", metavar="GT.csv", required=True, help="annotated boxes")
    add("-d", "--detections", metavar="DET.csv", required=True, help="scored boxes")
    add("-l", "--labelmap", metavar="LABELMAP.pbtxt", required=True, help="the classes that count")
    add("-e", "--excluded", metavar="EXCLUDED.csv", help="keyframes to leave out on both sides")
    add("--protocol", choices=["2020"], default="2020", help="whose rules (default: %(default)s)")
    add(
        "--ties",
        choices=["fp-first"],
        default="fp-first",
        help="the order of equal scores (default: %(default)s: false positives first)",
    )
    add("--json", metavar="FILE", help="write everything as JSON too")
    score.set_defaults(run=_score)
    return parser


def _score(arguments: argparse.Namespace) -> int:
    from ava_eval.atomic import atomic_path
    from ava_eval.csv_rows import read_rows
    from ava_eval.files import annotations_of, detections_of, read_label_map
    from ava_eval.frame_map import evaluate
    from ava_eval.keyframes import distinct_keyframes
    from ava_eval.summary import summary

    label_map = read_label_map(arguments.labelmap)
    truth = read_rows(arguments.groundtruth)
    excluded = read_rows(arguments.excluded) if arguments.excluded else None
    detections = read_rows(arguments.detections)
    result = evaluate(
        annotations_of(truth, strict=False),
        detections_of(detections),
        label_map,
        keyframes=distinct_keyframes(truth.table),
        excluded=None if excluded is None else distinct_keyframes(excluded.table),
        protocol=arguments.protocol,
    )
    if arguments.json:
        inputs = [
            _input("groundtruth", arguments.groundtruth, len(truth.table)),
            _input("detections", arguments.detections, len(detections.table)),
            _input("labelmap", arguments.labelmap, len(label_map)),
        ]
        if excluded is not None:
            inputs.append(_input("excluded", arguments.excluded, len(excluded.table)))
        with atomic_path(arguments.json) as temporary:
            text = json.dumps(result.to_json(inputs), indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    for warning in _warnings(result, arguments):
        print(f"warning: {warning}", file=sys.stderr)
    print(summary(result, with_exclusions=excluded is not None))
    return 0


def _input(role: str, path: str, rows: int) -> dict[str, Any]:
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"role": role, "path": path, "sha256": digest, "rows": rows}


def _warnings(result: FrameMap, arguments: argparse.Namespace) -> list[str]:
    """What happened to rows that a user may not expect, and what to do about each."""
    truth, found = arguments.groundtruth, arguments.detections
    messages = {
        "ignored_keyframes": f"keyframes of {found} are not in {truth}: their detections were "
        "ignored; if nobody acts there, add rows of 'video_id,timestamp' to the ground truth",
        "detections_unlisted": f"detections in {found} are of actions that {arguments.labelmap} "
        "does not list: they were skipped",
        "groundtruth_unlisted": f"boxes in {truth} are of actions that {arguments.labelmap} does "
        "not list: they were skipped",
        "dropped_by_capacity": f"detections in {found} are beyond the best 50 of their keyframe: "
        "they were dropped; write at most 50 rows a keyframe",
        "invalid_boxes": f"detections in {found} have no area, inverted corners or NaN: they were "
        "dropped; correct what wrote them",
        "outside_boxes": "boxes reach outside [0, 1]: they were scored as they are; coordinates "
        "are fractions of the frame's width and height",
        "infinite_scores": f"scores in {found} are infinite: they were ranked as such; "
        "correct what wrote them",
    }
    warnings = [
        f"{result.counts[name]} {message}"
        for name, message in messages.items()
        if result.counts[name]
    ]
    if result.mean != result.mean:
        warnings.append(f"no class of {arguments.labelmap} has ground truth: the mAP is undefined")
    return warnings
