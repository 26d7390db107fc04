"""What the Fast pathway sees: the frames, or something weaker (paper section 3.4, table 5c)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # of R, G, B (ITU-R BT.601)


def rgb(frames: Tensor) -> Tensor:
    """f[B,3,T,H,W], as it is."""
    return frames


def half_resolution(frames: Tensor) -> Tensor:
    """f[B,3,T,H,W] -> f[B,3,T,ceil(H/2),ceil(W/2)], the mean of 2x2 pixels."""
    if torch.compiler.is_exporting():  # the same without asking whether a size is odd
        return F.avg_pool3d(F.pad(frames, (0, 1, 0, 1, 0, 0), "replicate"), (1, 2, 2))
    return F.avg_pool3d(frames, (1, 2, 2), ceil_mode=True, count_include_pad=False)


def gray(frames: Tensor) -> Tensor:
    """f[B,3,T,H,W] -> f[B,1,T,H,W], brightness."""
    weights = frames.new_tensor(LUMA).view(1, 3, 1, 1, 1)
    return (frames * weights).sum(dim=1, keepdim=True)


def time_difference(frames: Tensor) -> Tensor:
    """f[B,3,T,H,W] -> f[B,1,T,H,W], brightness less that of the frame before; first frame zero."""
    brightness = gray(frames)
    return brightness - torch.cat([brightness[:, :, :1], brightness[:, :, :-1]], dim=2)


def optical_flow(frames: Tensor) -> Tensor:
    """f[B,3,T,H,W] -> f[B,2,T,H,W], motion from the frame before in units of 20 pixels, x then y.

    Dense inverse search of OpenCV (Kroeger et al. 2016) on the CPU; the first frame's is zero.
    20 pixels are where two-stream networks clip their flow.
    """
    batch, _, num_frames, height, width = frames.shape
    if frames.is_meta:
        return frames.new_empty(batch, 2, num_frames, height, width)
    # +-2.5 standard deviations of brightness onto 8 bits; flow does not mind the scale
    bytes_ = ((gray(frames.float())[:, 0] + 2.5) * 51).clamp(0, 255).byte().cpu().numpy()
    flow = np.zeros((batch, num_frames, height, width, 2), dtype=np.float32)
    estimate = _estimator()
    for clip in range(batch):
        for t in range(1, num_frames):
            flow[clip, t] = estimate(bytes_[clip, t - 1], bytes_[clip, t])
    return torch.from_numpy(flow).permute(0, 4, 1, 2, 3).to(frames).div_(20).clamp_(-1, 1)


def _estimator() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """u8[H,W], u8[H,W] -> f32[H,W,2] pixels; small images are padded, as the search needs room."""
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def estimate(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        height, width = before.shape
        pad = ((0, max(0, 32 - height)), (0, max(0, 32 - width)))
        first, second = np.pad(before, pad, "edge"), np.pad(after, pad, "edge")
        flow = search.calc(first, second, np.zeros((*first.shape, 2), dtype=np.float32))
        return np.asarray(flow)[:height, :width]

    return estimate


# name -> (function, channels, pixels of the clip per pixel that Fast sees)
FAST_INPUTS: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {
    "rgb": (rgb, 3, 1),
    "gray": (gray, 1, 1),
    "half_resolution": (half_resolution, 3, 2),
    "time_difference": (time_difference, 1, 1),
    "optical_flow": (optical_flow, 2, 1),
}
