"""Spatio-temporal action detection on AVA-style data: proposals, SlowFast, frame-mAP, export."""

from typing import Any

__all__ = ["load_detector"]


def __getattr__(name: str) -> Any:
    """Load what needs torch only when it is asked for, so that the command line starts at once."""
    if name == "load_detector":
        from ava_detect.pretrained import load_detector

        return load_detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
