"""What makes two rows speak of the same keyframe: the video's id and the time to six decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow

from ava_eval.categorical import Categorical

if TYPE_CHECKING:
    import pandas as pd


class KeyframeNumbers:
    """Numbers videos and times as they are met, so that keyframes of several files compare.

    Times are told apart as the official ``make_image_key`` tells them apart, by their text to six
    decimals: 902 and 902.0000004 are one, 0 and -0 are two.
    """

    def __init__(self) -> None:
        self._videos: dict[str, int] = {}
        self._times: dict[str, int] = {}

    def keys(self, video: Categorical, time: Categorical) -> np.ndarray:
        """A key i64 for every row; equal keys are of one keyframe. Times are in seconds."""
        videos = [self._videos.setdefault(name, len(self._videos)) for name in video.categories]
        times = [
            self._times.setdefault(f"{seconds:.6f}", len(self._times))
            for seconds in time.categories
        ]
        high = np.array(videos, dtype=np.int64)[video.codes] << 32
        return high | np.array(times, dtype=np.int64)[time.codes]

    @staticmethod
    def videos_of(keys: np.ndarray) -> np.ndarray:
        """The number of each key's video, i64."""
        return keys >> 32

    def describe(self, keys: np.ndarray) -> tuple[list[str], list[float]]:
        """The videos and the times in seconds of some keys."""
        videos, times = list(self._videos), list(self._times)
        return (
            [videos[key >> 32] for key in keys.tolist()],
            [float(times[key & 0xFFFFFFFF]) for key in keys.tolist()],
        )


def dense_numbers(*keys: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Number the distinct values of several i64 arrays together, from 0 in order of appearance.

    Returns the values by number, and the arrays as numbers i32.
    """
    joined = np.concatenate(keys)
    if not len(joined):
        return joined, [key.astype(np.int32) for key in keys]
    # Arrow's hash table is ten times faster than sorting; (its way of taking a NumPy array would
    # load pandas).
    buffers = [None, pyarrow.py_buffer(joined)]
    encoded = pyarrow.Array.from_buffers(pyarrow.int64(), len(joined), buffers).dictionary_encode()
    values = np.frombuffer(encoded.dictionary.buffers()[1], np.int64)[: len(encoded.dictionary)]
    codes = np.frombuffer(encoded.indices.buffers()[1], np.int32)[: len(encoded)]
    return values, np.split(codes, np.cumsum([len(key) for key in keys])[:-1])


def canonical_times(seconds: np.ndarray) -> np.ndarray:
    """Round times f64[N] in seconds to six decimals, exactly as ``"%.6f" % seconds`` does.

    The official script keys keyframes by that text (``make_image_key``). Infinities, NaN and the
    sign of zero survive, because their texts differ too.
    """
    seconds = np.asarray(seconds, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        micro = seconds * 1e6
        whole = np.rint(micro)
        # The product is off by less than 0.01 here, so only near-halves could round wrongly.
        clear = (np.abs(micro) < 2.0**46) & (np.abs(micro - whole) < 0.49)
    rounded = whole / 1e6
    for row in np.flatnonzero(~clear):
        rounded[row] = float(f"{seconds[row]:.6f}")
    return rounded


def format_times(seconds: np.ndarray) -> np.ndarray:
    """Write times in seconds as AVA does: ``0902``, and ``902.5`` where they are not whole."""
    values, inverse = np.unique(canonical_times(seconds), return_inverse=True)
    texts = [
        f"{int(value):04d}" if value.is_integer() else f"{value:.6f}".rstrip("0")
        for value in values.tolist()
    ]
    return np.array(texts, dtype=object)[inverse]


def keyframe_columns(table: pd.DataFrame) -> tuple[Categorical, Categorical]:
    """The columns ``video_id`` and ``timestamp`` of a table, for ``KeyframeNumbers.keys``."""
    import pandas as pd

    video, names = pd.factorize(table["video_id"], use_na_sentinel=False)
    times = canonical_times(table["timestamp"].to_numpy())
    # Bit patterns rather than values: 0 and -0 differ.
    time, moments = pd.factorize(times.view(np.int64))
    return (
        Categorical([str(name) for name in names], video.astype(np.int32)),
        Categorical(moments.view(np.float64).tolist(), time.astype(np.int32)),
    )


def keyframe_codes(*tables: pd.DataFrame) -> list[np.ndarray]:
    """Number the keyframes of several tables together.

    Each table has the columns ``video_id`` and ``timestamp``. Returns one i64[len(table)] each: two
    rows, of whichever table, have the same number exactly when they are of the same keyframe.
    Numbers are dense, from 0, in order of first appearance.
    """
    numbers = KeyframeNumbers()
    return dense_numbers(*(numbers.keys(*keyframe_columns(table)) for table in tables))[1]


def distinct_keyframes(table: pd.DataFrame) -> pd.DataFrame:
    """The ``Keyframes`` of a table: each (video_id, timestamp) once, in order of appearance."""
    _, first = np.unique(keyframe_codes(table)[0], return_index=True)
    keyframes = table[["video_id", "timestamp"]].iloc[np.sort(first)]
    return keyframes.reset_index(drop=True)
