"""Two files of detections against the same ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ava_eval.classes import Classes
from ava_eval.frame_map import FrameMap, frame_map, null_if_nan
from ava_eval.scoring import Scored
from ava_eval.statistics import Bootstrap, bootstrap, interval


@dataclass(frozen=True)
class Comparison:
    """The two results and their resamples over the same draws of videos; B minus A throughout.

    ``num_videos`` is what the draws were made from.
    """

    a: FrameMap
    b: FrameMap
    resamples_a: Bootstrap
    resamples_b: Bootstrap
    num_videos: int

    @property
    def delta(self) -> float:
        """The gain in mAP."""
        return self.b.mean - self.a.mean

    @property
    def delta_interval(self) -> np.ndarray:
        """Its interval, f64[2]."""
        return interval(self.resamples_b.mean - self.resamples_a.mean)

    @property
    def shares(self) -> tuple[float, float]:
        """The shares of the resamples in which B is better, and equal; NaN if none is defined."""
        gains = self.resamples_b.mean - self.resamples_a.mean
        gains = gains[~np.isnan(gains)]
        if not len(gains):
            return float("nan"), float("nan")
        return float((gains > 0).mean()), float((gains == 0).mean())

    @property
    def class_deltas(self) -> np.ndarray:
        """The gain in AP, f64[C]."""
        return self.b.ap - self.a.ap

    @cached_property
    def class_intervals(self) -> np.ndarray:
        """Its intervals, f64[C,2]."""
        gains = self.resamples_b.ap - self.resamples_a.ap
        return np.stack([interval(column) for column in gains.T])

    @cached_property
    def moved(self) -> np.ndarray:
        """Marks the classes whose interval leaves out zero -> bool[C]."""
        low, high = self.class_intervals.T
        return (low > 0) | (high < 0)

    def to_json(self) -> dict[str, Any]:
        """A dict for ``json.dump``."""
        intervals, moved, deltas = self.class_intervals, self.moved, self.class_deltas
        mean_a, mean_b = self.resamples_a.intervals()[0], self.resamples_b.intervals()[0]
        return {
            "protocol": self.a.protocol,
            "videos": self.num_videos,
            "resamples": len(self.resamples_a.mean),
            "mAP": [null_if_nan(self.a.mean), null_if_nan(self.b.mean)],
            "mAP_intervals": [_plain(mean_a), _plain(mean_b)],
            "delta": null_if_nan(self.delta),
            "delta_interval": _plain(self.delta_interval),
            "share_better": null_if_nan(self.shares[0]),
            "share_equal": null_if_nan(self.shares[1]),
            "classes": [
                {
                    "id": int(self.a.classes.ids[i]),
                    "name": self.a.classes.names[i],
                    "ap": [null_if_nan(self.a.ap[i]), null_if_nan(self.b.ap[i])],
                    "delta": null_if_nan(deltas[i]),
                    "delta_interval": _plain(intervals[i]),
                    "moved": bool(moved[i]),
                }
                for i in self.a.classes.listing
            ],
        }


def compare(
    a: Scored,
    b: Scored,
    classes: Classes,
    resamples: int = 1000,
    seed: int = 0,
    on_class: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compare two files scored by one protocol; arguments are those of ``bootstrap``."""
    drawn_a, drawn_b = bootstrap([a, b], resamples, seed, on_class)
    number = len(np.union1d(a.videos, b.videos))
    return Comparison(frame_map(a, classes), frame_map(b, classes), drawn_a, drawn_b, number)


def _plain(values: Any) -> list[float | None]:
    return [null_if_nan(float(value)) for value in values]
