"""Scores come back by row number, each row exactly once."""

from __future__ import annotations

import numpy as np

from ava_detect.engine import distributed


class Collector:
    """Puts scores that arrive in any order, from any process, into the order of ``rows``.

    ``rows`` i64[N] are the row numbers that must arrive, unique; ``num_classes`` is C.
    """

    def __init__(self, rows: np.ndarray, num_classes: int) -> None:
        self.rows = np.asarray(rows, dtype=np.int64)
        self.num_classes = num_classes
        self._rows = [np.empty(0, np.int64)]
        self._scores = [np.empty((0, num_classes), np.float32)]

    def add(self, rows: np.ndarray, scores: np.ndarray) -> None:
        """Take the scores f32[M, C] of ``rows`` i64[M]."""
        if scores.shape != (len(rows), self.num_classes):
            raise ValueError(
                f"expected scores of shape {(len(rows), self.num_classes)}, got {scores.shape}"
            )
        self._rows.append(np.asarray(rows, dtype=np.int64))
        self._scores.append(np.asarray(scores, dtype=np.float32))

    def finish(self, unread: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The rows i64[M], in the order of ``rows``, and their scores f32[M, C]; on every process.

        ``unread`` are rows that this process will not bring: these are left out.

        Raises RuntimeError when a row is missing, came twice or was not asked for: the loader or
        the network has then lost track of the boxes, and no number may be computed from them.
        """
        left_out = np.empty(0, np.int64) if unread is None else unread
        mine = (np.concatenate(self._rows), np.concatenate(self._scores), left_out)
        parts = distributed.gather_objects(mine)
        rows = np.concatenate([part[0] for part in parts])
        scores = np.concatenate([part[1] for part in parts])
        wanted = self.rows[~np.isin(self.rows, np.concatenate([part[2] for part in parts]))]
        unique, counts = np.unique(rows, return_counts=True)
        _complain("are missing", np.setdiff1d(wanted, unique))
        _complain("came more than once", unique[counts > 1])
        _complain("were not asked for", np.setdiff1d(unique, wanted))
        arrived = np.argsort(rows)
        return wanted, scores[arrived[np.searchsorted(rows, wanted, sorter=arrived)]]


def _complain(what: str, rows: np.ndarray) -> None:
    if len(rows):
        some = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise RuntimeError(f"scores of {len(rows)} boxes {what} (rows {some})")
