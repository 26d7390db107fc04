"""How sure the numbers are: the bootstrap over videos.

Keyframes of one video resemble each other, so whole videos are drawn, with replacement, as many as
there are; a video drawn twice counts twice on both sides. Files that are compared are drawn alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ava_eval.frame_map import mean_of_defined
from ava_eval.labelled_boxes import LabelledBoxes, run_starts
from ava_eval.scoring import Scored

LEVEL = 0.95  # of the intervals
_CELLS = 1 << 22  # numbers worked on together
_DENSE = 50  # a matrix product multiplies so many numbers while a table look-up adds one


@dataclass(frozen=True)
class Bootstrap:
    """``mean`` f64[R] and ``ap`` f64[R,C] of each resample; NaN where not defined."""

    mean: np.ndarray
    ap: np.ndarray

    def intervals(self) -> tuple[list[float], np.ndarray]:
        """The interval of the mAP, and f64[C,2] of each AP."""
        return interval(self.mean).tolist(), np.stack([interval(column) for column in self.ap.T])


def bootstrap(
    scored: Sequence[Scored],
    resamples: int = 1000,
    seed: int = 0,
    on_class: Callable[[], None] = lambda: None,
) -> list[Bootstrap]:
    """Draw videos and score again, the same draws for every file of detections.

    Equal scores are ordered with false positives first. A class without ground truth in a resample
    has no AP there. All of ``scored`` share their ``KeyframeNumbers``. ``on_class`` is called for
    each class of each file.
    """
    videos = np.unique(np.concatenate([one.videos for one in scored]))
    weight = np.zeros((0, resamples), dtype=np.float32)
    if len(videos):
        rng = np.random.default_rng(seed)
        each = np.full(len(videos), 1 / len(videos))
        weight = rng.multinomial(len(videos), each, resamples).T.astype(np.float32)
    return [_resample(one, videos, weight, on_class) for one in scored]


def interval(values: np.ndarray) -> np.ndarray:
    """The percentile interval of resampled values f64[R] -> f64[2]; NaN without a defined one."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return np.full(2, np.nan)
    return np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def _resample(
    scored: Scored,
    videos: np.ndarray,
    weight: np.ndarray,
    on_class: Callable[[], None] = lambda: None,
) -> Bootstrap:
    """``videos`` i64[V], ascending, are drawn as often as ``weight`` f32[V,R] says."""
    video = np.searchsorted(videos, scored.video_of_keyframe)
    of_found = video[scored.found.keyframe]
    num_truth = _truth_of_videos(scored.denominator, video, scored.num_classes, len(weight))
    ap = np.full((weight.shape[1], scored.num_classes), np.nan)
    for place, rows in enumerate(scored.rows_of_class):
        on_class()
        if not scored.num_truth[place]:
            continue
        of_rows = of_found[scored.found.box[rows]]
        ap[:, place] = _resampled_ap(
            scored.scores[rows], scored.correct[rows], of_rows, num_truth[place], weight
        )
        if not scored.protocol.undetected_classes_count:
            detections = np.bincount(of_rows, minlength=len(weight)) @ weight
            ap[detections == 0, place] = np.nan
    return Bootstrap(np.array([mean_of_defined(row) for row in ap]), ap)


def _truth_of_videos(
    truth: LabelledBoxes, video: np.ndarray, num_classes: int, num_videos: int
) -> np.ndarray:
    """The rows of each class and video, f32[C,V]."""
    cell = truth.action.astype(np.int64) * num_videos + video[truth.keyframe_of_row]
    counts = np.bincount(cell, minlength=num_classes * num_videos)
    return counts.reshape(num_classes, num_videos).astype(np.float32)


def _resampled_ap(
    scores: np.ndarray,
    correct: np.ndarray,
    video: np.ndarray,
    num_truth: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """The AP of one class in each resample -> f64[R].

    ``video`` i64[N] is that of each detection, ``num_truth`` f32[V] counts the ground truth.
    """
    order = np.argsort(-scores, kind="stable")
    hits, misses = order[correct[order]], order[~correct[order]]
    # The first hit that each miss ranks before; equal scores count as before.
    ahead_of = np.searchsorted(-scores[hits], -scores[misses], side="left")
    total = num_truth @ weight
    answer = np.empty(weight.shape[1])
    step = max(1, _CELLS // (len(scores) + 1))
    for first in range(0, len(answer), step):
        some = slice(first, first + step)
        gain = weight[video[hits], some]
        wrong = _sums(ahead_of, video[misses], weight[:, some], len(hits))
        right = np.cumsum(gain, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.nan_to_num(right / (right + np.cumsum(wrong, axis=0)))
            envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
            answer[some] = (gain * envelope).sum(axis=0, dtype=np.float64) / total[some]
    return answer


def _sums(group: np.ndarray, video: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """The weights of the videos of each group, added up -> f32[size,R]; ``group`` is ascending."""
    sums = np.zeros((size, weight.shape[1]), dtype=np.float32)
    inside = group < size
    group, video = group[inside], video[inside]
    num_videos = len(weight)
    if size * num_videos > _DENSE * len(group):  # many videos: most have nothing in a group
        starts = run_starts(group)
        if len(starts):
            sums[group[starts]] = np.add.reduceat(weight[video], starts, axis=0)
        return sums
    step = max(1, _CELLS // num_videos)
    for first in range(0, size, step):
        last = min(first + step, size)
        some = slice(*np.searchsorted(group, [first, last]))
        cell = (group[some] - first) * num_videos + video[some]
        counts = np.bincount(cell, minlength=(last - first) * num_videos)
        sums[first:last] = counts.reshape(-1, num_videos).astype(np.float32) @ weight
    return sums
