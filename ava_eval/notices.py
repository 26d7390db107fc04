"""What happened to rows that a user may not expect, and what to do about each."""

from __future__ import annotations

import numpy as np

from ava_eval.box_sets import BoxSet
from ava_eval.evaluation_inputs import Inputs
from ava_eval.frame_map import FrameMap
from ava_eval.protocol import Protocol
from ava_eval.text import count


def notices(result: FrameMap, inputs: Inputs, protocol: Protocol, file: int = 0) -> list[str]:
    """The warnings of one evaluation, a line each; ``file`` says of which detections."""
    truth, labels = inputs.paths("groundtruth")[0], inputs.paths("labelmap")[0]
    found = inputs.paths("detections")[file]
    of_result, of_truth, of_found = (
        result.counts,
        inputs.truth.counts,
        inputs.found[file].counts,
    )
    told = []

    def tell(number: int, noun: str, text: str) -> None:
        if number:
            told.append(f"{count(number, noun)} {text}")

    are_swapped = of_truth["fractional"] and of_found["rows"] and not of_found["fractional"]
    if are_swapped:
        told.append(f"{truth} (-g) has scores and {found} (-d) has none: are -g and -d swapped?")
    are_strangers = of_truth["rows"] and of_found["rows"] and not _meet(inputs, file)
    if are_strangers:
        told.append(
            f"no keyframe of {found} is in {truth}: are they of the same split, with timestamps "
            "of the same kind?"
        )
    tell(
        0 if are_strangers else of_result["ignored_keyframes"],
        "keyframe",
        f"of {found} without a box of a listed action in {truth}: detections there were ignored, "
        "as mmaction2 does; the other protocols count them"
        if protocol.needs_listed_truth
        else f"of {found} not in {truth}: detections there were ignored; if nobody acts there, "
        "add rows of 'video_id,timestamp' to the ground truth",
    )
    for side, path, noun in (("groundtruth", truth, "box"), ("detections", found, "detection")):
        tell(
            of_result[f"{side}_unlisted"],
            noun,
            f"in {path} of actions that {labels} does not list: skipped",
        )
        tell(
            of_result[f"{side}_outside"],
            noun,
            f"in {path} reaching outside [0, 1]: scored as they are; coordinates are fractions of "
            "the frame's width and height",
        )
    tell(
        of_result["groundtruth_undefined"],
        "box",
        f"in {truth} with NaN corners: they count, but nothing can find them",
    )
    tell(
        0 if are_swapped else of_truth["fractional"],
        "box",
        f"in {truth} with a fraction for a person id: is it a file of detections?",
    )
    tell(
        of_result["dropped_by_capacity"],
        "detection",
        f"in {found} beyond the best {_capacity(protocol)}: dropped",
    )
    tell(
        of_result["invalid_boxes"],
        "detection",
        f"in {found} with {_invalid(protocol)}: dropped; correct what wrote them",
    )
    tell(
        of_result.get("low_scores", 0),
        "score",
        f"in {found} of {protocol.lowest_score:g} or below: dropped, as protocol {protocol.name} "
        "does; add a constant to all scores",
    )
    tell(
        of_result["infinite_scores"],
        "score",
        f"in {found} infinite: ranked as such; correct what wrote them",
    )
    told += _what_the_original_refuses(result, inputs, protocol, file)
    if not of_found["rows"]:
        told.append(f"{found} has no rows")
    if len(inputs.excluded) and not of_result["excluded_keyframes"]:
        excluded = inputs.paths("excluded")[0]
        told.append(f"no keyframe of {excluded} occurs in {truth} or {found}: is it their list?")
    if result.mean != result.mean:
        lack = "detections" if result.num_groundtruth.any() else "ground truth"
        told.append(f"no class of {labels} has {lack}: the mAP is undefined")
    return told


def _meet(inputs: Inputs, file: int) -> bool:
    """Whether both sides have a keyframe in common."""

    def keys(side: BoxSet) -> np.ndarray:
        return np.concatenate([side.boxes.keyframe, side.others])

    return bool(np.isin(keys(inputs.found[file]), keys(inputs.truth)).any())


def _capacity(protocol: Protocol) -> str:
    if protocol.class_capacity is not None:
        return f"{protocol.class_capacity} rows of their keyframe and class"
    return f"{protocol.capacity} rows of their keyframe"


def _invalid(protocol: Protocol) -> str:
    if protocol.empty_boxes_count:
        return "inverted corners"
    return "no area, inverted corners or NaN"


def _what_the_original_refuses(
    result: FrameMap, inputs: Inputs, protocol: Protocol, file: int
) -> list[str]:
    """Rows that the original code of an older protocol stops at, and that were taken here."""
    found = inputs.found[file].counts
    both = found + inputs.truth.counts
    kinds = {
        "two_columns": (both["two_columns"], "row", "of two columns"),
        "odd_times": (both["odd_times"], "row", "with a time not written as a whole number"),
        "unscored": (found["unscored"], "detection", "without a score"),
        "inverted_boxes": (result.counts["invalid_boxes"], "box", "with inverted corners"),
    }
    return [
        f"{count(number, noun)} {text}: the original code ({protocol.source}) stops there; read as "
        "protocol 2020 reads them"
        for number, noun, text in (kinds[kind] for kind in protocol.refuses)
        if number
    ]
