"""The AVA frame-mAP and the AVA file formats, without torch.

Names are loaded on first use, so that a command answers ``--help`` before pandas is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ava_eval.box_scores import BoxScores
    from ava_eval.errors import InputError
    from ava_eval.files import (
        read_annotations,
        read_detections,
        read_keyframes,
        read_label_map,
        read_person_boxes,
    )
    from ava_eval.frame_map import FrameMap, evaluate

_HOME = {
    "BoxScores": "box_scores",
    "FrameMap": "frame_map",
    "InputError": "errors",
    "evaluate": "frame_map",
    "read_annotations": "files",
    "read_detections": "files",
    "read_keyframes": "files",
    "read_label_map": "files",
    "read_person_boxes": "files",
}

__all__ = [
    "BoxScores",
    "FrameMap",
    "InputError",
    "evaluate",
    "read_annotations",
    "read_detections",
    "read_keyframes",
    "read_label_map",
    "read_person_boxes",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'ava_eval' has no attribute {name!r}")
    value = getattr(import_module(f"ava_eval.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
