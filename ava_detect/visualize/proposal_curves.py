"""A picture of how good person boxes are."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ava_eval.atomic import atomic_path

BLUE, SKY, ORANGE, GREEN, GREY = "#0b5394", "#76aadb", "#d95f02", "#2e8b57", "#666666"
CURVES = {"0.5": BLUE, "0.75": SKY}
LINES = {
    "recall": ("recall", BLUE, "-"),
    "precision": ("precision", ORANGE, "-"),
    "F1": ("F1", GREY, "-"),
    "mAP_ceiling": ("mAP ceiling", GREEN, "--"),
}


def save_curves(report: dict, path: str | os.PathLike[str]) -> None:
    """Draw a ``proposal_report``: precision over recall, and everything over the score threshold.

    The suffix of ``path`` chooses the format (.png, .svg, .pdf).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_precision(left, report)
    _draw_thresholds(right, report)
    for axes, columns in ((left, 2), (right, 3)):
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01))
        axes.set_xticks(np.arange(0, 1.01, 0.1))
        axes.set_yticks(np.arange(0, 1.01, 0.1))
        axes.grid(color="#e4e4e4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        # Below the axes: within them, a curve may pass anywhere.
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}
        axes.legend(**place, ncols=columns, frameon=False, fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _draw_precision(axes: Any, report: dict) -> None:
    """Precision over recall as far as recall goes, the paper's point and the best one."""
    for iou, color in CURVES.items():
        if report["curves"][iou] is not None:
            precision = np.array(report["curves"][iou])
            reached = precision > 0
            recall = np.linspace(0, 1, len(precision))[reached]
            axes.plot(recall, precision[reached], color=color, lw=2, label=f"IoU {iou}")
    best, paper = report["best"], report["paper"]
    if best is not None:
        label = f"best F1 {best['F1']:.3f}, score {best['score']:.2f}"
        axes.plot(best["recall"], best["precision"], "o", ms=8, color=BLUE, label=label, zorder=3)
    label = f"SlowFast paper, score {paper['score']:g}"
    axes.plot(paper["recall"], paper["precision"], "*", ms=14, color=ORANGE, label=label, zorder=4)
    numbers = [
        f"{name} {_number(report[key])}"
        for name, key in (("AP@50", "AP50"), ("AP@[.50:.95]", "AP"))
    ]
    axes.set_title(f"{', '.join(numbers)}  (paper: AP@50 {paper['AP50']:.3f})")
    axes.set(xlabel="recall", ylabel="precision")


def _draw_thresholds(axes: Any, report: dict) -> None:
    """What each score threshold leaves, the best one, and the paper's recall and precision."""
    from matplotlib.markers import CARETLEFT, CARETRIGHT

    rows, best, paper = report["thresholds"], report["best"], report["paper"]
    score = [row["score"] for row in rows]
    for key, (label, color, style) in LINES.items():
        values = np.array([row[key] for row in rows], float)  # None becomes NaN: a gap
        if not np.isnan(values).all():
            axes.plot(score, values, style, color=color, lw=2, label=label)
    if best is not None:
        label = f"best F1, score {best['score']:.2f}"
        axes.axvline(best["score"], color=GREY, lw=1, ls=":", label=label)
    # The two are nearly equal: triangles whose tips touch them from either side do not overlap.
    for key, marker in (("recall", CARETRIGHT), ("precision", CARETLEFT)):
        label = f"paper's {key} {paper[key]:.3f}"
        axes.plot(
            paper["score"], paper[key], ls="", marker=marker, ms=12, color=LINES[key][1],
            mec="white", label=label, zorder=4,
        )  # fmt: skip
    axes.set_title("boxes at or above a score, IoU 0.5")
    axes.set_xlabel("score threshold")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
