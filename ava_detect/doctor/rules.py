"""All kinds of faults: how bad each is, why it matters, and what to do about it."""

from __future__ import annotations

from ava_detect.doctor.rule import Rule, Severity
from ava_detect.doctor.video_rules import VIDEO_RULES

_STOPS = "every command that reads this file stops here"
_RULES: dict[str, tuple[Severity, str, str]] = {
    # files and rows
    "file-missing": ("error", _STOPS, "make the file, or correct the setting that names it"),
    "file-unreadable": ("error", _STOPS, "get the file again, or write it anew"),
    "file-empty": ("warning", "nothing is learned from it or scored", "is this the right file?"),
    "folder-missing": (
        "error",
        "no clip can be read",
        "make the folder, or correct the setting that names it",
    ),
    "not-prepared": (
        "error",
        "training reads from that folder and stops; the originals were checked in its place",
        "run `ava-detect prepare`",
    ),
    "header-line": ("error", _STOPS, "delete the line: AVA's files have no headings"),
    "blank-row": ("error", _STOPS, "delete the blank lines"),
    "row-columns": (
        "error",
        _STOPS,
        "write video_id,timestamp[,x1,y1,x2,y2,action_id[,person_id]], separated by commas or tabs",
    ),
    "cell-number": ("error", _STOPS, "correct the cell, or what wrote it"),
    "row-unreadable": ("error", _STOPS, "correct the row, or what wrote it"),
    "id-blanks": (
        "error",
        "such an id names another video than the one without blanks",
        "remove the blanks, or give the row an id",
    ),
    "time-not-finite": ("error", _STOPS, "correct the timestamp"),
    "person-id": (
        "error",
        _STOPS,
        "the eighth column of annotations is a whole number, the person; scores belong into"
        " proposals or detections",
    ),
    # boxes
    "box-nan": ("error", _STOPS, "correct or remove the row"),
    "box-pixels": ("error", _STOPS, "divide x by the width and y by the height of the picture"),
    "box-range": ("error", _STOPS, "clip the box to the picture, or remove the row"),
    "box-empty": (
        "error",
        _STOPS,
        "write the upper left corner first: x1 < x2 and y1 < y2; or remove the row",
    ),
    "box-tiny": (
        "warning",
        "less than a pixel: nothing can be seen in it",
        "remove the row, or correct the box",
    ),
    # labels
    "label-map-unreadable": (
        "error",
        "no class is known, so labels were not checked",
        "name a label map in data.label_map, such as ava_80 or a .pbtxt file",
    ),
    "setting-wrong": ("error", "every command that uses it stops here", "correct the setting"),
    "label-zero": (
        "error",
        "ids of AVA begin with 1",
        "where the ids of this file count from 0, set data.first_label=0; else correct the row",
    ),
    "label-negative": (
        "error",
        _STOPS,
        "remove the row; who does nothing of interest has no row, or belongs into"
        " data.SPLIT.labelled_boxes",
    ),
    "label-unknown": (
        "error",
        _STOPS,
        "use the label map of this data set (data.label_map), or remove the row",
    ),
    "pose-twice": (
        "note",
        "AVA gives a person one pose (ids 1 to 14, PERSON_MOVEMENT); two contradict each other",
        "keep the one that is right",
    ),
    "class-unseen": (
        "warning",
        "the model cannot learn what it never sees, and scores 0 there",
        "add training examples, or leave the class out of the label map that is scored",
    ),
    "class-empty": (
        "note",
        "the model has an output that learns only 'no'",
        "add examples, or use a label map without them",
    ),
    "class-rare": (
        "note",
        "AVA scores only classes with 25 examples: below, learning and scores are chance",
        "add examples, or read their scores with care",
    ),
    # people
    "row-twice": (
        "warning",
        "the second is ground truth that no detection can find: the score falls",
        "remove the repetition",
    ),
    "person-twice": (
        "warning",
        "one person cannot be in two places: tracks and labels are mixed up",
        "give the second another person_id, or remove it",
    ),
    "box-shared": (
        "warning",
        "one detection can find only one of them, and they are two people in training",
        "is it one person? then use one person_id",
    ),
    "person-unlabelled": (
        "warning",
        "trained on as somebody who does nothing",
        "label the person, or remove the rows",
    ),
    # splits
    "split-keyframe": (
        "error",
        "what was trained on is scored: the result looks better than it is",
        "remove the keyframes from one of the splits",
    ),
    "split-same-keyframe": (
        "note",
        "val and test are not independent of each other",
        "nothing, where that is meant",
    ),
    "split-video": (
        "warning",
        "clips of both show the same people and scene: the result looks better than it is",
        "keep each video in one split",
    ),
    "split-video-apart": (
        "note",
        "the same people and scenes may be in both: results say little of other videos",
        "nothing, where that is meant",
    ),
    "nothing-left": (
        "error",
        "no example is left to train on or to score, so that a run stops",
        "is it the exclusion list of this split? correct data.SPLIT.excluded",
    ),
    "excluded-unlisted": (
        "note",
        "excluding them changes nothing",
        "is it the exclusion list of this split?",
    ),
    "excluded-annotated": (
        "note",
        "these annotations are left out everywhere",
        "nothing, where that is meant",
    ),
    # proposals
    "proposal-columns": (
        "error",
        _STOPS,
        "write video_id,timestamp,x1,y1,x2,y2,,score: eight columns, the seventh may be empty",
    ),
    "score-range": (
        "warning",
        "thresholds such as evaluation.min_score=0.8 mean something else then",
        "write scores from 0 to 1; divide percentages by 100",
    ),
    "score-not-finite": ("error", _STOPS, "correct or remove the row"),
    "proposals-changed": (
        "error",
        _STOPS,
        "run `ava-detect propose` again, or delete the JSON file",
    ),
    "proposals-lacking": (
        "warning",
        "nobody is scored there: all these people count as missed",
        "run `ava-detect propose` again, or lower its threshold (proposer.min_score)",
    ),
    "proposals-unlisted": (
        "note",
        "these boxes are left out",
        "nothing, unless it is the file of another split; data.SPLIT.keyframes lists more",
    ),
    "proposals-astray": (
        "warning",
        "coordinates or times of the two files do not agree, so that little can be found",
        "compare a few rows: pixels or fractions, corners or width and height, seconds or frames",
    ),
}
RULES = {code: Rule(*rule) for code, rule in _RULES.items()} | VIDEO_RULES
"""By code; codes are stable."""
