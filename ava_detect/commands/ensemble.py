"""`ava-detect ensemble`: several files of detections as one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ava_eval.atomic import require_writable
from ava_eval.ensemble import Mean, Merged, merge_detections, read_for_merging
from ava_eval.errors import InputError
from ava_eval.files import write_detections

_log = logging.getLogger(__name__)


def ensemble(
    paths: Sequence[Path],
    out: Path,
    weights: Sequence[float] | None = None,
    mean: Mean = "arithmetic",
) -> str:
    """Write the weighted mean of detection files; lines on what was merged."""
    if len(paths) < 2:
        raise InputError(f"expected two files of detections or more, got {len(paths)}")
    if weights is not None and len(weights) != len(paths):
        raise InputError(
            f"--weights: expected one for each of the {len(paths)} files, got {len(weights)}"
        )
    require_writable(out)
    for path in paths:
        if out.exists() and path.exists() and out.samefile(path):
            raise InputError(f"-o {out}: expected a file that is not also read")
    tables = []
    for path in paths:
        tables.append(read_for_merging(path, mean))
        _log.info("%s: %d rows", path, len(tables[-1]))
        if tables[-1].empty:
            raise InputError(f"{path}: expected detections, got none")
    merged = merge_detections(tables, weights, mean)
    write_detections(merged.detections, out)
    hint = _hint(merged)
    if hint:
        _log.warning("warning: %s", hint)
    return "\n".join(_report(merged, out))


def _report(merged: Merged, out: Path) -> list[str]:
    rows = len(merged.detections)
    lines = [
        f"keyframes  {merged.keyframes}, of which {merged.keyframes_in_all} are in all files",
        f"boxes      {merged.boxes}, of which {merged.boxes_in_all} are in all files",
        f"rows       {rows}, of which {merged.rows_in_all} are in all files;"
        f" the other {rows - merged.rows_in_all} count as 0 where they are not",
    ]
    if merged.repeated:
        lines.append(f"repeated   {merged.repeated} rows of the same file; their best score counts")
    return [*lines, f"written    {out}"]


def _hint(merged: Merged) -> str:
    """What is probably wrong with files that hardly have a box in common."""
    if 2 * merged.keyframes_in_all < merged.keyframes:
        return (
            f"only {merged.keyframes_in_all} of {merged.keyframes} keyframes are in all files: are"
            " they of the same split, and are their times those of the same clock?"
        )
    if 2 * merged.boxes_in_all < merged.boxes:
        return (
            f"only {merged.boxes_in_all} of {merged.boxes} boxes are in all files, to 6 decimals:"
            " score the same person boxes with each model (data.SPLIT.proposals=FILE), or scores of"
            " 0 pull down the others"
        )
    return ""
