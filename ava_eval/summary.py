"""A result of the metric as text for a person."""

from __future__ import annotations

from ava_eval.frame_map import FrameMap
from ava_eval.protocol import PROTOCOLS
from ava_eval.statistics import Bootstrap
from ava_eval.text import count, number


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
        f"{count(counts['keyframes'], 'keyframe')}, "
        f"{count(int(result.num_groundtruth.sum()), 'ground-truth box')} and "
        f"{count(int(result.num_detections.sum()), 'detection')} scored",
        f"{count(counts['ignored_keyframes'], 'keyframe')} ignored, "
        f"{count(counts['dropped_by_capacity'], 'detection')} beyond the cap, "
        f"{count(counts['invalid_boxes'], 'invalid box')} dropped",
    ]
    if with_exclusions:
        stays = PROTOCOLS[result.protocol].excluded_truth_counts
        lines.append(
            f"{count(counts['excluded_keyframes'], 'excluded keyframe')} left out, with "
            f"{count(counts['detections_excluded'], 'detection')} and "
            f"{count(counts['groundtruth_excluded'], 'ground-truth box')}"
            + (", which stay in the recall" if stays else "")
        )
    return "\n".join(lines)


def _intervals(result: FrameMap, drawn: Bootstrap) -> tuple[str, list[str]]:
    """The intervals as text: of the mAP, and of the classes in the order of the label map."""
    of_mean, of_classes = drawn.intervals()
    texts = [f"  [{number(low)}, {number(high)}]" for low, high in of_classes]
    mean = f"  [{number(of_mean[0])}, {number(of_mean[1])}]"
    draws = f", 95% of {len(drawn.mean)} resamples of the videos"
    return mean + draws, [texts[place] for place in result.classes.listing]
