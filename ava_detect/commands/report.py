"""The page of an evaluation, with keyframes of its own videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ava_detect.assemble import build_timebase
from ava_detect.clips import ClipSource
from ava_detect.commands.facts import inputs
from ava_detect.config import Config, dump_config
from ava_detect.proposals.files import file_digest
from ava_detect.proposals.proposer import read_frame
from ava_eval.atomic import atomic_path
from ava_eval.classes import Classes
from ava_eval.errors import InputError
from ava_eval.report import About, evaluation_page
from ava_eval.report.page import write_page
from ava_eval.scoring import Scored


def save_report(
    config: Config,
    videos: ClipSource,
    scored: Scored,
    classes: Classes,
    path: Path,
    detections: Path,
    warnings: Sequence[str] = (),
) -> None:
    """Write the page of the evaluation of ``detections``; see ``ava_eval.report``."""
    timebase = build_timebase(config)

    def frames(video_id: str, timestamps: Sequence[float]) -> Iterator[np.ndarray | InputError]:
        for timestamp in timestamps:
            try:
                yield read_frame(videos, timebase, video_id, timestamp)
            except InputError as error:
                yield error

    evaluation = config.evaluation
    about = About(
        title=f"Evaluation of {config.output}",
        files=[
            *inputs(config),
            {"role": "detections", "path": str(detections), "sha256": file_digest(detections)},
        ],
        settings={
            "split": config.split,
            "boxes": evaluation.boxes,
            "score": "action × person" if evaluation.multiply_person_score else "action",
            "precision": config.precision,
        },
        config=dump_config(config),
        warnings=[*warnings],
        packages=("torch", "torchvision"),
    )
    page = evaluation_page(scored, classes, about, frames=frames)
    with atomic_path(path) as temporary:
        write_page(temporary, page.html)
