"""How often a classifier of clips is right."""

from __future__ import annotations

import numpy as np


def is_in_top(scores: np.ndarray, columns: np.ndarray, k: int) -> np.ndarray:
    """Whether the right class is among the ``k`` best: bool[N].

    ``scores`` f32[N, C], ``columns`` i64[N] of the right classes. Of equal scores the wrong classes
    come first, so that a model that says the same of all classes is never right by chance.
    """
    own = np.take_along_axis(scores, columns[:, None], axis=1)
    better = (scores >= own).sum(axis=1) - 1  # itself
    return better < k
