"""The clips of AVA: around a keyframe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ava_detect.clips import ClipSource
from ava_detect.data.keyframes import Keyframe
from ava_detect.timebase import Timebase


@dataclass(frozen=True)
class KeyframeSampling:
    """Which frames make the clip of a keyframe; see ``Timebase.clip_frames``."""

    timebase: Timebase
    num_frames: int
    sampling_rate: int

    def frames(
        self,
        keyframe: Keyframe,
        source: ClipSource,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """See ``Sampling``; nothing is random here."""
        frame_times = source.frame_times(keyframe.video_id)
        self.timebase.require_inside(keyframe.timestamp, keyframe.video_id, frame_times)
        return self.timebase.clip_frames(
            keyframe.timestamp, frame_times, self.num_frames, self.sampling_rate
        )
