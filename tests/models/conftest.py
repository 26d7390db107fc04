"""Small models that every test here builds in milliseconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ava_detect.models.heads import RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.slowfast import SlowFast


@pytest.fixture
def tiny_detector() -> Callable[..., ActionDetector]:
    """Build a detector of 5 classes whose backbone has the given settings, with a fixed seed."""

    def build(**settings) -> ActionDetector:
        torch.manual_seed(0)
        small = {
            "block": "basic",
            "depths": (1, 1, 1, 1),
            "widths": (8, 8, 12, 16),
            "alpha": 4,
            "beta_inv": 4,
            "stem": "space_to_depth",
            "strides": (1, 2, 1),
            "zero_init": False,
        }
        backbone = SlowFast(**(small | settings))
        head = RoIHead(backbone.out_channels, 5, backbone.strides, dropout=0.0)
        return ActionDetector(backbone, head)

    return build


@pytest.fixture
def clips() -> torch.Tensor:
    """Noise, u8[2,8,48,64,3]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 8, 48, 64, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def rois() -> torch.Tensor:
    """Two people in the first clip and one in the second, f32[3,5]."""
    return torch.tensor([[0, 3, 4, 30, 40], [0, 25, 2.5, 60, 47], [1, 10, 10, 44.5, 40]])
