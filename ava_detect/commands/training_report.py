"""`ava-detect report-training`, and the page that `train` ends with."""

from __future__ import annotations

from pathlib import Path

from ava_detect.visualize.training_page import training_page
from ava_eval.atomic import atomic_path
from ava_eval.report.page import write_page

PAGE = "training.html"


def report_training(folder: Path, path: Path | None = None) -> Path:
    """Write the page of a run, which may still be at work; return where."""
    html = training_page(folder)
    path = path or folder / PAGE
    with atomic_path(path) as temporary:
        write_page(temporary, html)
    return path
