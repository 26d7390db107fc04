"""Weights and clips that depend on nothing but names, shapes and seeds.

Recorded scores stay true on any machine, since only generators that NumPy has frozen are used.
"""

from __future__ import annotations

import functools
import math
import zlib

import numpy as np
import torch

# A prime length, so that no two rows of a weight repeat each other.
_POOL_SIZE = 2**20 - 3
# The last norms of residual branches.
_FINAL_NORMS = ("c_bn.weight", "norm_c.weight", "conv3.bn.weight")
# A non-local block multiplies three of its inputs with each other: without these, it explodes.
_NON_LOCAL = {"conv_theta.weight": 0.1, "conv_phi.weight": 0.1, "conv_out.weight": 0.03}


def reproducible_tensor(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Values for one entry of a state dict, decided by name, shape and seed alone.

    The names of PySlowFast, pytorchvideo and mmaction2 are told apart by their ends only. The
    scales keep activations of a hundred layers in range and the scores spread over (0, 1).
    """
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    noise = _noise(f"{seed}/{name}", shape)
    if name.endswith("running_var"):
        values = 0.5 + np.abs(noise)
    elif not name.endswith("weight"):  # biases and running means
        values = 0.1 * noise
    elif len(shape) == 1:
        top = 0.35 if name.endswith(_FINAL_NORMS) else 1.0
        values = top * (0.5 + 0.5 * np.clip(np.abs(noise), 0, 1))
    elif len(shape) == 2:
        values = 0.02 * noise
    else:
        scale = next((scale for end, scale in _NON_LOCAL.items() if name.endswith(end)), 1.0)
        values = scale * math.sqrt(2 / math.prod(shape[1:])) * noise
    return torch.from_numpy(values.astype(np.float32))


@functools.cache
def _pool() -> np.ndarray:
    """The normal noise twice over, so that a rolled start is a slice."""
    noise = np.random.RandomState(0).standard_normal(_POOL_SIZE)
    return np.concatenate([noise, noise])


def _noise(key: str, shape: tuple[int, ...]) -> np.ndarray:
    start = zlib.crc32(key.encode()) % _POOL_SIZE
    used = min(math.prod(shape), _POOL_SIZE)
    return np.resize(_pool()[start : start + used], shape)


def example_clip(num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip u8[T,64,80,3] of moving coloured shapes and three boxes f32[3,4] in it."""
    t, y, x, c = np.meshgrid(*map(np.arange, (num_frames, 64, 80, 3)), indexing="ij")
    waves = np.sin(x / (4 + 3 * c) + t / 5) + np.cos(y / (9 - 2 * c) - t / 7)
    noise = np.random.RandomState(1).random_sample(waves.shape)
    clip = np.clip(60 * waves + 100 * (x > y) + 60 * noise + 40, 0, 255).astype(np.uint8)
    return clip, np.array([[2, 3, 30, 60], [35.5, 10, 77, 50], [10, 20, 60, 44.4]], np.float32)
