"""Sizes and costs that the SlowFast paper prints (Feichtenhofer et al. 2019, arXiv 1812.03982v3).

Multiply-adds of one 256 x 256 clip, in units of 1e9, without batch norm; parameters in millions
where the paper has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

R50 = {"depths": (3, 4, 6, 3)}
R101 = {"depths": (3, 4, 23, 3)}
_PLAIN = {
    "pathways": "slowfast",
    "block": "bottleneck",
    "widths": (64, 128, 256, 512),
    "stem": "conv7",
    "strides": (1, 2, 2),
    "res5_stride": 2,
    "alpha": 8,
    "beta_inv": 8,
    "fast_input": "rgb",
    "lateral": "time_strided_conv",
    "nonlocal_blocks": ((), (), (), ()),
    **R50,
}
_NONLOCAL = {"nonlocal_blocks": ((), (), (6, 13, 20), ())}


@dataclass(frozen=True)
class PaperModel:
    """A Kinetics-400 classifier of the paper: what sets it apart, and what it costs there."""

    table: str
    name: str
    num_frames: int
    gmacs: float
    params: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def is_built_by(self, model: Mapping[str, Any], num_frames: int) -> bool:
        """Whether settings of ``SlowFast`` (tuples, not lists) and a number of frames are these."""
        wanted = {**_PLAIN, **self.settings}
        if wanted["pathways"] != "slowfast":  # what only joins two pathways does not matter
            for key in ("alpha", "beta_inv", "lateral", "fast_input"):
                if not (key == "beta_inv" and wanted["pathways"] == "fast"):
                    del wanted[key]
        return num_frames == self.num_frames and all(model[k] == v for k, v in wanted.items())


_A4 = {"alpha": 4}
PAPER_MODELS = [
    PaperModel("2", "SlowFast 4x16, R50", 32, 36.1),
    PaperModel("2", "SlowFast 8x8, R50", 32, 65.7, None, _A4),
    PaperModel("2", "SlowFast 8x8, R101", 32, 106, None, {**_A4, **R101}),
    PaperModel("2", "SlowFast 16x8, R101", 64, 213, None, {**_A4, **R101}),
    PaperModel("2", "SlowFast 16x8, R101+NL", 64, 234, None, {**_A4, **R101, **_NONLOCAL}),
    PaperModel("5a", "Slow-only", 4, 27.3, 32.4, {"pathways": "slow"}),
    PaperModel("5a", "Fast-only", 32, 6.4, 0.53, {"pathways": "fast"}),
    PaperModel("5a", "no lateral", 32, 34.2, None, {"lateral": "none"}),
    PaperModel("5a", "TtoC, sum", 32, 34.2, None, {"lateral": "time_to_channel_sum"}),
    PaperModel("5a", "TtoC, concat", 32, 39.8, None, {"lateral": "time_to_channel_concat"}),
    PaperModel("5a", "T-sample", 32, 34.9, None, {"lateral": "time_strided_sample"}),
    PaperModel("5a", "T-conv", 32, 36.1),
    PaperModel("5b", "beta = 1/4", 32, 54.5, None, {"beta_inv": 4}),
    PaperModel("5b", "beta = 1/6", 32, 41.8, None, {"beta_inv": 6}),
    PaperModel("5b", "beta = 1/8", 32, 36.1),
    PaperModel("5b", "beta = 1/12", 32, 32.8, None, {"beta_inv": 12}),
    PaperModel("5b", "beta = 1/16", 32, 30.6, None, {"beta_inv": 16}),
    PaperModel("5b", "beta = 1/32", 32, 28.6, None, {"beta_inv": 32}),
    PaperModel("5c", "RGB", 32, 36.1),
    PaperModel(
        "5c", "half resolution", 32, 34.4, None, {"fast_input": "half_resolution", "beta_inv": 4}
    ),
    PaperModel("5c", "gray-scale", 32, 34.1, None, {"fast_input": "gray"}),
    PaperModel("5c", "time difference", 32, 34.2, None, {"fast_input": "time_difference"}),
    PaperModel("5c", "optical flow", 32, 35.1, None, {"fast_input": "optical_flow"}),
]


def find_paper_model(model: Mapping[str, Any], num_frames: int) -> PaperModel | None:
    """The paper's row for these settings of ``SlowFast``; None where it has none."""
    rows = (row for row in PAPER_MODELS if row.is_built_by(model, num_frames))
    return next(rows, None)
