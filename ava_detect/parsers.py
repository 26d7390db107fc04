"""The parsers of `ava-detect`, in the order of use. Heavy modules are imported by each command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import ava_detect.dispatch as dispatch
from ava_detect.config import Config, dump_config, load_config, no_setting, recipe_names
from ava_eval.errors import InputError
from ava_eval.parser import CommandParser, number

Arguments = argparse.Namespace
Command = Callable[[Config, Arguments], int | None]
Commands = argparse._SubParsersAction  # to which commands are added

RECIPE = "ava/slowfast_r50_8x8"
DATA = "data.root=ava output=runs/first"
WEIGHTS = "weights=runs/first/final.pt"


def build_parser() -> CommandParser:
    """The parser of all commands."""
    parser = CommandParser(
        prog="ava-detect",
        description="Spatio-temporal action detection: from AVA-style CSVs and videos to a trained"
        " detector, an honest score and a challenge file.",
        epilog="All settings of a recipe (key=value changes them): ava-detect train CONFIG"
        " --show-config\n"
        'Completion, in ~/.bashrc: eval "$(ava-detect completion bash)"',
        example=f"ava-detect train {RECIPE} {DATA}",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="in order of use")
    _add_demo(commands)
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
        example="ava-detect train-proposer demo/pedestrians data.root=walks output=runs/walks",
    )
    _add(
        commands,
        "propose",
        dispatch.propose,
        "person boxes of a split's keyframes, as a CSV",
        description="Person boxes of a split's keyframes, as a CSV; resumable.",
        example=f"ava-detect propose {RECIPE} {DATA} split=train",
        parallel=True,
    )
    _add(
        commands,
        "report-proposals",
        dispatch.report_proposals,
        "how good person boxes are, ours or published ones",
        description="How good person boxes are, be they of `propose` or a published file.",
        example=f"ava-detect report-proposals {RECIPE} data.root=ava data.val.proposals=boxes.csv",
    )
    _add(
        commands,
        "train",
        dispatch.train,
        "train the action detector; once more to resume",
        description="Train the action detector; the same command again resumes.",
        parallel=True,
    )
    _add_report_training(commands)
    _add(
        commands,
        "evaluate",
        dispatch.evaluate,
        "score a checkpoint: detections, metrics, mAP",
        description="Score a checkpoint: detections.csv, metrics.json, mAP.",
        example=f"ava-detect evaluate {RECIPE} {DATA} {WEIGHTS}",
        parallel=True,
    )
    export = _add(
        commands,
        "export",
        dispatch.export,
        "the challenge file of split=val or split=test",
        example=f"ava-detect export {RECIPE} {DATA} {WEIGHTS} split=test -o test.csv",
        parallel=True,
    )
    export.add_argument("-o", "--output-file", type=Path, required=True, metavar="CSV")
    _add_ensemble(commands)
    _add_annotate(commands)
    describe = _add(
        commands,
        "describe",
        dispatch.describe,
        "parameters and multiply-adds, per pathway",
        example=f"ava-detect describe {RECIPE} --size 256",
    )
    size = number(int, 16, 4096, "pixels")
    describe.add_argument("--size", type=size, default=256, help="height and width of the clip")
    describe.add_argument("--json", type=Path, metavar="FILE")
    _add_convert(commands)
    _add_deploy(commands)
    _add_completion(commands, parser)
    return parser


def stray_word(rest: list[str], overrides: list[str]) -> str:
    """What is wrong with words that are left over where settings may stand."""
    return no_setting(rest[0], [*rest, *overrides])


def _add_demo(commands: Commands) -> None:
    summary = "the whole pipeline on the embedded demo world"
    parser = commands.add_parser(
        "demo",
        help=summary,
        description=f"{summary}: about 8 minutes on 2 processor cores.",
        example="ava-detect demo -o runs/demo --seed 1",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/demo"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0, help="of the world and of the training")
    parser.add_argument("--proposer", choices=("torchvision", "detectron2"), default="torchvision")
    _add_overrides(parser, "settings of the recipe demo/ava")
    parser.set_defaults(run=dispatch.demo)


def _add_report_training(commands: Commands) -> None:
    parser = commands.add_parser(
        "report-training",
        help="the page of a run, also while it is at work",
        description="The page of a training run, with its curves, also while it is at work."
        " `train` writes it at its end.",
        example="ava-detect report-training runs/first",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the run's `output`")
    parser.add_argument(
        "-o", "--output-file", type=Path, metavar="HTML", help="(DIR/training.html)"
    )
    parser.set_defaults(run=dispatch.report_training)


def _add_download(commands: Commands) -> None:
    parser = commands.add_parser(
        "download",
        help="AVA: annotations, boxes, videos, weights",
        description="AVA's annotations, published boxes, videos and zoo weights, into one folder."
        " The same command again goes on where it was interrupted and leaves"
        " what is there. Groups: annotations (AVA v2.2, AVA-Kinetics), boxes (of LFB and"
        " PySlowFast), videos (or videos-trainval, 157 GB; or videos-test), weights (of"
        " PyTorchVideo and PySlowFast).",
        example="ava-detect download annotations boxes videos/1j20qq1JyX4.mp4 -o ava",
    )
    parser.add_argument(
        "what", nargs="+", metavar="WHAT", help="a group, or a file by its place below DIR"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("ava"), metavar="DIR", help="(default: ava)"
    )
    parser.add_argument("--list", action="store_true", help="print what would be fetched and leave")
    jobs = number(int, 1, 32, "files at once")
    parser.add_argument(
        "--jobs", type=jobs, default=4, metavar="N", help="files at once, 4 unless said"
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="takes the place of https://HOST in every address"
    )
    parser.add_argument(
        "--verify", action="store_true", help="read files that are there to check their sha256"
    )
    parser.set_defaults(run=dispatch.download)


def _add_doctor(commands: Commands) -> None:
    parser = _add(
        commands,
        "doctor",
        dispatch.doctor,
        "check the data set: what is wrong, what to do",
        description="Check the data set: what is wrong, where, why it matters, what to do. Exit"
        " code 1 where there are errors, 0 with warnings only.",
        example=f"ava-detect doctor {RECIPE} data.root=ava --no-videos",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--no-videos", action="store_true", help="read the tables only")


def _add_ensemble(commands: Commands) -> None:
    summary = "weighted merge of detections on the same boxes"
    parser = commands.add_parser(
        "ensemble",
        help=summary,
        description=f"{summary}: each box and action gets the mean of its scores. A file that"
        " lacks it counts as a score of 0.",
        example="ava-detect ensemble A.csv B.csv -o merged.csv --weights 2 1",
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


def _add_annotate(commands: Commands) -> None:
    parser = commands.add_parser(
        "annotate",
        help="draw people, tracks and actions into a video",
        description="People, tracks and actions drawn into any video, a camera's or a stream's;"
        " the tracks as JSON beside it. Ctrl-C ends what is live.",
        example=f"ava-detect annotate film.mp4 {RECIPE} {WEIGHTS} -o seen.mp4",
    )
    parser.add_argument("video", metavar="VIDEO", help="a file, the number of a camera, or a URL")
    _take_recipe(parser, dispatch.annotate)
    parser.add_argument("-o", "--output-file", type=Path, required=True, metavar="MP4")
    span, score = number(float, 0.01, 1e6, "seconds"), number(float, 0, 1, "as a score")
    parser.add_argument(
        "--every", type=span, default=0.5, metavar="S", help="seconds between keyframes (0.5)"
    )
    parser.add_argument(
        "--min-score", type=score, default=0.3, metavar="S", help="of drawn actions (0.3)"
    )
    parser.add_argument(
        "--min-person", type=score, metavar="S", help="of people (the recipe's; at least 0.5)"
    )
    parser.add_argument("--seconds", type=span, metavar="N", help="stop after so many")


def _add_convert(commands: Commands) -> None:
    parser = commands.add_parser(
        "convert",
        help="weights of other toolboxes -> ours, or back",
        description="Weights of PySlowFast, Caffe2, PyTorchVideo or mmaction2 -> ours, or back."
        " The family is found out from the file.",
        example="ava-detect convert SLOWFAST_8x8_R50_DETECTION.pyth detector.pt",
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(
        "--config", metavar="CONFIG", help="a recipe for what the file leaves open, such as alpha"
    )
    parser.add_argument(
        "--to", choices=("ours", "pyslowfast"), default="ours", help="layout of OUT"
    )
    _add_overrides(parser)
    parser.set_defaults(run=dispatch.convert)


def _add_deploy(commands: Commands) -> None:
    parser = _add(
        commands,
        "deploy",
        dispatch.deploy,
        "the model as ONNX or torch.export, checked",
        description="The model of a checkpoint as ONNX or torch.export, run and compared with"
        " ours. Any number of clips and boxes, any size of frame; float32.",
        example=f"ava-detect deploy {RECIPE} {WEIGHTS} -o model.onnx",
    )
    parser.add_argument(
        "-o", "--output-file", type=Path, required=True, metavar="FILE", help=".onnx or .pt2"
    )


def _add_completion(commands: Commands, program: CommandParser) -> None:
    summary = "make the shell complete commands and recipes"
    parser = commands.add_parser(
        "completion",
        help=summary,
        description="Print what makes a shell complete commands, options, recipes, settings and"
        " files. To have it always: echo 'eval \"$(ava-detect completion bash)\"' >> ~/.bashrc",
        example='eval "$(ava-detect completion bash)"',
    )
    parser.add_argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh")

    def run(arguments: Arguments) -> None:
        from ava_detect.completion import completion

        print(completion(program, arguments.shell))

    parser.set_defaults(run=run)


def _add(
    commands: Commands,
    name: str,
    command: Command,
    summary: str,
    *,
    description: str = "",
    example: str = "",
    parallel: bool = False,
) -> CommandParser:
    """A command that takes a recipe and settings over it; ``parallel``: also under torchrun."""
    description = description or f"{summary}."
    if parallel:
        description += (
            f" With several processes: torchrun --nproc-per-node N -m ava_detect {name} ..."
        )
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        example=example or f"ava-detect {name} {RECIPE} {DATA}",
    )
    _take_recipe(parser, command)
    parser.set_defaults(parallel=parallel)
    return parser


def _take_recipe(parser: CommandParser, command: Command) -> None:
    """Let a parser take a recipe and settings, with which it runs ``command``."""
    parser.add_argument(
        "config", metavar="CONFIG", help=f"a YAML file, or the name of a recipe ({RECIPE})"
    )
    _add_overrides(parser)
    parser.add_argument("--show-config", action="store_true", help="print every setting and leave")

    def run(arguments: Arguments) -> int | None:
        if _is_recipe(getattr(arguments, "video", "")):
            video, recipe = arguments.config, arguments.video
            raise InputError(f"{recipe}: VIDEO comes first, then CONFIG: annotate {video} {recipe}")
        config = load_config(arguments.config, arguments.overrides)
        if arguments.show_config:
            print(dump_config(config), end="")
            return 0
        return command(config, arguments)

    parser.set_defaults(run=run)


def _is_recipe(word: str) -> bool:
    return word.endswith((".yaml", ".yml")) or word in recipe_names()


def _add_overrides(parser: CommandParser, what: str = "settings over the recipe") -> None:
    # (With a default, they are not told as missing where the recipe is.)
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=what)
