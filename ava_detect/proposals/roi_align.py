"""RoIAlign on a CPU: each cell of the answer is a weighted sum of cells of the feature map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign

MOST_CELLS = 1 << 21
"""So many are added up at once, for memory."""


def roi_align(
    feature: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """``torchvision.ops.roi_align`` by the rows of a table.

    ``feature`` f[B,C,H,W], quick with channels last in memory; ``rois`` f[N,5] (image, x1, y1, x2,
    y2) in pixels; what is not a number counts as 0. Returns f[N,C,*output_size], channels last in
    memory, added up in float32.
    """
    channels, height, width = feature.shape[1:]
    table = feature.permute(0, 2, 3, 1).reshape(-1, channels).float()
    answer = table.new_empty(len(rois), output_size[0] * output_size[1], channels)
    corners = rois[:, 1:].float().nan_to_num(0, 0, 0) * spatial_scale - 0.5 * aligned
    x1, y1, x2, y2 = corners.unbind(1)
    sides = torch.stack([y2 - y1, x2 - x1], dim=1)
    sides = (sides if aligned else sides.clamp(min=1)) / sides.new_tensor(output_size)
    samples = torch.full_like(sides, sampling_ratio) if sampling_ratio > 0 else sides.ceil()
    # boxes with the same number of samples are one call
    counts, group = samples.long().unique(dim=0, return_inverse=True)
    for number, (down, across) in enumerate(counts.tolist()):
        same = (group == number).nonzero()[:, 0]
        if min(down, across) < 1:  # boxes without area
            answer[same] = 0
            continue
        for chosen in same.split(max(1, MOST_CELLS // (answer.shape[1] * 4 * down * across))):
            rows, row_weights = _taps(y1[chosen], sides[chosen, 0], output_size[0], down, height)
            columns, weights = _taps(x1[chosen], sides[chosen, 1], output_size[1], across, width)
            # [N,bins down,bins across,taps down,taps across]
            cells = rows[:, :, None, :, None] * width + columns[:, None, :, None, :]
            cells += (rois[chosen, 0].long() * height * width)[:, None, None, None, None]
            weights = row_weights[:, :, None, :, None] * weights[:, None, :, None, :]
            bags = F.embedding_bag(
                cells.flatten(3).flatten(0, 2), table, mode="sum",
                per_sample_weights=weights.flatten(3).flatten(0, 2),
            )  # fmt: skip
            answer[chosen] = bags.view(len(chosen), -1, channels)
    answer = answer.view(-1, *output_size, channels).permute(0, 3, 1, 2)
    return answer.to(feature.dtype)


def _taps(
    start: Tensor, side: Tensor, bins: int, samples: int, length: int
) -> tuple[Tensor, Tensor]:
    """Cells i64 and weights f32[N,bins,2*samples] of a bin's mean along one axis.

    A sample between two cells has both; one beyond the map by more than a cell counts as zero.
    """
    offsets = (torch.arange(samples) + 0.5) / samples + torch.arange(bins)[:, None]
    at = start[:, None, None] + offsets.to(start) * side[:, None, None]  # [N,bins,samples]
    inside = ((at >= -1) & (at <= length)) / samples
    at = at.clamp(0, length - 1)
    low = at.floor().long().clamp(max=max(length - 2, 0))
    share = at - low
    cells = torch.cat([low, (low + 1).clamp(max=length - 1)], dim=2)
    return cells, torch.cat([(1 - share) * inside, share * inside], dim=2)


def multi_scale_roi_align(
    pool: MultiScaleRoIAlign,
    features: Mapping[str, Tensor],
    boxes: Sequence[Tensor],
    image_shapes: Sequence[tuple[int, int]],
) -> Tensor:
    """What ``pool`` does: each box looks at the level of a feature pyramid that fits its size."""
    levels = [feature for name, feature in features.items() if name in pool.featmap_names]
    height = max(shape[0] for shape in image_shapes)
    octaves = [round(math.log2(height / level.shape[2])) for level in levels]
    table = torch.cat(list(boxes))
    images = torch.cat([table.new_full((len(some), 1), i) for i, some in enumerate(boxes)])
    rois = torch.cat([images, table], dim=1)
    sides = (table[:, 2:] - table[:, :2]).prod(dim=1).sqrt()
    fitting = (pool.canonical_level + (sides / pool.canonical_scale).log2() + 1e-6).floor()
    fitting = fitting.clamp(octaves[0], octaves[-1])
    answer = levels[0].new_zeros(len(rois), levels[0].shape[1], *pool.output_size)
    for octave, level in zip(octaves, levels, strict=True):
        chosen = (fitting == octave).nonzero()[:, 0] if len(levels) > 1 else slice(None)
        answer[chosen] = roi_align(
            level, rois[chosen], pool.output_size, 2.0**-octave, pool.sampling_ratio
        ).to(answer.dtype)
    return answer
