"""What stands beside a number: the files it is of, and what could not be read."""

from __future__ import annotations

from typing import Any

from ava_detect.assemble import split_section
from ava_detect.commands.people import proposals_path
from ava_detect.config import Config
from ava_detect.data.batch import Unreadable
from ava_detect.proposals.files import file_digest


def skipped_facts(unread: list[Unreadable]) -> dict[str, Any]:
    """What could not be read and has no detections, though its truth counts."""
    return {
        "keyframes": len(unread),
        "boxes": sum(len(problem.rows) for problem in unread),
        "videos": {problem.video_id: problem.reason for problem in reversed(unread)},
    }


def inputs(config: Config) -> list[dict[str, Any]]:
    """The files that went into the number, with their digests."""
    section = split_section(config, config.split)
    files = [("groundtruth", config.data.root / path) for path in section.annotations]
    if section.excluded is not None:
        files.append(("excluded", config.data.root / section.excluded))
    if config.data.kind == "ava" and config.evaluation.boxes == "proposals":
        files.append(("proposals", proposals_path(config, config.split)))
    if config.weights is not None:
        files.append(("weights", config.weights))
    return [{"role": role, "path": str(path), "sha256": file_digest(path)} for role, path in files]
