"""What happened to rows that a user may not expect, and what to do about each."""

from __future__ import annotations

from ava_eval.frame_map import FrameMap
from ava_eval.inputs import Inputs
from ava_eval.protocol import Protocol


def notices(result: FrameMap, inputs: Inputs, protocol: Protocol, file: int = 0) -> list[str]:
    """The warnings of one evaluation, a line each; ``file`` says of which detections."""
    truth, labels = inputs.paths("groundtruth")[0], inputs.paths("labelmap")[0]
    found = inputs.paths("detections")[file]
    unknown = (
        f"have no box of a listed action in {truth}: their detections were ignored, as mmaction2 "
        "does; the other protocols count them"
        if protocol.needs_listed_truth
        else f"are not in {truth}: their detections were ignored; if nobody acts there, add rows "
        "of 'video_id,timestamp' to the ground truth"
    )
    lines = {
        "ignored_keyframes": f"keyframes of {found} {unknown}",
        "detections_unlisted": f"detections in {found} are of actions that {labels} does not list: "
        "they were skipped",
        "groundtruth_unlisted": f"boxes in {truth} are of actions that {labels} does not list: "
        "they were skipped",
        "dropped_by_capacity": f"detections in {found} are beyond the best {_capacity(protocol)}: "
        "they were dropped; write at most 50 rows a keyframe",
        "invalid_boxes": f"detections in {found} have {_invalid(protocol)}: they were dropped; "
        "correct what wrote them",
        "low_scores": f"scores in {found} are {protocol.lowest_score:g} or below: protocol "
        f"{protocol.name} drops them; add a constant to all scores",
        "outside_boxes": "boxes reach outside [0, 1]: they were scored as they are; coordinates "
        "are fractions of the frame's width and height",
        "infinite_scores": f"scores in {found} are infinite: they were ranked as such; "
        "correct what wrote them",
    }
    told = [
        f"{result.counts[name]} {line}" for name, line in lines.items() if result.counts.get(name)
    ]
    if not inputs.found[file].counts["rows"]:
        told.append(f"{found} has no rows")
    told += _what_the_original_refuses(result, inputs, protocol, file)
    if result.mean != result.mean:
        told.append(f"no class of {labels} has ground truth: the mAP is undefined")
    return told


def _capacity(protocol: Protocol) -> str:
    if protocol.class_capacity is not None:
        return f"{protocol.class_capacity} of their keyframe and class"
    return f"{protocol.capacity} of their keyframe"


def _invalid(protocol: Protocol) -> str:
    if protocol.empty_boxes_count:
        return "inverted corners"
    return "no area, inverted corners or NaN"


def _what_the_original_refuses(
    result: FrameMap, inputs: Inputs, protocol: Protocol, file: int
) -> list[str]:
    """Rows that the original code of an older protocol stops at, and that were taken here."""
    found = inputs.found[file]
    sides = (inputs.truth, found)
    kinds = {
        "two_columns": (sum(s.counts["two_columns"] for s in sides), "rows have two columns"),
        "fractional_times": (
            sum(s.counts["fractional_times"] for s in sides),
            "rows have a time that is no whole second",
        ),
        "unscored": (found.counts["unscored"], "detections have no score"),
        "inverted_boxes": (result.counts.get("invalid_boxes", 0), "boxes have inverted corners"),
    }
    return [
        f"{kinds[kind][0]} {kinds[kind][1]}: the original code ({protocol.source}) stops at "
        "them; they were read as protocol 2020 reads them"
        for kind in protocol.refuses
        if kinds[kind][0]
    ]
