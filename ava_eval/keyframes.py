"""What makes two rows speak of the same keyframe: the video's id and the time to six decimals."""

from __future__ import annotations

import numpy as np
import pandas as pd


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


def keyframe_codes(*tables: pd.DataFrame) -> list[np.ndarray]:
    """Number the keyframes of several tables together.

    Each table has the columns ``video_id`` and ``timestamp``. Returns one i64[len(table)] each: two
    rows, of whichever table, have the same number exactly when they are of the same keyframe.
    Numbers are dense, from 0, in order of first appearance.
    """
    numbers: dict[object, int] = {}
    videos = []
    for table in tables:
        local, names = pd.factorize(table["video_id"], use_na_sentinel=False)
        known = [numbers.setdefault(name, len(numbers)) for name in names]
        videos.append(np.asarray(known, dtype=np.int64)[local])
    times = np.concatenate([canonical_times(table["timestamp"].to_numpy()) for table in tables])
    times[np.isnan(times)] = np.nan  # one bit pattern for every NaN
    # Bit patterns rather than values: the official keys of 0 and -0 differ, those of NaN agree.
    moments, _ = pd.factorize(times.view(np.int64))
    codes, _ = pd.factorize(np.concatenate(videos) * (moments.max(initial=0) + 1) + moments)
    return np.split(codes, np.cumsum([len(table) for table in tables])[:-1])


def distinct_keyframes(table: pd.DataFrame) -> pd.DataFrame:
    """The ``Keyframes`` of a table: each (video_id, timestamp) once, in order of appearance."""
    _, first = np.unique(keyframe_codes(table)[0], return_index=True)
    keyframes = table[["video_id", "timestamp"]].iloc[np.sort(first)]
    return keyframes.reset_index(drop=True)
