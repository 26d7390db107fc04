"""`ava-detect report-proposals`, and what `propose` tells of its boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from ava_detect.assemble import Split, build_eval_label_map, load_split
from ava_detect.commands.people import proposals_path, warn_if_outdated
from ava_detect.config import Config
from ava_detect.proposals.files import file_digest, read_proposals
from ava_detect.proposals.report import proposal_report
from ava_detect.proposals.report_text import report_text
from ava_detect.visualize.proposal_curves import save_curves
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError


def report_proposals(config: Config) -> str:
    """Report on the boxes of a split, be they of `propose` or a named file; needs no videos."""
    data = load_split(config, config.split, videos=None)
    if data.annotations.empty:
        raise InputError(f"data.{config.split}.annotations: expected annotated people, got none")
    path = proposals_path(config, config.split)
    if not path.is_file():
        raise InputError(
            f"data.{config.split}.proposals: {path}: no such file of person boxes; run `ava-detect"
            f" propose` with split={config.split}, or name another file"
        )
    boxes, facts = read_proposals(path)
    warn_if_outdated(config, config.split, facts, data.keyframes)
    report = save_report(config, path, boxes, data)
    files = ", ".join(str(file) for file in report_files(config, path))
    return f"{path}\n{report_text(report)}\n\n{files}"


def report_files(config: Config, path: Path) -> tuple[Path, Path]:
    """Where the report on a box file goes: its figures, and their picture."""
    stem = config.output / path.stem
    return Path(f"{stem}_report.json"), Path(f"{stem}_report.png")


def save_report(config: Config, path: Path, boxes: pd.DataFrame, data: Split) -> dict:
    """Compare boxes of a file with the people of a split; write the figures and their picture."""
    report = {
        "file": str(path),
        "sha256": file_digest(path),
        **proposal_report(boxes, data.annotations, data.keyframes, build_eval_label_map(config)),
    }
    figures, curves = report_files(config, path)
    config.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(figures) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    save_curves(report, curves)
    return report
