"""How long frames take, counted so that hours of them take no memory."""

from __future__ import annotations

import numpy as np


class Delays:
    """Seconds from capture to drawn, counted in bins so that hours take no memory."""

    BIN, LONGEST = 0.005, 120.0

    def __init__(self) -> None:
        self.counts = np.zeros(round(self.LONGEST / self.BIN) + 1, np.int64)

    def add(self, seconds: float) -> None:
        self.counts[min(int(seconds / self.BIN), len(self.counts) - 1)] += 1

    def quantile(self, part: float) -> float:
        """The delay that a ``part`` of the frames does not exceed, to a bin; 0 without frames."""
        passed = np.cumsum(self.counts)
        return float(np.searchsorted(passed, part * passed[-1]) + 1) * self.BIN if passed[-1] else 0

    def facts(self) -> dict[str, float]:
        return {"median": round(self.quantile(0.5), 3), "p95": round(self.quantile(0.95), 3)}

    def text(self) -> str:
        median, late = self.facts().values()
        return f"median {median:.2f} s, 95th percentile {late:.2f} s from capture to drawn"
