"""The kinds of faults of times and videos."""

from __future__ import annotations

from ava_detect.doctor.rule import Rule, Severity

_SHIFTED = "the detector would learn and be scored on other pixels than those that were annotated"
_RULES: dict[str, tuple[Severity, str, str]] = {
    # time
    "time-outside": (
        "error",
        _SHIFTED,
        "correct the timestamp, or data.timebase; or complete the video",
    ),
    "time-shifted": (
        "warning",
        _SHIFTED,
        "whole films begin at 0: set data.timebase.start=0; only segments that were cut from them"
        " begin later (AVA's at 900)",
    ),
    # videos
    "video-missing": (
        "error",
        "the keyframes of a video that is not there cannot be read",
        "add the video, correct the id, or remove its rows (data.on_error=skip leaves them out)",
    ),
    "video-twice": (
        "error",
        "which of the two is meant is open",
        "remove one of them, or use longer ids (the path below the folder)",
    ),
    "video-broken": (
        "error",
        "its keyframes cannot be read",
        "get the file again, or remove its rows (data.on_error=skip leaves them out)",
    ),
    "video-undecodable": (
        "error",
        "a keyframe cannot be read, so that a run stops at it",
        "get the video again, or make it anew, e.g. ffmpeg -i FILE NEW.mp4",
    ),
    "video-short": (
        "warning",
        "clips repeat the first and last frames, so that little moves in them",
        "sample fewer frames (data.num_frames, data.sampling_rate), or use longer videos",
    ),
    "video-rate": (
        "note",
        "nothing here: frames are found by their times; tools that count frames go wrong",
        "nothing, unless you use other tools too",
    ),
    "video-unnamed": ("note", "they are not used", "nothing, unless rows are missing"),
    "frame-gaps": (
        "warning",
        "the frame beside it is shown in the place of a lost one",
        "extract the frames again",
    ),
    "frame-missing": (
        "error",
        "a clip that shows such an image cannot be read",
        "extract the frames again, or correct the list",
    ),
    "prepared-lacking": (
        "error",
        "a clip that shows such a frame cannot be read, so that a run stops at it",
        "run `ava-detect prepare` again",
    ),
    "frame-size": (
        "error",
        "frames of one video must have one size",
        "extract the frames again, all in one size",
    ),
}
VIDEO_RULES = {code: Rule(*rule) for code, rule in _RULES.items()}
