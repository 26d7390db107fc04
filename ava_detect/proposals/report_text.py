"""A report on person boxes as text for a person."""

from __future__ import annotations

from collections.abc import Sequence

from ava_eval.text import count


def report_text(report: dict) -> str:
    """What ``proposal_report`` found: at most 35 lines of at most 80 columns."""
    paper, best = report["paper"], report["best"]
    lines = [
        f"{count(report['boxes'], 'box')} for {report['people']} people on"
        f" {count(report['keyframes'], 'keyframe')}",
        f"AP@50 {_percent(report['AP50'])} (SlowFast paper: {_percent(paper['AP50'])}),"
        f" AP@[.50:.95] {_percent(report['AP'])}",
        "",
    ]
    columns = ["recall", "precision", "F1", "boxes/keyframe", "mAP ceiling"]
    lines += _table(
        ["score", *columns],
        [
            *([f"{row['score']:.2f}", *_of_threshold(row)] for row in report["thresholds"][1::2]),
            [f"paper, {paper['score']:.2f}", *_of_threshold(paper)],
        ],
    )
    lines.append("")
    if best is None:
        lines.append("no box finds anybody, so no threshold is best")
    else:
        lines.append(
            f"best F1 {_percent(best['F1'])} at a score of {best['score']:.4f}:"
            f" recall {_percent(best['recall'])}, precision {_percent(best['precision'])}"
        )
    lines += ["", "by the person's share of the frame, recall at that score:"]
    lines += _table(
        ["share", "people", "AP@50", "recall"],
        [
            [row["name"], str(row["people"]), _percent(row["AP50"]), _percent(row["recall"])]
            for row in report["by_size"]
        ],
    )
    lines += ["", "by the number of people on the keyframe, all but AP@50 at that score:"]
    lines += _table(
        ["people", "keyframes", "AP@50", "recall", "precision", "false boxes/keyframe"],
        [
            [
                row["name"],
                str(row["keyframes"]),
                *(_percent(row[key]) for key in ("AP50", "recall", "precision")),
                _decimal(row["false_boxes_per_keyframe"]),
            ]
            for row in report["by_people"]
        ],
    )
    return "\n".join(lines)


def _of_threshold(row: dict) -> list[str]:
    """The cells of a threshold after its score; the paper does not tell all of them."""
    return [
        *(_percent(row.get(key)) for key in ("recall", "precision", "F1")),
        _decimal(row.get("boxes_per_keyframe")),
        _percent(row.get("mAP_ceiling")),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of right-aligned columns."""
    columns = zip(head, *rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *rows)
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
