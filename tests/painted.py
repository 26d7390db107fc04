"""Videos whose frames carry their numbers in their pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

ROWS, COLUMNS = 2, 4  # blocks, white or black: the bits of the number


def painted(number: int, height: int, width: int) -> np.ndarray:
    """A picture u8[H, W, 3] of eight blocks: the bits of the number."""
    row = np.arange(height) * ROWS // height
    column = np.arange(width) * COLUMNS // width
    bits = number >> (row[:, None] * COLUMNS + column) & 1
    return np.repeat(bits[:, :, None] * 255, 3, axis=2).astype(np.uint8)


def number_of(image: np.ndarray) -> int:
    """The number in a picture, whatever its size."""
    height, width = image.shape[:2]
    number = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = (2 * row + 1) * height // (2 * ROWS), (2 * column + 1) * width // (2 * COLUMNS)
            patch = image[y - 1 : y + 2, x - 1 : x + 2]
            number |= int(patch.mean() > 128) << (row * COLUMNS + column)
    return number


def write_painted(
    path: Path,
    times: np.ndarray,
    unit: Fraction,
    *,
    size: tuple[int, int] = (48, 64),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    container_options: dict[str, str] | None = None,
    first: int = 0,
) -> Path:
    """Frames numbered from ``first``, of ``size`` (height, width), shown at ``times`` f64[N] s.

    ``times`` are multiples of ``unit``.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=1 / unit, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = unit
        for number, time in enumerate(times, first):
            frame = av.VideoFrame.from_ndarray(painted(number, *size), format="rgb24")
            frame.pts, frame.time_base = round(time / unit), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
