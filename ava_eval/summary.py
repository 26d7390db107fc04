"""A result of the metric as text for a person."""

from __future__ import annotations

from ava_eval.frame_map import FrameMap
from ava_eval.protocol import PROTOCOLS
from ava_eval.statistics import Bootstrap


def summary(result: FrameMap, with_exclusions: bool = False, drawn: Bootstrap | None = None) -> str:
    """A line a class, the means, the protocol and everything it did.

    ``with_exclusions`` says how much the list of excluded keyframes took out; ``drawn`` gives
    intervals.
    """
    classes, counts = result.rows(), result.counts
    of_mean, of_classes = ("", [""] * len(classes)) if drawn is None else _intervals(result, drawn)
    width = max([len("class"), *(len(row.name) for row in classes)])
    lines = [f"{'id':>4}  {'class':<{width}}  {'AP':>7}  {'truth':>8}  {'detections':>10}"]
    lines += [
        f"{row.action_id:>4}  {row.name:<{width}}  {number(row.ap):>7}"
        f"  {row.num_groundtruth:>8}  {row.num_detections:>10}{interval}"
        for row, interval in zip(classes, of_classes, strict=True)
    ]
    lines.append("")
    lines += [f"{name.replace('_', ' '):<20}{number(ap)}" for name, ap in result.groups.items()]
    lines.append(f"{'mAP':<20}{number(result.mean)}{of_mean}")
    lower, upper = map(number, result.bounds)
    source = PROTOCOLS[result.protocol].source
    lines += [
        f"protocol {result.protocol} ({source}), equal scores {result.ties}: {lower} to {upper}",
        f"{counts['keyframes']} keyframes, {result.num_groundtruth.sum()} ground-truth boxes "
        f"and {result.num_detections.sum()} detections scored",
        f"{counts['ignored_keyframes']} keyframes ignored, {counts['dropped_by_capacity']} "
        f"detections beyond the cap, {counts['invalid_boxes']} invalid boxes",
    ]
    if with_exclusions:
        lines.append(
            f"{counts['excluded_keyframes']} excluded keyframes left both sides, with "
            f"{counts['groundtruth_excluded']} ground-truth boxes and "
            f"{counts['detections_excluded']} detections"
        )
    return "\n".join(lines)


def _intervals(result: FrameMap, drawn: Bootstrap) -> tuple[str, list[str]]:
    """The intervals as text: of the mAP, and of the classes in the order of the label map."""
    of_mean, of_classes = drawn.intervals()
    texts = [f"  [{number(low)}, {number(high)}]" for low, high in of_classes]
    mean = f"  [{number(of_mean[0])}, {number(of_mean[1])}]"
    draws = f", 95% of {len(drawn.mean)} resamples of the videos"
    return mean + draws, [texts[place] for place in result.classes.listing]


def number(value: float) -> str:
    """Four decimals; a dash where there is no number."""
    return "-" if value != value else f"{value:.4f}"
