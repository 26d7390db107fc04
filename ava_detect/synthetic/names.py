"""Ids of videos that look like YouTube's."""

from __future__ import annotations

import numpy as np

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def video_id(rng: np.random.Generator, index: int) -> str:
    """Eleven characters; some of the first of every ten begin with - or _, as in AVA."""
    letters = rng.choice(list(LETTERS), 11).tolist()
    first = {0: "-", 1: "_"}.get(index % 10, letters[0])
    return first + "".join(letters[1:])
