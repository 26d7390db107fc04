"""The `ava-detect` command line. Heavy modules are imported inside each command."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ava_detect.dispatch as dispatch
from ava_detect.config import Config, dump_config, load_config
from ava_eval.errors import InputError
from ava_eval.parser import CommandParser

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, 2 on bad input, or what the command says)."""
    arguments = parse(argv)
    rank = os.environ.get("RANK", "0")
    level = logging.INFO if rank == "0" else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s")
    try:
        if not getattr(arguments, "parallel", False):
            _require_one_process()
        code = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads along, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (InputError, OSError) as error:
        print(f"{'' if rank == '0' else f'process {rank}: '}error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code or 0


def _require_one_process() -> None:
    """Several processes that know nothing of each other would all write into one run."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise InputError(
            f"WORLD_SIZE: expected one process, got {processes}; only propose, train, evaluate and"
            " export work as several: start this command without torchrun"
        )


def parse(argv: Sequence[str] | None) -> Arguments:
    """Read a command line; settings may stand before and behind options."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    if "overrides" in arguments:
        arguments.overrides += [word for word in rest if _is_setting(word)]
        rest = [word for word in rest if not _is_setting(word)]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _is_setting(word: str) -> bool:
    return "=" in word and not word.startswith("-")


def build_parser() -> CommandParser:
    """The parser of all commands."""
    parser = CommandParser(
        prog="ava-detect",
        description="Spatio-temporal action detection: from AVA-style CSVs and videos to a trained"
        " detector, an honest score and a challenge file.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="the whole pipeline on the embedded demo world")
    demo.add_argument("-o", "--output", type=Path, default=Path("runs/demo"), metavar="DIR")
    demo.add_argument("--seed", type=int, default=0, help="of the world and of the training")
    demo.add_argument("--proposer", choices=("torchvision", "detectron2"), default="torchvision")
    demo.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the recipe")
    demo.set_defaults(run=dispatch.demo)

    _add_download(commands)
    _add_doctor(commands)
    _add(
        commands,
        "prepare",
        dispatch.prepare,
        "copies of the videos that are quick to read; resumable",
    )
    _add(
        commands,
        "train-proposer",
        dispatch.train_proposer,
        "fine-tune the person detector on a CSV's boxes",
    )
    propose = _add(
        commands,
        "propose",
        dispatch.propose,
        "person boxes of a split's keyframes, as a CSV; resumable",
    )
    _add(
        commands,
        "report-proposals",
        dispatch.report_proposals,
        "how good person boxes are, be they of `propose` or a published file",
    )
    train = _add(
        commands,
        "train",
        dispatch.train,
        "train the action detector; the same command again resumes",
    )
    _add_report_training(commands)
    evaluate = _add(
        commands,
        "evaluate",
        dispatch.evaluate,
        "score a checkpoint: detections.csv, metrics.json, mAP",
    )
    for command in (propose, train, evaluate):
        command.epilog = f"{command.epilog}; or with torchrun --nproc-per-node N -m ava_detect ..."
        command.set_defaults(parallel=True)

    export = _add(
        commands,
        "export",
        dispatch.export,
        "write the challenge file of `split=val` or `split=test`",
    )
    export.set_defaults(parallel=True)
    export.add_argument("-o", "--output-file", type=Path, required=True, metavar="CSV")

    describe = _add(
        commands, "describe", dispatch.describe, "parameters and multiply-adds, per pathway"
    )
    describe.add_argument("--size", type=_size, default=256, help="height and width of the clip")
    describe.add_argument("--json", type=Path, metavar="FILE")

    _add_annotate(commands)
    _add_convert(commands)
    _add_deploy(commands)
    _add_ensemble(commands)
    return parser


def _add_report_training(commands: argparse._SubParsersAction) -> None:
    summary = "the page of a training run with its curves, also while it is at work"
    parser = commands.add_parser(
        "report-training",
        help=summary,
        description=f"{summary}. `train` writes it at its end.",
        epilog="example: ava-detect report-training runs/first",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the run's `output`")
    parser.add_argument(
        "-o", "--output-file", type=Path, metavar="HTML", help="(DIR/training.html)"
    )
    parser.set_defaults(run=dispatch.report_training)


def _add_annotate(commands: argparse._SubParsersAction) -> None:
    summary = "people, tracks and actions drawn into any video, a camera's or a stream's"
    parser = commands.add_parser(
        "annotate",
        help=summary,
        description=f"{summary}; the tracks as JSON beside it. Ctrl-C ends what is live.",
        epilog="example: ava-detect annotate a.mp4 ava/slowfast_r50_8x8 weights=final.pt -o b.mp4",
    )
    parser.add_argument("video", metavar="VIDEO", help="a file, the number of a camera, or a URL")
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a recipe")
    parser.add_argument("-o", "--output-file", type=Path, required=True, metavar="MP4")
    parser.add_argument(
        "--every", type=_span, default=0.5, metavar="S", help="seconds between keyframes (0.5)"
    )
    parser.add_argument(
        "--min-score", type=_score, default=0.3, metavar="S", help="of drawn actions (0.3)"
    )
    parser.add_argument(
        "--min-person", type=_score, metavar="S", help="of people (the recipe's; at least 0.5)"
    )
    parser.add_argument("--seconds", type=_span, metavar="N", help="stop after so many")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the recipe")
    parser.set_defaults(run=dispatch.annotate)


def _span(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"expected 0.01 seconds or more, got {text}")
    return seconds


def _score(text: str) -> float:
    score = float(text)
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"expected a score from 0 to 1, got {text}")
    return score


def _add_convert(commands: argparse._SubParsersAction) -> None:
    summary = "weights of PySlowFast, Caffe2, PyTorchVideo or mmaction2 -> ours, or back"
    parser = commands.add_parser(
        "convert",
        help=summary,
        description=f"{summary}. The family is found out from the file.",
        epilog="example: ava-detect convert SLOWFAST_8x8_R50_DETECTION.pyth detector.pt",
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(
        "--config", metavar="CONFIG", help="a recipe for what the file leaves open, such as alpha"
    )
    parser.add_argument(
        "--to", choices=("ours", "pyslowfast"), default="ours", help="layout of OUT"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings over the recipe"
    )
    parser.set_defaults(run=dispatch.convert)


def _add_deploy(commands: argparse._SubParsersAction) -> None:
    summary = "the model of a checkpoint as ONNX or torch.export, run and compared with ours"
    parser = _add(commands, "deploy", dispatch.deploy, summary)
    parser.description = f"{summary}. Any number of clips and boxes, any size of frame; float32."
    parser.epilog = (
        "example: ava-detect deploy ava/slowfast_r50_8x8 weights=runs/first/final.pt -o model.onnx"
    )
    parser.add_argument(
        "-o", "--output-file", type=Path, required=True, metavar="FILE", help=".onnx or .pt2"
    )


def _add_ensemble(commands: argparse._SubParsersAction) -> None:
    summary = "weighted merge of detection files over the same boxes"
    parser = commands.add_parser(
        "ensemble",
        help=summary,
        description=f"{summary}: each box and action gets the mean of its scores. A file that"
        " lacks it counts as a score of 0.",
        epilog="example: ava-detect ensemble A.csv B.csv -o merged.csv --weights 2 1",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="CSV", help="detections")
    parser.add_argument("-o", "--output-file", type=Path, required=True, metavar="CSV")
    parser.add_argument(
        "--weights", nargs="+", type=float, metavar="W", help="one a file; equal unless said"
    )
    parser.add_argument(
        "--mean", choices=("arithmetic", "geometric"), default="arithmetic", help="of the scores"
    )
    parser.set_defaults(run=dispatch.ensemble)


def _add_download(commands: argparse._SubParsersAction) -> None:
    summary = "AVA's annotations, published boxes, videos and zoo weights, into one folder"
    parser = commands.add_parser(
        "download",
        help=summary,
        description=f"{summary}. The same command again goes on where it was interrupted and leaves"
        " what is there. Groups: annotations (AVA v2.2, AVA-Kinetics), boxes (of LFB and"
        " PySlowFast), videos (or videos-trainval, 157 GB; or videos-test), weights (of"
        " PyTorchVideo and PySlowFast).",
        epilog="example: ava-detect download annotations boxes videos/1j20qq1JyX4.mp4 -o ava",
    )
    parser.add_argument(
        "what", nargs="+", metavar="WHAT", help="a group, or a file by its place below DIR"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("ava"), metavar="DIR", help="(default: ava)"
    )
    parser.add_argument("--list", action="store_true", help="print what would be fetched and leave")
    parser.add_argument(
        "--jobs", type=_jobs, default=4, metavar="N", help="files at once, 4 unless said"
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="takes the place of https://HOST in every address"
    )
    parser.add_argument(
        "--verify", action="store_true", help="read files that are there to check their sha256"
    )
    parser.set_defaults(run=dispatch.download)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    summary = "check the data set: what is wrong, where, why it matters, what to do"
    parser = _add(commands, "doctor", dispatch.doctor, summary)
    parser.description = f"{summary}. Exit code 1 where there are errors, 0 with warnings only."
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--no-videos", action="store_true", help="read the tables only")


def _jobs(text: str) -> int:
    jobs = int(text)
    if not 1 <= jobs <= 32:
        raise argparse.ArgumentTypeError(f"expected 1 to 32 files at once, got {jobs}")
    return jobs


def _size(text: str) -> int:
    size = int(text)
    if not 16 <= size <= 4096:
        raise argparse.ArgumentTypeError(f"expected 16 to 4096 pixels, got {size}")
    return size


def _add(
    commands: argparse._SubParsersAction,
    name: str,
    command: Callable[[Config, Arguments], int | None],
    summary: str,
) -> argparse.ArgumentParser:
    """A command that takes a recipe and overrides of its settings."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example: ava-detect {name} ava/slowfast_r50_8x8 data.root=ava output=runs/first",
    )
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a recipe")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings over the recipe"
    )
    parser.add_argument("--show-config", action="store_true", help="print every setting and leave")

    def run(arguments: Arguments) -> int | None:
        config = load_config(arguments.config, arguments.overrides)
        if arguments.show_config:
            print(dump_config(config), end="")
            return 0
        return command(config, arguments)

    parser.set_defaults(run=run)
    return parser
