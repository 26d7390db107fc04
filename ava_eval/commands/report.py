"""``ava-eval report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ava_eval.atomic import atomic_path
from ava_eval.commands.arguments import load_files, require_draws, require_files
from ava_eval.commands.output import require_new_file, warn, warn_of_few_videos
from ava_eval.errors import InputError
from ava_eval.evaluation_inputs import Inputs, read_classes
from ava_eval.frame_map import frame_map
from ava_eval.notices import notices
from ava_eval.protocol import Protocol
from ava_eval.report import About, Beside, evaluation_page
from ava_eval.report.page import write_page
from ava_eval.report.pictures import VideoFolder
from ava_eval.report.reference import Reference, read_reference

_MOST_PICTURES = 300


def report(arguments: argparse.Namespace) -> int:
    """Write the page of one evaluation; the exit code."""
    require_files(arguments, 1, "--beside FILE compares with another")
    require_draws(arguments)
    if not 0 <= arguments.pictures <= _MOST_PICTURES:
        raise InputError(f"--pictures: expected 0 to {_MOST_PICTURES}, got {arguments.pictures}")
    frames = None
    if arguments.videos is not None:
        frames = VideoFolder(arguments.videos, arguments.start)
    require_new_file(
        arguments.output,
        [
            *(arguments.groundtruth, *arguments.detections, arguments.labelmap, arguments.excluded),
            arguments.beside,
            *map(str, [] if frames is None else frames.paths),
        ],
    )
    detections, reference = list(arguments.detections), None
    if arguments.beside is not None:
        if _is_csv(arguments.beside):
            detections.append(arguments.beside)
        else:
            reference = read_reference(arguments.beside, read_classes(arguments.labelmap)[0])
    inputs, protocol = load_files(arguments, detections, None, digests=True)
    scored = inputs.score(protocol)
    told = list(dict.fromkeys(notices(frame_map(scored, inputs.classes), inputs, protocol)))
    warn(told)
    warn_of_few_videos(len(scored.videos))
    page = evaluation_page(
        scored,
        inputs.classes,
        About(arguments.title or f"Evaluation of {Path(detections[0]).name}", inputs.files,
              warnings=told),
        beside=_scored_beside(inputs, protocol) if reference is None else Beside(reference),
        frames=frames,
        most_pictures=arguments.pictures,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )  # fmt: skip
    warn(f"no picture: {reason}" for reason in page.unseen)
    with atomic_path(arguments.output) as temporary:
        write_page(temporary, page.html)
    print(arguments.output)
    return 0


def _is_csv(path: str) -> bool:
    return path.removesuffix(".gz").lower().endswith(".csv")


def _scored_beside(inputs: Inputs, protocol: Protocol) -> Beside | None:
    """The second file of detections, if one was read, as the run to compare with."""
    if len(inputs.found) == 1:
        return None
    scored = inputs.score(protocol, file=1)
    result = frame_map(scored, inputs.classes)
    return Beside(Reference(inputs.paths("detections")[1], result.mean, result.ap), scored)
