"""A result of the metric as text for a person."""

from __future__ import annotations

from ava_eval.frame_map import FrameMap


def summary(result: FrameMap, with_exclusions: bool = False) -> str:
    """A line a class, the means, the protocol and what was counted.

    ``with_exclusions`` says how much the list of excluded keyframes took out.
    """
    classes, counts = result.per_class, result.counts
    width = max([len("class"), *(len(name) for name in classes["name"])])
    lines = [f"{'id':>4}  {'class':<{width}}  {'AP':>7}  {'truth':>8}  {'detections':>10}"]
    lines += [
        f"{row.action_id:>4}  {row.name:<{width}}  {_number(row.ap):>7}"
        f"  {row.num_groundtruth:>8}  {row.num_detections:>10}"
        for row in classes.itertuples(index=False)
    ]
    lines.append("")
    lines += [f"{name.replace('_', ' '):<20}{_number(ap)}" for name, ap in result.groups.items()]
    lines.append(f"{'mAP':<20}{_number(result.mean)}")
    lower, upper = map(_number, result.bounds)
    lines.append(f"protocol {result.protocol}, equal scores {result.ties}: {lower} to {upper}")
    lines.append(
        f"{counts['keyframes']} keyframes, {classes['num_groundtruth'].sum()} ground-truth boxes "
        f"and {classes['num_detections'].sum()} detections scored"
    )
    if with_exclusions:
        lines.append(
            f"{counts['excluded_keyframes']} excluded keyframes left both sides, with "
            f"{counts['groundtruth_excluded']} ground-truth boxes and "
            f"{counts['detections_excluded']} detections"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.4f}"
