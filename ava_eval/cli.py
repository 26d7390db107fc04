"""The ``ava-eval`` command. Results go to standard output, warnings to standard error."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ava_eval.completion import SHELLS
from ava_eval.errors import InputError, one_line
from ava_eval.parser import CommandParser, number
from ava_eval.protocol import PROTOCOLS, TIES

FILES = "-g ava_val_v2.2.csv -d detections.csv -l ava_60.pbtxt"  # of the examples


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ava-eval``; returns the exit code: 0, 1 for a file found invalid, 2 for bad input."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that it cannot show must not stop us
            stream.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(argv)
    try:
        # A command is loaded when it runs, so that ``--help`` answers at once.
        command = import_module(f"ava_eval.commands.{arguments.command}")
        code = getattr(command, arguments.command)(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of the output has seen enough, as ``head`` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + 2
    except (InputError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2


def build_parser() -> CommandParser:
    """The parser of all commands."""
    parser = CommandParser(
        prog="ava-eval",
        description="Scores spatio-temporal action detections (AVA).",
        epilog='Completion, in ~/.bashrc: eval "$(ava-eval completion bash)"',
        example=f"ava-eval score {FILES}",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="AVA's frame-mAP, by the rules of a published evaluation",
        description="AVA's frame-mAP at an overlap of 0.5, as the official script of the "
        "ActivityNet challenge computes it, or another published evaluation. CSV files may be "
        ".gz.",
        example=f"ava-eval score {FILES} --json scores.json",
    )
    _add_inputs(score)
    score.add_argument(
        "--ties",
        choices=list(TIES),
        default="fp-first",
        help="the order of equal scores: false positives first (default), or as the original "
        "script leaves them on this machine",
    )
    add = score.add_argument
    add(
        "--resamples",
        type=int,
        metavar="N",
        help="add 95%% intervals from N draws of the videos (1000 are plenty)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)")
    validate = commands.add_parser(
        "validate",
        help="all that breaks the rules of a challenge file, with lines",
        description="Check a challenge file (a CSV of detections) against every rule at once. "
        "Exits with 0 when it is valid, 1 when not.",
        example="ava-eval validate -d test.csv -l ava_60.pbtxt",
    )
    add = validate.add_argument
    add("-d", "--detections", metavar="DET.csv", required=True, help="the file to check")
    add("-l", "--labelmap", metavar="LABELMAP.pbtxt", required=True, help="the classes that count")
    add("-e", "--excluded", metavar="EXCLUDED.csv", help="keyframes that must not occur")
    add("--keyframes", metavar="FILE", help="a CSV of video_id,timestamp: those that may occur")
    add("--json", metavar="FILE", help="write everything as JSON too")
    diagnose = commands.add_parser(
        "diagnose",
        help="where the lost AP went: causes, slices, confusions",
        description="Explain a frame-mAP: what each cause of errors costs (the costs add up to "
        "1 - mAP), the mAP by kind of action, size, crowd and frequency, confused actions, and "
        "what perfect boxes or perfect classes would give.",
        example=f"ava-eval diagnose {FILES}",
    )
    _add_inputs(diagnose)
    compare = commands.add_parser(
        "compare",
        help="two files: what changed, with intervals",
        description="Compare two files of detections, -d A.csv -d B.csv: the difference of mAP "
        "and of each AP with 95% intervals from a paired bootstrap over videos.",
        example="ava-eval compare -g ava_val_v2.2.csv -l ava_60.pbtxt -d A.csv -d B.csv",
    )
    _add_inputs(compare, "scored boxes; give it twice, A and B")
    add = compare.add_argument
    add("--resamples", type=int, default=1000, metavar="N", help="draws (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)")
    _add_report(commands)
    completion = commands.add_parser(
        "completion",
        help="make the shell complete commands, options and files",
        description="Print what makes a shell complete commands, options and files. To have it "
        "always: echo 'eval \"$(ava-eval completion bash)\"' >> ~/.bashrc",
        example='eval "$(ava-eval completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash or zsh")
    completion.set_defaults(program=parser)
    return parser


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="a page: scores, curves, the worst errors as pictures",
        description="Write one self-contained HTML page of an evaluation: the mAP and its "
        "interval, every class with its curve, where the lost AP went, parts of the data, and the "
        "worst errors as keyframes with boxes.",
        example=f"ava-eval report {FILES} --videos videos -o report.html",
    )
    _add_inputs(report, with_json=False)
    add = report.add_argument
    add("-o", "--output", metavar="HTML", required=True, help="the page")
    add("--videos", metavar="DIR", help="the videos, for pictures of the errors")
    add(
        "--start",
        type=number(float, -1e6, 1e6, "seconds"),
        default=0.0,
        metavar="S",
        help="the timestamp of a video file's first frame: 0 for whole films (default), 900 for "
        "the segments that AVA's are cut to",
    )
    add(
        "--beside",
        metavar="FILE",
        help="another run: its detections (.csv), the JSON of a score, or a log that has "
        "'AP@0.5IOU/class: value', as those of PySlowFast and mmaction2",
    )
    add("--pictures", type=int, default=60, metavar="N", help="of each kind of error (60)")
    add("--title", metavar="TEXT", help="of the page")
    add("--resamples", type=int, default=1000, metavar="N", help="draws (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)")


def _add_inputs(
    command: argparse.ArgumentParser, scored: str = "scored boxes", with_json: bool = True
) -> None:
    """The files and the rules, the same for every command that scores."""
    add = command.add_argument
    add("-g", "--groundtruth", metavar="GT.csv", required=True, help="annotated boxes")
    # (A list everywhere, so that a second file is noticed and not taken instead of the first.)
    add("-d", "--detections", metavar="DET.csv", required=True, action="append", help=scored)
    add("-l", "--labelmap", metavar="LABELMAP.pbtxt", required=True, help="the classes that count")
    add("-e", "--excluded", metavar="EXCLUDED.csv", help="keyframes to leave out on both sides")
    add(
        "--protocol",
        choices=list(PROTOCOLS),
        default="2020",
        help="whose rules: the official script of a year, or a toolbox (default: %(default)s)",
    )
    if with_json:
        add("--json", metavar="FILE", help="write everything as JSON too")
