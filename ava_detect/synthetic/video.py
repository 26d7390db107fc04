"""Frames written as H.264."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np

# One thread: the same frames give the same bytes. A key frame a second: seeking is quick.
X264 = {"preset": "ultrafast", "qp": "22", "threads": "1"}


def write_video(path: Path, images: Iterable[np.ndarray], size: tuple[int, int], fps: int) -> None:
    """Write BGR frames u8[h, w, 3] of one even ``size`` (w, h) as an mp4 of constant rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=X264)
        stream.pix_fmt = "yuv420p"
        stream.width, stream.height = size
        stream.gop_size = fps
        for image in images:
            planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())
