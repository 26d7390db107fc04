"""The camera: how the scene lies in the frame at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Slow zoom about the middle of the frame, and panning, in T frames."""

    zoom: np.ndarray  # f64[T]
    pan: np.ndarray  # f64[T, 2], pixels of the frame
    centre: tuple[float, float]  # of the frame, pixels

    @classmethod
    def draw(
        cls, rng: np.random.Generator, frames: int, size: tuple[int, int], moves: bool
    ) -> Camera:
        """A camera for frames of ``size`` (width, height) that zooms and pans or stands still."""
        waves = np.stack([slow_wave(rng, frames) for _ in range(3)], 1) * moves
        centre = size[0] / 2, size[1] / 2
        return cls(1 + 0.07 * waves[:, 0], waves[:, 1:] * (4.0, 1.5), centre)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Scene points f64[T, 2], one a frame, in pixels of the frame."""
        return (points - self.centre) * self.zoom[:, None] + self.centre + self.pan

    def matrix(self, frame: int, origin: float) -> np.ndarray:
        """f64[2, 3]: takes pixels of a picture, whose corner is the scene's (origin, origin), to
        pixels of the frame."""
        zoom = self.zoom[frame]
        shift = np.add(self.centre, self.pan[frame]) + zoom * np.subtract(origin, self.centre)
        return np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])


def slow_wave(rng: np.random.Generator, frames: int) -> np.ndarray:
    """f64[T] within [-1, 1]: about one swing in a whole video."""
    turns = rng.uniform(0.5, 1.5)
    return np.sin(2 * np.pi * (rng.uniform() + turns * np.arange(frames) / frames))
