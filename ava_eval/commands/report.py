"""``ava-eval report``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ava_eval.atomic import atomic_path
from ava_eval.commands.arguments import input_paths, load_files, require_draws, require_files
from ava_eval.commands.output import require_new_file, warn, warn_of_few_videos
from ava_eval.errors import InputError
from ava_eval.evaluation_inputs import Inputs, read_classes
from ava_eval.frame_map import frame_map
from ava_eval.notices import notices
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
    read = [*input_paths(arguments), arguments.beside]
    read += map(str, [] if frames is None else frames.paths)
    require_new_file(arguments.output, read)
    reference, detections = None, list(arguments.detections)
    if arguments.beside is not None and _is_csv(arguments.beside):
        detections.append(arguments.beside)
    elif arguments.beside is not None:
        reference = read_reference(arguments.beside, read_classes(arguments.labelmap)[0])
    inputs, protocol = load_files(arguments, detections, digests=True)
    scored, beside = inputs.score(protocol), None if reference is None else Beside(reference)
    told = notices(frame_map(scored, inputs.classes), inputs, protocol)
    if len(inputs.found) > 1:
        second = inputs.score(protocol, file=1)
        result = frame_map(second, inputs.classes)
        name = inputs.paths("detections")[1]
        beside = Beside(Reference(name, result.mean, result.ap, protocol.name), second)
        told += notices(result, inputs, protocol, 1)
    told = list(dict.fromkeys(told))
    warn(told)
    warn_of_few_videos(len(scored.videos))
    title = arguments.title or f"Evaluation of {Path(detections[0]).name}"
    page = evaluation_page(
        scored,
        inputs.classes,
        About(title, _files(inputs, reference), warnings=told),
        beside=beside,
        frames=frames,
        most_pictures=arguments.pictures,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    _warn_of_pictures(page.unseen)
    with atomic_path(arguments.output) as temporary:
        write_page(temporary, page.html)
    print(arguments.output)
    return 0


def _warn_of_pictures(reasons: list[str]) -> None:
    """In one line, why some errors have none."""
    if reasons:
        others = f" (so do {len(reasons) - 1} more videos)" if len(reasons) > 1 else ""
        warn([f"errors without a picture: {reasons[0]}{others}"])


def _files(inputs: Inputs, reference: Reference | None) -> list[dict[str, Any]]:
    """The inputs as the page lists them; the other run's by the name of its own role."""
    files = [dict(file) for file in inputs.files]
    for file in [file for file in files if file["role"] == "detections"][1:]:
        file["role"] = "beside"
    if reference is not None:
        files.append({"role": "beside", "path": reference.name, "sha256": reference.digest})
    return files


def _is_csv(path: str) -> bool:
    return path.removesuffix(".gz").lower().endswith(".csv")
